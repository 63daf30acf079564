"""
Many small requests as a few calls: what is asked while calls are unanswered leaves with the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

__all__ = ["Batches"]

Q = TypeVar("Q")
A = TypeVar("A")

_UNANSWERED: Final = 2
"""Calls that may be unanswered: one is on its way while the other one is worked at."""


class Batches(Generic[Q, A]):
    """
    The requests of one kind.
    """

    def __init__(
        self,
        clock: IReactorTime,
        send: Callable[[Sequence[Q]], Deferred[Sequence[A]]],
        most: int,
        size_of: Callable[[Q], int] = lambda _: 0,
        most_bytes: int = 0,
    ) -> None:
        """
        Begin with nothing asked.

        @param send: makes a call of some requests, and fires with their answers, in order; those
            behind the last answer are asked again.
        @param most: requests of one call.
        @param size_of: how many bytes a request takes.
        @param most_bytes: from which on a call takes no more of them.
        """
        self._clock = clock
        self._send = send
        self._most = most
        self._size_of = size_of
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Q, Deferred[A]]] = deque()
        self._unanswered = 0
        self._timer: IDelayedCall | None = None

    def ask(self, request: Q) -> Deferred[A]:
        """
        Fires with the answer, or fails as its call does; may be cancelled, which only ends the
        interest in it.
        """
        answer: Deferred[A] = Deferred()
        self._waiting.append((request, answer))
        self._schedule()
        return answer

    def close(self, error: Exception) -> None:
        """
        Fail what was not sent.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._waiting.popleft()[1].errback(Failure(error))

    def _schedule(self) -> None:
        if self._timer is None and self._waiting and self._unanswered < _UNANSWERED:
            self._timer = self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._timer = None
        batch: list[tuple[Q, Deferred[A]]] = []
        size = 0
        while self._waiting and len(batch) < self._most:
            size += self._size_of(self._waiting[0][0])
            if batch and size > self._most_bytes > 0:
                break
            batch.append(self._waiting.popleft())
        if not batch:
            return
        self._unanswered += 1
        sent = self._send([request for request, _ in batch])
        sent.addCallback(partial(self._answered, batch)).addErrback(partial(self._failed, batch))
        self._schedule()

    def _answered(self, batch: list[tuple[Q, Deferred[A]]], answers: Sequence[A]) -> None:
        if not answers:
            raise ValueError("the answer has no row")
        self._unanswered -= 1
        self._waiting.extendleft(reversed(batch[len(answers) :]))
        for (_, asked), answer in zip(batch, answers, strict=False):
            if not asked.called:
                asked.callback(answer)
        self._schedule()

    def _failed(self, batch: list[tuple[Q, Deferred[A]]], failure: Failure) -> None:
        self._unanswered -= 1
        for _, asked in batch:
            if not asked.called:
                asked.errback(failure)
        self._schedule()
