"""
When the time of a run is over.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from jobcluster.keeper.records import Run

__all__ = ["Limits"]

_NEVER: Final = float("inf")

_FEW: Final = 1024
"""Of so many times it does not matter that they are of runs that have ended."""


class Limits:
    """
    The runs that may take only so long.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """
        There are none yet.

        @param clock: seconds.
        """
        self._clock = clock
        self._runs: dict[int, Run] = {}
        """By number."""
        self._ends: list[tuple[float, int]] = []
        """A heap of when they are over, with their numbers; some have ended before."""

    def add(self, run: Run) -> None:
        """
        A run begins, which may have a limit.
        """
        if run.limit:
            self._runs[run.number] = run
            heapq.heappush(self._ends, (self._clock() + run.limit, run.number))

    def remove(self, run: Run) -> None:
        """
        A run has ended.
        """
        if self._runs.pop(run.number, None) and len(self._ends) > _FEW + 2 * len(self._runs):
            self._ends = [end for end in self._ends if end[1] in self._runs]
            heapq.heapify(self._ends)

    @property
    def next(self) -> float:
        """
        When there is something to look at, by the clock; infinite if there is nothing.
        """
        return self._ends[0][0] if self._ends else _NEVER

    def over(self) -> list[Run]:
        """
        Those whose time is over by now, each once.
        """
        now = self._clock()
        runs = []
        while self._ends and self._ends[0][0] <= now:
            run = self._runs.pop(heapq.heappop(self._ends)[1], None)
            if run is not None:
                runs.append(run)
        return runs
