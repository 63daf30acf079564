"""
Commands, given to a keeper and taken back.
"""

from __future__ import annotations

import signal

from zope.interface.verify import verifyObject

from jobcluster.core.commands import COMMAND
from jobcluster.core.events import RunEnded, RunsDropped, RunsEnded, RunsRefused, RunsStarted
from jobcluster.core.values import Adopted, Held, Outcome, RunState, Status
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IRunner
from tests.runners.keeper_rig import KeeperCase
from tests.runners.memory_keepers import AT, BOOTED


class MeetingTests(KeeperCase):
    """
    The first words between a node and its keeper.
    """

    def test_interface(self) -> None:
        """
        It is a runner.
        """
        self.assertTrue(verifyObject(IRunner, self.runner))

    def test_nobody_there(self) -> None:
        """
        Where there is no keeper, one is started, and told what it needs to know.
        """
        asked = self.runner.inventory()
        self.go_on(0.2)
        self.assertEqual(("keeper-1", ()), self.successResultOf(asked))
        self.assertEqual(1, self.place.launched)
        expected = {
            "speaks": [1],
            "node": "node",
            "kill_after": 5.0,
            "max_output": 1 << 20,
            "environment": {"PATH": "/bin"},
            "allow_pickle": False,
        }
        self.assertEqual([("hello", expected)], self.keeper.words())

    def test_somebody_there(self) -> None:
        """
        A keeper that is there is taken, with all that it holds, and nobody is started.
        """
        self.meet()
        running, over = self.running(1, 2)
        self.keeper.end(over, Status.FAILED, -9, detail="killed")
        self.settle()
        self.take()
        self.runner.close()
        self.runner = self.make_runner()
        keeper, adopted = self.meet()
        self.assertEqual("keeper-1", keeper)
        self.assertEqual(1, self.place.launched)
        at = AT + 250
        outcome = Outcome(Status.FAILED, -9, "killed", at, at)
        self.assertEqual(
            (
                Adopted(Held("a", "store", 1001, 1, 1, RunState.RUNNING, at), COMMAND, None),
                Adopted(Held("a", "store", 1002, 1, 2, RunState.ENDED, at), COMMAND, outcome),
            ),
            adopted,
        )
        self.keeper.end(running)
        self.settle()
        [event] = self.take()
        self.assertEqual(
            RunsEnded((RunEnded(running, Outcome(Status.SUCCEEDED, 0, "", at, AT + 500)),)), event
        )

    def test_ends_behind_the_inventory(self) -> None:
        """
        What ends while the inventory is on its way is told after it.
        """
        self.meet()
        [ref] = self.running(1)
        self.runner.close()
        self.runner = self.make_runner()
        order: list[object] = []
        self.runner.told = order.append
        asked = self.runner.inventory().addCallback(order.append)
        keeper = self.keeper
        self.place.pump()  # the first word is read, and answered
        keeper.end(ref)
        self.settle()
        self.successResultOf(asked)
        inventory, ended = order
        self.assertIsInstance(inventory, tuple)
        self.assertIsInstance(ended, RunsEnded)

    def test_closed_before(self) -> None:
        """
        A node that ends while its keeper starts leaves nothing behind but the keeper.
        """
        asked = self.runner.inventory()
        self.go_on(0.01)
        self.runner.close()
        self.go_on(0.2)
        self.assertNoResult(asked)
        self.assertEqual([], self.keeper.words())


