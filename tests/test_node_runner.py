"""
What runs the jobs of a node, as it is put together.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.actions import Run
from jobcluster.core.events import RunnerEvent, RunsEnded, RunsRefused, RunsStarted
from jobcluster.node_tap import Options, runner_maker


class RunnerMakerTests(SynchronousTestCase):
    """
    A runner that has no lease: what it could run is refused, and what it cannot has failed.
    """

    def setUp(self) -> None:
        """
        Choose a state directory.
        """
        self.state = Path(self.mktemp())

    def told(self, kind: str, slots: int) -> RunnerEvent:
        """
        What is told when a job of a kind is to be started at a node with so many slots.
        """
        options = Options()
        options.parseOptions(["--state", str(self.state), "--console", "tcp:0:interface=127.0.0.1"])
        runner = runner_maker(Clock(), options.chosen, slots, lambda: "a")()
        told: list[RunnerEvent] = []
        runner.told = told.append
        runner.start([Run("a", "store", 1, 1, 1, kind, b"5", 1, False, 0.0, False)])
        runner.close()
        [event] = told
        return event

    def test_kinds(self) -> None:
        """
        A node with slots runs sleeps and commands, and nothing else.
        """
        self.assertIsInstance(self.told("sleep", 1), RunsRefused)
        self.assertIsInstance(self.told("command", 1), RunsRefused)
        self.assertIsInstance(self.told("dance", 1), RunsEnded)

    def test_no_slots(self) -> None:
        """
        A node without slots needs no keeper, unless one may have left something there.
        """
        self.assertNotIsInstance(self.told("command", 0), RunsRefused | RunsStarted)
        (self.state / "keeper").mkdir(parents=True)
        (self.state / "keeper" / "spool").touch()
        self.assertIsInstance(self.told("command", 0), RunsRefused)
