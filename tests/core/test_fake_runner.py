"""
The doubles that run jobs: they keep the contract of L{IRunner}, keeper and adoption included.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from jobcluster.core.actions import Run
from jobcluster.core.events import (
    KeeperReplaced,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import SLEEP, Adopted, Cause, Now, Ref, RunState, Status
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IRunner
from jobcluster.testing import FakeKeeper, FakeRunner, HeapClock
from jobcluster.testing.connections import KeeperConnection

_COMMAND = "command"


def run_of(serial: int, ms: int, kind: str = SLEEP, *, once: bool = False) -> Run:
    """
    What is to be run under the offer of that serial, by a node whose clocks stand at 0.
    """
    return Run(
        origin="a",
        store="s",
        incarnation=1,
        serial=serial,
        job=1000 + serial,
        kind=kind,
        payload=str(ms).encode(),
        attempt=1,
        once=once,
        deadline=ms / 1000,
        adopted=False,
    )


def ref_of(serial: int) -> Ref:
    """
    The name of that offer.
    """
    return ("a", "s", 1, serial)


class Scene:
    """
    A machine with a keeper, and node processes that come and go.
    """

    def __init__(self) -> None:
        """
        Everything begins at 0, and no lease ends before 100 s.
        """
        self.clock = HeapClock()
        self.told: list[RunnerEvent] = []
        self.keeper = FakeKeeper(self.clock, self.now, "k1")

    def now(self) -> Now:
        """
        All clocks show the same.
        """
        return Now(self.clock.seconds(), self.clock.seconds(), self.clock.seconds())

    def runner(self, until: float = 100.0) -> FakeRunner:
        """
        Start a node process.
        """
        runner = FakeRunner(
            self.clock, self.now, self.keeper, lambda: 0.001, find=lambda: self.keeper
        )
        runner.told = self.told.append
        runner.lease(until)
        return runner

    def inventory(self, runner: FakeRunner) -> tuple[str, tuple[Adopted, ...]]:
        """
        Ask for what is held.
        """
        answers: list[tuple[str, tuple[Adopted, ...]]] = []
        runner.inventory().addCallback(answers.append)
        self.clock.advance(0.01)
        [answer] = answers
        return answer

    def statuses(self) -> list[tuple[Ref, str]]:
        """
        What ended, and how, in order.
        """
        return [
            (run.ref, run.outcome.status)
            for event in self.told
            if isinstance(event, RunsEnded)
            for run in event.runs
        ]


class SleepTests(SynchronousTestCase):
    """
    What runs in the node process itself.
    """

    def setUp(self) -> None:
        """
        Make a scene with one node process.
        """
        self.scene = Scene()
        self.runner = self.scene.runner()

    def test_interface(self) -> None:
        """
        It is a runner.
        """
        verifyObject(IRunner, self.runner)

    def test_runs(self) -> None:
        """
        A sleep is told to have started, and at its deadline to have succeeded; never from within.
        """
        self.runner.start((run_of(1, 50), run_of(2, 20)))
        self.assertEqual([], self.scene.told)
        self.scene.clock.advance(0)
        self.assertEqual([RunsStarted((ref_of(1), ref_of(2)), 0)], self.scene.told)
        self.scene.clock.advance(1)
        self.assertEqual(
            [(ref_of(2), Status.SUCCEEDED), (ref_of(1), Status.SUCCEEDED)], self.scene.statuses()
        )
        self.assertEqual([], self.scene.clock.getDelayedCalls())

    def test_lease(self) -> None:
        """
        Nothing is started after the end of the lease, but what was adopted is watched on.
        """
        self.runner.lease(0.5)
        self.scene.clock.advance(1.0)
        self.runner.start((run_of(1, 3000), run_of(2, 3000)._replace(adopted=True)))
        self.scene.clock.advance(10)
        self.assertEqual([RunsRefused((ref_of(1),))], self.scene.told[:1])
        self.assertEqual([(ref_of(2), Status.SUCCEEDED)], self.scene.statuses())

    def test_stop_and_drop(self) -> None:
        """
        What is stopped ends as cancelled, what is dropped is gone; others are not told of.
        """
        self.runner.start((run_of(1, 5000), run_of(2, 5000)))
        self.runner.stop((ref_of(1), ref_of(9)))
        self.runner.drop((ref_of(2), ref_of(9)))
        self.scene.clock.advance(10)
        self.assertEqual([(ref_of(1), Status.CANCELLED)], self.scene.statuses())
        self.assertEqual([RunsDropped((ref_of(2),))], self.scene.told[-1:])

    def test_close(self) -> None:
        """
        Sleeps end with their process, and nobody is told.
        """
        self.runner.start((run_of(1, 5000),))
        self.runner.close()
        self.scene.clock.advance(10)
        self.assertEqual([], self.scene.told)
        self.assertEqual([], self.scene.clock.getDelayedCalls())


class KeeperTests(SynchronousTestCase):
    """
    What outlives the node process.
    """

    def setUp(self) -> None:
        """
        Make a scene with one node process that has its keeper's ear.
        """
        self.scene = Scene()
        self.runner = self.scene.runner()
        self.scene.inventory(self.runner)

    def test_adoption(self) -> None:
        """
        The next process of a node finds what the one before has started, and hears its end.
        """
        self.runner.start((run_of(1, 500, _COMMAND),))
        self.scene.clock.advance(0.1)
        self.assertEqual([RunsStarted((ref_of(1),), 11)], self.scene.told)
        self.runner.close()
        other = self.scene.runner()
        ident, [adopted] = self.scene.inventory(other)
        self.assertEqual(
            ("k1", RunState.RUNNING, None), (ident, adopted.held.state, adopted.outcome)
        )
        self.scene.clock.advance(1)
        self.assertEqual([(ref_of(1), Status.SUCCEEDED)], self.scene.statuses())

    def test_outcome_waits(self) -> None:
        """
        An outcome stays until it is dropped.
        """
        self.runner.start((run_of(1, 5, _COMMAND),))
        self.scene.clock.advance(1)
        other = self.scene.runner()
        _, [adopted] = self.scene.inventory(other)
        self.assertEqual(RunState.ENDED, adopted.held.state)
        other.drop((ref_of(1),))
        self.scene.clock.advance(1)
        self.assertEqual([RunsDropped((ref_of(1),))], self.scene.told[-1:])
        self.assertEqual(("k1", ()), self.scene.inventory(self.scene.runner()))

    def test_newest_connection(self) -> None:
        """
        What an older connection has said is not read when a newer one has an inventory.
        """
        self.runner.start((run_of(1, 5, _COMMAND),))
        other = self.scene.runner()
        answers: list[tuple[str, tuple[Adopted, ...]]] = []
        other.inventory().addCallback(answers.append)
        self.runner.start((run_of(2, 5, _COMMAND),))
        self.scene.clock.advance(1)
        self.assertEqual([1], [adopted.held.serial for adopted in answers[0][1]])
        self.assertEqual([ref_of(1)], list(self.scene.keeper.spool))

    def test_lease_travels(self) -> None:
        """
        The keeper looks at the lease when it starts a job.
        """
        self.runner.lease(self.scene.now().boot)
        self.runner.start((run_of(1, 5, _COMMAND),))
        self.scene.clock.advance(1)
        self.assertEqual([RunsRefused((ref_of(1),))], self.scene.told)
        self.assertEqual({}, dict(self.scene.keeper.spool))

    def test_stop(self) -> None:
        """
        What is stopped there ends as cancelled too.
        """
        self.runner.start((run_of(1, 5000, _COMMAND),))
        self.runner.stop((ref_of(1),))
        self.scene.clock.advance(1)
        self.assertEqual([(ref_of(1), Status.CANCELLED)], self.scene.statuses())

    def test_death(self) -> None:
        """
        What a dead keeper ran is lost, its outcomes are not; the next one says so.
        """
        self.runner.start((run_of(1, 5, _COMMAND), run_of(2, 9000, _COMMAND)))
        self.scene.clock.advance(1)
        self.scene.keeper = self.scene.keeper.succeed("k2")
        ident, adopted = self.scene.inventory(self.scene.runner())
        self.assertEqual("k2", ident)
        self.assertEqual(
            [(Status.SUCCEEDED, ""), (Status.LOST, Cause.KEEPER_DIED)],
            [(row.outcome.status, row.outcome.detail) for row in adopted if row.outcome],
        )

    def test_reboot(self) -> None:
        """
        Of what ran before a reboot only the intents of at-most-once jobs are known.
        """
        self.runner.start((run_of(1, 5, _COMMAND), run_of(2, 9000, _COMMAND, once=True)))
        self.scene.clock.advance(1)
        self.scene.keeper = self.scene.keeper.succeed("k2", rebooted=True)
        _, adopted = self.scene.inventory(self.scene.runner())
        self.assertEqual(
            [(2, Cause.REBOOTED)],
            [(row.held.serial, row.outcome.detail) for row in adopted if row.outcome],
        )

    def test_no_keeper(self) -> None:
        """
        Without a keeper there are sleeps only; other jobs fail.
        """
        runner = FakeRunner(self.scene.clock, self.scene.now)
        runner.told = self.scene.told.append
        self.assertEqual(("", ()), self.scene.inventory(runner))
        runner.start((run_of(1, 5, _COMMAND),))
        self.scene.clock.advance(1)
        self.assertEqual([(ref_of(1), Status.FAILED)], self.scene.statuses())

    def test_replaced(self) -> None:
        """
        A node that lives on starts another keeper, and says what that makes of what ran.
        """
        self.runner.start((run_of(1, 9000, _COMMAND), run_of(2, 9000)))
        self.scene.clock.advance(1)
        self.scene.told.clear()
        self.scene.keeper.die()
        self.scene.keeper = self.scene.keeper.succeed("k2")
        self.scene.clock.advance(0.0015)
        # By now it is known that there is none.
        self.runner.start((run_of(3, 9000, _COMMAND),))
        self.scene.clock.advance(1)
        replaced, ended, *others = self.scene.told
        self.assertEqual(KeeperReplaced("k2"), replaced)
        self.assertIsInstance(ended, RunsEnded)
        self.assertEqual([(ref_of(1), Status.LOST)], self.scene.statuses())
        self.assertEqual([RunsStarted((ref_of(3),), 1014)], others)

    def test_handed_to_the_dead(self) -> None:
        """
        What was handed to a keeper that died over it was not started, and never will be.
        """
        self.runner.start((run_of(1, 9000, _COMMAND),))
        self.scene.keeper.die()
        self.scene.keeper = self.scene.keeper.succeed("k2")
        self.scene.clock.advance(1)
        self.assertEqual([KeeperReplaced("k2"), RunsRefused((ref_of(1),))], self.scene.told)

    def test_silence(self) -> None:
        """
        A keeper that has answered nothing for 11 s is killed.
        """
        self.runner.start((run_of(1, 60_000, _COMMAND),))
        self.connection().neglect()
        self.scene.clock.advance(10.5)
        self.assertTrue(self.scene.keeper.alive)
        self.scene.clock.advance(4)
        self.assertFalse(self.scene.keeper.alive)

    def test_later_lease(self) -> None:
        """
        A later lease is none for what was handed over before, whether that one was over by then.
        """
        for after in (0.5, 1.5):
            self.setUp()
            self.late_lease(after)
            self.assertEqual([RunsRefused((ref_of(1),))], self.scene.told)

    def connection(self) -> KeeperConnection:
        """
        What joins the node process to its keeper.
        """
        hands = self.runner.hands
        if hands is None or hands.connection is None:
            self.fail("there is none")
        return hands.connection

    def late_lease(self, after: float) -> None:
        """
        Have a job handed over in one lease, said in another, and read at last.

        @param after: in how many seconds the other begins; the one has a second to go.
        """
        connection = self.connection()
        connection.neglect()
        self.runner.lease(self.scene.now().boot + 1.0)
        self.runner.start((run_of(1, 9000, _COMMAND),))
        self.scene.clock.advance(after)
        self.runner.lease(100.0)
        self.scene.clock.advance(2.0)
        connection.attend()
        self.scene.clock.advance(1.0)

    def test_output(self) -> None:
        """
        What a job has said can be read when it has ended, and until it is dropped.
        """
        talkative = run_of(1, 500, _COMMAND)._replace(payload=b"500\n")
        self.runner.start((talkative,))
        self.assertRaises(OutputMissingError, self.runner.output, ref_of(1), "out", 0, 1)
        self.scene.clock.advance(1)
        ended = self.scene.told[-1]
        assert isinstance(ended, RunsEnded)  # noqa: S101 - for mypy
        outcome = ended.runs[0].outcome
        self.assertTrue(outcome.is_large)
        last = self.runner.output(ref_of(1), "out", outcome.out_size - 5, 100)
        self.assertEqual((5, 7), (len(last), len(self.runner.output(ref_of(1), "err", 3, 100))))
        self.runner.drop((ref_of(1),))
        self.assertRaises(OutputMissingError, self.runner.output, ref_of(1), "out", 0, 1)

    def test_finish(self) -> None:
        """
        A node that ends its keeper hears how everything has ended, and then that nothing is left.
        """
        self.runner.start((run_of(1, 5000, _COMMAND), run_of(2, 5000)))
        self.scene.clock.advance(1)
        self.scene.told.clear()
        finished = self.runner.finish()
        self.scene.clock.advance(1)
        self.successResultOf(finished)
        self.assertEqual(
            {(ref_of(1), Status.CANCELLED), (ref_of(2), Status.CANCELLED)},
            set(self.scene.statuses()),
        )
        self.assertFalse(self.scene.keeper.alive)
        self.assertRaises(OutputMissingError, self.runner.output, ref_of(1), "out", 0, 1)
