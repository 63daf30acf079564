"""
What is to be run: a program or a function, taken from the payload of a job.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

__all__ = [
    "COMMAND",
    "FUNCTION",
    "Command",
    "Function",
    "read_command",
    "read_function",
]

COMMAND: Final = "command"
"""The kind of a job that runs a program."""

FUNCTION: Final = "function"
"""The kind of a job that calls a function."""

_LONGEST: Final = 1e9
"""Seconds that a run may be allowed to take."""


class Command(NamedTuple):
    """A program to be run."""

    argv: tuple[bytes, ...]
    environment: tuple[tuple[bytes, bytes], ...] = ()
    directory: bytes | None = None
    """C{None} for a fresh one."""
    stdin: bytes = b""
    limit: float = 0.0
    """Seconds that a run may take; 0 for any time."""


class Function(NamedTuple):
    """A function to be called."""

    name: str
    """C{module:name}; of a pickled one what it is called in the log."""
    arguments: bytes = b""
    """JSON; of a pickled one all of it."""
    pickled: bool = False
    python: str = ""
    """The version that a pickled one needs; empty for any."""
    environment: tuple[tuple[bytes, bytes], ...] = ()
    directory: bytes | None = None
    """C{None} for a fresh one."""
    limit: float = 0.0
    """Seconds that a run may take; 0 for any time."""


def read_command(payload: bytes) -> Command:
    """
    The command in a payload: a JSON object in ASCII (argv, env, cwd, limit), a newline, standard
    input.

    @raise ValueError: if there is none.
    """
    head, _, stdin = payload.partition(b"\n")
    try:
        said = json.loads(head)
        directory = said.get("cwd")
        argv = tuple(_bytes(argument) for argument in _list(said["argv"]))
        environment = tuple((_bytes(k), _bytes(v)) for k, v in said.get("env", {}).items())
        directory = None if directory is None else _bytes(directory)
        command = Command(argv, environment, directory, stdin, _limit(said.get("limit", 0.0)))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("the payload of the job is not a command") from error
    if not argv:
        raise ValueError("the command is empty")
    return command


def read_function(payload: bytes) -> Function:
    """
    The function in a payload: a JSON object in ASCII (call, pickled, python, env, cwd, limit), a
    newline, arguments.

    @raise ValueError: if there is none.
    """
    head, _, arguments = payload.partition(b"\n")
    try:
        said = json.loads(head)
        directory = said.get("cwd")
        function = Function(
            name=said["call"],
            arguments=arguments,
            pickled=said.get("pickled", False),
            python=said.get("python", ""),
            environment=tuple((_bytes(k), _bytes(v)) for k, v in said.get("env", {}).items()),
            directory=None if directory is None else _bytes(directory),
            limit=_limit(said.get("limit", 0.0)),
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("the payload of the job is not a function") from error
    kinds = [*map(type, (function.name, function.pickled, function.python))]
    if kinds != [str, bool, str] or not (function.pickled or ":" in function.name):
        raise ValueError("the payload of the job is not a function")
    return function


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _limit(said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise TypeError
    if not 0 <= said <= _LONGEST:
        raise ValueError
    return float(said)


def _bytes(text: str) -> bytes:
    # What was not UTF-8 stands there as lone surrogates (PEP 383).
    return text.encode("utf-8", "surrogateescape")
