"""
A join, cut into numbered parts of a bounded size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import attrs

from jobcluster.core.records import Identity, NodeSettings
from jobcluster.core.values import Held
from jobcluster.core.words import JoinPart, Load, Offered, Question

__all__ = ["join_head", "split_join"]

_Row = TypeVar("_Row")

_ROWS: Final = 1000
"""The most rows of each kind in one part."""

_BYTES: Final = 1024 * 1024
"""Payload after which a part is full."""


def join_head(
    identity: Identity, settings: NodeSettings, serial: int, keeper: str, load: Load
) -> JoinPart:
    """
    What each part of a join repeats.

    @param serial: of this join.
    @param keeper: the id of the process that runs the jobs.
    """
    return JoinPart(
        version=settings.version,
        name=identity.name,
        store=identity.store,
        incarnation=identity.incarnation,
        random=identity.random,
        serial=serial,
        part=0,
        last=True,
        boot=identity.boot,
        keeper=keeper,
        slots=settings.slots,
        labels=settings.labels,
        draining=load.draining,
        stopping=load.stopping,
        beyond=load.beyond,
        remark=settings.remark,
    )


def split_join(
    head: JoinPart,
    inventory: Sequence[Held],
    offered: Sequence[Offered],
    questions: Sequence[Question],
) -> tuple[JoinPart, ...]:
    """
    The parts of a join; only the last is marked as such.

    @param head: what each part repeats.
    """
    held = _by_rows(inventory)
    offers = _by_bytes(offered)
    asked = _by_rows(questions)
    last = max(1, len(held), len(offers), len(asked)) - 1
    return tuple(
        attrs.evolve(
            head,
            part=number,
            last=number == last,
            inventory=_nth(held, number),
            offered=_nth(offers, number),
            questions=_nth(asked, number),
        )
        for number in range(last + 1)
    )


def _nth(parts: Sequence[Sequence[_Row]], number: int) -> tuple[_Row, ...]:
    return tuple(parts[number]) if number < len(parts) else ()


def _by_rows(rows: Sequence[_Row]) -> list[Sequence[_Row]]:
    return [rows[at : at + _ROWS] for at in range(0, len(rows), _ROWS)]


def _by_bytes(offered: Sequence[Offered]) -> list[list[Offered]]:
    parts: list[list[Offered]] = []
    size = 0
    for row in offered:
        if not parts or size > _BYTES or len(parts[-1]) >= _ROWS:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += len(row.payload)
    return parts
