"""
Rounds of placement: everything that can be placed is, in one go.
"""

from __future__ import annotations

from typing import Protocol

from jobcluster.core.books import Books
from jobcluster.core.ready import Lane

__all__ = ["Pace", "Rounds"]


class Pace(Protocol):
    """How fast jobs may move; see L{jobcluster.core.cluster.ClusterSettings}."""

    @property
    def periodic(self) -> bool:
        """Whether rounds are made by the clock only."""

    @property
    def dispatch_period(self) -> float:
        """Seconds from round to round, at most."""

    @property
    def max_jobs_dispatch(self) -> int:
        """In the periodic mode: how many jobs a round may place."""


class Rounds:
    """
    When a round is due, and what it does.
    """

    def __init__(self, pace: Pace, books: Books) -> None:
        """
        The first periodic round is due one period from now.
        """
        self._pace = pace
        self._books = books
        self.next_due = books.seconds + pace.dispatch_period
        """Of the clock's next round, in observed seconds."""
        self._clock_struck = False

    def look_at_the_time(self) -> None:
        """
        See whether the clock asks for a round.
        """
        if self.next_due <= self._books.seconds:
            self.next_due = self._books.seconds + self._pace.dispatch_period
            self._clock_struck = True

    def wanted(self) -> bool:
        """
        Whether a round is due that would place anything.
        """
        books = self._books
        books.refresh()
        self._measure()
        struck, self._clock_struck = self._clock_struck, False
        if not books.ready.count or (self._pace.periodic and not struck):
            return False
        return any(books.policy.room(lane.key) for lane in books.ready.lanes())

    def make(self) -> None:
        """
        Place everything that can be placed.
        """
        books = self._books
        books.refresh()
        left = None
        if self._pace.periodic:
            left = self._pace.max_jobs_dispatch
        lanes = books.ready.lanes()
        while lanes and (left is None or left > 0):
            for lane in list(lanes):
                if left is not None and left <= 0:
                    break
                if not self._place(lane):
                    lanes.remove(lane)
                elif left is not None:
                    left -= 1
        books.refresh()
        self._measure()

    def _place(self, lane: Lane) -> bool:
        books = self._books
        if not books.policy.room(lane.key):
            return False
        waiting = books.ready.pop(lane, again=not books.blocked)
        if waiting is None:
            return False
        home = books.nodes.get(waiting.entry.book.name)
        books.place(waiting, books.policy.choose(lane.key, home))
        return True

    def _measure(self) -> None:
        books = self._books
        waiting = books.ready.count > 0
        if self._pace.periodic and not waiting:
            waiting = any(node.given > node.running for node in books.nodes.values())
        books.meter.waiting(books.seconds, waiting=waiting)
