"""
The doubles of these tests are what they stand for.
"""

from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from jobcluster.core.commands import COMMAND
from jobcluster.core.values import SLEEP, Outcome, Spec, Status
from jobcluster.core.views import Filter
from jobcluster.errors import NodeAwayError, OutputMissingError, UnknownTicketError
from jobcluster.interfaces import IClusterView
from tests.consoles.rig import FIRST_JOB, MOST, FakeCluster, ticket
from tests.consoles.typist import FakeConnection, Typist


class InterfaceTests(SynchronousTestCase):
    """
    What implements which interface.
    """

    def test_cluster(self) -> None:
        """
        The fake cluster has all that a console may ask for.
        """
        self.assertTrue(verifyObject(IClusterView, FakeCluster(Clock())))

    def test_connection(self) -> None:
        """
        The fake connection has all that a console needs of a transport.
        """
        for interface in (ITransport, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, FakeConnection()))

    def test_session(self) -> None:
        """
        A session hears of a half-close, and can be paused.
        """
        typist = Typist()
        for interface in (IProtocol, IHalfCloseableProtocol, IPushProducer):
            self.assertTrue(verifyObject(interface, typist.protocol))
        self.assertEqual([], typist.leave_nothing())


class ClusterTests(SynchronousTestCase):
    """
    L{FakeCluster} does what L{IClusterView} says.
    """

    def setUp(self) -> None:
        """
        Make a cluster that takes a second for each call.
        """
        self.clock = Clock()
        self.cluster = FakeCluster(self.clock, delay=1)

    def test_job(self) -> None:
        """
        A job is there when its submission is answered, runs for its time, and keeps its outcome.
        """
        submitting = self.cluster.submit([Spec(SLEEP, b"5000")])
        self.assertNoResult(submitting)
        self.clock.advance(1)
        self.assertEqual((ticket(0),), self.successResultOf(submitting))
        waiting = self.cluster.wait(ticket(0))
        self.clock.advance(4.5)
        self.assertNoResult(waiting)
        self.clock.advance(0.5)
        outcome = Outcome(Status.SUCCEEDED, None, "", 0, 5000, "beta", b"slept 5000 ms")
        self.assertEqual(outcome, self.successResultOf(waiting).outcome)
        viewing = self.cluster.view(ticket(0))
        self.clock.advance(1)
        self.assertEqual(outcome, self.successResultOf(viewing).outcome)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_errors(self) -> None:
        """
        Tickets of nobody and of a node that is away are told apart.
        """
        unknown, away = self.cluster.view(ticket(0)), self.cluster.wait(ticket(0, "away"))
        self.clock.advance(1)
        self.failureResultOf(unknown, UnknownTicketError)
        self.failureResultOf(away, NodeAwayError)

    def test_output(self) -> None:
        """
        Output is there once a job has ended, in pieces of a bounded length.
        """
        cluster = FakeCluster(self.clock)
        cluster.submit([Spec(COMMAND, b"")])

        def piece(stream: str, offset: int, limit: int) -> bytes:
            return self.successResultOf(cluster.output(ticket(0), stream, offset, limit))

        self.failureResultOf(cluster.output(ticket(0), "out", 0, 9), OutputMissingError)
        outcome = Outcome(Status.SUCCEEDED, 0, out=b"abc", err=b"x" * (MOST + 1))
        cluster.end(FIRST_JOB, outcome)
        self.assertEqual(b"bc", piece("out", 1, 9))
        self.assertEqual(b"", piece("out", 3, 9))
        self.assertEqual(MOST, len(piece("err", 0, MOST + 1)))
        cluster.files[ticket(0), "out"] = lambda offset, limit: b"%d %d" % (offset, limit)
        self.assertEqual(b"5 6", piece("out", 5, 6))

    def test_pages(self) -> None:
        """
        Jobs come in pages, those of one state if one is named.
        """
        cluster = FakeCluster(self.clock)
        cluster.submit([Spec(SLEEP, b"1000")] * 5)
        cluster.cancel(ticket(3))

        def page(state: str, after: int) -> list[int]:
            jobs = self.successResultOf(cluster.jobs(Filter(state), after, 2))
            return [job.job - FIRST_JOB for job in jobs]

        self.assertEqual([0, 1], page("", 0))
        self.assertEqual([4], page("", FIRST_JOB + 3))
        self.assertEqual([2, 4], page("open", FIRST_JOB + 1))
        self.assertEqual([3], page("cancelled", 0))
        cluster.stop()
