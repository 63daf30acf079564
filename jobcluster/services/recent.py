"""
Jobs that have just ended: what clients ask for most need not be read from the disk.
"""

from __future__ import annotations

from typing import Final

from jobcluster.core.views import JobView

__all__ = ["Recent"]

_MOST: Final = 1024
"""Jobs that are kept at most; with L{_SMALL} a bound for what they take in memory."""

_SMALL: Final = 4096
"""Bytes of a job's payload and outcome, if it is to be kept."""


class Recent:
    """
    The latest jobs of a node that have an outcome, which never changes.
    """

    def __init__(self) -> None:
        """
        None has ended.
        """
        self._jobs: dict[int, JobView] = {}

    def add(self, view: JobView) -> None:
        """
        A job has ended, and that is committed.
        """
        if view.outcome is None or _size(view) > _SMALL:
            return
        if len(self._jobs) >= _MOST:
            del self._jobs[next(iter(self._jobs))]
        self._jobs[view.job] = view

    def get(self, job: int) -> JobView | None:
        """
        A job, if it is among them.
        """
        return self._jobs.get(job)

    def clear(self) -> None:
        """
        Forget all: some may have expired.
        """
        self._jobs.clear()


def _size(view: JobView) -> int:
    outcome = view.outcome
    if outcome is None:
        return len(view.payload)
    texts = (view.payload, outcome.value, outcome.out, outcome.err, outcome.detail)
    return sum(map(len, texts))
