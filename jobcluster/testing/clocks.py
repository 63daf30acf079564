"""
A clock that is turned by hand, however many calls wait for it; and words that take their time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

__all__ = ["HeapClock", "Pipe"]

_COMPACT_ABOVE = 64


@implementer(IReactorTime)
class HeapClock:
    """
    What L{twisted.internet.task.Clock} is, with O(log n) for each call instead of O(n log n).

    It also differs in that time goes from call to call, as it does in a reactor that has little to
    do: each call sees the time it was made for, and calls of one time are made in the order in
    which they were asked for.
    """

    def __init__(self, now: float = 0.0) -> None:
        """
        Begin with nothing to call.

        @param now: what L{seconds} says until time is made to pass.
        """
        self._now = now
        self._order = 0
        self._cancelled = 0
        self._heap: list[tuple[float, int, DelayedCall]] = []

    def seconds(self) -> float:
        """
        See L{IReactorTime}.
        """
        return self._now

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - the interface's name
        *args: object,
        **kwargs: object,
    ) -> DelayedCall:
        """
        See L{IReactorTime}.
        """
        call = DelayedCall(
            self._now + delay, callable, args, kwargs, self._forget, self._push, self.seconds
        )
        self._push(call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """
        See L{IReactorTime}: in the order in which they are going to be made.
        """
        waiting: dict[IDelayedCall, None] = {
            call: None for _, _, call in sorted(self._heap) if call.active()
        }
        return sorted(waiting, key=_time_of)

    def next_time(self) -> float | None:
        """
        When the next call is to be made, C{None} if there is none.
        """
        call = self._peek()
        return None if call is None else call.time

    def step(self) -> bool:
        """
        Let the time come for the next call, and make it.

        @return: whether there was one.
        """
        call = self._peek()
        if call is None:
            return False
        heapq.heappop(self._heap)
        self._now = max(self._now, call.time)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True

    def advance(self, seconds: float) -> None:
        """
        Let time pass, and make all calls that come due.
        """
        end = self._now + seconds
        call = self._peek()
        while call is not None and call.time <= end:
            self.step()
            call = self._peek()
        self._now = max(self._now, end)

    def _push(self, call: DelayedCall) -> None:
        """Order is by time, then by who came first."""
        self._order += 1
        heapq.heappush(self._heap, (call.time, self._order, call))

    def _forget(self, _: DelayedCall) -> None:
        """A call is being cancelled: it leaves the heap when it comes by, or with many others."""
        self._cancelled += 1
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].active()]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _peek(self) -> DelayedCall | None:
        """The next call, at the head of the heap; what was cancelled or put off is seen to."""
        while self._heap:
            time, _, call = self._heap[0]
            if call.called or call.cancelled or time != call.time:
                # Of a call that was made earlier than it once was to be, another entry is there.
                heapq.heappop(self._heap)
            elif call.delayed_time:
                heapq.heappop(self._heap)
                call.activate_delay()
                self._push(call)
            else:
                return call
        return None


def _time_of(call: IDelayedCall) -> float:
    return call.getTime()


class Pipe:
    """
    Words to another process: each is read late, and after those before it.
    """

    __slots__ = ("_at", "_hop", "_time", "_words")

    def __init__(self, time: IReactorTime, hop: Callable[[], float]) -> None:
        """
        Nothing is on the way.

        @param time: the reactor of the process that reads.
        @param hop: says how many seconds the next word takes.
        """
        self._time = time
        self._hop = hop
        self._at = float("-inf")
        self._words: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()

    def post(self, read: Callable[..., object], *args: object) -> None:
        """
        Say something: C{read} is called with C{args} when it has arrived.
        """
        now = self._time.seconds()
        self._at = max(self._at, now + self._hop())
        self._words.append((read, args))
        self._time.callLater(self._at - now, self._read)

    def _read(self) -> None:
        read, args = self._words.popleft()
        read(*args)
