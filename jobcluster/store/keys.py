"""
The keys of jobs, for a store without a disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobcluster.core.values import Keyed

__all__ = ["Keys"]


class Keys:
    """
    Which job has which key; a job has one at most.
    """

    __slots__ = ("_by_job", "_rows")

    def __init__(self) -> None:
        """
        No job has one.
        """
        self._rows: dict[str, Keyed] = {}
        self._by_job: dict[int, str] = {}

    def copy(self) -> Keys:
        """
        The same keys.
        """
        other = Keys()
        other._rows = dict(self._rows)
        other._by_job = dict(self._by_job)
        return other

    def take(self, rows: Iterable[Keyed]) -> None:
        """
        These are the keys of new jobs.
        """
        for row in rows:
            self._rows[row.key] = row
            self._by_job[row.job] = row.key

    def forget(self, job: int) -> None:
        """
        There is no such job any more.
        """
        key = self._by_job.pop(job, None)
        if key is not None:
            del self._rows[key]

    def find(self, wanted: Iterable[str]) -> tuple[Keyed, ...]:
        """
        Those of these keys that jobs have.
        """
        return tuple(self._rows[key] for key in wanted if key in self._rows)
