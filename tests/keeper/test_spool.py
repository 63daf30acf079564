"""
The spool, cut and damaged anywhere, and what is made of it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.keeper.leftovers import take_over
from jobcluster.keeper.records import ENDED, RUNNING, STARTING, Run, header, replay
from jobcluster.keeper.spool import Spool, pack_entry, read_entries
from jobcluster.keeper.words import Outcome, Status

OUTCOME = Outcome(Status.SUCCEEDED, 0, "", 1000, 2000, 3, 4, None)


def run(number: int, *, once: bool = False) -> Run:
    """
    A run that was started, by a process that there cannot be.
    """
    made = Run(number, ("origin", "store", 1, number), f"origin-{number}", 2, "node")
    made.job = 2**62 + number
    made.once = once
    made.at = 1000
    return made


def life() -> list[dict[str, Any]]:
    """
    The entries of a keeper that had started two runs, of which one has ended.
    """
    one, two = run(1), run(2, once=True)
    one.pid = two.pid = 2**30
    one.outcome = OUTCOME
    entries = [header("boot", "keeper", 1), one.starting(), two.starting()]
    return [*entries, one.running(), two.running(), one.ended()]


class EntryTests(SynchronousTestCase):
    """
    Lines with checksums.
    """

    def test_form(self) -> None:
        """
        A line is what the page about the keeper says.
        """
        self.assertEqual(b'%08x {"entry":"x"}\n' % (0x0A0E4E51), pack_entry({"entry": "x"}))
        self.assertEqual(([{"entry": "x"}], []), read_entries(pack_entry({"entry": "x"})))

    def test_cut_anywhere(self) -> None:
        """
        Of a spool that was cut, all entries before the cut count, and one is damaged at most.
        """
        entries = life()
        packed = [pack_entry(entry) for entry in entries]
        whole = b"".join(packed)
        ends = [len(b"".join(packed[: i + 1])) for i in range(len(packed))]
        for cut in range(len(whole) + 1):
            found, damaged = read_entries(whole[:cut])
            # Without its newline an entry is complete.
            complete = sum(end - 1 <= cut for end in ends)
            self.assertEqual(entries[:complete], _lists(found))
            self.assertEqual(cut not in {0, *ends, *(end - 1 for end in ends)}, bool(damaged))

    @given(st.data())
    def test_damaged_anywhere(self, data: st.DataObject) -> None:
        """
        Of a spool with one wrong byte, all entries but one or two count, and none is made up.
        """
        entries = life()
        whole = bytearray(b"".join(map(pack_entry, entries)))
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
        found, damaged = read_entries(bytes(whole))
        for entry in _lists(found):
            self.assertIn(entry, entries)
        self.assertGreaterEqual(len(found), len(entries) - 2)
        self.assertTrue(damaged or len(found) == len(entries))

    def test_not_an_entry(self) -> None:
        """
        A good checksum does not make an entry of what is none.
        """
        lines = b"%08x [1\n%08x 1\n"
        self.assertEqual(([], [1, 2]), read_entries(lines % (crc32(b"[1"), crc32(b"1"))))
        nonsense = [{}, {"entry": "nonsense", "run": 1}, {"entry": STARTING, "run": 2}]
        record, strange = replay([*nonsense, *life()])
        # What is not known of a run that is not held may belong to one that was forgotten.
        self.assertEqual((2, [1, 2]), (strange, list(record.runs)))

    def test_unknown_entry_of_a_run(self) -> None:
        """
        An entry that is not known takes nothing away from its run.
        """
        record, strange = replay([*life(), {"entry": "nonsense", "run": 1}])
        self.assertEqual((1, [1, 2]), (strange, list(record.runs)))


def _lists(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With refs as they were before they were JSON."""
    return [{**entry, "ref": tuple(entry["ref"])} if "ref" in entry else entry for entry in entries]


