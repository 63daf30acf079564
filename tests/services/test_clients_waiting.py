"""
Clients who wait for a job, here and at other nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from jobcluster.core.values import Outcome, Status, format_ticket
from jobcluster.core.views import Ask, JobView
from jobcluster.errors import (
    BalancerAwayError,
    NodeAwayError,
    PeerError,
)
from jobcluster.interfaces import IClusterView
from tests.services.cases import ServiceCase
from tests.services.rig import sleep


def outcome_of(view: JobView) -> Outcome:
    """
    The outcome that is shown.
    """
    if view.outcome is None:
        raise AssertionError("no outcome")
    return view.outcome


def questions(client: IClusterView, ticket: str) -> Iterator[Deferred[Any]]:
    """
    Ask all that can be asked about a ticket, one after the other.
    """
    yield client.view(ticket)
    yield client.wait(ticket)
    yield client.cancel(ticket)


def unknown_at(node: str) -> str:
    """
    A ticket that this node never gave out.
    """
    return format_ticket(node, 12345)


class AskedTests(ServiceCase):
    """
    What other nodes ask.
    """

    def test_unknown_question(self) -> None:
        """
        A question that it does not know is answered with an error.
        """
        self.failureResultOf(self.started().client.asked(Ask("a", "weather", 5)), PeerError)

    def test_wait(self) -> None:
        """
        Who waits is answered when the job ends, or with how it is when the patience is over.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        asked = node.client.asked(Ask("a", "wait", job, 2.0))
        node.clock.advance(1.9)
        self.assertNoResult(asked)
        node.clock.advance(0.2)
        view = self.successResultOf(asked).view
        self.assertEqual(("waiting", None), (view.state, view.outcome) if view else None)
        asked = node.client.asked(Ask("a", "wait", job, 2.0))
        self.successResultOf(node.service.cancel([job]))
        view = self.successResultOf(asked).view
        self.assertEqual(Status.CANCELLED, outcome_of(view).status if view else None)

    def test_patience_has_limits(self) -> None:
        """
        Whatever it is asked, it keeps nobody for longer than five seconds, and nobody for less than
        none.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        for asked_for, kept in ((1e9, 5.0), (float("inf"), 5.0), (-1.0, 0.0), (0.0, 0.0)):
            asked = node.client.asked(Ask("a", "wait", job, asked_for))
            self.assertNoResult(asked)
            node.clock.advance(kept)
            self.assertEqual("waiting", self.successResultOf(asked).view.state)  # type: ignore[union-attr]

    def test_cancelled(self) -> None:
        """
        Of a question that is withdrawn nothing is left.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        before = len(node.clock.getDelayedCalls())
        asked = node.client.asked(Ask("a", "wait", job, 2.0))
        self.assertEqual(before + 1, len(node.clock.getDelayedCalls()))
        asked.cancel()
        asked.addErrback(lambda failure: failure.trap(CancelledError))
        self.assertEqual(before, len(node.clock.getDelayedCalls()))

    def test_not_a_number(self) -> None:
        """
        Nonsense for a time is no time.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        asked = node.client.asked(Ask("a", "wait", job, float("nan")))
        node.clock.advance(5)
        self.assertEqual("waiting", self.successResultOf(asked).view.state)  # type: ignore[union-attr]


class WaitTests(ServiceCase):
    """
    Those who wait for a job.
    """

    def test_own(self) -> None:
        """
        A wait fires when the job ends, and shows what is shown afterwards.
        """
        cluster = self.cluster(nodes=1)
        [ticket] = cluster.submit("a", [250])
        waiting = cluster.client("a").wait(ticket)
        cluster.advance(0.24)
        self.assertNoResult(waiting)
        cluster.advance(0.02)
        self.assertEqual(
            cluster.result(cluster.client("a").view(ticket)), self.successResultOf(waiting)
        )

    def test_already_ended(self) -> None:
        """
        For a job that has ended it fires at once.
        """
        cluster = self.cluster(nodes=1)
        [ticket] = cluster.submit("a", [5])
        cluster.advance(1)
        self.assertEqual(
            Status.SUCCEEDED,
            outcome_of(self.successResultOf(cluster.client("a").wait(ticket))).status,
        )

    def test_ends_while_it_looks(self) -> None:
        """
        An outcome that comes while the store is read is not missed.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        node.disk.hold = True
        node.service.cancel([job])
        # It is not in memory any more, and not on the disk yet.
        node.store.viewing = reading = Deferred[None]()
        waiting = node.client.wait(format_ticket("a", job))
        self.assertNoResult(waiting)
        node.disk.write()
        node.disk.hold = False
        self.assertEqual(Status.CANCELLED, outcome_of(self.successResultOf(waiting)).status)
        reading.callback(None)

    def test_over_the_network(self) -> None:
        """
        Over the network it fires as soon, also where the job takes longer than any question.
        """
        cluster = self.cluster(hop=0.01)
        [ticket] = cluster.submit("a", [23_000])
        waiting = cluster.client("b").wait(ticket)
        cluster.advance(22.9)
        self.assertNoResult(waiting)
        cluster.advance(0.3)
        view = self.successResultOf(waiting)
        self.assertEqual(Status.SUCCEEDED, outcome_of(view).status)
        self.assertEqual(cluster.result(cluster.client("a").view(ticket)).outcome, view.outcome)

    def test_node_goes(self) -> None:
        """
        When the job's node goes, who waits elsewhere hears that at once.
        """
        cluster = self.cluster(hop=0.01)
        [ticket] = cluster.submit("a", [23_000])
        waiting = cluster.client("b").wait(ticket)
        cluster.advance(7)
        cluster.kill("a")
        cluster.advance(0.1)
        self.failureResultOf(waiting, NodeAwayError)

    def test_balancer_goes(self) -> None:
        """
        So it is with the balancer; of the question nothing is left at the job's node.
        """
        cluster = self.cluster(nodes=("a", "b"), hop=0.01)
        [ticket] = cluster.submit("a", [23_000])
        waiting = cluster.client("b").wait(ticket)
        cluster.advance(1)
        cluster.kill_balancer()
        cluster.advance(0.1)
        self.failureResultOf(waiting, BalancerAwayError)
        own = cluster.client("a").wait(ticket)
        self.assertEqual(Status.SUCCEEDED, outcome_of(cluster.result(own)).status)

    def test_cancelled(self) -> None:
        """
        A wait that is cancelled has failed, and nothing is left of it.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        before = len(node.clock.getDelayedCalls())
        waiting = node.client.wait(format_ticket("a", job))
        waiting.cancel()
        self.assertEqual(before, len(node.clock.getDelayedCalls()))
        self.failureResultOf(waiting, CancelledError)

    def test_cancelled_is_over(self) -> None:
        """
        A wait that is cancelled has a result at once: nobody is kept.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        waiting = node.client.wait(format_ticket("a", job))
        waiting.cancel()
        self.assertTrue(waiting.called)
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        self.successResultOf(node.service.cancel([job]))

    def test_cancelled_over_the_network(self) -> None:
        """
        So it is over the network; the other node forgets it when its patience is over.
        """
        cluster = self.cluster(hop=0.01)
        [ticket] = cluster.submit("a", [60_000])
        cluster.advance(1)
        process = cluster.nodes["b"].process
        before = len(process.getDelayedCalls())
        waiting = cluster.client("b").wait(ticket)
        self.assertGreater(len(process.getDelayedCalls()), before)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        cluster.advance(6)
        there = cluster.nodes["a"].process
        later = len(there.getDelayedCalls())
        cluster.advance(60)
        self.assertLessEqual(len(process.getDelayedCalls()), before)
        self.assertLessEqual(len(there.getDelayedCalls()), later)
