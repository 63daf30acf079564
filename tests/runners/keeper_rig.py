"""
A runner of commands among keepers in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from jobcluster.core.actions import Run
from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.events import RunnerEvent, RunsEnded, RunsStarted
from jobcluster.core.values import Adopted, Now, Outcome, Ref
from jobcluster.runners.keeper import KeeperRunner, KeeperSettings
from tests.runners.memory_keepers import BOOTED, WALL, MemoryKeeper, MemoryPlace

MET = 0.25
"""Seconds after which a runner has met its keeper."""

_STEP = 1 / 64
"""Seconds that pass at once for a process that runs."""


class KeeperCase(SynchronousTestCase):
    """
    A runner with a lease of ten seconds, and a place that nobody was at yet.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        self.clock = Clock()
        self.place = MemoryPlace(self.clock)
        self.told: list[RunnerEvent] = []
        self.runner = self.make_runner()
        self.addCleanup(self._end)

    def make_runner(self) -> KeeperRunner:
        """
        A runner of the next process of the node.
        """
        settings = KeeperSettings(lambda: "node", 5.0, 1 << 20, {"PATH": "/bin"})
        runner = KeeperRunner(self.clock, self.now, self.place, settings)
        runner.told = self.told.append
        runner.lease(BOOTED + 10)
        return runner

    def _end(self) -> None:
        self.runner.close()
        self.settle()
        self.assertEqual([], self.take(), "not consumed")
        self.assertEqual([], self.clock.getDelayedCalls())

    def now(self) -> Now:
        """
        The three clocks.
        """
        seconds = self.clock.seconds()
        return Now(seconds, BOOTED + seconds, WALL + seconds)

    def settle(self) -> None:
        """
        Let everything happen that needs no time.
        """
        self.clock.advance(0)
        while self.place.pump():
            self.clock.advance(0)

    def go_on(self, seconds: float) -> None:
        """
        Let time pass in small steps, as it does for a process that runs.
        """
        end = self.clock.seconds() + seconds
        self.settle()
        while end - self.clock.seconds() > 1e-6:
            self.clock.advance(min(_STEP, end - self.clock.seconds()))
            self.settle()

    def take(self) -> list[RunnerEvent]:
        """
        What was told since this was called last.
        """
        told, self.told[:] = list(self.told), []
        return told

    @property
    def keeper(self) -> MemoryKeeper:
        """
        The keeper that is there, or was last.
        """
        keeper = self.place.keeper
        assert keeper is not None  # noqa: S101 - for mypy
        return keeper

    def meet(self) -> tuple[str, tuple[Adopted, ...]]:
        """
        Take the inventory, and forget the first word.
        """
        asked = self.runner.inventory()
        self.go_on(MET)
        found = self.successResultOf(asked)
        [(word, _)] = self.keeper.words()
        self.assertEqual("hello", word)
        return found

    def run_of(self, serial: int, *, once: bool = False) -> Run:
        """
        A command.
        """
        payload = pack_command(Command((b"true",)))
        return Run("a", "store", 1, serial, 1000 + serial, COMMAND, payload, 1, once, 0.0, False)

    def running(self, *serials: int) -> list[Ref]:
        """
        Have runs started.
        """
        runs = [self.run_of(serial) for serial in serials]
        self.runner.start(runs)
        self.settle()
        for event in self.take():
            self.assertIsInstance(event, RunsStarted)
        self.keeper.words()
        return [run.ref for run in runs]


class LoggedCase(KeeperCase):
    """
    A runner whose warnings are written down.
    """

    def setUp(self) -> None:
        """
        Listen.
        """
        super().setUp()
        self.warnings: list[str] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_level"] is LogLevel.warn:
                self.warnings.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def outcomes(self, events: Sequence[RunnerEvent]) -> dict[Ref, Outcome]:
        """
        How runs ended, as it was told.
        """
        return {
            run.ref: run.outcome
            for event in events
            if isinstance(event, RunsEnded)
            for run in event.runs
        }