class ReplayTests(SynchronousTestCase):
    """
    What entries mean together.
    """

    def test_phases(self) -> None:
        """
        Each entry takes its run further, with all that was said of it.
        """
        for count, phase in ((1, STARTING), (2, RUNNING), (3, ENDED)):
            one = run(5, once=True)
            one.pid, one.start, one.outcome = 17, 99, OUTCOME
            record, strange = replay(list(one.entries())[:count])
            self.assertEqual(0, strange)
            found = record.runs[5]
            self.assertEqual(phase, found.phase)
            self.assertEqual(one.head(), found.head())
            self.assertEqual(one.marks(), found.marks())
            self.assertEqual(6, record.next)
        self.assertEqual((17, 99, OUTCOME), (found.pid, found.start, found.outcome))
        self.assertEqual(list(one.entries()), list(found.entries()))

    def test_forgotten(self) -> None:
        """
        What was dropped, or void, is not there, but its number is not used again.
        """
        for word in ("dropped", "void"):
            one = run(5)
            record, _ = replay([*one.entries(), one.forgotten(word)])
            self.assertEqual(({}, 6), (record.runs, record.next))

    def test_without_its_beginning(self) -> None:
        """
        What follows an entry that is damaged says nothing, and is no mistake of its own.
        """
        one = run(5)
        one.pid, one.outcome = 17, OUTCOME
        _, running, ended = one.entries()
        record, strange = replay([running, ended, one.forgotten("dropped")])
        self.assertEqual(({}, 0), (record.runs, strange))

    def test_other_boot(self) -> None:
        """
        Of another boot, only what may be started once is held, unless it is void; and it is lost.
        """
        entries = [header("before", "keeper", 1)]
        for number in range(6):
            one = run(number, once=number % 2 == 1)
            one.pid = 2**30
            one.outcome = OUTCOME if number > 3 else None
            entries += one.entries()
        entries.append(run(3).forgotten("void"))
        held = take_over(replay(entries)[0], "now", b"X=")
        self.assertEqual([1, 5], [one.number for one in held])
        for one in held:
            self.assertIsNotNone(one.outcome)
            self.assertEqual(("lost", None, "rebooted", 1000), (one.outcome or OUTCOME)[:4])

    def test_same_boot(self) -> None:
        """
        Of this boot, what had ended is held as it is, and what had not is lost.
        """
        held = take_over(replay(life())[0], "boot", b"X=")
        self.assertEqual(OUTCOME, held[0].outcome)
        self.assertEqual(("lost", None, "keeper-died", 1000), (held[1].outcome or OUTCOME)[:4])

    def test_unknown_boot(self) -> None:
        """
        If the boot cannot be read, nothing is forgotten.
        """
        held = take_over(replay(life()[1:])[0], "boot", b"X=")
        self.assertEqual([1, 2], [one.number for one in held])


class SpoolTests(SynchronousTestCase):
    """
    The file.
    """

    def setUp(self) -> None:
        """
        Make a directory for it.
        """
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = os.path.join(temporary.name, "spool")  # noqa: PTH118
        self.directory = os.open(temporary.name, os.O_RDONLY)
        self.addCleanup(os.close, self.directory)
        self.held: list[dict[str, Any]] = [{"entry": "first"}]
        self.spool = Spool(self.directory, self.entries)
        self.addCleanup(self.spool.close)

    def entries(self) -> Iterator[dict[str, Any]]:
        """
        All that is held.
        """
        yield from self.held

    def read(self) -> list[dict[str, Any]]:
        """
        What stands in the file.
        """
        with open(self.path, "rb") as file:  # noqa: PTH123
            entries, damaged = read_entries(file.read())
        self.assertEqual([], damaged)
        return entries

    def test_begins(self) -> None:
        """
        It begins with what is held, whatever stood there.
        """
        self.assertEqual([{"entry": "first"}], self.read())
        self.held = [{"entry": "second"}]
        other = Spool(self.directory, self.entries)
        self.addCleanup(other.close)
        self.assertEqual([{"entry": "second"}], self.read())

    def test_gathers(self) -> None:
        """
        Entries are in the file when they are flushed or synced, in their order.
        """
        for write in (self.spool.flush, self.spool.sync):
            before = self.read()
            self.spool.later({"entry": "a"})
            self.spool.later({"entry": "b"})
            self.assertEqual(before, self.read())
            self.assertTrue(write())
            self.assertEqual([*before, {"entry": "a"}, {"entry": "b"}], self.read())

    def test_compacts(self) -> None:
        """
        It is written anew when it is large and mostly forgotten, and not before.
        """
        self.spool.later({"entry": "x" * (4 * 2**20 - 200)})
        self.assertTrue(self.spool.flush() and self.spool.maintain())
        self.assertEqual(2, len(self.read()))
        self.spool.later({"entry": "y" * 200})
        self.assertTrue(self.spool.flush() and self.spool.maintain())
        self.assertEqual([{"entry": "first"}], self.read())

    def test_large_and_live(self) -> None:
        """
        What is large and held is not copied again and again.
        """
        self.held = [{"entry": "x" * (3 * 2**20)}] * 2
        self.spool.compact()
        self.spool.later({"entry": "y"})
        self.assertTrue(self.spool.flush() and self.spool.maintain())
        self.assertEqual(3, len(self.read()))

    def test_cannot_be_written(self) -> None:
        """
        What cannot be appended is in the file when that can be written again, by what is held.
        """
        self.spool.close()
        self.held.append({"entry": "told"})
        self.spool.later({"entry": "told"})
        self.assertFalse(self.spool.flush())
        self.spool.later({"entry": "not told"})
        self.assertFalse(self.spool.flush())
        self.assertEqual([{"entry": "first"}], self.read())
        self.assertTrue(self.spool.maintain())
        self.assertEqual(self.held, self.read())
        self.spool.later({"entry": "after"})
        self.assertTrue(self.spool.sync())
        self.assertEqual([*self.held, {"entry": "after"}], self.read())
