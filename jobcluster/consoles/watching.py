"""
Jobs that a client watches: it is told of each when it has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobcluster.consoles.rows import SHOWN_AT_ONCE, ask_ended, show_all, size_of
from jobcluster.core.client_words import Shown
from jobcluster.interfaces import IClusterView

__all__ = ["MOST_WATCHED", "Vigil", "Watch"]

MOST_WATCHED: Final = 200_000
"""Jobs that one client may watch at a time; each takes some memory of the node."""

_UNANSWERED: Final = 2
"""Boxes that the client has not answered: the rest waits, and merges."""

_KEPT: Final = 16 * 2**20
"""Bytes of results that are kept for a client that does not take them as fast as they come."""

_LOOKED_UP: Final = 64
"""Results that are looked up together."""

_LOG: Final = Logger(namespace="jobcluster.client")


class Watch:
    """
    What one client watches.
    """

    def __init__(
        self,
        view: IClusterView,
        clock: IReactorTime,
        push: Callable[[Sequence[Shown]], Deferred[dict[str, Any]]],
    ) -> None:
        """
        Begin with no job.

        @param push: tells the client of jobs, and fires when it has taken that; a client that does
            not take it is none any more.
        """
        self._view = view
        self._clock = clock
        self._push = push
        self._waits: dict[str, Deferred[Shown]] = {}
        self._ended: deque[Shown] = deque()
        """What is to be told; without view and error where it is to be looked up first."""
        self._kept = 0
        """Bytes of that."""
        self._unanswered = 0
        self._flushing: IDelayedCall | None = None

    @property
    def count(self) -> int:
        """How many are watched."""
        return len(self._waits)

    def add(self, tickets: Iterable[str]) -> None:
        """
        Watch these too.
        """
        for ticket in tickets:
            if ticket in self._waits:
                continue
            self._waits[ticket] = asked = ask_ended(self._view, ticket)
            # It may be there at once: then it is watched no more.
            asked.addCallback(self._tell).addErrback(self._ignore)

    def drop(self, tickets: Iterable[str]) -> None:
        """
        Do not watch these any more.
        """
        for ticket in tickets:
            waiting = self._waits.pop(ticket, None)
            if waiting is not None:
                waiting.cancel()

    def close(self) -> None:
        """
        Watch nothing any more.
        """
        self.drop(list(self._waits))
        self._ended.clear()
        if self._flushing is not None and self._flushing.active():
            self._flushing.cancel()
        self._flushing = None

    def _tell(self, shown: Shown) -> None:
        if self._waits.pop(shown.ticket, None) is None:
            return
        size = size_of(shown)
        if self._kept + size > _KEPT:
            # The client is slow, and the node remembers it anyhow.
            shown = Shown(shown.ticket)
            size = size_of(shown)
        self._kept += size
        self._ended.append(shown)
        self._flush_soon()

    def _ignore(self, failure: Failure) -> None:
        failure.trap(CancelledError)

    def _flush_soon(self) -> None:
        if self._flushing is None and self._unanswered < _UNANSWERED:
            self._flushing = self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        while self._ended and self._unanswered < _UNANSWERED:
            rows = [self._ended.popleft()]
            size = size_of(rows[0])
            while self._ended and (size := size + size_of(self._ended[0])) <= SHOWN_AT_ONCE:
                rows.append(self._ended.popleft())
            self._kept -= sum(map(size_of, rows))
            self._unanswered += 1
            pushing = Deferred.fromCoroutine(self._push_all(rows))
            pushing.addCallbacks(self._taken, self._not_taken)

    async def _push_all(self, rows: Sequence[Shown]) -> None:
        known = [row for row in rows if row.view is not None or row.error]
        if known:
            await self._push(known)
        left = [row.ticket for row in rows if row.view is None and not row.error]
        while left:
            shown = await show_all(self._view, left[:_LOOKED_UP])
            await self._push(shown)
            del left[: len(shown)]

    def _taken(self, _: object) -> None:
        self._unanswered -= 1
        if self._ended:
            self._flush_soon()

    def _not_taken(self, failure: Failure) -> None:
        # The connection ends by that, or has ended.
        _LOG.debug("a client did not take what it watches: {why}", why=failure.getErrorMessage())


class Vigil:
    """
    Waits until one of some jobs has ended.
    """

    def __init__(self, view: IClusterView, clock: IReactorTime) -> None:
        """
        Wait for nothing yet.
        """
        self._view = view
        self._clock = clock

    async def keep(self, tickets: Sequence[str], patience: float) -> list[Shown]:
        """
        Return those that have ended, as soon as there are some, or none when the patience is over.

        @param patience: seconds.
        """
        over: Deferred[None] = Deferred()
        timer: list[IDelayedCall] = [self._clock.callLater(patience, over.callback, None)]
        ended: list[Shown] = []

        def note(shown: Shown) -> None:
            if not ended and timer[0].active():
                # Those that end in the same turn are answered together.
                timer[0].reset(0)
            ended.append(shown)

        waits = [ask_ended(self._view, ticket) for ticket in dict.fromkeys(tickets)]
        for wait in waits:
            wait.addCallbacks(note, lambda failure: failure.trap(CancelledError) and None)
        try:
            await over
        finally:
            if timer[0].active():
                timer[0].cancel()
            for wait in waits:
                wait.cancel()
        return ended