class WordTests(KeeperCase):
    """
    What a keeper is told, and tells.
    """

    def setUp(self) -> None:
        """
        Meet.
        """
        super().setUp()
        self.meet()

    def test_started_and_ended(self) -> None:
        """
        A run starts, ends, and its outcome has its output in it.
        """
        run = self.run_of(1)
        self.runner.start([run])
        self.settle()
        self.assertEqual([RunsStarted((run.ref,), AT + 250)], self.take())
        self.keeper.holds[run.ref]["started"] = AT
        self.keeper.end(run.ref, Status.FAILED, 3, body=b"outerr", out=3, err=3)
        self.settle()
        outcome = Outcome(
            Status.FAILED, 3, "", AT, AT + 250, out=b"out", err=b"err", out_size=3, err_size=3
        )
        self.assertEqual([RunsEnded((RunEnded(run.ref, outcome),))], self.take())
        self.assertRaises(OutputMissingError, self.runner.output, run.ref, "out", 0, 1)

    def test_one_write(self) -> None:
        """
        What is said in one turn is one write, with one question whether the keeper is there.
        """
        [ref] = self.running(1)
        before = self.place.transports[-1].writes
        self.keeper.pings = 0
        self.runner.start([self.run_of(2), self.run_of(3)])
        self.runner.start([self.run_of(4)])
        self.runner.stop([ref])
        self.runner.drop([ref])
        self.settle()
        self.assertEqual(before + 1, self.place.transports[-1].writes)
        expected = [("start", 2), ("start", 3), ("start", 4), ("stop", (1,)), ("drop", (1,))]
        self.assertEqual(expected, self.keeper.words())
        self.assertEqual(1, self.keeper.pings)
        *started, dropped = self.take()
        self.assertEqual(3, len(started))
        self.assertEqual(RunsDropped((ref,)), dropped)

    def test_ended_together(self) -> None:
        """
        What ends together is one event.
        """
        first, second = self.running(1, 2)
        self.keeper.end(first)
        self.keeper.end(second)
        self.settle()
        [event] = self.take()
        assert isinstance(event, RunsEnded)  # noqa: S101 - for mypy
        self.assertEqual([first, second], [run.ref for run in event.runs])

    def test_large_output(self) -> None:
        """
        Output that is in files is read in pieces, until it is dropped.
        """
        [ref] = self.running(1)
        self.place.files = {(7, "out"): b"0123456789", (7, "err"): b""}
        self.keeper.end(ref, out=10, run=7)
        self.settle()
        [event] = self.take()
        assert isinstance(event, RunsEnded)  # noqa: S101 - for mypy
        self.assertTrue(event.runs[0].outcome.is_large)
        self.assertEqual(b"345", self.runner.output(ref, "out", 3, 3))
        self.assertEqual(b"9", self.runner.output(ref, "out", 9, 3))
        self.assertEqual(b"", self.runner.output(ref, "err", 0, 3))
        self.runner.drop([ref])
        self.settle()
        self.assertEqual([RunsDropped((ref,))], self.take())
        self.assertRaises(OutputMissingError, self.runner.output, ref, "out", 0, 3)

    def test_large_output_of_one_adopted(self) -> None:
        """
        The next process of a node reads the output of what ended before.
        """
        [ref] = self.running(1)
        self.place.files = {(7, "out"): b"0123456789"}
        self.keeper.end(ref, out=10, run=7)
        self.settle()
        self.take()
        self.runner.close()
        self.runner = self.make_runner()
        self.meet()
        self.assertEqual(b"01", self.runner.output(ref, "out", 0, 2))

    def test_adopted(self) -> None:
        """
        To start what was adopted, or what is there already, is nothing.
        """
        [ref] = self.running(1)
        self.runner.start([self.run_of(1)._replace(adopted=True), self.run_of(1)])
        self.settle()
        self.assertEqual([], self.keeper.words())
        self.runner.drop([ref])
        self.settle()
        self.assertEqual([RunsDropped((ref,))], self.take())

    def test_unknown(self) -> None:
        """
        To end what is not there is nothing; and so is what is said of it.
        """
        self.runner.stop([self.run_of(1).ref])
        self.runner.drop([self.run_of(1).ref])
        self.keeper.say("started", refs=[self.run_of(1).ref], at=AT)
        self.keeper.say("refused", refs=[self.run_of(1).ref])
        self.keeper.say("dropped", refs=[self.run_of(1).ref])
        self.settle()
        self.assertEqual([], self.keeper.words())


