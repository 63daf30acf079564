"""
A link to a real balancer, over connections that are made when the test says so.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionRefusedError as RefusedByNetwork
from twisted.internet.interfaces import IProtocol

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.events import (
    BalancerConnected,
    DispatchReceived,
    NodeEvent,
    ReportAnswered,
)
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import JoinPart
from jobcluster.services.balancer import BalancerService
from jobcluster.services.balancer_link import BalancerLink
from jobcluster.testing.clocks import HeapClock
from jobcluster.testing.processes import ADDRESS, Process, connect
from jobcluster.wire import VERSION
from tests.services.cases import ServiceCase
from tests.services.rig import ScriptedEndpoint, clocks_of

JOIN = JoinPart(
    version=VERSION,
    name="a",
    store="store",
    incarnation=1,
    random=7,
    serial=1,
    part=0,
    last=True,
    boot="boot",
    keeper="",
    slots=2,
)


class Scene:
    """
    A link, and a real balancer that it may reach.
    """

    def __init__(self, clock: HeapClock, settings: ClusterSettings | None = None) -> None:
        """
        A link that has not been started.
        """
        self.clock = clock
        self.told: list[NodeEvent] = []
        self.endpoint = ScriptedEndpoint(clock)
        clocks = clocks_of(clock)
        self.link = BalancerLink(self.told.append, self.answer, self.endpoint, clock, clocks)
        self.here, self.there = Process(clock), Process(clock)
        self.balancer = BalancerService(
            self.there, clocks, ClusterSettings() if settings is None else settings, "balancer"
        )
        self.balancer.startService()

    @staticmethod
    def answer(ask: Ask) -> Deferred[Reply]:
        """
        Answer another node.
        """
        return succeed(Reply(text=f"{ask.verb} {ask.job}"))

    def let_in(self) -> None:
        """
        Let the attempt that is under way succeed.
        """
        protocol: IProtocol = self.endpoint.build(ADDRESS)
        peer = self.balancer.build_peer()
        assert peer is not None  # noqa: S101 - there are few strangers in a test
        connect((self.here, protocol), (self.there, peer))
        self.endpoint.attempts[-1].callback(protocol)

    def cut(self) -> None:
        """
        End the connection from outside.
        """
        for end in list(self.here.ends):
            end.cut()
        self.clock.advance(0)

    def join(self, **differences: Any) -> None:  # noqa: ANN401
        """
        Connect, and join.
        """
        self.link.start()
        self.let_in()
        number = next(e.connection for e in self.told if isinstance(e, BalancerConnected))
        self.told.clear()
        self.link.join(number, [attrs.evolve(JOIN, **differences)])
        self.clock.advance(0)

    def take(self) -> list[NodeEvent]:
        """
        What the core was told since this was called last, but for answers to empty reports.
        """
        told, self.told[:] = list(self.told), []
        return [event for event in told if not isinstance(event, DispatchReceived | ReportAnswered)]


class LinkCase(ServiceCase):
    """
    A test with a link that is stopped in the end.
    """

    def scene(self, settings: ClusterSettings | None = None) -> Scene:
        """
        A link, and a balancer.
        """
        scene = Scene(self.clock(), settings)

        def end() -> None:
            stopped = scene.link.stop()
            for attempt in scene.endpoint.attempts:
                attempt.addErrback(lambda failure: failure.trap(CancelledError, RefusedByNetwork))
            scene.clock.advance(0)
            self.successResultOf(stopped)
            scene.there.die()
            scene.here.die()

        self.addCleanup(end)
        return scene
