"""
A node that stops in order.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred

from jobcluster.core.events import RunEnded, RunsEnded
from jobcluster.core.records import Deadline, DeadlinesSet
from jobcluster.core.values import Cause, Outcome, Status
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import NotAcknowledgedError, StateGoneError, StoreError, StoreFailedError
from jobcluster.store.tables import Tables
from jobcluster.testing.clusters import MemoryCluster
from tests.services.cases import ServiceCase
from tests.services.rig import BOOTED, LoneNode, sleep

CLOSED = ["runner closed", "close"]
"""How everything ends: nothing runs any more when the store is closed."""


def with_a_sleep() -> Tables:
    """
    What a node has written that was killed while a sleep of a minute ran.
    """
    tables = Tables()
    tables.open("a", "boot", "store", 1, 0)
    begun = Deadline("b", "store-b", 3, 4, 1000, "boot", BOOTED + 60, 1, 60_001, once=False)
    tables.apply([DeadlinesSet((begun,))])
    return tables


REF = ("b", "store-b", 3, 4)


class LoneTests(ServiceCase):
    """
    Without a balancer.
    """

    def test_idle(self) -> None:
        """
        An idle node ends at once: it tries to connect no more, and its store is closed last.
        """
        node = self.started()
        self.successResultOf(node.service.stopService())
        self.assertEqual(["runner finished", *CLOSED], node.take())
        self.assertEqual(1, len(node.endpoint.attempts))
        node.clock.advance(60)
        self.assertEqual(1, len(node.endpoint.attempts))
        self.assertEqual([], node.take())

    def test_takes_nothing_more(self) -> None:
        """
        Afterwards jobs are refused.
        """
        node = self.started()
        self.successResultOf(node.service.stopService())
        self.failureResultOf(node.submit([sleep(5)]), StoreError)

    def test_ends_what_runs(self) -> None:
        """
        What runs is stopped first.
        """
        node = self.started(with_a_sleep())
        self.successResultOf(node.service.stopService())
        self.assertEqual([("stop", (4,))], node.take()[:1])

    def test_waits_for_what_runs(self) -> None:
        """
        It waits until that has ended.
        """
        node = self._stubborn()
        stopped = node.service.stopService()
        self.assertEqual([("stop", (4,))], node.take())
        node.clock.advance(9)
        self.assertNoResult(stopped)
        self.assertNotIn("close", node.take())
        node.runners[0].told(RunsEnded((RunEnded(REF, Outcome(Status.CANCELLED)),)))
        self.successResultOf(stopped)
        self.assertEqual(CLOSED, node.take()[-2:])

    def _stubborn(self) -> LoneNode:
        """A node with a run that does not end when it is stopped."""
        node = self.lone(with_a_sleep())
        node.next_runner.ends_what_is_stopped = False
        node.service.startService()
        node.take()
        return node

    def test_not_for_ever(self) -> None:
        """
        After ten seconds it ends all the same, and says so.
        """
        node = self._stubborn()
        logged = self.logged()
        stopped = node.service.stopService()
        node.clock.advance(9.9)
        self.assertNoResult(stopped)
        node.clock.advance(0.1)
        self.successResultOf(stopped)
        self.assertIn("not everything could be said before the node stopped", logged())
        self.assertEqual(CLOSED, node.take()[-2:])

    def test_keep(self) -> None:
        """
        What is to go on is not stopped, and not waited for.
        """
        node = self.started(with_a_sleep(), keep=True)
        self.successResultOf(node.service.stopService())
        self.assertEqual(CLOSED, node.take())

    def test_keep_no_longer(self) -> None:
        """
        What was to go on is stopped after all, and waited for: the machine goes down.
        """
        node = self.started(with_a_sleep(), keep=True)
        node.service.end_what_runs()
        self.successResultOf(node.service.stopService())
        done = node.take()
        self.assertEqual(("stop", (4,)), done[0])
        self.assertEqual(["runner finished", *CLOSED], done[-3:])

    def test_slow_to_close(self) -> None:
        """
        It has stopped when its store is closed, not before.
        """
        node = self.started()
        node.store.closing = closing = Deferred[None]()
        stopped = node.service.stopService()
        self.assertNoResult(stopped)
        closing.callback(None)
        self.successResultOf(stopped)

    def test_while_it_opens(self) -> None:
        """
        A node that is stopped before its store is open never begins.
        """
        node = self.lone()
        opening: Deferred[None] = Deferred()
        node.store.openings = [opening]
        node.service.startService()
        self.successResultOf(node.service.stopService())
        opening.callback(None)
        self.assertIsNone(node.service.core)
        self.assertEqual([], node.endpoint.attempts)
        self.assertNotIn("fatal", str(node.take()))

    def test_before_the_inventory(self) -> None:
        """
        The same where it waits for its runner's inventory.
        """
        node = self.lone()
        found: Deferred[Any] = Deferred()
        node.next_runner.found = found
        node.service.startService()
        self.successResultOf(node.service.stopService())
        found.callback(("", ()))
        self.assertIsNone(node.service.core)

    def test_with_a_sick_disk(self) -> None:
        """
        A node that waits for its disk to be well ends at once, and tries no more.
        """
        node = self.started()
        node.disk.hold = True
        submitted = node.submit([sleep(5)])
        node.store.openings = [StoreFailedError()]
        node.disk.fail(StoreFailedError())
        self.failureResultOf(submitted, NotAcknowledgedError)
        node.clock.advance(0.5)
        node.take()
        self.successResultOf(node.service.stopService())
        node.clock.advance(5)
        # What runs goes on while the node begins anew, and must not outlive it.
        done = [told for told in node.take() if told != "runner closed"]
        self.assertEqual(["runner finished", "close"], done)

    def test_while_met(self) -> None:
        """
        A node that waits for the inventory of what runs jobs ends that too; unless it is to go on.
        """
        for keep in (False, True):
            node = self.lone(keep=keep)
            node.next_runner.found = Deferred()
            node.service.startService()
            node.take()
            self.successResultOf(node.service.stopService())
            self.assertEqual(not keep, "runner finished" in node.take())

    def test_sick_disk_is_not_tried_again(self) -> None:
        """
        Where the disk fails while the node stops, it is not opened again.
        """
        node = self.started()
        node.disk.hold = True
        submitted = node.submit([sleep(5)])
        node.service.stopService()
        node.disk.fail(StoreFailedError())
        self.failureResultOf(submitted, NotAcknowledgedError)
        node.take()
        node.clock.advance(10)
        self.assertEqual([], [told for told in node.take() if told[0] == "open"])

    def test_disk_fails_meanwhile(self) -> None:
        """
        Where the disk fails while the node stops, nothing can be said any more, so there is nothing
        to wait for.
        """
        for error in (StoreFailedError(), StateGoneError()):
            node = self.started()
            node.disk.hold = True
            submitted = node.submit([sleep(5)])
            stopped = node.service.stopService()
            node.disk.fail(error)
            self.failureResultOf(submitted, NotAcknowledgedError)
            self.successResultOf(stopped)


class ClusterTests(ServiceCase):
    """
    In a cluster.
    """

    def _spread(self, cluster: MemoryCluster, *milliseconds: int) -> list[str]:
        """Submit jobs at one node so that they run on both."""
        tickets = list(cluster.submit("a", milliseconds))
        cluster.advance(0.1)
        self.assertEqual({"a": 1, "b": 1}, cluster.running())
        return tickets

    def _at(self, cluster: MemoryCluster, tickets: list[str], node: str) -> str:
        """The ticket of the job that runs there."""
        [ticket] = [t for t in tickets if cluster.result(cluster.client("a").view(t)).node == node]
        return ticket

    def _ended(self, cluster: MemoryCluster, ticket: str) -> tuple[JobView, Outcome]:
        """A job when it has ended."""
        view = cluster.wait(ticket)
        if view.outcome is None:
            raise AssertionError("no outcome")
        return view, view.outcome

    def test_leaves(self) -> None:
        """
        The balancer has heard that it is gone when it has stopped: nobody waits for its grace.
        """
        cluster = self.cluster(hop=0.01)
        before = cluster.clock.seconds()
        cluster.stop("b")
        self.assertLess(cluster.clock.seconds() - before, 0.2)
        cluster.advance(0.02)
        self.assertEqual(["a"], [node.name for node in cluster.view().nodes])

    def test_connection_first(self) -> None:
        """
        When it has stopped, its connection has ended, too.
        """
        cluster = self.cluster(hop=0.01)
        node = cluster.nodes["b"]
        self.assertEqual(1, len(node.process.ends))
        cluster.result(node.service.stopService())
        self.assertEqual([], node.process.ends)

    def test_hands_back(self) -> None:
        """
        What it ran for others starts elsewhere at once, and is lost by no fault of its own.
        """
        cluster = self.cluster(slots=1, hop=0.01)
        tickets = self._spread(cluster, 300, 5000)
        theirs = self._at(cluster, tickets, "b")
        cluster.stop("b")
        view, outcome = self._ended(cluster, theirs)
        self.assertEqual("a", view.node)
        self.assertEqual(Status.SUCCEEDED, outcome.status)
        [job] = [job for job in cluster.nodes["a"].tables.views(Filter(), 0, 9) if job.node == "a"][
            :1
        ]
        self.assertIsNotNone(job)
        stored = cluster.result(cluster.client("a").view(theirs))
        self.assertEqual(2, stored.attempts)

    def test_own_jobs_wait_for_it(self) -> None:
        """
        Its own jobs are still there when it is started again, and end then.
        """
        cluster = self.cluster(nodes=1, slots=1)
        tickets = cluster.submit("a", [5000, 100])
        cluster.advance(0.1)
        cluster.stop("a")
        cluster.restart("a")
        cluster.until(cluster.all_joined)
        for ticket in tickets:
            self.assertEqual(Status.SUCCEEDED, self._ended(cluster, ticket)[1].status)

    def test_outcomes_first(self) -> None:
        """
        An outcome that its origin has not acknowledged yet is waited for.
        """
        cluster = self.cluster(slots=1, hop=0.01)
        cluster.nodes["a"].disk.delay = 0.3
        tickets = cluster.submit("a", [100, 100])
        waiting = [cluster.client("a").wait(ticket) for ticket in tickets]
        cluster.advance(0.2)
        cluster.stop("b")
        for waited in waiting:
            self.assertEqual(1, cluster.result(cluster.client("a").view(tickets[0])).attempts)
            cluster.result(waited)
        views = [cluster.result(cluster.client("a").view(ticket)) for ticket in tickets]
        self.assertEqual({"a", "b"}, {view.node for view in views})
        self.assertEqual([1, 1], [view.attempts for view in views])

    def test_keep(self) -> None:
        """
        What is to go on runs on, and its node is given a minute to come back.
        """
        cluster = self.cluster(slots=1, hop=0.01)
        node = cluster.nodes["b"]
        node.setup = attrs.evolve(node.setup, keep=True)
        cluster.restart("b")
        cluster.until(cluster.all_joined)
        cluster.advance(3)
        tickets = self._spread(cluster, 40_000, 40_000)
        theirs = self._at(cluster, tickets, "b")
        cluster.stop("b")
        cluster.advance(30)
        self.assertEqual({"a": 1}, cluster.running())
        cluster.restart("b")
        cluster.until(cluster.all_joined)
        view, outcome = self._ended(cluster, theirs)
        self.assertEqual("b", view.node)
        self.assertLess(outcome.ended - outcome.started, 40_100)

    def test_lost_by_the_stop(self) -> None:
        """
        A job that is to run at most once is lost with its node, by the cause that it was stopped.
        """
        cluster = self.cluster(slots=1, hop=0.01)
        specs = [attrs.evolve(sleep(5000), on_node_loss="fail") for _ in range(2)]
        tickets = list(cluster.submit("a", specs))
        cluster.advance(0.2)
        theirs = self._at(cluster, tickets, "b")
        cluster.stop("b")
        view, outcome = self._ended(cluster, theirs)
        self.assertEqual((Status.LOST, Cause.NODE_STOPPED), (outcome.status, outcome.detail))
        self.assertEqual("b", view.node)
