"""
Functions: what a client wants called, and how that is packed into a job's payload.

As with a command the payload is one JSON object in ASCII, a newline, and then bytes: the arguments
as JSON, or a pickle that nothing but the process that calls it ever opens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from jobcluster.core.commands import as_bytes, as_text, read_limit

__all__ = ["FUNCTION", "Function", "is_callable_name", "named", "pack_function", "unpack_function"]

FUNCTION: Final = "function"
"""The kind of a job that calls a function; its payload is a packed L{Function}."""

_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class Function(NamedTuple):
    """A function to be called."""

    name: str
    """C{module:name}, either of them dotted; of a pickled one what it is to be called in a list."""
    arguments: bytes = b""
    """
    JSON: a list of the positional ones and an object of the others; empty for none.
    Of a pickled one the pickle of (callable, arguments, keyword arguments).
    """
    pickled: bool = False
    python: str = ""
    """Of a pickled one: the version of Python that it needs, as in C{3.11}; empty for any."""
    environment: tuple[tuple[bytes, bytes], ...] = ()
    """Variables beside those that every job gets; the later one of a name counts."""
    directory: bytes | None = None
    """Where it runs; C{None} for a fresh directory that is removed afterwards."""
    limit: float = 0.0
    """Seconds that a call may take; 0 for any time."""


def is_callable_name(text: str) -> bool:
    """
    Whether this is C{module:name}.
    """
    return _NAME.fullmatch(text) is not None


def named(name: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Function:
    """
    The call of a function that can be imported where it runs.

    @param name: C{module:name}.
    @raise ValueError: if that is no name, or an argument cannot be said in JSON.
    """
    if not is_callable_name(name):
        raise ValueError(f"{name!r} is not module:name")
    if not args and not kwargs:
        return Function(name)
    try:
        text = json.dumps([list(args), dict(kwargs or {})], separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"an argument cannot be said in JSON: {error}") from error
    return Function(name, text.encode("ascii"))


def pack_function(function: Function) -> bytes:
    """
    The payload of a job that calls this.
    """
    head: dict[str, object] = {"call": function.name}
    if function.pickled:
        head["pickled"] = True
    if function.python:
        head["python"] = function.python
    if function.environment:
        head["env"] = {as_text(name): as_text(value) for name, value in function.environment}
    if function.directory is not None:
        head["cwd"] = as_text(function.directory)
    if function.limit:
        head["limit"] = function.limit
    return json.dumps(head, separators=(",", ":")).encode("ascii") + b"\n" + function.arguments


def unpack_function(payload: bytes) -> Function:
    """
    What L{pack_function} made of it again; of the beginning of a payload, all but the arguments.

    @raise ValueError: if it is no packed function.
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
            environment=tuple(
                (as_bytes(name), as_bytes(value)) for name, value in said.get("env", {}).items()
            ),
            directory=None if directory is None else as_bytes(directory),
            limit=read_limit(said.get("limit", 0.0)),
        )
    except (AttributeError, KeyError, RecursionError, TypeError, UnicodeError) as error:
        raise ValueError("not a packed function") from error
    kinds = [*map(type, (function.name, function.pickled, function.python))]
    if kinds != [str, bool, str] or not (function.pickled or is_callable_name(function.name)):
        raise ValueError("not a packed function")
    return function
