"""
What others see of a node whose disk fails: those who wait for outcomes, and the cluster.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from jobcluster.core.values import format_ticket
from jobcluster.errors import (
    NodeAwayError,
    NotAcknowledgedError,
    StoreFailedError,
    UnknownTicketError,
)
from tests.services.cases import ServiceCase
from tests.services.rig import LoneNode, sleep


class WaitingTests(ServiceCase):
    """
    Those who wait for an outcome while the disk fails.
    """

    def test_outcome_that_nobody_told(self) -> None:
        """
        A job whose outcome was written although its commit failed has ended, and they hear it.
        """
        node = self.started()
        [ticket] = self.successResultOf(node.tickets([sleep(5)]))
        waiting = node.client.wait(ticket)
        node.disk.hold = True
        cancelled = node.client.cancel(ticket)
        node.disk.fail(StoreFailedError(), written=True)
        node.disk.hold = False
        self.failureResultOf(cancelled, NotAcknowledgedError)
        node.clock.advance(5)
        view = self.successResultOf(node.client.view(ticket))
        self.assertEqual("ended", view.state)
        self.assertEqual(view.outcome, self.successResultOf(waiting).outcome)

    def test_outcome_that_was_not_written(self) -> None:
        """
        They go on waiting while the job has none.
        """
        cluster = self.cluster(nodes=1)
        [ticket] = cluster.submit("a", [3000])
        waiting = cluster.client("a").wait(ticket)
        cluster.nodes["a"].disk.sick = True
        cluster.advance(2)
        self.assertNoResult(waiting)
        cluster.nodes["a"].disk.sick = False
        outcome = cluster.result(waiting).outcome
        self.assertEqual("succeeded", outcome and outcome.status)

    def test_disk_fails_while_it_looks(self) -> None:
        """
        A disk that fails while the node looks for such outcomes is opened again once, not twice:
        there is one core, one runner, and one new incarnation for each failed commit.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        waiting = node.service.end_of(job)
        viewing: Deferred[None] = Deferred()
        node.store.viewing = viewing
        self._fail(node)
        node.clock.advance(0)
        self._fail(node)
        viewing.errback(StoreFailedError("cannot read"))
        node.clock.advance(5)
        self.assertEqual(3, node.identity.incarnation)
        self.assertEqual(len(node.runners) - 1, node.told.count("runner closed"))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_cannot_look(self) -> None:
        """
        Where the store cannot be read for that, the node begins anew, as after any read that fails.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        waiting = node.service.end_of(job)
        viewing: Deferred[None] = Deferred()
        node.store.viewing = viewing
        self._fail(node)
        node.clock.advance(0)
        viewing.errback(StoreFailedError("cannot read"))
        self.assertIsNone(node.service.core)
        node.clock.advance(1)
        self.assertEqual(3, node.identity.incarnation)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_who_waits_no_longer(self) -> None:
        """
        Nobody looks for what nobody waits for: a job that had ended, or was unknown, when somebody
        wanted to wait for it, or for which somebody has ceased to wait.
        """
        node = self.started()
        ended, open_ = self.successResultOf(node.tickets([sleep(5), sleep(5)]))
        self.successResultOf(node.client.cancel(ended))
        self.successResultOf(node.client.wait(ended))
        self.failureResultOf(node.client.wait(format_ticket("a", 12345)), UnknownTicketError)
        waiting = node.client.wait(open_)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        node.store.viewed.clear()
        self._fail(node)
        node.clock.advance(5)
        self.assertEqual([], node.store.viewed)

    def _fail(self, node: LoneNode) -> None:
        """Let a commit fail."""
        node.disk.hold = True
        submitted = node.submit([sleep(5)])
        node.disk.fail(StoreFailedError())
        node.disk.hold = False
        self.failureResultOf(submitted, NotAcknowledgedError)


class ClusterTests(ServiceCase):
    """
    What the cluster sees of a node whose disk fails.
    """

    def test_joins_again(self) -> None:
        """
        It is away while it cannot use its disk, and joins when it can, by itself.
        """
        cluster = self.cluster()
        cluster.nodes["a"].disk.sick = True
        cluster.advance(1.5)
        states = {node.name: node.state for node in cluster.view().nodes}
        self.assertEqual({"a": "away", "b": "joined"}, states)
        self.assertIn("disk", cluster.client("a").joined())
        cluster.nodes["a"].disk.sick = False
        cluster.until(cluster.all_joined, within=1.1)
        self.assertEqual("joined", cluster.view().nodes[0].state)

    def test_runs_elsewhere(self) -> None:
        """
        What it ran for others starts elsewhere when its grace is over; its own waits for it, and
        each job has one outcome.
        """
        cluster = self.cluster(slots=1)
        tickets = cluster.submit("a", [5000, 5000])
        cluster.advance(0)
        self.assertEqual({"a": 1, "b": 1}, cluster.running())
        cluster.nodes["b"].disk.sick = True
        cluster.advance(1)
        self.assertEqual({"a": 1}, cluster.running())
        self.assertEqual({"a"}, {cluster.wait(ticket).node for ticket in tickets})

    def test_nothing_is_said(self) -> None:
        """
        What waits for a commit that fails is not said: nobody hears that a job has ended which may
        not have; and it ends once the disk is well.
        """
        cluster = self.cluster(slots=1, hop=0.001)
        cluster.nodes["a"].disk.delay = 0.1
        tickets = cluster.submit("a", [500, 500])
        waiting = [cluster.client("b").wait(ticket) for ticket in tickets]
        cluster.advance(0.55)
        cluster.nodes["a"].disk.sick = True
        cluster.advance(1)
        for waited in waiting:
            self.failureResultOf(waited, NodeAwayError)
        cluster.nodes["a"].disk.sick = False
        cluster.until(cluster.all_joined)
        ended = [cluster.wait(ticket).outcome for ticket in tickets]
        self.assertEqual(["succeeded"] * 2, [outcome and outcome.status for outcome in ended])
