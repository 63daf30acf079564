"""
Jobs that only some nodes suit.
"""

from __future__ import annotations

import attrs

from jobcluster.core.values import Spec
from jobcluster.testing.clusters import MemoryCluster
from tests.services.cases import ServiceCase
from tests.services.rig import sleep


def requiring(labels: str, milliseconds: int = 100) -> Spec:
    """
    A sleep that requires these labels.
    """
    return attrs.evolve(sleep(milliseconds), requires=labels)


class RequirementTests(ServiceCase):
    """
    What runs where, and what waits.
    """

    def labelled(self, **labels: str) -> MemoryCluster:
        """
        A cluster of the nodes a and b, which have these labels.
        """
        cluster = self.cluster(nodes=2, slots=1)
        for name, text in labels.items():
            node = cluster.nodes[name]
            settings = attrs.evolve(node.setup.settings, labels=tuple(text.split(",")))
            node.setup = attrs.evolve(node.setup, settings=settings)
            cluster.stop(name)
            cluster.restart(name)
        cluster.until(cluster.all_joined)
        return cluster

    def test_where(self) -> None:
        """
        A job runs at a node that has all that it requires, whatever node it was handed to.
        """
        cluster = self.labelled(b="fast,gpu")
        tickets = cluster.submit("a", [requiring("gpu"), requiring("fast,gpu")] * 3)
        nodes = {cluster.wait(ticket).node for ticket in tickets}
        self.assertEqual({"b"}, nodes)

    def test_hide_no_others(self) -> None:
        """
        Thousands of jobs that no node suits wait, and one behind them that fits runs at once.
        """
        cluster = self.labelled(b="gpu")
        waiting = cluster.submit("a", [requiring("no-such-thing")] * 5000)
        [ticket] = cluster.submit("a", [requiring("gpu", 10)])
        cluster.wait(ticket, within=1)
        self.assertEqual("waiting", cluster.result(cluster.client("a").view(waiting[0])).state)

    def test_later(self) -> None:
        """
        They run once there is such a node.
        """
        cluster = self.labelled(b="gpu")
        [ticket] = cluster.submit("a", [requiring("fast")])
        cluster.advance(10)
        node = cluster.nodes["a"]
        node.setup = attrs.evolve(
            node.setup, settings=attrs.evolve(node.setup.settings, labels=("fast",))
        )
        cluster.stop("a")
        cluster.restart("a")
        self.assertEqual("a", cluster.wait(ticket).node)
