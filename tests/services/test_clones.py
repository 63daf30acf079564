"""
Two processes with the same state directory, or with copies of it.
"""

from __future__ import annotations

from jobcluster.core.cluster import ClusterSettings
from jobcluster.testing.clusters import MemoryCluster, MemoryNode
from tests.services.cases import ServiceCase


def clone_of(cluster: MemoryCluster, name: str) -> MemoryNode:
    """
    Start a node from a copy of what another one has committed.
    """
    clone = MemoryNode(cluster, cluster.nodes[name].setup)
    clone.tables = cluster.nodes[name].tables.copy()
    cluster.nodes[f"copy of {name}"] = clone
    clone.start()
    return clone


class CloneTests(ServiceCase):
    """
    A state directory that was copied.
    """

    def test_refused(self) -> None:
        """
        While the original is there, the copy is refused, says why, and goes on taking jobs.
        """
        cluster = self.cluster(nodes=2)
        clone = clone_of(cluster, "a")
        cluster.advance(5)
        self.assertIn("copied", clone.client.joined())
        self.assertEqual("", cluster.client("a").joined())
        self.assertEqual(1, len(cluster.submit("copy of a", [5])))

    def test_takes_over(self) -> None:
        """
        When the original has gone, the copy joins by itself, a second or so later.
        """
        cluster = self.cluster(nodes=2)
        clone_of(cluster, "a")
        cluster.advance(2)
        cluster.kill("a")
        cluster.until(cluster.all_joined, within=2.5)

    def test_original_comes_back(self) -> None:
        """
        The original that comes back with an incarnation that the copy has overtaken begins anew,
        with a greater one, and is refused as long as the copy is there; then it joins.
        """
        cluster = self.cluster(nodes=2)
        clone = clone_of(cluster, "a")
        cluster.kill("a")
        cluster.until(cluster.all_joined)
        cluster.nodes["a"].start()
        cluster.advance(5)
        original = cluster.nodes["a"]
        self.assertIn("copied", original.client.joined())
        self.assertEqual("", clone.client.joined())
        identity = original.service.identity
        self.assertGreater(identity.incarnation if identity else 0, 2)
        clone.process.die()
        cluster.until(cluster.all_joined, within=2.5)

    def test_not_in_turns(self) -> None:
        """
        Refused, it does not count its incarnation up again and again.
        """
        cluster = self.cluster(nodes=2)
        clone_of(cluster, "a")
        cluster.kill("a")
        cluster.until(cluster.all_joined)
        cluster.nodes["a"].start()
        cluster.advance(5)
        before = cluster.nodes["a"].service.identity
        cluster.advance(60)
        self.assertEqual(before, cluster.nodes["a"].service.identity)

    def test_far_behind(self) -> None:
        """
        An original that has been overtaken by far, as by a restored backup, does not count through
        all the incarnations in between as fast as it can.
        """
        cluster = self.cluster(nodes=2, hop=0.001)
        clone = MemoryNode(cluster, cluster.nodes["a"].setup)
        clone.tables = cluster.nodes["a"].tables.copy()
        for _ in range(500):
            clone.tables.open("a", "boot", "store-of-a", 1, 0)
        cluster.kill("a")
        cluster.nodes["copy of a"] = clone
        clone.start()
        cluster.until(cluster.all_joined)
        cluster.nodes["a"].start()
        cluster.advance(10)
        identity = cluster.nodes["a"].service.identity
        self.assertLess(identity.incarnation if identity else 0, 20)

    def test_back_within_the_grace_time(self) -> None:
        """
        Once it has joined, a connection that it loses is made again within a third of the grace
        time, however it came to join.
        """
        cluster = self.cluster(nodes=2, settings=ClusterSettings(grace=1.0), hop=0.001)
        clone = clone_of(cluster, "a")
        cluster.kill("a")
        cluster.until(cluster.all_joined)
        cluster.restart("a")
        cluster.until(lambda: cluster.nodes["a"].service.core is not None)
        cluster.until(lambda: cluster.nodes["a"].service.core is None)
        clone.process.die()
        cluster.until(cluster.all_joined)
        cluster.advance(5)
        cluster.cut("a")
        cluster.advance(0.001)
        self.assertNotEqual("", cluster.client("a").joined())
        cluster.until(cluster.all_joined, within=0.34)

    def test_is_not_called_a_sick_disk(self) -> None:
        """
        While it begins anew, it says so, and not that its disk was at fault.
        """
        cluster = self.cluster(nodes=2)
        clone_of(cluster, "a")
        cluster.kill("a")
        cluster.until(cluster.all_joined)
        cluster.restart("a")
        cluster.until(lambda: cluster.nodes["a"].service.core is not None)
        cluster.until(lambda: cluster.nodes["a"].service.core is None)
        self.assertNotIn("disk", cluster.client("a").joined())


class NameTests(ServiceCase):
    """
    Nodes of one name.
    """

    def test_other_store(self) -> None:
        """
        The name of a node that is there is not for another one; the other is told what to do.
        """
        cluster = self.cluster(nodes=2)
        other = MemoryNode(cluster, cluster.nodes["a"].setup)
        other.tables.open("a", "boot", "another-store", 1, 0)
        other.start()
        cluster.nodes["another"] = other
        cluster.advance(2)
        self.assertIn("--name", other.client.joined())
        cluster.kill("a")
        cluster.until(cluster.all_joined, within=5.5)

    def test_seats(self) -> None:
        """
        A node too many waits until a seat is free.
        """
        cluster = self.cluster(nodes=2, settings=ClusterSettings(max_nodes=2))
        third = MemoryNode(cluster, cluster.nodes["a"].setup)
        third.tables.open("c", "boot", "store-of-c", 1, 0)
        third.start()
        cluster.nodes["c"] = third
        cluster.advance(2)
        self.assertIn("MAX_NUM_NODES", third.client.joined())
        cluster.stop("b")
        cluster.until(cluster.all_joined, within=2)
