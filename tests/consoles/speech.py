"""
What jobs put out while they run, in a cluster in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from jobcluster.core.views import JobView, Piece

Find = Callable[[str], JobView]
"""Finds the job of a ticket."""

Look = Callable[[], Piece | None]
"""Looks what there is; C{None} where one is to wait for more."""


class Speech:
    """
    The words of jobs, and those who wait for more of them.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        """
        Nothing was said.

        @param most: bytes that are given at once.
        """
        self._most = most
        self._clock = clock
        self._said: dict[tuple[int, str], bytes] = {}
        self.asked: list[tuple[str, int, int]] = []
        """The calls of C{live}: stream, offset and attempt."""
        self.listeners: list[Callable[[], None]] = []

    def say(self, job: int, stream: str, data: bytes) -> None:
        """
        Have a job put out something.
        """
        self._said[job, stream] = self._said.get((job, stream), b"") + data
        self.tell()

    def forget(self, job: int) -> None:
        """
        What a job has put out is of another attempt.
        """
        self._said = {key: data for key, data in self._said.items() if key[0] != job}
        self.tell()

    def tell(self) -> None:
        """
        Have those who wait look again.
        """
        for listener in list(self.listeners):
            listener()

    def look(
        self, find: Find, ticket: str, wanted: tuple[str, int, int], attempt: int
    ) -> Piece | None:
        """
        What there is of a job, if there is something to tell.

        @param wanted: stream, offset, and at most how many bytes.
        """
        found = find(ticket)
        stream, offset, limit = wanted
        outcome, number = found.outcome, found.attempts
        if attempt not in (0, number):
            return Piece(attempt=number)
        whole = self._said.get((found.job, stream), b"")
        if outcome is not None and not whole:
            whole = outcome.out if stream == "out" else outcome.err
        data = whole[offset : offset + min(limit, self._most)]
        is_over = outcome is not None and offset + len(data) >= len(whole)
        return Piece(data, number, is_over) if data or is_over else None

    def listen(self, look: Look, patience: float, attempt: int) -> Deferred[Piece]:
        """
        Look again whenever something is said, until the patience is over.
        """
        listening = Deferred[Piece](lambda _: stop())

        def stop() -> None:
            self.listeners.remove(again)
            if timer.active():
                timer.cancel()

        def again() -> None:
            piece = look()
            if piece is not None:
                stop()
                listening.callback(piece)

        def silent() -> None:
            stop()
            listening.callback(Piece(attempt=attempt))

        timer = self._clock.callLater(patience, silent)
        self.listeners.append(again)
        return listening
