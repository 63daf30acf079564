"""
Sleeps in the node process.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from jobcluster.core.actions import Run
from jobcluster.core.events import (
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import SLEEP, Now, Outcome, Ref, Status
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IRunner
from jobcluster.runners.sleep import SleepRunner
from jobcluster.testing.clocks import HeapClock

BOOTED = 500.0
WALL = 1_764_000_000.0
AT = 1_764_000_000_000
"""Milliseconds of the wall clock in the beginning."""


class RunnerCase(SynchronousTestCase):
    """
    A runner with a lease of ten seconds, on a machine that was up for a while.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.clock = HeapClock()
        self.suspended = 0.0
        self.told: list[RunnerEvent] = []
        self.runner = SleepRunner(self.clock, self.now)
        self.runner.told = self.told.append
        self.runner.lease(BOOTED + 10)
        self.addCleanup(self._end)

    def _end(self) -> None:
        self.runner.close()
        self.assertEqual([], self.take(), "not consumed")
        self.assertEqual([], self.clock.getDelayedCalls())

    def now(self) -> Now:
        """
        The three clocks.
        """
        seconds = self.clock.seconds()
        return Now(seconds, BOOTED + seconds + self.suspended, WALL + seconds + self.suspended)

    def take(self) -> list[RunnerEvent]:
        """
        What was told since this was called last.
        """
        told, self.told[:] = list(self.told), []
        return told

    def run_of(self, serial: int, milliseconds: int, *, adopted: bool = False) -> Run:
        """
        A sleep that begins now, or of one that is adopted, a second ago.
        """
        begun = -1.0 if adopted else 0.0
        return Run(
            "a",
            "store",
            1,
            serial,
            1000 + serial,
            SLEEP,
            b"%d" % milliseconds,
            1,
            once=False,
            deadline=self.now().boot + begun + milliseconds / 1000,
            adopted=adopted,
            started=AT - 1000 if adopted else 0,
        )

    def start(self, serial: int, milliseconds: int) -> Ref:
        """
        Start a sleep.
        """
        run = self.run_of(serial, milliseconds)
        self.runner.start([run])
        self.assertEqual([RunsStarted((run.ref,), int(self.now().wall * 1000))], self.take())
        return run.ref


def slept(ref: Ref, started: int, ended: int, milliseconds: int | None = None) -> RunEnded:
    """
    How a sleep ends.

    @param milliseconds: how long it was to be, if not just so long.
    """
    value = b"slept %d ms" % (ended - started if milliseconds is None else milliseconds)
    return RunEnded(ref, Outcome(Status.SUCCEEDED, started=started, ended=ended, value=value))


