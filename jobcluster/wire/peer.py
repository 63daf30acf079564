"""
What the two ends of a connection between node and balancer have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from jobcluster.core.views import Ask, Reply
from jobcluster.errors import JobclusterError, NotJoinedError, PeerError
from jobcluster.wire import commands
from jobcluster.wire.box import BOX_LIMIT, BoundedAMP
from jobcluster.wire.calls import Calls
from jobcluster.wire.liveness import Patience

__all__ = ["ASKS_LIMIT", "PING", "Peer"]

ASKS_LIMIT: Final = 4096
"""Questions of one peer that may be unanswered: several hundred consoles and some waits each."""

PING: Final = Ask(node="", verb="")
"""The question whether anybody is there; the wire answers it itself."""


class Peer(BoundedAMP):
    """
    The other side of a connection, watched for silence, and asked and answered.

    A subclass implements C{opened}, C{asked} and C{lost}, and adds what else it answers.
    """

    joined: bool = False
    """Whether the join over this connection was accepted."""

    def __init__(
        self,
        clock: IReactorTime,
        seconds: Callable[[], float],
        patience: Patience,
        away: type[JobclusterError],
        box_limit: int = BOX_LIMIT,
    ) -> None:
        """
        Wait for a connection.

        @param seconds: the clock of C{patience}.
        @param away: what questions fail with when the connection ends.
        """
        super().__init__(box_limit)
        self.responders[commands.Ask] = self._ask
        self._clock = clock
        self._seconds = seconds
        self._patience = patience
        self.calls = Calls(clock, self.callRemote, self.end, away)
        self._look: IDelayedCall | None = None
        self._due = 0.0
        self._asks: set[Deferred[Reply]] = set()

    def abandon(self, reason: str) -> None:
        """
        End the connection: what was received and not read yet is never read, and nothing more is
        told but that it has ended.
        """
        self.end(reason, quietly=True)

    # -- to be implemented -------------------------------------------------------------------------

    def opened(self) -> None:
        """
        There is a connection.
        """
        raise NotImplementedError

    def asked(self, ask: Ask) -> Deferred[Reply]:
        """
        Answer a question.
        """
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """
        There is no connection any more.
        """
        raise NotImplementedError

    # -- the life of the connection ----------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Begin to watch.
        """
        self._patience.heard(self._seconds())
        self._schedule()
        self.opened()

    def dataReceived(self, data: bytes) -> None:
        """
        Bytes are life, the first half of a box too.
        """
        if not self.ending:
            self._patience.heard(self._seconds())
            super().dataReceived(data)

    def ended(self, reason: str) -> None:
        """
        Leave nothing behind: no timer, no open call, nobody who goes on working for an answer.
        """
        if self._look is not None and self._look.active():
            self._look.cancel()
        self.calls.close()
        for ask in tuple(self._asks):
            ask.cancel()
        self.lost(reason)

    def wait(self) -> float:
        """
        Seconds until the next look at the peer.
        """
        return self._patience.wait

    def overdue(self, now: float, due: float) -> str:
        """
        What the peer has failed to do in time, or nothing.
        """
        if self._patience.tick(now, due):
            return f"said nothing for {self._patience.limit:g} s"
        return ""

    def _schedule(self) -> None:
        wait = self.wait()
        self._due = self._seconds() + wait
        self._look = self._clock.callLater(wait, self._tick)

    def _tick(self) -> None:
        fault = self.overdue(self._seconds(), self._due)
        if fault:
            self.end(fault)
        else:
            self._schedule()

    # -- questions ---------------------------------------------------------------------------------

    def require_joined(self) -> None:
        """
        @raise NotJoinedError: before the join was accepted.
        """
        if not self.joined:
            raise NotJoinedError

    def put(self, ask: Ask, limit: float, *, ends: bool) -> Deferred[Reply]:
        """
        Ask the peer; see L{Calls.call}.
        """
        return self.calls.call(commands.Ask, {"ask": ask}, limit, ends=ends).addCallback(
            lambda response: response["reply"]
        )

    def _ask(self, ask: Ask) -> Deferred[dict[str, object]] | dict[str, object]:
        self.require_joined()
        if not ask.verb:
            return {"reply": Reply()}
        if len(self._asks) >= ASKS_LIMIT:
            raise PeerError("too many questions at once")
        answer = maybeDeferred(self.asked, ask)
        self._asks.add(answer)
        return answer.addBoth(self._asked, answer).addCallback(lambda reply: {"reply": reply})

    def _asked(self, result: Reply | Failure, answer: Deferred[Reply]) -> Reply | Failure:
        self._asks.discard(answer)
        return result
