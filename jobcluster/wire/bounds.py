"""
Numbers that msgpack can say and that SQLite or a timer would choke on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, get_args, get_type_hints

import attrs

__all__ = ["find_bad_number"]

_LIMIT: Final = 1 << 63
"""SQLite's integers end below this; msgpack's end at twice that."""

_SUSPICIOUS: Final = re.compile(rb"[\xca\xcb\xcf][\x7f-\xff]")
"""
How an integer over 63 bits begins, and a float that is not finite.

Job ids and payloads have these bytes by chance: among some hundred rows there are nearly always
some, so the closer look goes column by column.
"""

_PLAIN: Final = (str, bytes, bool, type(None))

_Check = Callable[[Sequence[Any]], bool]


def find_bad_number(value: object, data: bytes | None) -> str:
    """
    The path of the first number of a value that is out of range, or nothing.

    @param data: what a value of many rows was unpacked from, which is looked through first; of
        another one C{None}, for it may have a long piece of data, and has few numbers.
    """
    if (data is not None and _SUSPICIOUS.search(data) is None) or not _is_bad(value):
        return ""
    return _find(value, "$")


def _is_bad(value: Any) -> bool:  # noqa: ANN401 - a batch, or what is in one
    if isinstance(value, tuple) and value and hasattr(value[0], "_fields"):
        return _check_of(type(value[0]))(value)
    if attrs.has(type(value)):
        return any(_is_bad(getattr(value, field.name)) for field in attrs.fields(type(value)))
    return bool(_find(value, "$"))


_checks: Final[dict[type, _Check]] = {}


def _check_of(row: type) -> _Check:
    """
    What tells whether there is a bad number in rows of this type.
    """
    if row not in _checks:
        _checks[row] = _make_check(row)
    return _checks[row]


def _make_check(row: type) -> _Check:
    integers: list[Callable[[Any], int]] = []
    others: list[tuple[Callable[[Any], Any], _Check]] = []
    for column, hint in enumerate(get_type_hints(row).values()):
        if hint is int:
            integers.append(itemgetter(column))
        elif int in get_args(hint):
            others.append((itemgetter(column), _has_bad_integer))
        else:
            rows = [part for part in (hint, *get_args(hint)) if hasattr(part, "_fields")]
            others.extend((itemgetter(column), _check_of(part)) for part in rows)

    def is_bad(rows: Sequence[Any]) -> bool:
        if any(max(map(get, rows)) >= _LIMIT for get in integers):
            return True
        for get, check in others:
            parts = [part for part in map(get, rows) if part is not None]
            if parts and check(parts):
                return True
        return False

    return is_bad


def _has_bad_integer(values: Sequence[int]) -> bool:
    return max(values) >= _LIMIT


def _find(value: Any, path: str) -> str:  # noqa: ANN401 - the same
    """
    The path of the first bad number in anything, or nothing.
    """
    if isinstance(value, _PLAIN):
        return ""
    if isinstance(value, int):
        return path if value >= _LIMIT else ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else path
    if isinstance(value, tuple):
        parts = [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    else:
        parts = [
            (f"{path}.{field.name}", getattr(value, field.name))
            for field in attrs.fields(type(value))
        ]
    return next((found for place, part in parts if (found := _find(part, place))), "")
