"""
The jobs of a node, listed and cancelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from jobcluster.core.values import Outcome, Status, format_ticket
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import (
    StoreFailedError,
)
from jobcluster.interfaces import IClusterView
from jobcluster.testing.clusters import MemoryCluster
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


class CancelTests(ServiceCase):
    """
    The wish to cancel a job.
    """

    def test_waiting(self) -> None:
        """
        One that nobody can hold will never run.
        """
        node = self.started()
        [ticket] = self.successResultOf(node.tickets([sleep(5)]))
        self.assertEqual("cancelled", self.successResultOf(node.client.cancel(ticket)))
        view = self.successResultOf(node.client.view(ticket))
        self.assertEqual(Status.CANCELLED, outcome_of(view).status)

    def test_running(self) -> None:
        """
        One that runs is being cancelled; its own end decides. So it is from every node.
        """
        for node in ("a", "b"):
            cluster = self.cluster(hop=0.01)
            [ticket] = cluster.submit("a", [5000])
            cluster.advance(0.1)
            self.assertEqual("cancelling", cluster.result(cluster.client(node).cancel(ticket)))
            view = cluster.wait(ticket, at=node, within=1)
            self.assertEqual(Status.CANCELLED, outcome_of(view).status)

    def test_ended(self) -> None:
        """
        For one that has ended it is too late, from every node.
        """
        cluster = self.cluster()
        [ticket] = cluster.submit("a", [5])
        cluster.wait(ticket)
        for node in ("a", "b"):
            self.assertEqual("ended", cluster.result(cluster.client(node).cancel(ticket)))
        self.assertEqual(Status.SUCCEEDED, outcome_of(cluster.wait(ticket)).status)

    def test_shown(self) -> None:
        """
        Meanwhile it is shown as being cancelled.
        """
        cluster = self.cluster(slots=1, hop=0.05)
        tickets = cluster.submit("a", [5000, 5000])
        cluster.advance(0.5)
        client = cluster.client("a")
        nodes = {cluster.result(client.view(ticket)).node: ticket for ticket in tickets}
        ticket = nodes["b"]
        cluster.result(client.cancel(ticket))
        self.assertEqual("cancelling", self.successResultOf(client.view(ticket)).state)
        [view] = cluster.result(cluster.client("a").jobs(Filter("cancelling"), 0, 10))
        self.assertEqual(ticket, format_ticket("a", view.job))


class JobsTests(ServiceCase):
    """
    Jobs of this node, listed.
    """

    def listed(
        self, cluster: MemoryCluster, state: str, after: int = 0, limit: int = 1000
    ) -> Sequence[JobView]:
        """
        Those in a state.
        """
        return cluster.result(cluster.client("a").jobs(Filter(state), after, limit))

    def test_states(self) -> None:
        """
        Each state lists the jobs that are in it, in the order of their submission.
        """
        cluster = self.cluster(nodes=1, slots=2)
        done, stopped = cluster.submit("a", [5, 9000])
        cluster.wait(done)
        cluster.result(cluster.client("a").cancel(stopped))
        cluster.wait(stopped)
        running = cluster.submit("a", [9000, 9000])
        waiting = cluster.submit("a", [9000, 9000, 9000])
        cluster.advance(0.1)
        expected = {
            "": (done, stopped, *running, *waiting),
            "open": (*running, *waiting),
            "waiting": waiting,
            "running": running,
            "cancelling": (),
            Status.SUCCEEDED: (done,),
            Status.CANCELLED: (stopped,),
            Status.FAILED: (),
        }
        for state, tickets in expected.items():
            found = tuple(format_ticket("a", view.job) for view in self.listed(cluster, state))
            self.assertEqual(tickets, found, state)

    def test_pages(self) -> None:
        """
        A long list comes in pages, each after the last of the one before; no job is passed over,
        even where few of many are in the state.
        """
        cluster = self.cluster(nodes=1, slots=3)
        cluster.submit("a", [9000] * 3)
        cluster.submit("a", [9000] * 1197)
        cluster.advance(0.1)
        for state, all_of_them in (("waiting", 1197), ("running", 3), ("open", 1200)):
            found: list[int] = []
            while page := self.listed(cluster, state, found[-1] if found else 0, 450):
                self.assertLessEqual(len(page), 450)
                found.extend(view.job for view in page)
            self.assertEqual(all_of_them, len(set(found)), state)
            self.assertEqual(sorted(found), found)

    def test_far_behind(self) -> None:
        """
        One that runs is found behind any number of older ones that wait.
        """
        cluster = self.cluster(nodes=1, slots=1)
        first, *_ = cluster.submit("a", [9000] * 1200)
        cluster.advance(0)
        [urgent] = cluster.submit("a", [sleep(9000, priority=5)])
        cluster.result(cluster.client("a").cancel(first))
        cluster.advance(0)
        [view] = self.listed(cluster, "running")
        self.assertEqual(urgent, format_ticket("a", view.job))

    def test_only_its_own(self) -> None:
        """
        Jobs of other nodes are not among them.
        """
        cluster = self.cluster()
        cluster.submit("b", [500] * 4)
        cluster.advance(0.1)
        self.assertEqual((), self.listed(cluster, ""))

    def test_sick_disk(self) -> None:
        """
        What cannot be read is not guessed.
        """
        cluster = self.cluster()
        cluster.nodes["a"].disk.sick = True
        cluster.advance(1)
        for state in ("", "running"):
            with self.assertRaises(StoreFailedError):
                self.listed(cluster, state)
