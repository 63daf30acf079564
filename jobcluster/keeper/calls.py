"""
Calling a function that was asked for, and what is told of how that went.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["LARGEST", "Call", "NotCalledError", "result_of", "told_of", "value_of"]

LARGEST: Final = 65536
"""Bytes that a function may return."""

_LONGEST: Final = 500
"""Characters of a line for the user."""


class Call(NamedTuple):
    """What is to be called."""

    name: str
    """C{module:name}; what a pickled one is called."""
    pickled: bool
    python: str
    """The version that a pickled one needs, empty for any."""
    arguments: bytes
    """JSON: a list and an object; or the pickle of (callable, arguments, keyword arguments)."""


class NotCalledError(Exception):
    """
    Something else than the function is in the way; what is said of it is for the user.
    """


def result_of(call: Call) -> object:
    """
    What the function returns.

    @raise NotCalledError: if it cannot be called at all.
    @raise BaseException: whatever the function raises.
    """
    function, args, kwargs = (_unpickled if call.pickled else _imported)(call)
    return function(*args, **kwargs)


def value_of(call: Call, result: object) -> bytes:
    """
    A result as bytes: as JSON, or as a pickle.

    @raise NotCalledError: if there are no such bytes, or too many.
    """
    try:
        value = pickled(result) if call.pickled else _json(result)
    except Exception as error:  # noqa: BLE001 - of the result's own methods
        how = "be pickled" if call.pickled else "be said in JSON"
        raise NotCalledError(_line(f"its result cannot {how}", error)) from None
    if len(value) > LARGEST:
        raise NotCalledError(
            f"its result has {len(value)} bytes, and {LARGEST} is the most: have it write a file,"
            " or to its standard output"
        )
    return value


def told_of(call: Call, error: BaseException) -> tuple[str, bytes, bytes]:
    """
    What is told of an exception: a line, its traceback, and itself, where that can be pickled.
    """
    trace = error.__traceback__
    # The frames of this package say nothing to the user.
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception as trouble:  # noqa: BLE001 - of the exception's own methods
        text = f"{type(error).__qualname__}, whose traceback cannot be shown: {type(trouble)}\n"
    value = b""
    if call.pickled:
        try:
            value = pickled(error)
        except Exception:  # noqa: BLE001 - then there is the text
            value = b""
    data = text.encode("utf-8", "backslashreplace")
    return _line("", error), data, value if len(value) <= LARGEST else b""


def pickled(result: object) -> bytes:
    """
    A pickle: of cloudpickle's, where Python's own does not do.
    """
    try:
        return pickle.dumps(result)
    except Exception:
        try:
            cloudpickle = importlib.import_module("cloudpickle")
        except ImportError:
            pass
        else:
            data: bytes = cloudpickle.dumps(result)
            return data
        raise


_OURS: Final = {__file__, os.path.join(os.path.dirname(__file__), "worker.py")}  # noqa: PTH118, PTH120


def _imported(call: Call) -> tuple[Callable[..., object], list[Any], dict[str, Any]]:
    name, _, path = call.name.partition(":")
    found: Any = importlib.import_module(name)
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            raise NotCalledError(_line(f"there is no {call.name}", error)) from None
    if not callable(found):
        raise NotCalledError(f"{call.name} is a {type(found).__name__} and cannot be called")
    try:
        args, kwargs = json.loads(call.arguments) if call.arguments else ([], {})
        return found, list(args), dict(kwargs)
    except (ValueError, TypeError, RecursionError):
        raise NotCalledError("its arguments are not a list and an object in JSON") from None


def _unpickled(call: Call) -> tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if call.python not in ("", here):
        raise NotCalledError(
            f"it was pickled by Python {call.python}, and this node has {here}: only the same"
            " version can call it"
        )
    try:
        function, args, kwargs = pickle.loads(call.arguments)  # noqa: S301 - it was asked for
        return function, tuple(args), dict(kwargs)
    except ModuleNotFoundError as error:
        hint = ": install jobcluster[pickle] on this node" if error.name == "cloudpickle" else ""
        raise NotCalledError(_line("it cannot be unpickled", error) + hint) from error
    except Exception as error:
        raise NotCalledError(_line("it cannot be unpickled", error)) from error


def _json(result: object) -> bytes:
    try:
        text = json.dumps(result, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(result, separators=(",", ":"), allow_nan=False).encode("ascii")


def _line(what: str, error: BaseException) -> str:
    """One line about an exception, with something ahead of it."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - of the exception's own methods
        said = "(it cannot be said)"
    text = ": ".join(part for part in (what, name, said[: 2 * _LONGEST]) if part)
    text = " ".join(text.split())
    if not text.isprintable():
        text = text.encode("unicode_escape").decode("ascii")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
