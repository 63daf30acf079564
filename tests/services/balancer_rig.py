"""
A balancer, and visitors with real protocols who may be nodes.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.values import Terms
from jobcluster.core.views import Ask, ClusterView, Reply
from jobcluster.core.words import Dispatch, JoinPart
from jobcluster.services.balancer import BalancerService, PeerFactory
from jobcluster.testing.clocks import HeapClock
from jobcluster.testing.processes import ADDRESS, Process, connect
from jobcluster.wire.node_peer import NodePeer
from tests.services.cases import ServiceCase
from tests.services.link_rig import JOIN
from tests.services.rig import clocks_of


class _SleepyPeer(NodePeer):
    """A node's end that can be made to read nothing."""

    asleep = False

    def dataReceived(self, data: bytes) -> None:
        """Bytes came."""
        if not self.asleep:
            super().dataReceived(data)


class Visitor:
    """
    Somebody who connects to the balancer.
    """

    def __init__(self, scene: Scene) -> None:
        """
        Connect.
        """
        self.told: list[Any] = []
        self.answer: Deferred[Reply] | None = None
        """What the next question is answered with."""
        clock = scene.clock
        self.process = Process(clock)
        self.peer = _SleepyPeer(self, self.process, lambda: clocks_of(clock)().boot)
        server = PeerFactory(scene.balancer).buildProtocol(ADDRESS)
        assert server is not None  # noqa: S101 - there are few strangers in a test
        connect((self.process, self.peer), (scene.process, server))

    def join(self, *parts: JoinPart, **differences: Any) -> Deferred[tuple[float, Terms]]:  # noqa: ANN401
        """
        Begin to join, by default with one part.
        """
        return self.peer.join(parts or (attrs.evolve(JOIN, **differences),))

    def sleep(self) -> None:
        """
        Read nothing any more.
        """
        self.peer.asleep = True

    def take(self) -> list[Any]:
        """
        What was told since this was called last.
        """
        told, self.told[:] = list(self.told), []
        return told

    # -- as a shell --------------------------------------------------------------------------------

    def connected(self, peer: NodePeer, /) -> None:
        """See L{NodeShell}."""

    def disconnected(self, peer: NodePeer, reason: str, /) -> None:
        """See L{NodeShell}."""
        self.told.append("disconnected")

    def dispatched(self, peer: NodePeer, dispatch: Dispatch, /) -> None:
        """See L{NodeShell}; empty ones are not written down."""
        if dispatch != Dispatch():
            self.told.append(dispatch)

    def asked(self, peer: NodePeer, ask: Ask, /) -> Deferred[Reply]:
        """See L{NodeShell}."""
        self.told.append(ask)
        answer, self.answer = self.answer, None
        return succeed(Reply(text="answered")) if answer is None else answer

    def report_answered(self, peer: NodePeer, sent: float, /) -> None:
        """See L{NodeShell}."""


class Scene:
    """
    A balancer that runs.
    """

    def __init__(
        self, clock: HeapClock, settings: ClusterSettings | None = None, *, verbose: bool = False
    ) -> None:
        """
        Start it.
        """
        self.clock = clock
        self.process = Process(clock)
        self.visitors: list[Visitor] = []
        self.balancer = BalancerService(
            self.process,
            clocks_of(clock),
            ClusterSettings() if settings is None else settings,
            "balancer",
            verbose=verbose,
        )
        self.balancer.startService()

    def visitor(self) -> Visitor:
        """
        Let somebody connect.
        """
        self.visitors.append(Visitor(self))
        return self.visitors[-1]

    def node(self, **differences: Any) -> Visitor:  # noqa: ANN401
        """
        Let a node join.
        """
        visitor = self.visitor()
        visitor.join(**differences)
        self.clock.advance(0)
        if not visitor.peer.joined:
            raise AssertionError("not joined")
        return visitor

    def view(self) -> ClusterView:
        """
        The cluster as the balancer sees it.
        """
        return self.balancer.cluster.view(clocks_of(self.clock)())

    def states(self) -> dict[str, str]:
        """
        The nodes and their states.
        """
        return {node.name: node.state for node in self.view().nodes}


class BalancerCase(ServiceCase):
    """
    A test with a balancer that is stopped in the end.
    """

    def scene(self, settings: ClusterSettings | None = None, *, verbose: bool = False) -> Scene:
        """
        Start a balancer.
        """
        scene = Scene(self.clock(), settings, verbose=verbose)

        def end() -> None:
            if scene.balancer.running:
                scene.balancer.stopService()
            for visitor in scene.visitors:
                visitor.process.die()
            scene.clock.advance(0)

        self.addCleanup(end)
        return scene
