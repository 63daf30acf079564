"""
The protocol at the balancer: a node, as the balancer talks to it.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.protocols import amp
from twisted.python.failure import Failure

from jobcluster.core.values import Terms
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.errors import (
    CallTimedOutError,
    JobclusterError,
    MalformedBatchError,
    NodeAwayError,
    RefusedError,
    VersionMismatchError,
)
from jobcluster.wire import VERSION, commands
from jobcluster.wire.batches import ROOM, Room
from jobcluster.wire.box import BOX_LIMIT
from jobcluster.wire.codec import unpack
from jobcluster.wire.liveness import Patience
from jobcluster.wire.outbox import Outbox
from jobcluster.wire.peer import PING, Peer
from jobcluster.wire.turn import TurnEnd

__all__ = ["SILENCE", "BalancerPeer", "BalancerShell"]

SILENCE: Final = 11.0
"""Seconds without a byte after which a node is taken for lost (design, part 3)."""

EVERY: Final = 1.0
"""Seconds after which a balancer that has nothing to say says so (design, part 3)."""

PROBE: Final = 1.0
"""Seconds in which an old connection is to show that it is alive (design, part 3)."""

PATIENCE: Final = 8.0
"""
Seconds in which a node is to answer a question.

Less than the node that asked waits for the balancer, whose connection would suffer otherwise.
"""

STRANGER_LIMIT: Final = 2 * 2**20
"""Bytes of a box from somebody who has not begun to join."""

JOIN_LIMIT: Final = 256 * 2**20
"""Bytes of all that comes before a join is accepted."""


class BalancerShell(Protocol):
    """
    What a L{BalancerPeer} tells; never from inside a call of its own methods.

    After L{disconnected} it tells nothing more.
    """

    def join_part(self, peer: BalancerPeer, part: JoinPart, /) -> Deferred[Terms | None]:
        """
        A part of a join came; fires with the terms if it is the last and the join is accepted, and
        with C{None} for the parts before.

        Fails with L{jobcluster.errors.RefusedError}; then the connection ends.
        """

    def reported(self, peer: BalancerPeer, report: Report, /) -> None:
        """The node said this; it is answered when this call returns."""

    def asked(self, peer: BalancerPeer, ask: Ask, /) -> Deferred[Reply]:
        """
        Answer a question; any L{JobclusterError} that it fails with is passed on.

        Cancelled if the connection ends first.
        """

    def left(self, peer: BalancerPeer, keep: bool, /) -> None:  # noqa: FBT001 - an event's datum
        """The node is about to end in order."""

    def disconnected(self, peer: BalancerPeer, reason: str, /) -> None:
        """The connection has ended; told once for each, also for one that never joined."""


class BalancerPeer(Peer):
    """
    A node, or somebody who wants to be one.

    Until its join is accepted nothing is told of it but the parts of that.
    """

    def __init__(
        self,
        shell: BalancerShell,
        clock: IReactorTime,
        *,
        silence: float = SILENCE,
        box_limit: int = BOX_LIMIT,
        stranger_limit: int = STRANGER_LIMIT,
        room: Room = ROOM,
        turn: TurnEnd | None = None,
    ) -> None:
        """
        Wait for a connection.

        @param turn: when what is told leaves; by itself if there is none.
        @param silence: seconds without a byte that are too much; also for a whole join.
        @param box_limit: bytes of a box from a node.
        @param stranger_limit: bytes of a box from somebody who has not begun to join.
        """
        now = clock.seconds()
        patience = Patience(silence, now)
        super().__init__(clock, clock.seconds, patience, NodeAwayError, stranger_limit)
        self.responders[commands.Join] = self._join
        self.responders[commands.Report] = self._report
        self.responders[commands.Leave] = self._leave
        self._shell = shell
        self._node_limit = box_limit
        self.outbox = Outbox(clock, Dispatch(), self._dispatch, room, turn)
        # Life is not enough for a stranger: it has to get on with its join.
        self._joining: Patience | None = Patience(silence, now)
        self._parts = 0
        self._received = 0

    # -- what the balancer does --------------------------------------------------------------------

    def say(self, dispatch: Dispatch) -> None:
        """
        Tell the node, in one box with what else is told in this turn of the reactor; held back
        until its join is accepted.
        """
        self.outbox.say(dispatch)

    def ask(self, ask: Ask) -> Deferred[Reply]:
        """
        Ask the node.

        Fails with any L{JobclusterError}: with L{NodeAwayError} if the connection ends, with what
        the node answers, or with L{CallTimedOutError} after 8 s and the question's own patience.
        The connection goes on then, for a node may be well and its disk slow; whether it lives is
        judged by L{Patience} alone.
        """
        return self.put(ask, PATIENCE + max(ask.patience, 0.0), ends=False)

    def probe(self) -> Deferred[bool]:
        """
        Fires with whether anybody answers within a second; never fails.
        """
        return self.put(PING, PROBE, ends=False).addCallbacks(
            lambda _: True, lambda failure: not failure.check(CallTimedOutError, NodeAwayError)
        )

    # -- the life of the connection ----------------------------------------------------------------

    def opened(self) -> None:
        """
        Begin to wait for a join.
        """
        self._joining = Patience(self._patience.limit, self._seconds())

    def lost(self, reason: str) -> None:
        """
        Pass it on, and forget what was to be said.
        """
        self.outbox.close()
        self._shell.disconnected(self, reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Count what a stranger sends.
        """
        if not self.joined and not self.ending:
            self._received += len(data)
            if self._received > JOIN_LIMIT:
                self.end(f"sent over {JOIN_LIMIT} bytes without having joined")
        super().dataReceived(data)

    def wait(self) -> float:
        """
        Seconds until the next look at the peer.
        """
        wait = super().wait()
        return wait if self._joining is None else min(wait, self._joining.wait)

    def overdue(self, now: float, due: float) -> str:
        """
        What the peer has failed to do in time, or nothing.
        """
        late = self._joining is not None and self._joining.tick(now, due)
        fault = super().overdue(now, due)
        return fault or (f"did not join within {self._patience.limit:g} s" if late else "")

    def is_fatal(self, command: type[amp.Command], error: JobclusterError) -> bool:
        """
        A failed join ends the connection, and so does nonsense from a stranger.
        """
        return not self.joined and (
            command is commands.Join or isinstance(error, MalformedBatchError)
        )

    # -- saying ------------------------------------------------------------------------------------

    def _dispatch(self, dispatch: Dispatch) -> None:
        self.calls.call(commands.Dispatch, {"batch": dispatch}).addCallbacks(
            self._dispatched, self._unheard
        )

    def _dispatched(self, _: object) -> None:
        self.outbox.answered()

    def _unheard(self, failure: Failure) -> None:
        # What was in the box is not said again on this connection: the next join settles it.
        self.end(f"did not take a dispatch: {failure.getErrorMessage()}")

    # -- answering ---------------------------------------------------------------------------------

    def _join(self, version: int, part: bytes) -> Deferred[dict[str, object]]:
        if self.joined:
            raise RefusedError("this connection has joined already")
        if version != VERSION:
            raise VersionMismatchError(
                f"the balancer speaks version {VERSION} of the protocol, the node version "
                f"{version}: use the same jobcluster everywhere"
            )
        piece = unpack(JoinPart, part)
        if piece.part != self._parts:
            raise MalformedBatchError(f"JoinPart: part is {piece.part} instead of {self._parts}")
        if self._parts == 0:
            self.box_limit = self._node_limit
            self._joining = Patience(self._patience.limit, self._seconds())
        self._parts += 1
        return maybeDeferred(self._shell.join_part, self, piece).addCallback(self._part_taken)

    def _part_taken(self, terms: Terms | None) -> dict[str, object]:
        if terms is not None and not self.ending:
            self.joined = True
            self._joining = None
            # The answer is written before anything that is said from now on.
            self.outbox.open(EVERY)
        return {"terms": terms}

    def _report(self, batch: Report) -> dict[str, object]:
        self.require_joined()
        self._shell.reported(self, batch)
        return {}

    def _leave(self, keep: bool) -> dict[str, object]:  # noqa: FBT001 - AMP names it
        self.require_joined()
        self._shell.left(self, keep)
        return {}

    def asked(self, ask: Ask) -> Deferred[Reply]:
        """
        Pass it on.
        """
        return self._shell.asked(self, ask)
