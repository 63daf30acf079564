"""
Notes of the cores in the log, and the clocks of the machine.
"""

from __future__ import annotations

import time
import uuid

from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from jobcluster.core.actions import Note
from jobcluster.services.clocks import boot_id, machine_clocks
from jobcluster.services.notes import log_note


class NoteTests(SynchronousTestCase):
    """
    L{log_note}.
    """

    def logged(self, note: Note, *, verbose: bool = False) -> list[LogEvent]:
        """
        What is logged for a note.
        """
        events: list[LogEvent] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            events.append(event)

        log_note(Logger(observer=observe), note, verbose=verbose)
        return events

    def test_fields(self) -> None:
        """
        Details are shown, and are fields of the event for whoever reads the log by program.
        """
        [event] = self.logged(Note("info", "a node joined", {"node": "a", "slots": 2}))
        text = event["log_format"].format(**event)
        self.assertEqual("a node joined (node: a, slots: 2)", text)
        self.assertEqual(("a node joined", "a", 2), (event["event"], event["node"], event["slots"]))

    def test_bare(self) -> None:
        """
        A note without details is its words.
        """
        [event] = self.logged(Note("warn", "gone"))
        self.assertEqual("gone", event["log_format"].format(**event))

    def test_levels(self) -> None:
        """
        Each note has its level; what only C{VERBOSE} shows is not there without it.
        """
        for level, verbose, expected in (
            ("info", False, ["info"]),
            ("warn", False, ["warn"]),
            ("verbose", False, []),
            ("verbose", True, ["info"]),
        ):
            events = self.logged(Note(level, "x"), verbose=verbose)
            self.assertEqual(expected, [event["log_level"].name for event in events])

    def test_braces(self) -> None:
        """
        Details are data, whatever is in them.
        """
        [event] = self.logged(Note("info", "refused a node", {"reason": "{node} {0}"}))
        self.assertEqual("refused a node (reason: {node} {0})", event["log_format"].format(**event))


class ClockTests(SynchronousTestCase):
    """
    The machine's clocks.
    """

    def test_three(self) -> None:
        """
        Each is the clock that it is called after, and none goes backwards.
        """
        before = machine_clocks()
        self.assertLessEqual(abs(before.mono - time.monotonic()), 60)
        self.assertLessEqual(abs(before.wall - time.time()), 60)
        after = machine_clocks()
        self.assertLessEqual(before.mono, after.mono)
        self.assertLessEqual(before.boot, after.boot)

    def test_boot_counts_suspension(self) -> None:
        """
        The boot-time clock is never behind the one that stands still in suspension.
        """
        now = machine_clocks()
        self.assertGreaterEqual(now.boot + 0.001, now.mono)

    def test_boot_id(self) -> None:
        """
        Of one boot there is one id.
        """
        self.assertEqual(boot_id(), boot_id())
        self.assertEqual(str(uuid.UUID(boot_id())), boot_id())
