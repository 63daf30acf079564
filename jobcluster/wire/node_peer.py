"""
The protocol at a node: the balancer, as the node talks to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from jobcluster.core.values import Terms
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.errors import BalancerAwayError, MalformedBatchError
from jobcluster.wire import commands
from jobcluster.wire.batches import ROOM, Room, cut_join
from jobcluster.wire.box import BOX_LIMIT
from jobcluster.wire.calls import CALL_LIMIT
from jobcluster.wire.codec import pack
from jobcluster.wire.liveness import Patience
from jobcluster.wire.outbox import Outbox
from jobcluster.wire.peer import Peer

__all__ = ["SILENCE", "NodePeer", "NodeShell"]

SILENCE: Final = 8.0
"""Seconds without a byte after which a node closes the connection unread (design, part 3)."""

EVERY_LEAST: Final = 0.05
"""Seconds between empty reports at least, whatever the terms."""


class NodeShell(Protocol):
    """
    What a L{NodePeer} tells; never from inside a call of its own methods.

    After L{disconnected} it tells nothing more.
    """

    def connected(self, peer: NodePeer, /) -> None:
        """There is a connection: the node may join."""

    def disconnected(self, peer: NodePeer, reason: str, /) -> None:
        """The connection has ended; told once for each L{connected}."""

    def dispatched(self, peer: NodePeer, dispatch: Dispatch, /) -> None:
        """The balancer said this; it is answered when this call returns."""

    def asked(self, peer: NodePeer, ask: Ask, /) -> Deferred[Reply]:
        """
        Answer a question; any L{JobclusterError} that it fails with is passed on.

        Cancelled if the connection ends first.
        """

    def report_answered(self, peer: NodePeer, sent: float, /) -> None:
        """The balancer has taken the report that was sent then (boot-time clock)."""


class NodePeer(Peer):
    """
    The balancer.

    Its life: L{NodeShell.connected}, one L{join}, then whatever is said and asked; in the end, and
    whatever happens before, L{NodeShell.disconnected}.
    Nothing is told before the join is accepted.
    """

    def __init__(
        self,
        shell: NodeShell,
        clock: IReactorTime,
        boot: Callable[[], float],
        *,
        silence: float = SILENCE,
        box_limit: int = BOX_LIMIT,
        room: Room = ROOM,
    ) -> None:
        """
        Wait for a connection.

        @param boot: seconds since the boot, suspension included.
        """
        # On this side a pause of the observer counts like any other silence: what lies unread in
        # the socket then may be an order that the balancer has long given to another node.
        patience = Patience(silence, boot(), slack=math.inf)
        super().__init__(clock, boot, patience, BalancerAwayError, box_limit)
        self.responders[commands.Dispatch] = self._dispatch
        self._shell = shell
        self._room = room
        self.outbox = Outbox(clock, Report(), self._report, room)
        self._leaving: list[Deferred[None]] = []

    # -- what the node does ------------------------------------------------------------------------

    def join(self, parts: Sequence[JoinPart]) -> Deferred[tuple[float, Terms]]:
        """
        Say these parts of one join, in order; what was said before is held back until it is
        accepted.  Parts that are too large for a box are cut, and all are numbered anew then.

        Fires with when the last part was sent (boot-time clock) and with the terms.
        Fails with L{RefusedError}, L{VersionMismatchError}, L{CallTimedOutError} (11 s are for all
        parts together), L{BalancerAwayError} or another L{JobclusterError}; the connection is then
        ended.
        """
        return self._say_parts(cut_join(parts, self._room)).addErrback(self._unwelcome)

    def say(self, report: Report) -> None:
        """
        Tell the balancer, in one box with what else is told in this turn of the reactor.
        """
        self.outbox.say(report)

    def ask(self, ask: Ask) -> Deferred[Reply]:
        """
        Ask the balancer, or another node through it.

        Fails with any L{JobclusterError}: with L{BalancerAwayError} if the connection ends, with
        what the other side answers, or with L{CallTimedOutError}.
        """
        return self.put(ask, CALL_LIMIT + max(ask.patience, 0.0), ends=True)

    def leave(self, *, keep: bool) -> Deferred[None]:
        """
        Tell the balancer that this node is about to end, after everything said before.

        Fires when the balancer has taken it.
        Fails with L{BalancerAwayError} or another L{JobclusterError}.

        @param keep: whether what runs here goes on.
        """
        if self.transport is None:
            return fail(BalancerAwayError())
        left: Deferred[None] = Deferred()
        self._leaving.append(left)
        self.outbox.after(lambda: self._leave(left, keep=keep))
        return left

    # -- the life of the connection ----------------------------------------------------------------

    def opened(self) -> None:
        """
        Pass it on.
        """
        self._shell.connected(self)

    def lost(self, reason: str) -> None:
        """
        Pass it on, and forget what was to be said.
        """
        self.outbox.close()
        leaving, self._leaving = self._leaving, []
        for left in leaving:
            left.errback(BalancerAwayError())
        self._shell.disconnected(self, reason)

    def dataReceived(self, data: bytes) -> None:
        """
        After a long pause of this process the bytes come before the timers: look first.
        """
        now = self._seconds()
        fault = "" if self.ending else self.overdue(now, now)
        if fault:
            self.end(fault)
        else:
            super().dataReceived(data)

    @inlineCallbacks
    def _say_parts(
        self, parts: Sequence[JoinPart]
    ) -> Generator[Deferred[dict[str, Any]], dict[str, Any], tuple[float, Terms]]:
        end = self._clock.seconds() + CALL_LIMIT
        sent = self._seconds()
        answer: dict[str, Any] = {}
        for part in parts:
            sent = self._seconds()
            answer = yield self.calls.call(
                commands.Join,
                {"version": part.version, "part": pack(part)},
                limit=max(0.0, end - self._clock.seconds()),
            )
        terms = answer.get("terms")
        if not isinstance(terms, Terms):
            raise MalformedBatchError("the balancer took the join without saying its terms")
        self.joined = True
        self.outbox.open(max(terms.lease / 3, EVERY_LEAST))
        return sent, terms

    def _unwelcome(self, failure: Failure) -> Failure:
        self.end(failure.getErrorMessage(), quietly=True)
        return failure

    # -- saying ------------------------------------------------------------------------------------

    def _report(self, report: Report) -> None:
        sent = self._seconds()
        self.calls.call(commands.Report, {"batch": report}).addCallbacks(
            self._reported, self._unheard, callbackArgs=(sent,)
        )

    def _reported(self, _: object, sent: float) -> None:
        self.outbox.answered()
        self._shell.report_answered(self, sent)

    def _unheard(self, failure: Failure) -> None:
        # What was in the box is not said again on this connection: the next join settles it.
        self.end(f"did not take a report: {failure.getErrorMessage()}")

    def _leave(self, left: Deferred[None], *, keep: bool) -> None:
        self._leaving.remove(left)
        self.calls.call(commands.Leave, {"keep": keep}).addCallback(lambda _: None).chainDeferred(
            left
        )

    # -- answering ---------------------------------------------------------------------------------

    def _dispatch(self, batch: Dispatch) -> dict[str, object]:
        self.require_joined()
        self._shell.dispatched(self, batch)
        return {}

    def asked(self, ask: Ask) -> Deferred[Reply]:
        """
        Pass it on.
        """
        return self._shell.asked(self, ask)
