"""
Promises of the contract, kept by real shells and real protocols over a network in memory.
"""

from __future__ import annotations

import attrs

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.values import OnNodeLoss, Status
from jobcluster.core.views import JobView
from jobcluster.testing.clusters import MemoryCluster
from tests.services.cases import ServiceCase
from tests.services.rig import sleep


def ended_at(view: JobView) -> float:
    """
    When a job ended, in seconds since the epoch.
    """
    if view.outcome is None or view.outcome.status != Status.SUCCEEDED:
        raise AssertionError(f"{view} has not succeeded")
    return view.outcome.ended / 1000


class BalanceTests(ServiceCase):
    """
    The load is shared (C4).
    """

    def test_eager(self) -> None:
        """
        While jobs wait, no two nodes differ by more than one in what they are given, and no slot
        stays free.
        """
        cluster = self.cluster(nodes=3, slots=2, hop=0.001)
        tickets = cluster.submit("a", [100 + 7 * n for n in range(60)])
        cluster.advance(0.01)
        while cluster.view().balance.waiting:
            given = [node.given for node in cluster.view().nodes]
            self.assertLessEqual(max(given) - min(given), 1)
            self.assertGreaterEqual(sum(given), 5)
            cluster.advance(0.005)
        self.assertEqual(60, len({cluster.wait(ticket).job for ticket in tickets}))
        self.assertEqual(1.0, cluster.view().balance.within_one)

    def test_at_once(self) -> None:
        """
        On an idle cluster a job starts at its own node as soon as it is committed, and its end is
        told as soon as it ends.
        """
        cluster = self.cluster(nodes=2, hop=0.01)
        cluster.advance(1)
        [ticket] = cluster.submit("a", [0])
        before = cluster.clock.seconds()
        self.assertEqual("a", cluster.wait(ticket).node)
        self.assertLess(cluster.clock.seconds() - before, 0.025)

    def test_periodic(self) -> None:
        """
        In the periodic mode jobs move only every dispatch period, and so many at most, however many
        slots there are; what is given is shared within one.
        """
        settings = ClusterSettings(periodic=True, dispatch_period=5.0, max_jobs_dispatch=30)
        cluster = self.cluster(nodes=4, slots=2, settings=settings)
        start = cluster.clock.seconds()
        cluster.submit("a", [600_000] * 70)
        totals = []
        for _ in range(4):
            given = [node.given for node in cluster.view().nodes]
            self.assertLessEqual(max(given) - min(given), 1)
            totals.append(sum(given))
            start += 5.0
            cluster.advance(start + 0.01 - cluster.clock.seconds())
        self.assertEqual([0, 30, 60, 70], totals)
        self.assertEqual(8, sum(cluster.running().values()))

    def test_no_slots(self) -> None:
        """
        A node without slots takes jobs and runs none.
        """
        cluster = self.cluster(nodes=2, slots=1)
        node = cluster.nodes["a"]
        node.setup = attrs.evolve(node.setup, settings=attrs.evolve(node.setup.settings, slots=0))
        cluster.restart("a")
        cluster.until(cluster.all_joined)
        tickets = cluster.submit("a", [50] * 4)
        self.assertEqual({"b"}, {cluster.wait(ticket).node for ticket in tickets})


class LossTests(ServiceCase):
    """
    Nodes that are lost (C5, C6).
    """

    def spread(self, cluster: MemoryCluster, *milliseconds: int) -> dict[str, str]:
        """
        Submit at C{a}, and return the tickets by where they run.
        """
        tickets = cluster.submit("a", milliseconds)
        cluster.advance(0.1)
        client = cluster.client("a")
        return {cluster.result(client.view(ticket)).node: ticket for ticket in tickets}

    def test_elsewhere(self) -> None:
        """
        A job whose node was killed starts elsewhere when the grace time is over, not before, and
        half a second later at the latest.
        """
        cluster = self.cluster(nodes=3, slots=1, hop=0.001)
        where = self.spread(cluster, 900_000, 2000, 900_000)
        node = next(
            name
            for name in ("b", "c")
            if cluster.result(cluster.client("a").view(where[name])).payload == b"2000"
        )
        other = next(name for name in ("b", "c") if name != node)
        cluster.result(cluster.client("a").cancel(where[other]))
        cluster.wait(where[other])
        killed = cluster.clock.seconds()
        cluster.kill(node)
        cluster.advance(2.9)
        self.assertEqual(0, cluster.running()[other])
        cluster.until(lambda: cluster.running()[other], within=0.6)
        self.assertLessEqual(cluster.clock.seconds() - killed, 3.5)
        view = cluster.wait(where[node])
        self.assertEqual(other, view.node)
        self.assertEqual(2, view.attempts)

    def test_kept(self) -> None:
        """
        A node that was killed and is back within the grace time keeps what it ran, and that ends
        when it was to end.
        """
        cluster = self.cluster(nodes=2, slots=1, hop=0.001)
        where = self.spread(cluster, 900_000, 8000)
        cluster.advance(1)
        cluster.kill("b")
        cluster.advance(2)
        cluster.restart("b")
        cluster.until(cluster.all_joined, within=1)
        self.assertEqual(1, cluster.running()["b"])
        view = cluster.wait(where["b"])
        self.assertEqual(("b", 1), (view.node, view.attempts))
        if view.outcome is None:
            raise AssertionError("no outcome")
        self.assertLess(view.outcome.ended - view.outcome.started, 8010)

    def test_origin_and_balancer(self) -> None:
        """
        When origin and balancer die together and come back, each job ends, and what ran elsewhere
        was not started again.
        """
        cluster = self.cluster(nodes=2, slots=1, hop=0.001)
        where = self.spread(cluster, 5000, 5000)
        cluster.kill("a")
        cluster.kill_balancer()
        cluster.advance(1)
        cluster.start_balancer()
        cluster.restart("a")
        cluster.until(cluster.all_joined)
        for node, ticket in where.items():
            view = cluster.wait(ticket)
            self.assertEqual((node, 1), (view.node, view.attempts))

    def test_at_most_once(self) -> None:
        """
        A job that is to run at most once is lost with its node, and runs nowhere else.
        """
        cluster = self.cluster(nodes=2, slots=1, hop=0.001)
        once = attrs.evolve(sleep(5000), on_node_loss=OnNodeLoss.FAIL)
        tickets = cluster.submit("a", [once, once])
        cluster.advance(0.1)
        client = cluster.client("a")
        [theirs] = [t for t in tickets if cluster.result(client.view(t)).node == "b"]
        cluster.kill("b")
        view = cluster.wait(theirs)
        self.assertEqual(Status.LOST, view.outcome and view.outcome.status)
        self.assertEqual(("b", 1), (view.node, view.attempts))

    def test_told_again(self) -> None:
        """
        An outcome that its origin is slow to commit is told again, and counts once.
        """
        cluster = self.cluster(nodes=2, slots=1, hop=0.001)
        where = self.spread(cluster, 900_000, 500)
        cluster.nodes["a"].disk.delay = 7.0
        cluster.advance(20)
        view = cluster.result(cluster.client("a").view(where["b"]))
        self.assertEqual(("ended", 1), (view.state, view.attempts))
        self.assertEqual(0, cluster.running()["b"])
        self.assertLess(ended_at(view) - view.submitted / 1000, 0.6)
