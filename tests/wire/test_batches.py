"""
Merging and cutting.
"""

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.values import Outcome
from jobcluster.core.words import Dispatch, Finished, JoinPart, Load, Named, Report, StartedAt
from jobcluster.wire.batches import _HEAVY, Room, cut, cut_join, merge, weigh
from tests.wire.samples import DISPATCH, JOIN, REPORT, anything, row_types, sleeps

Words = Report | Dispatch | JoinPart
BATCHES = st.one_of(anything(Report), anything(Dispatch), anything(JoinPart))


def rows(batch: Words) -> dict[str, tuple[Any, ...]]:
    """
    All rows of a batch.
    """
    return {name: getattr(batch, name) for name in row_types(type(batch)) if name != "load"}


class WeighTests(SynchronousTestCase):
    """How much a batch is."""

    def test_rows(self) -> None:
        """Each row counts; labels and load are none."""
        self.assertEqual(weigh(Report()), Room(0, 0))
        self.assertEqual(weigh(REPORT).rows, 12)
        self.assertEqual(weigh(DISPATCH).rows, 11)
        self.assertEqual(weigh(JOIN).rows, 4)

    def test_payloads(self) -> None:
        """What a row carries counts."""
        small, large = Report(offered=sleeps(5)), Report(offered=sleeps(5, b"x" * 50_000))
        self.assertEqual(weigh(large).size - weigh(small).size, 5 * (50_000 - 3))

    def test_heavyFields(self) -> None:
        """Every field whose rows may be large is weighed row by row."""
        heavy = {
            name
            for kind in (Report, Dispatch, JoinPart)
            for name, row in row_types(kind).items()
            if {bytes, Outcome, Outcome | None} & set(row.__annotations__.values())
            or {"bytes", "Outcome", "Outcome | None"} & set(map(str, row.__annotations__.values()))
            or any(
                word in str(hint)
                for hint in row.__annotations__.values()
                for word in ("bytes", "Outcome")
            )
        }
        self.assertEqual(heavy, set(_HEAVY))


class MergeTests(SynchronousTestCase):
    """Several batches in one."""

    @given(st.lists(anything(Dispatch), min_size=1, max_size=4))
    def test_inOrder(self, batches: list[Dispatch]) -> None:
        """Each field has the rows of all batches, in their order."""
        merged = rows(merge(batches))
        for name, found in merged.items():
            self.assertEqual(list(found), [row for batch in batches for row in rows(batch)[name]])

    def test_load(self) -> None:
        """The last load counts."""
        early, late = Load(1, 0, 0, False, False), Load(2, 0, 0, False, True)
        self.assertEqual(
            merge([Report(load=early), Report(load=late), Report()]), Report(load=late)
        )

    def test_startedAndFinished(self) -> None:
        """The start of an offer is left out where its end is said as well."""
        started = tuple(StartedAt("a", "s", 1, serial, 5) for serial in range(3))
        finished = (Finished("a", "s", 1, 1, 77, None), Finished("b", "s", 1, 2, 78, None))
        wanted = Report(started=(started[0], started[2]), finished=finished)
        self.assertEqual(merge([Report(started=started), Report(finished=finished)]), wanted)
        self.assertEqual(merge([Report(started=started, finished=finished)]), wanted)


class CutTests(SynchronousTestCase):
    """One batch in several."""

    @given(BATCHES, st.integers(1, 5), st.integers(1, 500))
    def test_nothingIsLost(self, batch: Words, most: int, size: int) -> None:
        """The pieces say the same in the same order, and each is as large as it may be."""
        room = Room(most, size)
        pieces: list[Words] = []
        rest: Words | None = batch
        while rest is not None:
            piece, rest = cut(rest, room)
            pieces.append(piece)
        for piece in pieces:
            self.assertTrue(room.holds(weigh(piece)) or weigh(piece).rows == 1)
        for name, found in rows(batch).items():
            self.assertEqual([row for piece in pieces for row in rows(piece)[name]], list(found))
        self.assertEqual(reading(pieces), reading([batch]))
        merged = merge(pieces)
        if isinstance(batch, Report) and isinstance(merged, Report):
            self.assertEqual(merged.load, batch.load)

    def test_noRoom(self) -> None:
        """Without room nothing is taken, unless it has to be."""
        load = Load(1, 0, 0, False, False)
        report = Report(offered=sleeps(2), gone=(Named("a", "s", 1, 1),))
        self.assertEqual(cut(report, Room(0, 0), at_least=0), (Report(), report))
        head, rest = cut(attrs.evolve(report, load=load), Room(0, 0))
        self.assertEqual(head, Report(load, offered=sleeps(1)))
        self.assertEqual(rest, Report(offered=sleeps(1, first=1), gone=report.gone))


def reading(batches: Sequence[Words]) -> list[tuple[str, Any]]:
    """
    The words of these batches as they are read.
    """
    return [
        (name, row) for batch in batches for name, found in rows(batch).items() for row in found
    ]


class CutJoinTests(SynchronousTestCase):
    """The parts of a join."""

    def test_small(self) -> None:
        """Parts that fit stay as they are."""
        parts = [attrs.evolve(JOIN, last=False), attrs.evolve(JOIN, part=1)]
        self.assertEqual(cut_join(parts), parts)

    def test_large(self) -> None:
        """Others are cut, and all are numbered anew."""
        first = attrs.evolve(JOIN, last=False, offered=sleeps(25))
        second = attrs.evolve(JOIN, part=1)
        parts = cut_join([first, second], Room(10, 10_000))
        self.assertEqual([part.part for part in parts], [0, 1, 2, 3])
        self.assertEqual([part.last for part in parts], [False, False, False, True])
        self.assertEqual(sum((part.offered for part in parts[:3]), ()), sleeps(25))
        self.assertEqual(attrs.evolve(parts[3], part=1), second)
        self.assertEqual({part.labels for part in parts}, {JOIN.labels})