class StartTests(RunnerCase):
    """
    What is started, and what is not.
    """

    def test_interface(self) -> None:
        """
        It is a runner, and has nothing from before this process.
        """
        self.assertTrue(verifyObject(IRunner, self.runner))
        self.assertEqual(("", ()), self.successResultOf(self.runner.inventory()))

    def test_sleep(self) -> None:
        """
        A sleep is told to have started at once, and to have ended when its time is over.
        """
        ref = self.start(1, 250)
        self.clock.advance(0.1875)
        self.assertEqual([], self.take())
        self.clock.advance(0.0625)
        self.assertEqual([RunsEnded((slept(ref, AT, AT + 250),))], self.take())

    def test_batch(self) -> None:
        """
        Those that start together are told of together, and so are those that end together.
        """
        runs = [self.run_of(1, 125), self.run_of(2, 125), self.run_of(3, 250)]
        self.runner.start(runs)
        self.assertEqual([RunsStarted(tuple(run.ref for run in runs), AT)], self.take())
        self.clock.advance(1)
        first, second, third = (run.ref for run in runs)
        self.assertEqual(
            [
                RunsEnded((slept(first, AT, AT + 125), slept(second, AT, AT + 125))),
                RunsEnded((slept(third, AT, AT + 250),)),
            ],
            self.take(),
        )

    def test_no_time_at_all(self) -> None:
        """
        A sleep of no milliseconds has started and ended when the call returns.
        """
        run = self.run_of(1, 0)
        self.runner.start([run])
        self.assertEqual(
            [RunsStarted((run.ref,), AT), RunsEnded((slept(run.ref, AT, AT),))], self.take()
        )
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_lease_over(self) -> None:
        """
        After the end of the lease nothing is started: that is told, and it never runs.
        """
        self.clock.advance(10.001)
        run = self.run_of(1, 50)
        self.runner.start([run])
        self.assertEqual([RunsRefused((run.ref,))], self.take())
        self.clock.advance(1)
        self.assertEqual([], self.take())

    def test_lease_of_the_last_moment(self) -> None:
        """
        At the very end of the lease a sleep may still start; how long it takes does not matter.
        """
        self.clock.advance(10)
        ref = self.start(1, 5000)
        self.clock.advance(5)
        self.assertEqual([RunsEnded((slept(ref, AT + 10_000, AT + 15_000),))], self.take())

    def test_lease_extended(self) -> None:
        """
        What counts is the lease as it is when the sleep starts.
        """
        self.clock.advance(11)
        self.runner.lease(BOOTED + 20)
        self.start(1, 9000)

    def test_lease_counts_suspension(self) -> None:
        """
        A lease goes on while the machine is suspended.
        """
        self.suspended = 11.0
        run = self.run_of(1, 50)
        self.runner.start([run])
        self.assertEqual([RunsRefused((run.ref,))], self.take())

    def test_no_lease_yet(self) -> None:
        """
        Before there is a lease nothing is started.
        """
        self.runner = SleepRunner(self.clock, self.now)
        self.runner.told = self.told.append
        run = self.run_of(1, 50)
        self.runner.start([run])
        self.assertEqual([RunsRefused((run.ref,))], self.take())

    def test_other_kinds(self) -> None:
        """
        What is no sleep has failed, with a word for the user; the sleeps beside it run.
        """
        command = self.run_of(1, 50)._replace(kind="command")
        sleep = self.run_of(2, 0)
        self.runner.start([command, sleep])
        ref = command.ref
        started, ended, over = self.take()
        self.assertEqual(RunsStarted((ref, sleep.ref), AT), started)
        self.assertIsInstance(ended, RunsEnded)
        assert isinstance(ended, RunsEnded)  # noqa: S101 - for mypy
        [failed] = ended.runs
        self.assertEqual((ref, Status.FAILED), (failed.ref, failed.outcome.status))
        self.assertIn("no jobs of that kind", failed.outcome.detail)
        self.assertEqual(RunsEnded((slept(sleep.ref, AT, AT),)), over)


class AdoptedTests(RunnerCase):
    """
    Sleeps that an earlier process of this node has started.
    """

    def test_goes_on(self) -> None:
        """
        Nothing is told of its start; it ends when it was to end from the beginning.
        """
        run = self.run_of(1, 2500, adopted=True)
        self.runner.start([run])
        self.clock.advance(1.4375)
        self.assertEqual([], self.take())
        self.clock.advance(0.0625)
        self.assertEqual([RunsEnded((slept(run.ref, AT - 1000, AT + 1500),))], self.take())

    def test_is_over(self) -> None:
        """
        One that is over by now is told to have ended.
        """
        run = self.run_of(1, 600, adopted=True)
        self.runner.start([run])
        self.assertEqual([RunsEnded((slept(run.ref, AT - 1000, AT, 600),))], self.take())

    def test_asks_for_no_lease(self) -> None:
        """
        It runs already: no lease is asked for.
        """
        self.clock.advance(20)
        run = self.run_of(1, 1500, adopted=True)
        self.runner.start([run])
        self.assertEqual([], self.take())
        self.clock.advance(0.5)
        self.assertEqual(1, len(self.take()))


