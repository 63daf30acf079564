"""
Commands: what a client wants run as a program, and how that is packed into a job's payload.

The payload is one JSON object in ASCII, a newline, and then the standard input as it is, so that
anybody can read it, the keeper too, which shares no code with the rest.
Arguments, names and paths are bytes; in the JSON they are UTF-8 with what is not UTF-8 as lone
surrogates (PEP 383).
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

__all__ = [
    "COMMAND",
    "LONGEST",
    "Command",
    "as_bytes",
    "as_text",
    "pack_command",
    "read_limit",
    "unpack_command",
]

COMMAND: Final = "command"
"""The kind of a job that runs a program; its payload is a packed L{Command}."""

LONGEST: Final = 1e9
"""The longest time limit, in seconds."""


class Command(NamedTuple):
    """A program to be run."""

    argv: tuple[bytes, ...]
    """The program and its arguments; at least one."""
    environment: tuple[tuple[bytes, bytes], ...] = ()
    """Variables beside those that every command gets; the later one of a name counts."""
    directory: bytes | None = None
    """Where it runs; C{None} for a fresh directory that is removed afterwards."""
    stdin: bytes = b""
    """Its standard input, complete."""
    limit: float = 0.0
    """Seconds that a run of it may take; 0 for any time."""


def as_text(data: bytes) -> str:
    """
    Bytes as they stand in the JSON of a payload.
    """
    return data.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """
    What stands there, as bytes.
    """
    return text.encode("utf-8", "surrogateescape")


def read_limit(said: object) -> float:
    """
    A time limit as it stands there, in seconds.

    @raise TypeError: if it is no number.
    @raise ValueError: if nothing can be limited by it.
    """
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise TypeError
    if not 0 <= said <= LONGEST:
        raise ValueError("a time limit is neither negative nor endless")
    return float(said)


def pack_command(command: Command) -> bytes:
    """
    The payload of a job that runs this.
    """
    head: dict[str, object] = {"argv": [as_text(argument) for argument in command.argv]}
    if command.environment:
        head["env"] = {as_text(name): as_text(value) for name, value in command.environment}
    if command.directory is not None:
        head["cwd"] = as_text(command.directory)
    if command.limit:
        head["limit"] = command.limit
    return json.dumps(head, separators=(",", ":")).encode("ascii") + b"\n" + command.stdin


def unpack_command(payload: bytes) -> Command:
    """
    What L{pack_command} made of it again.

    @raise ValueError: if it is no packed command.
    """
    head, _, stdin = payload.partition(b"\n")
    try:
        said = json.loads(head)
        directory = said.get("cwd")
        return Command(
            argv=tuple(as_bytes(argument) for argument in said["argv"]),
            environment=tuple(
                (as_bytes(name), as_bytes(value)) for name, value in said.get("env", {}).items()
            ),
            directory=None if directory is None else as_bytes(directory),
            stdin=stdin,
            limit=read_limit(said.get("limit", 0.0)),
        )
    except (AttributeError, KeyError, RecursionError, TypeError, UnicodeError) as error:
        raise ValueError("not a packed command") from error
