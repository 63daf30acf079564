"""
The balancer's shell: nodes connect to it, and its core decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from jobcluster.core.actions import (
    Accept,
    BalancerAction,
    CloseConnection,
    Note,
    Probe,
    Refuse,
    SendDispatch,
    WantRound,
)
from jobcluster.core.cluster import Cluster, ClusterSettings
from jobcluster.core.events import (
    BalancerEvent,
    ConnectionEnded,
    JoinReceived,
    NodeLeft,
    PeerProbed,
    ReportReceived,
    RoundDue,
    Ticked,
)
from jobcluster.core.values import Terms, format_ticket
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.errors import NodeAwayError, PeerError, RefusedError, SupersededError
from jobcluster.services.clocks import Clocks
from jobcluster.services.notes import log_note
from jobcluster.wire.balancer_peer import BalancerPeer
from jobcluster.wire.turn import TurnEnd

__all__ = ["BalancerService", "PeerFactory"]


_STRANGERS: Final = 20
"""
Connections that may wait to join, beside two for each node.

Each may have a box of some MiB under way, so that their number bounds what strangers can cost.
"""


class PeerFactory(Factory):
    """
    Makes a peer for each node that connects.
    """

    noisy = False

    def __init__(self, service: BalancerService) -> None:
        """
        Make peers for this service.
        """
        self._service = service

    def buildProtocol(self, addr: IAddress | None) -> BalancerPeer | None:
        """
        Make the protocol of one connection.
        """
        return self._service.build_peer()


class BalancerService(Service):
    """
    Carries events to the balancer's core, and carries out what it answers.
    """

    def __init__(
        self,
        clock: IReactorTime,
        clocks: Clocks,
        settings: ClusterSettings,
        balancer: str,
        *,
        verbose: bool = False,
    ) -> None:
        """
        A balancer that begins to listen when it is started.

        @param clock: the reactor.
        @param clocks: reads the three clocks.
        @param balancer: a random id of this process.
        """
        self._clock = clock
        self._clocks = clocks
        self._settings = settings
        self._balancer = balancer
        self._verbose = verbose
        self._log = Logger(namespace="jobcluster.balancer")
        self._cluster = Cluster(settings, balancer, clocks())
        self._connected: set[BalancerPeer] = set()
        self._peers: dict[int, BalancerPeer] = {}
        """Those who have begun to join, by their numbers."""
        self._connections: dict[BalancerPeer, int] = {}
        self._joins: dict[int, Deferred[Terms | None]] = {}
        self._refusals: dict[int, RefusedError] = {}
        self._last = 0
        self._timer: IDelayedCall | None = None
        self._turn = TurnEnd(clock)
        self._round_due = False
        self._actions: dict[type, Callable[[Any], None]] = {
            Accept: self._accept,
            Refuse: self._refuse,
            CloseConnection: self._close,
            Probe: self._probe,
            SendDispatch: self._send,
            WantRound: self._want_round,
            Note: self._note,
        }

    # -- as a service ------------------------------------------------------------------------------

    def startService(self) -> None:
        """
        Begin: from now on the grace time is counted.
        """
        Service.startService(self)
        self._cluster = Cluster(self._settings, self._balancer, self._clocks())
        self._tick()

    def stopService(self) -> None:
        """
        End all connections.
        """
        Service.stopService(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._turn.forget(self._make_round)
        view = self._cluster.view(self._clocks()).balance
        self._log.info(
            "balance: running differed by {average:.3f} on average, by at most 1 for {share:.2%} of"
            " {measured:.1f} s in which jobs waited, by {worst} at worst",
            average=view.average,
            share=view.within_one,
            measured=view.measured,
            worst=view.worst,
        )
        for peer in list(self._connected):
            peer.abandon("the balancer stops")

    def build_peer(self) -> BalancerPeer | None:
        """
        The protocol of a new connection; C{None} if too many have not said who they are.
        """
        strangers = sum(not peer.joined for peer in self._connected)
        if strangers >= _STRANGERS + 2 * self._settings.max_nodes:
            self._log.warn("too many connections have not joined: one more is not taken")
            return None
        peer = BalancerPeer(self, self._clock, turn=self._turn)
        self._connected.add(peer)
        return peer

    @property
    def cluster(self) -> Cluster:
        """The core."""
        return self._cluster

    # -- what peers tell ---------------------------------------------------------------------------

    def join_part(self, peer: BalancerPeer, part: JoinPart, /) -> Deferred[Terms | None]:
        """
        See L{jobcluster.wire.balancer_peer.BalancerShell.join_part}.
        """
        connection = self._number(peer)
        if connection in self._refusals:
            return fail(self._refusals[connection])
        joined: Deferred[Terms | None] = Deferred()
        self._joins[connection] = joined
        self._handle(JoinReceived(connection, part))
        refusal = self._refusals.get(connection)
        if refusal is not None and self._joins.pop(connection, None) is not None:
            return fail(refusal)
        if not part.last and self._joins.get(connection) is joined:
            del self._joins[connection]
            return succeed(None)
        return joined

    def reported(self, peer: BalancerPeer, report: Report, /) -> None:
        """
        See L{jobcluster.wire.balancer_peer.BalancerShell.reported}.
        """
        self._handle(ReportReceived(self._number(peer), report))

    def asked(self, peer: BalancerPeer, ask: Ask, /) -> Deferred[Reply]:
        """
        See L{jobcluster.wire.balancer_peer.BalancerShell.asked}.
        """
        if ask.node:
            connection = self._cluster.connection_of(ask.node)
            if connection is None or connection not in self._peers:
                return fail(NodeAwayError())
            return self._peers[connection].ask(ask)
        if ask.verb == "cluster":
            return succeed(Reply(cluster=self._cluster.view(self._clocks())))
        return fail(PeerError("the balancer does not know that question"))

    def left(self, peer: BalancerPeer, keep: bool, /) -> None:  # noqa: FBT001 - an event's datum
        """
        See L{jobcluster.wire.balancer_peer.BalancerShell.left}.
        """
        self._handle(NodeLeft(self._number(peer), keep))

    def disconnected(self, peer: BalancerPeer, reason: str, /) -> None:
        """
        See L{jobcluster.wire.balancer_peer.BalancerShell.disconnected}.
        """
        self._connected.discard(peer)
        connection = self._connections.pop(peer, None)
        if connection is None:
            return
        del self._peers[connection]
        self._refusals.pop(connection, None)
        joined = self._joins.pop(connection, None)
        if joined is not None:
            joined.errback(PeerError("the connection ended"))
        self._log.debug("a connection ended: {reason}", reason=reason)
        self._handle(ConnectionEnded(connection))

    def _number(self, peer: BalancerPeer) -> int:
        number = self._connections.get(peer)
        if number is None:
            self._last += 1
            number = self._connections[peer] = self._last
            self._peers[number] = peer
        return number

    # -- events and actions ------------------------------------------------------------------------

    def _handle(self, event: BalancerEvent) -> None:
        for action in self._cluster.handle(event, self._clocks()):
            self._do(action)

    def _do(self, action: BalancerAction) -> None:
        self._actions[type(action)](action)

    def _tick(self) -> None:
        self._handle(Ticked())
        wait = self._cluster.wake(self._clocks())
        self._timer = self._clock.callLater(wait, self._tick)

    def _accept(self, action: Accept) -> None:
        joined = self._joins.pop(action.connection, None)
        if joined is not None:
            joined.callback(action.terms)

    def _refuse(self, action: Refuse) -> None:
        error = SupersededError if action.superseded else RefusedError
        self._refusals[action.connection] = error(action.reason)
        joined = self._joins.pop(action.connection, None)
        if joined is not None:
            joined.errback(error(action.reason))

    def _close(self, action: CloseConnection) -> None:
        peer = self._peers.get(action.connection)
        if peer is not None:
            peer.abandon(action.reason)

    def _probe(self, action: Probe) -> None:
        peer = self._peers.get(action.connection)
        probed = succeed(False) if peer is None else peer.probe()
        probed.addCallback(lambda alive: self._handle(PeerProbed(action.connection, alive)))

    def _send(self, action: SendDispatch) -> None:
        peer = self._peers.get(action.connection)
        if peer is not None:
            if self._verbose:
                self._log_dispatch(action)
            peer.say(action.dispatch)

    def _want_round(self, action: WantRound) -> None:
        if not self._round_due:
            self._round_due = True
            self._turn.decide(self._make_round)

    def _make_round(self) -> None:
        self._round_due = False
        self._handle(RoundDue())

    # -- the log -----------------------------------------------------------------------------------

    def _note(self, action: Note) -> None:
        log_note(self._log, action, verbose=self._verbose)

    def _log_dispatch(self, action: SendDispatch) -> None:
        said: Dispatch = action.dispatch
        name = self._cluster.name_of(action.connection)
        for start in said.start:
            ticket = format_ticket(start.origin, start.job)
            self._log.info("{ticket} goes to {node}", ticket=ticket, node=name)
        for row in said.outcome:
            ticket = format_ticket(name, row.job)
            self._log.info("{ticket} ended: {status}", ticket=ticket, status=row.outcome.status)
