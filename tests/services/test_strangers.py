"""
How many may be connected to the balancer without having joined.
"""

from __future__ import annotations

from twisted.internet.task import Clock

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.values import Now
from jobcluster.services.balancer import BalancerService, PeerFactory
from jobcluster.testing.processes import ADDRESS
from tests.services.cases import ServiceCase


class StrangerTests(ServiceCase):
    """
    Each stranger costs memory, so their number is bounded.
    """

    def test_bounded(self) -> None:
        """
        Two for each node and twenty more are taken; the next is hung up on.
        """
        clock = Clock()
        now = Now(0.0, 0.0, 0.0)
        service = BalancerService(clock, lambda: now, ClusterSettings(max_nodes=3), "balancer")
        factory = PeerFactory(service)
        taken = [factory.buildProtocol(ADDRESS) for _ in range(27)]
        self.assertNotIn(None, taken[:26])
        self.assertIsNone(taken[26])
