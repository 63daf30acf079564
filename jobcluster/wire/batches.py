"""
Batches of words merged into fewer, and cut into smaller ones: pure functions.

A batch is an attrs class whose fields are tuples of rows (and at most one C{load}); it is read in
the order of its fields, so it is cut in that order too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import attrs

from jobcluster.core.values import Outcome
from jobcluster.core.words import Dispatch, Ended, Finished, JoinPart, Offered, Report, Start

__all__ = ["ROOM", "Room", "cut", "cut_join", "is_patient", "merge", "weigh"]

B = TypeVar("B", bound=Report | Dispatch | JoinPart)

_ROW: Final = 100
"""Bytes that a row takes without its payload, more or less."""


class Room(NamedTuple):
    """What one box may carry."""

    rows: int
    size: int
    """Bytes, estimated."""

    def less(self, taken: Room) -> Room:
        """What is left of it."""
        return Room(self.rows - taken.rows, self.size - taken.size)

    def holds(self, wanted: Room) -> bool:
        """Whether that much fits in."""
        return wanted.rows <= self.rows and wanted.size <= self.size


ROOM: Final = Room(rows=10_000, size=4 * 2**20)
"""
By default: so much that a box costs little beside its rows, and so little that the empty boxes of
the other direction, which tell that this process lives, are not held up behind its handling.
"""


def _outcome_size(outcome: Outcome | None) -> int:
    return 0 if outcome is None else len(outcome.value) + len(outcome.detail)


def _offer_size(row: Offered) -> int:
    return len(row.payload) + len(row.requires)


def _start_size(row: Start) -> int:
    return len(row.payload)


def _result_size(row: Finished | Ended) -> int:
    return _outcome_size(row.outcome)


# The fields whose rows may be much larger than others.
_HEAVY: Final[dict[str, Callable[[Any], int]]] = {
    "offered": _offer_size,
    "start": _start_size,
    "finished": _result_size,
    "outcome": _result_size,
}

_NAMES: Final[dict[type, tuple[str, ...]]] = {
    kind: tuple(
        field.name for field in attrs.fields(kind) if field.default == () and field.name != "labels"
    )
    for kind in (Report, Dispatch, JoinPart)
}
"""The fields that are tuples of rows, in their order."""


def is_patient(batch: Report | Dispatch) -> bool:
    """
    Whether nobody waits for this: it acknowledges outcomes, and says nothing else.
    """
    return bool(batch.acknowledge) and not any(
        getattr(batch, name) for name in _NAMES[type(batch)] if name != "acknowledge"
    )


def weigh(batch: B) -> Room:
    """
    The room that a batch takes.
    """
    rows = size = 0
    for name in _NAMES[type(batch)]:
        field = getattr(batch, name)
        if field:
            rows += len(field)
            heavy = _HEAVY.get(name)
            if heavy is not None:
                size += sum(map(heavy, field))
    return Room(rows, size + rows * _ROW)


def merge(batches: Sequence[B]) -> B:
    """
    One batch that says what these say; the last C{load} counts.

    That an offer was started is left out where the batch says as well that it finished.
    """
    first = batches[0]
    if len(batches) == 1 and not (isinstance(first, Report) and first.started and first.finished):
        return first
    fields: dict[str, Any] = {
        name: tuple(chain.from_iterable(getattr(batch, name) for batch in batches))
        for name in _NAMES[type(first)]
    }
    if isinstance(first, Report):
        loads = [batch.load for batch in batches if isinstance(batch, Report)]
        fields["load"] = next((load for load in reversed(loads) if load is not None), None)
        finished = {row[:4] for row in fields["finished"]}
        fields["started"] = tuple(row for row in fields["started"] if row[:4] not in finished)
    return attrs.evolve(first, **fields)


def cut(batch: B, room: Room, at_least: int = 1) -> tuple[B, B | None]:
    """
    The part of a batch that fits in, and the rest, if there is one.

    @param at_least: rows that the first part has, however small the room.
    """
    if room.holds(weigh(batch)):
        return batch, None
    head: dict[str, Any] = {}
    tail: dict[str, Any] = {}
    for name in _NAMES[type(batch)]:
        rows = getattr(batch, name)
        if any(tail.values()):
            fitting = 0
        else:
            fitting, room = _count_fitting(rows, _HEAVY.get(name), room, at_least)
            at_least -= fitting
        head[name], tail[name] = rows[:fitting], rows[fitting:]
    if not any(tail.values()):
        return batch, None
    if isinstance(batch, Report):
        tail["load"] = None
    return attrs.evolve(batch, **head), attrs.evolve(batch, **tail)


def _count_fitting(
    rows: Sequence[Any], heavy: Callable[[Any], int] | None, room: Room, at_least: int
) -> tuple[int, Room]:
    """
    How many of these rows fit in, from the first on, and the room that is left then.
    """
    for count, row in enumerate(rows):
        left = room.less(Room(1, _ROW + (heavy(row) if heavy else 0)))
        if (left.rows < 0 or left.size < 0) and count >= at_least:
            return count, room
        room = left
    return len(rows), room


def cut_join(parts: Sequence[JoinPart], room: Room = ROOM) -> list[JoinPart]:
    """
    The parts of a join, those that are too large cut, and all of them numbered anew.
    """
    pieces: list[JoinPart] = []
    for part in parts:
        rest: JoinPart | None = part
        while rest is not None:
            piece, rest = cut(rest, room)
            pieces.append(piece)
    if len(pieces) == len(parts):
        return pieces
    last = len(pieces) - 1
    return [
        attrs.evolve(piece, part=number, last=number == last) for number, piece in enumerate(pieces)
    ]
