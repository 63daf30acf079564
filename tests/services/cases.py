"""
What the tests of the services begin and end with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from jobcluster.core.cluster import ClusterSettings
from jobcluster.store.tables import Tables
from jobcluster.testing.clocks import HeapClock
from jobcluster.testing.clusters import MemoryCluster
from tests.services.rig import LoneNode


class ServiceCase(SynchronousTestCase):
    """
    A test with services, which leave nothing behind.
    """

    def clock(self) -> HeapClock:
        """
        A clock on which nothing may be left.
        """
        clock = HeapClock()
        self.addCleanup(lambda: self.assertEqual([], clock.getDelayedCalls()))
        return clock

    def cluster(
        self,
        nodes: int | Sequence[str] = 2,
        slots: int = 2,
        settings: ClusterSettings | None = None,
        hop: float = 0.0,
    ) -> MemoryCluster:
        """
        Start a cluster, and end it with the test; see L{MemoryCluster}.
        """
        cluster = MemoryCluster(nodes, slots, settings, hop)

        def end() -> None:
            cluster.close()
            self.assertEqual([], cluster.clock.getDelayedCalls())

        self.addCleanup(end)
        return cluster

    def lone(self, tables: Tables | None = None, **setup: Any) -> LoneNode:  # noqa: ANN401
        """
        A node without a balancer, which is stopped with the test if it still runs; see L{LoneNode}.
        """
        node = LoneNode(self.clock(), tables, **setup)

        def end() -> None:
            if node.service.running:
                stopped = node.service.stopService()
                node.clock.advance(10)
                self.successResultOf(stopped)

        self.addCleanup(end)
        return node

    def started(self, tables: Tables | None = None, **setup: Any) -> LoneNode:  # noqa: ANN401
        """
        A node without a balancer that is up.
        """
        node = self.lone(tables, **setup)
        node.service.startService()
        node.take()
        return node

    def logged(self, level: str = "warn", namespace: str = "jobcluster") -> Callable[[], list[str]]:
        """
        Begin to collect what is logged at that level or above; call it for the lines.
        """
        lines: list[str] = []
        least = LogLevel.levelWithName(level)

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_namespace"].startswith(namespace) and event["log_level"] >= least:
                lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

        def taken() -> list[str]:
            taken = list(lines)
            lines.clear()
            return taken

        return taken
