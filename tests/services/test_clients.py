"""
A node and its cluster, as clients see them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from jobcluster.core.values import Outcome, format_ticket, parse_ticket
from jobcluster.core.views import JobView
from jobcluster.errors import (
    BalancerAwayError,
    ExpiredTicketError,
    MalformedTicketError,
    NodeAwayError,
    StoreFailedError,
    StoreOpeningError,
    UnknownTicketError,
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


class NodeTests(ServiceCase):
    """
    What a client sees of the node itself.
    """

    def test_interface(self) -> None:
        """
        It is all that a console needs.
        """
        self.assertTrue(verifyObject(IClusterView, self.lone().client))

    def test_name(self) -> None:
        """
        Its name is that of the store, and empty before that is open.
        """
        node = self.lone()
        self.assertEqual("", node.client.name)
        node.service.startService()
        self.assertEqual("a", node.client.name)

    def test_joined(self) -> None:
        """
        Whether it is joined is said in one line, empty if it is.
        """
        cluster = self.cluster()
        client = cluster.client("a")
        self.assertEqual("", client.joined())
        cluster.kill_balancer()
        cluster.advance(0)
        self.assertEqual("the balancer cannot be reached", client.joined())
        cluster.start_balancer()
        cluster.advance(1)
        self.assertEqual("", client.joined())
        cluster.nodes["a"].disk.sick = True
        cluster.advance(1)
        self.assertIn("disk", client.joined())

    def test_cluster(self) -> None:
        """
        The cluster is shown as the balancer sees it, while there is one.
        """
        cluster = self.cluster(nodes=3, slots=4)
        shown = cluster.result(cluster.client("b").cluster())
        self.assertEqual([("a", 4), ("b", 4), ("c", 4)], [(n.name, n.slots) for n in shown.nodes])
        cluster.kill_balancer()
        cluster.advance(0)
        self.failureResultOf(cluster.client("b").cluster(), BalancerAwayError)

    def test_before_the_start(self) -> None:
        """
        Before the node is up, nothing is known of any ticket, and that is said.
        """
        client = self.lone().client
        self.failureResultOf(client.view(unknown_at("b")), StoreOpeningError)
        self.failureResultOf(client.submit([sleep(5)]), StoreOpeningError)
        self.assertIn("opening", client.joined())


class ViewTests(ServiceCase):
    """
    Tickets, and what is shown for them.
    """

    def views(self, cluster: MemoryCluster, ticket: str) -> list[JobView]:
        """
        What each node shows.
        """
        return [cluster.result(node.client.view(ticket)) for node in cluster.nodes.values()]

    def test_everywhere(self) -> None:
        """
        A ticket names its node, and every node shows the same for it (C3).
        """
        cluster = self.cluster(nodes=3, hop=0.001)
        [ticket] = cluster.submit("b", [200])
        self.assertEqual("b", parse_ticket(ticket) and ticket.split(".")[0])
        for state in ("running", "ended"):
            cluster.advance(0.1)
            shown = self.views(cluster, ticket)
            self.assertEqual([shown[0]] * 3, shown)
            self.assertEqual((state, b"200"), (shown[0].state, shown[0].payload))
            cluster.advance(0.3)
        self.assertEqual("b", shown[0].node)
        self.assertEqual(b"slept 200 ms", outcome_of(shown[0]).value)

    def test_where_it_runs(self) -> None:
        """
        Of a job that runs it is shown where; one that waits is nowhere.
        """
        cluster = self.cluster(slots=1)
        tickets = cluster.submit("a", [500] * 3)
        cluster.advance(0.1)
        shown = [cluster.result(cluster.client("a").view(ticket)) for ticket in tickets]
        self.assertEqual(
            [("running", "a"), ("running", "b"), ("waiting", "")],
            sorted((view.state, view.node) for view in shown),
        )

    def test_malformed(self) -> None:
        """
        What is no ticket is said to be none, whatever is asked about it.
        """
        client = self.started().client
        for text in ("", "a", "a.b", "a." + "u" * 13, "12.0123456789abc"):
            for asked in questions(client, text):
                self.failureResultOf(asked, MalformedTicketError)

    def test_unknown(self) -> None:
        """
        A ticket that its node never gave out is unknown, here and elsewhere.
        """
        cluster = self.cluster()
        for node in ("a", "b"):
            for asked in questions(cluster.client(node), unknown_at("a")):
                with self.assertRaises(UnknownTicketError):
                    cluster.result(asked)

    def test_node_away(self) -> None:
        """
        The ticket of a node that is not there says that its node is away, not that it is unknown.
        """
        cluster = self.cluster()
        [ticket] = cluster.submit("b", [5])
        cluster.kill("b")
        cluster.advance(0)
        for named in (ticket, unknown_at("never")):
            for asked in questions(cluster.client("a"), named):
                with self.assertRaises(NodeAwayError):
                    cluster.result(asked)

    def test_balancer_away(self) -> None:
        """
        Without a balancer a node answers for its own tickets only.
        """
        cluster = self.cluster()
        [own] = cluster.submit("a", [5])
        [other] = cluster.submit("b", [5])
        cluster.advance(1)
        cluster.kill_balancer()
        cluster.advance(0)
        client = cluster.client("a")
        self.assertEqual("ended", cluster.result(client.view(own)).state)
        for asked in questions(client, other):
            with self.assertRaises(BalancerAwayError):
                cluster.result(asked)

    def test_after_a_restart(self) -> None:
        """
        After the balancer's restart tickets are answered as before.
        """
        cluster = self.cluster()
        [ticket] = cluster.submit("b", [5])
        cluster.wait(ticket)
        cluster.kill_balancer()
        cluster.advance(2)
        cluster.start_balancer()
        cluster.until(cluster.all_joined)
        self.assertEqual("ended", cluster.result(cluster.client("a").view(ticket)).state)

    def test_expired(self) -> None:
        """
        A ticket whose retention is over is expired, not unknown, here and elsewhere.
        """
        cluster = self.cluster()
        [ticket] = cluster.submit("a", [5])
        wall = cluster.wait(ticket, at="a")
        ended = outcome_of(wall).ended
        cluster.nodes["a"].tables.expire(ended + 1, 0, 10)
        cluster.nodes["a"].service.recent.clear()
        for node in ("a", "b"):
            with self.assertRaises(ExpiredTicketError):
                cluster.result(cluster.client(node).view(ticket))
            with self.assertRaises(ExpiredTicketError):
                cluster.result(cluster.client(node).wait(ticket))

    def test_sick_disk(self) -> None:
        """
        While its disk cannot be used a node answers nothing for its tickets, rather than something
        that may not be so.
        """
        cluster = self.cluster()
        [ticket] = cluster.submit("a", [5])
        cluster.wait(ticket)
        cluster.nodes["a"].disk.sick = True
        cluster.advance(1)
        for asked in questions(cluster.client("a"), ticket):
            with self.assertRaises(StoreFailedError):
                cluster.result(asked)
