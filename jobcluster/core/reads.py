"""
Which reads of the store are under way, and what they may not know yet.
"""

from __future__ import annotations

__all__ = ["Reads"]

_Key = tuple[str, str | int]


class Reads:
    """
    Keeps a read from bringing a job back that has ended since the read was asked for.

    What is read may be older than the outcome whose commit is under way.
    """

    def __init__(self) -> None:
        """
        Nothing is being read.
        """
        self._asked = 0
        self._open: dict[_Key, int] = {}
        self._ended: dict[int, int] = {}

    def asked(self, what: str, key: str | int) -> None:
        """
        A read was asked for; C{what} and C{key} are quoted when it is done.
        """
        self._asked += 1
        self._open[what, key] = self._asked

    def ended(self, job: int) -> None:
        """
        A job has ended.
        """
        if self._open:
            self._ended[job] = self._asked

    def is_stale(self, job: int) -> bool:
        """
        Whether what is read of this job may be older than its outcome.
        """
        return job in self._ended

    def done(self, what: str, key: str | int) -> None:
        """
        What was read has been taken in.
        """
        self._open.pop((what, key), None)
        oldest = min(self._open.values(), default=self._asked + 1)
        # In the order in which they ended, which is that of the reads asked for by then.
        for job in list(self._ended):
            if self._ended[job] >= oldest:
                break
            del self._ended[job]
