"""
A runner made of runners.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from jobcluster.core.actions import Run
from jobcluster.core.events import KeeperReplaced, RunEnded, RunnerEvent, RunsEnded
from jobcluster.core.values import Adopted, Held, Now, Outcome, Ref, Status
from jobcluster.errors import KeeperError, OutputMissingError
from jobcluster.interfaces import IRunner
from jobcluster.runners.kinds import UNKNOWN_KIND, KindsRunner
from jobcluster.runners.sleep import SleepRunner
from jobcluster.testing.clocks import HeapClock


@implementer(IRunner)
class NotingRunner(SleepRunner):
    """
    Notes what it is asked, and holds what the test says.
    """

    def __init__(self, notes: list[object]) -> None:
        """Hold nothing."""
        super().__init__(HeapClock(), lambda: Now(0, 0, 0))
        self._notes = notes
        self.found: Deferred[tuple[str, tuple[Adopted, ...]]] = succeed(("keeper", ()))

    def inventory(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """See L{IRunner.inventory}."""
        return self.found

    def start(self, runs: object) -> None:
        """See L{IRunner.start}."""
        self._notes.append(("start", runs))

    def stop(self, refs: object) -> None:
        """See L{IRunner.stop}."""
        self._notes.append(("stop", refs))

    def drop(self, refs: object) -> None:
        """See L{IRunner.drop}."""
        self._notes.append(("drop", refs))

    def lease(self, until: float) -> None:
        """See L{IRunner.lease}."""
        self._notes.append(("lease", until))

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """See L{IRunner.output}."""
        if ref[3] != 1:
            raise OutputMissingError
        return b"output"[offset : offset + limit]

    def finish(self) -> Deferred[None]:
        """See L{IRunner.finish}."""
        self._notes.append("finish")
        return succeed(None)

    def close(self) -> None:
        """See L{IRunner.close}."""
        self._notes.append("close")


class KindsTests(SynchronousTestCase):
    """
    Two runners, one for sleeps and one for commands.
    """

    def setUp(self) -> None:
        """
        Put them together.
        """
        self.clock = HeapClock()
        self.notes: list[object] = []
        self.commands = NotingRunner(self.notes)
        sleeps = SleepRunner(self.clock, self.now)
        self.runner = KindsRunner({"sleep": sleeps, "command": self.commands}, self.now)
        self.told: list[RunnerEvent] = []
        self.runner.told = self.told.append
        self.runner.lease(10)
        self.assertEqual([("lease", 10)], self.notes)
        self.notes.clear()

    def now(self) -> Now:
        """
        The three clocks.
        """
        seconds = self.clock.seconds()
        return Now(seconds, seconds, seconds)

    def run_of(self, serial: int, kind: str) -> Run:
        """
        A job.
        """
        return Run("a", "store", 1, serial, 1000 + serial, kind, b"125", 1, False, 0.0, False)

    def test_interface(self) -> None:
        """
        It is a runner.
        """
        self.assertTrue(verifyObject(IRunner, self.runner))

    def test_inventory(self) -> None:
        """
        The inventory is that of all, and the keeper is the one that there is.
        """
        adopted = Adopted(Held("a", "store", 1, 1, 1, "running"), "command", None)
        self.commands.found = Deferred()
        asked = self.runner.inventory()
        self.assertNoResult(asked)
        self.commands.found.callback(("keeper", (adopted,)))
        self.assertEqual(("keeper", (adopted,)), self.successResultOf(asked))

    def test_no_inventory(self) -> None:
        """
        If one has none, what was wrong with that one is what is wrong.
        """
        self.commands.found = fail(KeeperError("no keeper"))
        failure = self.failureResultOf(self.runner.inventory(), KeeperError)
        self.assertEqual("no keeper", str(failure.value))

    def test_start(self) -> None:
        """
        Each job is started by the runner of its kind; one of no known kind has failed.
        """
        sleep, command, other = (
            self.run_of(serial, kind) for serial, kind in enumerate(("sleep", "command", "dance"))
        )
        self.runner.start([sleep, command, other])
        self.assertEqual([("start", [command])], self.notes)
        started, failed = self.told
        self.assertEqual((sleep.ref,), getattr(started, "refs", None))
        outcome = Outcome(Status.FAILED, None, UNKNOWN_KIND)
        self.assertEqual(RunsEnded((RunEnded(other.ref, outcome),)), failed)
        self.runner.stop([sleep.ref, command.ref])
        self.runner.drop([sleep.ref, command.ref])
        refs = [sleep.ref, command.ref]
        self.assertEqual([("stop", refs), ("drop", refs)], self.notes[1:])
        self.assertEqual(3, len(self.told))
        self.assertIsInstance(self.told[2], RunsEnded)
        self.runner.close()

    def test_told(self) -> None:
        """
        What any of them tells is told.
        """
        self.commands.told(KeeperReplaced("another"))
        self.assertEqual([KeeperReplaced("another")], self.told)

    def test_output(self) -> None:
        """
        Output is read from whoever has it.
        """
        self.assertEqual(b"tp", self.runner.output(("a", "store", 1, 1), "out", 2, 2))
        with self.assertRaises(OutputMissingError):
            self.runner.output(("a", "store", 1, 2), "out", 2, 2)

    def test_end(self) -> None:
        """
        All of them are ended.
        """
        self.successResultOf(self.runner.finish())
        self.runner.close()
        self.assertEqual(["finish", "close"], self.notes)
