"""
One step of SQLite for many rows.

sqlite3 gives up the interpreter lock at each step, and beside a busy reactor has to wait for it
each time: thousands of rows a second one by one are hundreds of thousands together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias, TypeVar

__all__ = ["STATEMENTS", "execute_many", "select_many"]

_Row = TypeVar("_Row")

# Rows of one step: powers of two, so that any number is reached in a few steps, and there are but
# few statements to prepare.
_SIZES = tuple(1 << power for power in range(9, -1, -1))

STATEMENTS = 256
"""
How many prepared statements a connection is to keep: each of ours in each size, and some.
"""

_Rows: TypeAlias = Sequence[Sequence[object]]


def execute_many(cursor: sqlite3.Cursor, statement: str, rows: _Rows) -> None:
    """
    Execute a statement for all these rows, which have the same number of columns.

    @param statement: has C{{rows}} where C{VALUES (?, …), …} belongs.
    """
    for part in _parts(rows):
        cursor.execute(_filled(statement, len(part), len(part[0])), list(chain.from_iterable(part)))


def select_many(cursor: sqlite3.Cursor, statement: str, rows: _Rows) -> Iterator[tuple[Any, ...]]:
    """
    The results of a query for all these rows.

    @param statement: as for L{execute_many}.
    """
    for part in _parts(rows):
        yield from cursor.execute(
            _filled(statement, len(part), len(part[0])), list(chain.from_iterable(part))
        )


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    begin = 0
    for size in _SIZES:
        while len(rows) - begin >= size:
            yield rows[begin : begin + size]
            begin += size


@lru_cache(maxsize=STATEMENTS)
def _filled(statement: str, rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.replace("{rows}", f"VALUES {', '.join([row] * rows)}")
