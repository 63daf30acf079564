"""
A node's connection to its balancer: made again and again, and numbered for the core.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.core.events import (
    BalancerConnected,
    BalancerDisconnected,
    DispatchReceived,
    JoinAccepted,
    JoinRefused,
    NodeEvent,
    ReportAnswered,
)
from jobcluster.core.values import Terms
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.errors import BalancerAwayError, RefusedError, SupersededError, VersionMismatchError
from jobcluster.services.clocks import Clocks
from jobcluster.wire.node_peer import NodePeer

__all__ = ["BalancerLink"]

_GRACE: Final = 3.0
"""Seconds of grace to go by before a balancer has said its own (part 3 of the design)."""

_REFUSED_PAUSE: Final = 1.0
"""Seconds after which a node that was refused tries again at the earliest."""

_RENEW_EVERY: Final = 0.05
"""
Seconds between two answers of which the core hears: a lease counts seconds, and where many small
boxes are answered each of them would cost as much as a job.
"""


class _PeerFactory(Factory):
    """Makes the protocol of each connection."""

    noisy = False

    def __init__(self, build: Callable[[], NodePeer]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> TwistedProtocol:
        return self._build()


@implementer(IStreamClientEndpoint)
class _ImpatientEndpoint:
    """Gives up a connect attempt in time to try again within the grace time (part 3)."""

    def __init__(
        self, endpoint: IStreamClientEndpoint, clock: IReactorTime, limit: Callable[[], float]
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._limit = limit

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        attempt: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return attempt.addTimeout(self._limit(), self._clock)


class BalancerLink:
    """
    Keeps a connection to the balancer, and tells the node's core of it.
    """

    def __init__(
        self,
        handle: Callable[[NodeEvent], None],
        asked: Callable[[Ask], Deferred[Reply]],
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        clocks: Clocks,
    ) -> None:
        """
        Do not connect yet.

        @param handle: takes what happens to the connection, for the node's core.
        @param asked: answers what another node asks about a job of this one.
        """
        self._handle = handle
        self._asked = asked
        self._clock = clock
        self._clocks = clocks
        self._log = Logger(namespace="jobcluster.node")
        self._endpoint = _ImpatientEndpoint(endpoint, clock, lambda: self._grace / 3)
        self._client: ClientService | None = None
        self._grace = _GRACE
        self._last = 0
        self._peer: NodePeer | None = None
        self._refused = False
        self._started = False
        self._tries = 0
        """Attempts to connect since the last join."""
        self._renewed = float("-inf")
        """When the report was sent whose answer the core has heard of last (boot-time clock)."""
        self.left: Deferred[None] | None = None
        """Once the node has said that it leaves: fires when the balancer has heard that."""

    # -- connecting --------------------------------------------------------------------------------

    def start(self) -> None:
        """
        Connect, and again whenever that ends.
        """
        if not self._started:
            self._started = True
            self._client = ClientService(
                self._endpoint,
                _PeerFactory(self._build),
                retryPolicy=self._pause_before,
                clock=self._clock,
            )
            self._client.startService()

    def pause(self, reason: str) -> None:
        """
        End the connection and make no other until L{start} is called.
        """
        if self._started:
            self._started = False
            client, self._client = self._client, None
            if self._peer is not None:
                self._peer.abandon(reason)
            if client is not None:
                client.stopService()

    def stop(self) -> Deferred[None]:
        """
        End the connection; fires when it has ended.
        """
        self._started = False
        client, self._client = self._client, None
        if self._peer is not None:
            self._peer.abandon("the node stops")
        if client is None:
            return succeed(None)
        return client.stopService()

    def _pause_before(self, _: int) -> float:
        """Seconds before the next attempt: none, then with jitter, a third of grace at most."""
        # Counted from the last join: a balancer that hangs up at once is not to be called at once.
        tries, self._tries = self._tries, self._tries + 1
        least = _REFUSED_PAUSE if self._refused else 0.0
        self._refused = False
        if tries == 0:
            return least
        if tries == 1:
            self._log.warn("the balancer cannot be reached; trying again and again")
        most = min(self._grace / 3, 0.05 * 2.0 ** min(tries, 10))
        return max(least, most * random.uniform(0.5, 1.0))  # noqa: S311 - keeps no secret

    def _build(self) -> NodePeer:
        return NodePeer(self, self._clock, lambda: self._clocks().boot)

    # -- what the core wants -----------------------------------------------------------------------

    def join(self, connection: int, parts: Sequence[JoinPart]) -> None:
        """
        Say the parts of a join.
        """
        peer = self._current(connection)
        if peer is None:
            return
        serial = parts[-1].serial

        def accepted(answer: tuple[float, Terms]) -> None:
            sent, terms = answer
            self._grace = terms.grace
            self._tries = 0
            self._refused = False
            if self._current(connection) is not None:
                self._handle(JoinAccepted(connection, serial, sent, terms))

        def refused(failure: Failure) -> None:
            if failure.check(RefusedError, VersionMismatchError):
                self._refused = True
                superseded = failure.check(SupersededError) is not None
                reason = failure.getErrorMessage()
                self._handle(JoinRefused(connection, serial, reason, superseded))
            else:
                self._log.debug("joining failed: {why}", why=failure.getErrorMessage())

        peer.join(parts).addCallbacks(accepted, refused)

    def say(self, connection: int, report: Report) -> None:
        """
        Say this, if it is still that connection.
        """
        peer = self._current(connection)
        if peer is not None:
            peer.say(report)

    def ask(self, ask: Ask) -> Deferred[Reply]:
        """
        Ask the balancer, or another node through it.

        Fails with L{BalancerAwayError}, or with what the other side answers.
        """
        if self._peer is None or not self._peer.joined:
            return fail(BalancerAwayError())
        return self._peer.ask(ask)

    def leave(self, connection: int, *, keep: bool) -> None:
        """
        Say that the node ends, after everything that was said before.
        """
        peer = self._current(connection)
        if peer is not None:
            self.left = peer.leave(keep=keep)

    def close(self, connection: int, reason: str) -> None:
        """
        End that connection, unread.
        """
        peer = self._current(connection)
        if peer is not None:
            peer.abandon(reason)

    def _current(self, connection: int) -> NodePeer | None:
        return self._peer if connection == self._last else None

    # -- what the peer tells -----------------------------------------------------------------------

    def connected(self, peer: NodePeer, /) -> None:
        """
        See L{jobcluster.wire.node_peer.NodeShell.connected}.
        """
        self._last += 1
        self._peer = peer
        self._renewed = float("-inf")
        self._handle(BalancerConnected(self._last))

    def disconnected(self, peer: NodePeer, reason: str, /) -> None:
        """
        See L{jobcluster.wire.node_peer.NodeShell.disconnected}.
        """
        if peer is self._peer:
            self._peer = None
            self._log.debug("the connection to the balancer ended: {reason}", reason=reason)
            self._handle(BalancerDisconnected(self._last))

    def dispatched(self, peer: NodePeer, dispatch: Dispatch, /) -> None:
        """
        See L{jobcluster.wire.node_peer.NodeShell.dispatched}.
        """
        if peer is self._peer:
            self._handle(DispatchReceived(self._last, dispatch))

    def asked(self, peer: NodePeer, ask: Ask, /) -> Deferred[Reply]:
        """
        See L{jobcluster.wire.node_peer.NodeShell.asked}.
        """
        return self._asked(ask)

    def report_answered(self, peer: NodePeer, sent: float, /) -> None:
        """
        See L{jobcluster.wire.node_peer.NodeShell.report_answered}.
        """
        if peer is self._peer and sent >= self._renewed + _RENEW_EVERY:
            self._renewed = sent
            self._handle(ReportAnswered(self._last, sent))
