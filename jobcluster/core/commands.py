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

__all__ = ["COMMAND", "LONGEST", "Command", "pack_command", "unpack_command"]

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


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _limit(said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise TypeError
    if not 0 <= said <= LONGEST:
        raise ValueError("a time limit is neither negative nor endless")
    return float(said)


def pack_command(command: Command) -> bytes:
    """
    The payload of a job that runs this.
    """
    head: dict[str, object] = {"argv": [_text(argument) for argument in command.argv]}
    if command.environment:
        head["env"] = {_text(name): _text(value) for name, value in command.environment}
    if command.directory is not None:
        head["cwd"] = _text(command.directory)
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
            argv=tuple(_bytes(argument) for argument in said["argv"]),
            environment=tuple(
                (_bytes(name), _bytes(value)) for name, value in said.get("env", {}).items()
            ),
            directory=None if directory is None else _bytes(directory),
            stdin=stdin,
            limit=_limit(said.get("limit", 0.0)),
        )
    except (AttributeError, KeyError, RecursionError, TypeError, UnicodeError) as error:
        raise ValueError("not a packed command") from error
