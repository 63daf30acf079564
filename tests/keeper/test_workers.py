"""
Workers, without a keeper around them.
"""

from __future__ import annotations

import os
import selectors
import signal
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.keeper.payloads import Function
from jobcluster.keeper.records import Run
from jobcluster.keeper.workers import Workers
from tests.keeper.client import LIMIT, runs_now


class IdleTests(SynchronousTestCase):
    """
    Workers that have nothing to do.
    """

    def setUp(self) -> None:
        """
        Nobody works yet.
        """
        self.clock = Clock()
        self.selector = selectors.DefaultSelector()
        self.addCleanup(self.selector.close)
        self.workers = Workers(self.selector, b"WORKER=", self.clock.seconds)
        self.null = os.open("/dev/null", os.O_RDWR)
        self.addCleanup(os.close, self.null)
        self.number = 0
        self.pids: set[int] = set()
        self.returned: dict[int, bytes] = {}
        """Of those that have come to their ends, by number."""
        self.addCleanup(self.end)

    def end(self) -> None:
        """
        Leave nothing behind.
        """
        self.workers.close()
        for pid in self.pids:
            if runs_now(pid):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def begin(self, environment: bytes = b"") -> Run:
        """
        A call that has begun.
        """
        self.number += 1
        run = Run(self.number, ("a", "store", 1, self.number), f"a.{self.number}", 1, "n")
        streams = (self.null, self.null, self.null)
        self.workers.start(
            run, Function("os:getpid"), {b"A": environment, b"PATH": b"/bin"}, b"/", streams
        )
        self.pids.add(run.pid)
        return run

    def finish(self, *runs: Run) -> None:
        """
        Wait until they have returned, and let their workers rest.
        """
        until = time.monotonic() + LIMIT
        while not {run.number for run in runs} <= self.returned.keys():
            self.assertLess(time.monotonic(), until)
            for key, events in self.selector.select(0.1):
                key.data(events)
            self.returned |= {run.number: said.body for run, said in self.workers.take_done()}
        for run in runs:
            self.assertEqual(b"%d" % run.pid, self.returned[run.number])
            self.workers.rest(run)

    def test_minute(self) -> None:
        """
        A worker that was idle for a minute is ended, the one that was idle for longest first.
        """
        one, two = self.begin(), self.begin()
        self.assertEqual(float("inf"), self.workers.next)
        self.finish(one)
        self.clock.advance(30)
        self.finish(two)
        self.assertEqual(60, self.workers.next)
        self.clock.advance(29)
        self.workers.tick()
        self.assertEqual([True, True], [runs_now(one.pid), runs_now(two.pid)])
        self.clock.advance(1)
        self.workers.tick()
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        self.assertTrue(runs_now(two.pid))
        self.assertEqual(90, self.workers.next)

    def test_warmest_first(self) -> None:
        """
        The one that has worked last works next, so that those that are too many become idle.
        """
        one, two = self.begin(), self.begin()
        self.finish(one)
        self.finish(two)
        three = self.begin()
        self.assertEqual(two.pid, three.pid)
        self.finish(three)

    def test_another_environment(self) -> None:
        """
        One that does not suit makes room for one that does; no other one is ended.
        """
        one, two = self.begin(), self.begin()
        self.finish(one)
        self.finish(two)
        three = self.begin(b"other")
        self.assertNotIn(three.pid, (one.pid, two.pid))
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        self.assertTrue(runs_now(two.pid))
        self.finish(three)

    def test_gone(self) -> None:
        """
        One that has ended while it was idle is not given anything any more.
        """
        one = self.begin()
        self.finish(one)
        os.kill(one.pid, signal.SIGKILL)
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        two = self.begin()
        self.assertNotEqual(one.pid, two.pid)
        self.finish(two)
        self.workers.forget(one.pid)
        three = self.begin()
        self.assertEqual(two.pid, three.pid)
        self.finish(three)