class LeaseTests(KeeperCase):
    """
    Nothing is started when the lease is over.
    """

    def setUp(self) -> None:
        """
        Meet.
        """
        super().setUp()
        self.meet()

    def test_over(self) -> None:
        """
        When the lease is over the keeper is not even asked.
        """
        self.runner.lease(BOOTED)
        run = self.run_of(1)
        self.runner.start([run])
        self.settle()
        self.assertEqual([RunsRefused((run.ref,))], self.take())
        self.assertEqual([], self.keeper.words())

    def test_over_on_the_way(self) -> None:
        """
        The end of the lease goes with the start: a keeper that reads it late refuses.
        """
        for late, pause in ((1, 9.7), (2, 0.2)):
            run = self.run_of(late)
            self.keeper.is_frozen = True
            self.runner.start([run])
            self.go_on(pause)
            self.keeper.is_frozen = False
            self.settle()
            [event] = self.take()
            self.assertIsInstance(event, RunsStarted if late == 1 else RunsRefused)

    def test_extended(self) -> None:
        """
        A longer lease is for later starts, and nothing is said of it.
        """
        self.running(1)
        writes = self.place.transports[-1].writes
        for seconds in range(10):
            self.runner.lease(BOOTED + 20 + seconds)
            self.settle()
        self.assertEqual([], self.keeper.words())
        self.assertEqual(writes, self.place.transports[-1].writes)


class EndTests(KeeperCase):
    """
    A node that ends.
    """

    def setUp(self) -> None:
        """
        Meet.
        """
        super().setUp()
        self.meet()

    def test_close(self) -> None:
        """
        What was said is heard, nothing is told any more, and the keeper goes on.
        """
        [ref] = self.running(1)
        self.runner.drop([ref])
        self.runner.close()
        self.settle()
        self.assertEqual([("drop", (1,))], self.keeper.words())
        self.assertEqual([], self.place.signals)
        self.assertTrue(self.keeper.is_alive)

    def test_finish_idle(self) -> None:
        """
        A keeper that runs nothing is told to end, and is not kept waiting.
        """
        done = self.runner.finish()
        self.settle()
        self.assertEqual([("end", None)], self.keeper.words())
        self.assertTrue(self.place.transports[-1].disconnecting)
        self.assertNoResult(done)
        self.place.die()
        self.go_on(0.1)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(1, self.place.launched)
        self.assertEqual([], self.place.signals)

    def test_finish_busy(self) -> None:
        """
        What ends then is told; what is to be started is refused.
        """
        [ref] = self.running(1)
        done = self.runner.finish()
        self.runner.start([self.run_of(2)])
        self.settle()
        self.assertEqual([("end", None)], self.keeper.words())
        self.assertFalse(self.place.transports[-1].disconnecting)
        self.keeper.end(ref, Status.CANCELLED, -15)
        self.settle()
        refused, ended = self.take()
        self.assertEqual(RunsRefused((self.run_of(2).ref,)), refused)
        self.assertIsInstance(ended, RunsEnded)
        self.assertTrue(self.place.transports[-1].disconnecting)
        self.place.die()
        self.go_on(0.1)
        self.successResultOf(done)

    def test_finish_by_force(self) -> None:
        """
        A keeper that does not end in the time that its jobs have for it, and two seconds, is
        killed.
        """
        self.keeper.is_frozen = True
        done = self.runner.finish()
        self.go_on(6.9)
        self.assertNoResult(done)
        self.go_on(0.3)
        self.successResultOf(done)
        self.assertEqual([(1, signal.SIGKILL)], self.place.signals)

    def test_finish_without(self) -> None:
        """
        Where nobody is connected, there may be a keeper all the same.
        """
        self.place.takes_connections = False
        self.place.transports[-1].loseConnection()
        self.settle()
        done = self.runner.finish()
        self.go_on(0.1)
        self.successResultOf(done)
        self.assertEqual([(1, signal.SIGTERM)], self.place.signals)
