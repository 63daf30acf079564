"""
The waiting jobs of a store without a disk, in the order in which they are to be placed.
"""

from __future__ import annotations

from bisect import bisect_right

from jobcluster.core.values import Job

__all__ = ["Queue"]

# A queue that is longer than what waits in it by this factor and this number is built anew.
_STALE_FACTOR = 2
_STALE_SLACK = 64


class Queue:
    """
    The waiting jobs of one set of requirements.

    Its order is made when somebody asks for it, and kept while jobs come in that order; those that
    have left are passed over until there are too many.
    """

    __slots__ = ("_order", "waiting")

    def __init__(self) -> None:
        """
        Nothing waits.
        """
        self.waiting: dict[int, tuple[int, int]] = {}
        self._order: list[tuple[int, int]] | None = None

    def copy(self) -> Queue:
        """
        A queue of the same jobs.
        """
        other = Queue()
        other.waiting = dict(self.waiting)
        return other

    def add(self, job: Job) -> None:
        """
        It waits.
        """
        rank = self.waiting[job.id] = (-job.priority, job.id)
        if self._order is not None and self._order and rank > self._order[-1]:
            self._order.append(rank)
        else:
            self._order = None

    def discard(self, job: int) -> None:
        """
        It does not wait.
        """
        self.waiting.pop(job, None)

    def page(self, after: tuple[int, int], limit: int) -> list[int]:
        """
        The best jobs after that rank.
        """
        order = self._order
        if order is None or len(order) > _STALE_FACTOR * len(self.waiting) + _STALE_SLACK:
            order = self._order = sorted(self.waiting.values())
        found: list[int] = []
        for place in range(bisect_right(order, after), len(order)):
            if len(found) >= limit:
                break
            job = order[place][1]
            if job in self.waiting:
                found.append(job)
        return found