class EndTests(RunnerCase):
    """
    Sleeps that end early.
    """

    def test_stop(self) -> None:
        """
        A sleep that is stopped has ended as cancelled, and does not end again.
        """
        ref = self.start(1, 250)
        self.clock.advance(0.125)
        self.runner.stop([ref])
        outcome = Outcome(Status.CANCELLED, started=AT, ended=AT + 125)
        self.assertEqual([RunsEnded((RunEnded(ref, outcome),))], self.take())
        self.clock.advance(1)
        self.assertEqual([], self.take())

    def test_stop_what_is_not_there(self) -> None:
        """
        To stop what never ran, or runs no longer, is nothing.
        """
        ref = self.start(1, 125)
        self.clock.advance(0.125)
        self.assertEqual(1, len(self.take()))
        self.runner.stop([ref, ("b", "store", 1, 1)])
        self.assertEqual([], self.take())

    def test_drop(self) -> None:
        """
        A sleep that is dropped is told to be gone, and never to have ended.
        """
        ref = self.start(1, 250)
        self.runner.drop([ref])
        self.assertEqual([RunsDropped((ref,))], self.take())
        self.clock.advance(1)
        self.assertEqual([], self.take())

    def test_drop_what_is_not_there(self) -> None:
        """
        To drop what is not held is nothing.
        """
        self.runner.drop([("b", "store", 1, 1)])
        self.assertEqual([], self.take())

    def test_close(self) -> None:
        """
        After the end nothing is told, and nothing waits.
        """
        ref = self.start(1, 250)
        self.runner.close()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.runner.stop([ref])
        self.runner.drop([ref])
        self.clock.advance(1)
        self.assertEqual([], self.take())


class TimerTests(RunnerCase):
    """
    One timer for all of them.
    """

    def test_one(self) -> None:
        """
        However many sleep, one call waits, for the first that ends.
        """
        for serial, milliseconds in enumerate((5000, 375, 750, 375)):
            self.start(serial, milliseconds)
        [call] = self.clock.getDelayedCalls()
        self.assertEqual(0.375, call.getTime())

    def test_none(self) -> None:
        """
        When nobody sleeps any more, no call waits.
        """
        self.start(1, 125)
        self.clock.advance(0.125)
        self.assertEqual(1, len(self.take()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_waits_for_the_next(self) -> None:
        """
        One that was stopped or dropped does not keep the others from ending in time.
        """
        first, second, third = (self.start(n, 125 * n) for n in (1, 2, 3))
        self.runner.stop([first])
        self.runner.drop([second])
        self.take()
        self.clock.advance(0.375)
        self.assertEqual([RunsEnded((slept(third, AT, AT + 375),))], self.take())

    def test_suspended(self) -> None:
        """
        A sleep goes on while the machine is suspended: it is over as soon as anybody looks.
        """
        ref = self.start(1, 60_000)
        self.suspended = 100.0
        late = self.run_of(2, 125)
        self.runner.start([late])
        self.assertEqual(
            [
                RunsRefused((late.ref,)),
                RunsEnded((slept(ref, AT, AT + 100_000, 60_000),)),
            ],
            self.take(),
        )

    def test_finish(self) -> None:
        """
        A node that ends ends its sleeps, and starts no others.
        """
        ref = self.start(1, 250)
        self.successResultOf(self.runner.finish())
        late = self.run_of(2, 125)
        self.runner.start([late])
        outcome = Outcome(Status.CANCELLED, started=AT, ended=AT)
        self.assertEqual(
            [RunsEnded((RunEnded(ref, outcome),)), RunsRefused((late.ref,))], self.take()
        )
        self.clock.advance(1)

    def test_no_output(self) -> None:
        """
        A sleep has no output.
        """
        ref = self.start(1, 250)
        self.assertRaises(OutputMissingError, self.runner.output, ref, "out", 0, 1)
