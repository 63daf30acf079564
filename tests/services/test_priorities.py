"""
The greatest priority first, whatever waits where.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobcluster.core.cluster import ClusterSettings
from jobcluster.testing.clusters import MemoryCluster
from tests.services.cases import ServiceCase
from tests.services.rig import sleep


class PriorityTests(ServiceCase):
    """
    In which order waiting jobs are started.
    """

    def order(self, cluster: MemoryCluster, tickets: Sequence[str]) -> list[int]:
        """
        The places of jobs among these, in the order of their starts.
        """
        outcomes = [cluster.wait(ticket, within=3600).outcome for ticket in tickets]
        started = [outcome.started for outcome in outcomes if outcome is not None]
        return sorted(range(len(tickets)), key=started.__getitem__)

    def test_of_several_origins(self) -> None:
        """
        Of what waits, be it of one origin or of several, the greatest priority is started first;
        among equals each origin's in the order of submission.
        """
        cluster = self.cluster(nodes=2, slots=1)
        cluster.submit("a", [1000, 1000])
        order = (-5, 0, 0, 7, 1000, -1000, 3)
        waiting = {
            name: cluster.submit(name, [sleep(1000, priority) for priority in order])
            for name in ("a", "b")
        }
        begun = self.order(cluster, [*waiting["a"], *waiting["b"]])
        priorities = [(order * 2)[place] for place in begun]
        self.assertEqual(sorted(order * 2, reverse=True), priorities)
        for first in (1, 8):
            self.assertLess(begun.index(first), begun.index(first + 1))

    def test_behind_the_window(self) -> None:
        """
        The best of what waits goes first though there is more than an origin offers at once, and
        though it came last.
        """
        cluster = self.cluster(nodes=1, slots=1)
        cluster.submit("a", [sleep(1000)] * 4100)
        [urgent] = cluster.submit("a", [sleep(1000, priority=1)])
        view = cluster.wait(urgent, within=3)
        self.assertEqual("ended", view.state)

    def test_behind_a_full_window(self) -> None:
        """
        However many better ones come, and still better ones after them, the order is that of their
        priorities, and among equals that of their submission.
        """
        for window in (1, 3, 8):
            cluster = self.cluster(nodes=1, slots=1, settings=ClusterSettings(window=window))
            cluster.submit("a", [10])
            priorities = [priority for priority in (0, 1, -1, 3, 2) for _ in range(3 * window)]
            tickets = [
                ticket
                for priority in priorities
                for ticket in cluster.submit("a", [sleep(10, priority)])
            ]
            self.assertEqual(
                sorted(range(len(tickets)), key=lambda place: -priorities[place]),
                self.order(cluster, tickets),
            )

    def test_window_is_bounded(self) -> None:
        """
        Though each is better than those before it, no more than four windows are in memory.
        """
        cluster = self.cluster(nodes=1, slots=1, settings=ClusterSettings(window=10))
        cluster.submit("a", [100_000])
        for priority in range(20):
            cluster.submit("a", [sleep(10, priority)] * 10)
            cluster.advance(0.1)
        core = cluster.nodes["a"].service.core
        beyond = core.load().beyond if core is not None else 0
        self.assertGreaterEqual(beyond, 200 - 45)
