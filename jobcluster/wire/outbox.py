"""
What is to be said to a peer: merged, bounded, a few boxes at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from jobcluster.core.words import Dispatch, Report
from jobcluster.wire.batches import ROOM, Room, cut, is_patient, merge, weigh
from jobcluster.wire.turn import TurnEnd

__all__ = ["UNANSWERED", "Outbox"]

B = TypeVar("B", bound=Report | Dispatch)


class _After(NamedTuple):
    """A place in the queue, to be told when all before it has left."""

    call: Callable[[], None]


UNANSWERED: Final = 2
"""
Boxes that may be unanswered: while the peer works on the first the second is on its way (design,
part 5).
"""

PATIENT: Final = 0.05
"""Seconds for which words wait that nobody waits for, so that they need no box of their own."""

# Sums of floats: closer than this is there.
_NEAR: Final = 1e-3


class Outbox(Generic[B]):
    """
    Batches on their way to a peer.

    What is said in one turn of the reactor leaves in one box, as far as it fits in.
    While two boxes are unanswered the rest waits and merges; so what waits here is bounded by what
    is said, and what waits in the transport by two boxes.
    When nothing has left for a while, an empty box does.
    """

    def __init__(
        self,
        clock: IReactorTime,
        empty: B,
        send: Callable[[B], None],
        room: Room = ROOM,
        turn: TurnEnd | None = None,
    ) -> None:
        """
        Begin shut: nothing leaves before L{open} is called.

        @param send: sends one box; each is to be answered by calling L{answered}.
        @param room: what one box may carry.
        @param turn: when what is urgent leaves.
        """
        self._clock = clock
        self._empty = empty
        self._send = send
        self._room = room
        self._waiting: deque[B | _After] = deque()
        self._unanswered = 0
        self._every = 0.0
        self._sent = 0.0
        self._closed = False
        self._urgent = False
        self._turn = turn or TurnEnd(clock)
        self._leaving = False
        """Whether what waits leaves at the end of this turn."""
        self._patient: IDelayedCall | None = None
        self._idle: IDelayedCall | None = None

    @property
    def unanswered(self) -> int:
        """Boxes that have left and were not answered yet."""
        return self._unanswered

    @property
    def waiting(self) -> Room:
        """What has not left yet."""
        batches = [item for item in self._waiting if not isinstance(item, _After)]
        return weigh(merge(batches)) if batches else Room(0, 0)

    def open(self, every: float) -> None:
        """
        Let out what waits, and from now on an empty box whenever nothing else has left for
        C{every} seconds.
        """
        self._every = every
        self._sent = self._clock.seconds()
        self._idle = self._clock.callLater(every, self._look)
        self._wake()

    def say(self, batch: B) -> None:
        """
        Say this after all that was said before.

        What only acknowledges waits a little for something that it can leave with.
        """
        self._urgent = self._urgent or not is_patient(batch)
        self._queue(batch)

    def after(self, call: Callable[[], None]) -> None:
        """
        Call this once all that was said before has left.
        """
        self._urgent = True
        self._queue(_After(call))

    def answered(self) -> None:
        """
        The peer has taken the oldest box that was unanswered.
        """
        self._unanswered -= 1
        self._wake()

    def close(self) -> None:
        """
        Let nothing out any more, and forget what waits.
        """
        self._closed = True
        for timer in (self._patient, self._idle):
            if timer is not None and timer.active():
                timer.cancel()
        self._turn.forget(self._flush)
        self._patient = self._idle = None
        self._waiting.clear()

    def _queue(self, item: B | _After) -> None:
        if not self._closed:
            self._waiting.append(item)
            self._wake()

    def _wake(self) -> None:
        if self._leaving or not self._may_go_on():
            return
        if self._urgent:
            self._leaving = True
            self._turn.speak(self._flush)
        elif self._patient is None:
            self._patient = self._clock.callLater(PATIENT, self._flush)

    def _may_go_on(self) -> bool:
        """
        Whether the first in the queue may leave it.
        """
        if self._idle is None or not self._waiting:
            return False
        return self._unanswered < UNANSWERED or isinstance(self._waiting[0], _After)

    def _flush(self) -> None:
        self._leaving = False
        if self._patient is not None and self._patient.active():
            self._patient.cancel()
        self._patient = None
        while self._may_go_on():
            first = self._waiting[0]
            if isinstance(first, _After):
                self._waiting.popleft()
                first.call()
            else:
                self._let_out(self._take())
        self._urgent = self._urgent and bool(self._waiting)

    def _take(self) -> B:
        """
        As much of what waits as one box carries.
        """
        taken: list[B] = []
        room = self._room
        while self._waiting:
            batch = self._waiting[0]
            if isinstance(batch, _After):
                break
            size = weigh(batch)
            if room.holds(size):
                self._waiting.popleft()
                taken.append(batch)
                room = room.less(size)
                continue
            head, rest = cut(batch, room, at_least=0 if taken else 1)
            taken.append(head)
            if rest is None:
                self._waiting.popleft()
            else:
                self._waiting[0] = rest
            break
        return merge(taken)

    def _let_out(self, batch: B) -> None:
        self._unanswered += 1
        self._sent = self._clock.seconds()
        self._send(batch)

    def _look(self) -> None:
        left = self._every - (self._clock.seconds() - self._sent)
        if left < _NEAR:
            left = self._every
            if not self._waiting and self._unanswered < UNANSWERED:
                self._idle = self._clock.callLater(left, self._look)
                self._let_out(self._empty)
                return
        self._idle = self._clock.callLater(left, self._look)
