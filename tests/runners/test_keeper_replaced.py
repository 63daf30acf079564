"""
Keepers that die, fall silent, or speak otherwise.
"""

from __future__ import annotations

import signal

from jobcluster.core.events import (
    KeeperReplaced,
    RunEnded,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import Cause, Outcome, Status
from tests.runners.keeper_rig import LoggedCase
from tests.runners.memory_keepers import AT, BOOTED


class DeathTests(LoggedCase):
    """
    A keeper that dies is replaced at once.
    """

    def setUp(self) -> None:
        """
        Meet, and let a while go by.
        """
        super().setUp()
        self.meet()
        self.runner.lease(BOOTED + 100)
        self.go_on(2)

    def test_lost(self) -> None:
        """
        First it is told who runs the jobs now, then what the new one says of those that ran.
        """
        [ref] = self.running(1)
        self.place.die()
        self.go_on(0.3)
        at = AT + 2250
        outcome = Outcome(Status.LOST, None, Cause.KEEPER_DIED, at, at + 1)
        self.assertEqual(
            [KeeperReplaced("keeper-2"), RunsEnded((RunEnded(ref, outcome),))], self.take()
        )
        self.assertEqual(["the keeper has died (process 1)"], self.warnings)
        self.assertEqual(2, self.place.launched)

    def test_nothing_left(self) -> None:
        """
        What ran and is not held any more is lost; what was only handed over is refused, for a
        complete inventory denies it.
        """
        [ref] = self.running(1)
        self.keeper.is_frozen = True
        handed = self.run_of(2)
        self.runner.start([handed])
        self.settle()
        self.keeper.holds.clear()
        self.keeper.heard.clear()
        self.place.die()
        self.keeper.words()
        self.go_on(0.3)
        replaced, refused, ended = self.take()
        self.assertEqual(KeeperReplaced("keeper-2"), replaced)
        self.assertEqual(RunsRefused((handed.ref,)), refused)
        lost = self.outcomes([ended])[ref]
        self.assertEqual((Status.LOST, Cause.KEEPER_DIED), (lost.status, lost.detail))
        self.assertEqual(AT + 2250, lost.started)

    def test_ended_before(self) -> None:
        """
        What had been told is not told again; what ended meanwhile is.
        """
        told, untold = self.running(1, 2)
        self.keeper.end(told)
        self.settle()
        self.assertEqual([told], list(self.outcomes(self.take())))
        self.keeper.is_frozen = True
        self.keeper.end(untold, Status.FAILED, 5)
        self.place.die()
        self.keeper.is_frozen = True  # nothing comes out of it any more
        self.keeper.is_alive = False
        self.place.transports[-1].loseConnection()
        self.keeper.is_frozen = False
        self.go_on(0.4)
        outcomes = self.outcomes(self.take())
        self.assertEqual([untold], list(outcomes))
        self.assertEqual(5, outcomes[untold].code)

    def test_started_unheard(self) -> None:
        """
        What was started without its word coming through is told to have started, then how it ended.
        """
        self.keeper.is_slow = True
        run = self.run_of(1)
        self.runner.start([run])
        self.settle()
        at = AT + 2250
        head = {"ref": run.ref, "job": run.job, "attempt": 1, "once": False, "suspect": False}
        self.keeper.holds[run.ref] = {**head, "ticket": "", "state": "running", "started": at}
        self.place.die()
        self.go_on(0.3)
        replaced, started, ended = self.take()
        self.assertEqual(KeeperReplaced("keeper-2"), replaced)
        self.assertEqual(RunsStarted((run.ref,), at), started)
        self.assertEqual([run.ref], list(self.outcomes([ended])))

    def test_asked_meanwhile(self) -> None:
        """
        What is asked for while there is none is given to the next one.
        """
        self.place.die()
        self.settle()
        runs = [self.run_of(serial) for serial in (1, 2, 3)]
        self.runner.start(runs)
        self.runner.stop([runs[1].ref])
        self.runner.drop([runs[2].ref])
        cancelled, dropped = self.take()
        outcome = Outcome(Status.CANCELLED, ended=AT + 2250)
        self.assertEqual(RunsEnded((RunEnded(runs[1].ref, outcome),)), cancelled)
        self.assertEqual(RunsDropped((runs[2].ref,)), dropped)
        self.go_on(0.3)
        replaced, started = self.take()
        self.assertEqual(KeeperReplaced("keeper-2"), replaced)
        assert isinstance(started, RunsStarted)  # noqa: S101 - for mypy
        self.assertEqual((runs[0].ref,), started.refs)

    def test_lease_ends_meanwhile(self) -> None:
        """
        What is asked for while there is none waits as long as its lease was then.
        """
        self.place.failures = [None, 1]
        self.place.die()
        self.settle()
        self.runner.lease(BOOTED + 2.6)
        run = self.run_of(1)
        self.runner.start([run])
        self.runner.lease(BOOTED + 20)
        self.go_on(0.3)
        self.assertEqual([], self.take())
        self.go_on(0.2)
        self.assertEqual([RunsRefused((run.ref,))], self.take())
        self.go_on(2)
        self.assertEqual([KeeperReplaced("keeper-2")], self.take())
        self.assertEqual(4, self.place.launched)
        said = [line for line in self.warnings if "again and again" in line]
        self.assertEqual(1, len(said))

    def test_drop_unheard(self) -> None:
        """
        What was to be forgotten is, by the next one too: nothing is told of it but that.
        """
        held, gone = self.running(1, 2)
        self.keeper.is_frozen = True
        self.runner.drop([held, gone])
        self.settle()
        del self.keeper.holds[gone]
        holds = dict(self.keeper.holds)
        self.place.die()
        self.keeper.holds = holds
        self.go_on(0.3)
        replaced, first, second = self.take()
        self.assertEqual(KeeperReplaced("keeper-2"), replaced)
        self.assertEqual([RunsDropped((gone,)), RunsDropped((held,))], [first, second])

    def test_unknown(self) -> None:
        """
        What nobody here knows of is dropped: this node has said that it does not hold it.
        """
        [ref] = self.running(1)
        self.runner.drop([ref])
        self.settle()
        self.take()
        head = {"ref": ref, "job": 1, "attempt": 1, "once": False, "suspect": False}
        self.keeper.holds[ref] = {**head, "ticket": "", "state": "running", "started": AT}
        self.place.die()
        self.keeper.words()
        self.go_on(0.3)
        self.assertEqual([KeeperReplaced("keeper-2")], self.take())
        self.assertEqual(("drop", (1,)), self.keeper.words()[-1])
        self.assertEqual({}, self.keeper.holds)

    def test_connection_alone(self) -> None:
        """
        A connection that ends although the keeper lives is made again, and nothing is lost.
        """
        running, stopped = self.running(1, 2)
        self.keeper.is_frozen = True
        self.runner.stop([stopped])
        self.settle()
        self.keeper.is_frozen = False
        self.place.transports[-1].stream.clear()
        self.place.transports[-1].loseConnection()
        self.go_on(0.5)
        self.assertEqual([], self.take())
        self.assertEqual(1, self.place.launched)
        hello, stop = self.keeper.words()
        self.assertEqual(("hello", ("stop", (2,))), (hello[0], stop))
        self.keeper.end(running)
        self.settle()
        self.assertEqual([running], list(self.outcomes(self.take())))

    def test_again_and_again(self) -> None:
        """
        Keepers that die at once are not started one after the other without a pause.
        """
        for _ in range(3):
            self.place.die()
            self.go_on(0.1)
        self.assertEqual(2, len(self.take()))
        self.assertEqual(3, self.place.launched)
        self.go_on(1)
        self.assertEqual([KeeperReplaced("keeper-4")], self.take())

    def test_closed_meanwhile(self) -> None:
        """
        A node that ends meanwhile is told nothing more, and looks for none.
        """
        self.running(1)
        self.place.die()
        self.settle()
        self.runner.close()
        self.go_on(0.3)
        self.assertEqual([], self.keeper.words())


class SilenceTests(LoggedCase):
    """
    A keeper that does not answer.
    """

    def setUp(self) -> None:
        """
        Meet.
        """
        super().setUp()
        self.meet()
        self.runner.lease(BOOTED + 1000)

    def test_asked(self) -> None:
        """
        A keeper that is told nothing is asked each three seconds.
        """
        self.keeper.pings = 0
        self.go_on(12.5)
        self.assertEqual(4, self.keeper.pings)

    def test_short(self) -> None:
        """
        A keeper that is frozen for less than the limit is waited for.
        """
        [ref] = self.running(1)
        self.keeper.is_frozen = True
        self.runner.start([self.run_of(2)])
        self.go_on(10.9)
        self.keeper.is_frozen = False
        self.settle()
        [started] = self.take()
        self.assertIsInstance(started, RunsStarted)
        self.go_on(20)
        self.assertEqual([], self.place.signals)
        self.keeper.end(ref)
        self.settle()
        self.assertEqual([ref], list(self.outcomes(self.take())))

    def test_long(self) -> None:
        """
        After eleven seconds it is killed and replaced.
        """
        [ref] = self.running(1)
        self.keeper.is_frozen = True
        self.runner.start([self.run_of(2)])
        self.go_on(10.9)
        self.assertEqual([], self.place.signals)
        self.go_on(0.4)
        self.assertEqual([(1, signal.SIGKILL)], self.place.signals)
        replaced, *others = self.take()
        self.assertEqual(KeeperReplaced("keeper-2"), replaced)
        self.assertEqual(Status.LOST, self.outcomes(others)[ref].status)
        self.assertEqual(RunsRefused((self.run_of(2).ref,)), others[0])
        [line] = self.warnings
        self.assertIn("does not answer for 11 s", line)

    def test_idle(self) -> None:
        """
        One that has nothing to do is found out too.
        """
        self.keeper.is_frozen = True
        self.go_on(14.5)
        self.assertEqual([(1, signal.SIGKILL)], self.place.signals)
        self.assertEqual([KeeperReplaced("keeper-2")], self.take())

    def test_frozen_node(self) -> None:
        """
        Time in which the node itself did not run counts for nothing.
        """
        self.running(1)
        self.keeper.is_frozen = True
        self.runner.start([self.run_of(2)])
        self.go_on(5)
        for _ in range(3):
            self.clock.advance(60)
            self.go_on(1)
        self.assertEqual([], self.place.signals)
        self.keeper.is_frozen = False
        self.settle()
        [event] = self.take()
        self.assertIsInstance(event, RunsStarted)

    def test_nonsense(self) -> None:
        """
        One that says what nobody understands is ended and replaced.
        """
        self.keeper.say("abracadabra", refs=[])
        self.go_on(0.3)
        self.assertEqual([(1, signal.SIGTERM)], self.place.signals)
        self.assertEqual([KeeperReplaced("keeper-2")], self.take())
        [line] = self.warnings
        self.assertIn("'abracadabra' is no word", line)
