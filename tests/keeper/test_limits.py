"""
Runs that may take only so long.
"""

from __future__ import annotations

import sys
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.keeper.limits import Limits
from jobcluster.keeper.records import Run
from tests.keeper.cases import KeeperCase
from tests.keeper.client import eventually, runs_now

_ENDED = ("status", "code", "detail")


def limited(number: int, limit: float) -> Run:
    """
    A run that may take so many seconds.
    """
    run = Run(number, ("a", "store", 1, number), f"a.{number}", 1, "n")
    run.limit = limit
    return run


class LimitsTests(SynchronousTestCase):
    """
    The times themselves.
    """

    def test_over(self) -> None:
        """
        Each run that has a limit is told of once, in the order of their ends, and no other.
        """
        clock = Clock()
        limits = Limits(clock.seconds)
        one, two, free, ended = limited(1, 5), limited(2, 3), limited(3, 0), limited(4, 1)
        for run in (one, two, free, ended):
            limits.add(run)
        for run in (free, ended):
            limits.remove(run)
        clock.advance(2)
        self.assertEqual([], limits.over())
        self.assertEqual(3, limits.next)
        clock.advance(4)
        self.assertEqual([two, one], limits.over())
        self.assertEqual(([], float("inf")), (limits.over(), limits.next))

    def test_ended_before(self) -> None:
        """
        Those that ended before their time are not kept until then, however many there are.
        """
        limits = Limits(Clock().seconds)
        last = limited(9999, 50)
        limits.add(last)
        for number in range(5000):
            run = limited(number, 100)
            limits.add(run)
            limits.remove(run)
        self.assertLess(len(limits._ends), 1100)  # noqa: SLF001 - nothing else shows it
        self.assertEqual(50, limits.next)


class TimeLimitTests(KeeperCase):
    """
    A run whose time is over, and what may come at the same time.
    """

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        self.k = self.keeper()
        self.n = self.node(self.k, kill_after=0.2)

    def test_timed_out(self) -> None:
        """
        A run that lasts longer is ended, its whole group, and what it had written is kept.
        """
        ref = self.n.start("sh", "-c", "echo out; echo err >&2; sleep 1000 & sleep 1000", limit=0.3)
        begun = time.monotonic()
        outcome, body = self.n.end_of(ref)
        self.assertGreaterEqual(time.monotonic() - begun, 0.25)
        self.assertEqual(
            ("timed-out", -15, "it took longer than its limit of 0.3 s"),
            tuple(outcome[name] for name in _ENDED),
        )
        self.assertEqual(b"out\nerr\n", body)
        self.assertNothingLeft(self.k)

    def test_in_time(self) -> None:
        """
        A run that ends in time is as any other, and nothing happens when its time is over.
        """
        quick = self.n.start("true", limit=0.2)
        slow = self.n.start("sleep", "0.5", limit=60)
        self.assertEqual("succeeded", self.n.end_of(quick)[0]["status"])
        self.assertEqual("succeeded", self.n.end_of(slow)[0]["status"])

    def test_ignores_sigterm(self) -> None:
        """
        SIGKILL follows to what ignores SIGTERM; an exit code of its own is told, be it 0.
        """
        stubborn = self.n.start("sh", "-c", "trap '' TERM; while :; do sleep 0.01; done", limit=0.3)
        outcome, _ = self.n.end_of(stubborn)
        self.assertEqual(("timed-out", -9), (outcome["status"], outcome["code"]))
        script = "trap 'exit 0' TERM; while :; do sleep 0.01; done"
        outcome, _ = self.n.end_of(self.n.start("sh", "-c", script, limit=0.3))
        self.assertEqual(("timed-out", 0), (outcome["status"], outcome["code"]))

    def test_cancelled_first(self) -> None:
        """
        A run that was cancelled, and whose time is over while it ends, was cancelled.
        """
        node = self.node(self.k, kill_after=1.0)
        ready = self.state / "ready"
        script = f"trap '' TERM; touch {ready}; while :; do sleep 0.01; done"
        ref = node.start("sh", "-c", script, limit=0.8)
        eventually(ready.exists, "it does not begin")
        node.say("stop", refs=[ref])
        self.assertEqual("cancelled", node.end_of(ref)[0]["status"])

    def test_cancelled_later(self) -> None:
        """
        A run whose time was over has timed out, also if it is cancelled while it ends.
        """
        node = self.node(self.k, kill_after=1.0)
        got = self.state / "got"
        script = f"trap 'touch {got}' TERM; while :; do sleep 0.01; done"
        ref = node.start("sh", "-c", script, limit=0.3)
        eventually(got.exists, "it is not ended")
        node.say("stop", refs=[ref])
        self.assertEqual("timed-out", node.end_of(ref)[0]["status"])

    def test_too_much_output(self) -> None:
        """
        Of the limits of output and of time the one that was passed first counts.
        """
        node = self.node(self.k, kill_after=1.0, max_output=1000)
        flood = "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *_: write())\n"
        flood += "write = lambda: os.write(1, bytes(5000))\n"
        first = node.start(sys.executable, "-c", f"{flood}write()\ntime.sleep(9)", limit=5)
        outcome, _ = node.end_of(first)
        self.assertEqual(("failed", 1000), (outcome["status"], outcome["out"]))
        self.assertIn("output", outcome["detail"])
        late = node.start(sys.executable, "-c", f"{flood}time.sleep(9)", limit=0.5)
        outcome, _ = node.end_of(late)
        self.assertEqual(("timed-out", 1000), (outcome["status"], outcome["out"]))

    def test_ends_in_that_moment(self) -> None:
        """
        Of a run that has ended when the keeper comes to look at the time, its own end counts.
        """
        gate, said = self.state / "gate", self.state / "pid"
        script = f"echo $$ > {said}.new; mv {said}.new {said}; {self.wait_for('gate')}; exit 3"
        ref = self.n.start("sh", "-c", script, limit=0.8)
        eventually(said.exists, "it does not begin")
        leader = int(said.read_text())
        self.k.freeze()
        begun = time.monotonic()
        gate.touch()
        eventually(lambda: not runs_now(leader), "it does not end")
        eventually(lambda: time.monotonic() > begun + 0.8, "time stands still")
        self.k.thaw()
        outcome, _ = self.n.end_of(ref)
        self.assertEqual(("failed", 3, ""), tuple(outcome[name] for name in _ENDED))

    def test_another_node(self) -> None:
        """
        A run keeps its limit, whatever node has come meanwhile.
        """
        ref = self.n.start("sleep", "1000", limit=0.5)
        self.n.expect("started")
        other = self.node(self.k, kill_after=0.2)
        self.assertEqual(["running"], [held.head["state"] for held in other.held])
        outcome, _ = other.end_of(ref)
        self.assertEqual("timed-out", outcome["status"])
