"""
Functions as jobs: how a call is sent, and what comes back of it.
"""

from __future__ import annotations

import importlib
import json
import math
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jobcluster.core.functions import Function, is_callable_name, named, unpack_function
from jobcluster.core.values import Outcome
from jobcluster.core.views import JobView
from jobcluster.errors import UserError

__all__ = ["PICKLE_REFUSED", "exception_of_call", "function_of", "value_of_call"]

PICKLE_REFUSED: Final = (
    "The result is a pickle, which can run any code when it is opened: ask with allow_pickle=True"
    " if you trust whoever handed the job in."
)

_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

_SCALARS: Final = (str, int, bool, type(None))


def function_of(
    function: Callable[..., object] | str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Function:
    """
    The call of a function: by its name, where it can be imported and its arguments are JSON as they
    are; otherwise as a pickle.

    @param function: or C{"module:name"}, which goes by its name in any case.
    @raise UserError: if it can be sent in neither way.
    """
    name = function if isinstance(function, str) else _name_of(function)
    if isinstance(function, str) or (name and all(map(_is_plain, [*args, *kwargs.values()]))):
        try:
            return named(name, args, kwargs)
        except ValueError as error:
            raise UserError(f"{error}.") from error
    shown = name or getattr(function, "__qualname__", type(function).__name__)
    return Function(shown, _pickled(shown, (function, tuple(args), dict(kwargs))), True, _PYTHON)


def value_of_call(view: JobView, value: bytes, *, allow_pickle: bool) -> object:
    """
    What a function has returned.

    @param allow_pickle: whether a pickle may be opened, and so run what it likes.
    @raise UserError: if it is one, and that may not be; or if it cannot be opened here.
    """
    if not unpack_function(view.payload).pickled:
        return json.loads(value)
    if not allow_pickle:
        raise UserError(PICKLE_REFUSED)
    try:
        return pickle.loads(value)  # noqa: S301 - the caller trusts it
    except Exception as error:
        raise UserError(f"The result cannot be unpickled here: {error}.") from error


def exception_of_call(view: JobView, outcome: Outcome) -> BaseException | None:
    """
    The exception that a pickled function has raised, if it can be had.
    """
    if not outcome.value or not unpack_function(view.payload).pickled:
        return None
    try:
        error = pickle.loads(outcome.value)  # noqa: S301 - of a job that this program handed in
    except Exception:  # noqa: BLE001 - whatever a pickle may raise: the error is told in words
        return None
    return error if isinstance(error, BaseException) else None


def _name_of(function: Callable[..., object]) -> str:
    """C{module:name}, if that is this very function wherever it is imported; otherwise nothing."""
    module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not path or module == "__main__":
        return ""
    name = f"{module}:{path}"
    if not is_callable_name(name):
        return ""
    try:
        found: Any = importlib.import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError):
        return ""
    return name if found is function else ""


def _is_plain(value: object) -> bool:
    """Whether a value comes out of JSON as it went in."""
    if type(value) in _SCALARS:
        return True
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and _is_plain(each) for key, each in value.items())
    return False


def _pickled(shown: str, call: tuple[object, ...]) -> bytes:
    try:
        import cloudpickle  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UserError(
            f"{shown} cannot be sent by its name with arguments that are JSON: for a pickle,"
            " install jobcluster[pickle] here and on the nodes; start those with --allow-pickle."
        ) from error
    try:
        data: bytes = cloudpickle.dumps(call)
    except Exception as error:
        raise UserError(f"{shown} and its arguments cannot be pickled: {error}.") from error
    return data
