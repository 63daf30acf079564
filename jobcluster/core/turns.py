"""
What is said of a job is heard in the order in which it was said, also when the store must be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from jobcluster.core.actions import LoadJobs
from jobcluster.core.out import Out
from jobcluster.core.reads import Reads
from jobcluster.core.values import Now

__all__ = ["Turns", "Word"]

Word = Callable[[Out, Now], None]
"""Something that was said, to be heard."""


class Turns:
    """
    Words about jobs that are not in memory, each waiting for its turn.
    """

    def __init__(self, jobs: Container[int], reads: Reads) -> None:
        """
        Nothing waits.

        @param jobs: those in memory.
        """
        self._jobs = jobs
        self._reads = reads
        self._pending: dict[int, list[tuple[Word, bool]]] = {}

    def when_in_memory(
        self, job: int, word: Word, out: Out, now: Now, *, lasting: bool = False
    ) -> None:
        """
        Hear this at once, or when the store has been asked about the job.

        @param lasting: whether it is true beyond the connection to the balancer.
        """
        if job in self._pending:
            self._pending[job].append((word, lasting))
            return
        if job in self._jobs:
            word(out, now)
            return
        self._pending[job] = [(word, lasting)]
        self._reads.asked("job", job)
        out.after(LoadJobs((job,)))

    def in_turn(self, job: int, word: Word, out: Out, now: Now) -> None:
        """
        Hear this at once, or after what was said of the job before.
        """
        if job in self._pending:
            self._pending[job].append((word, False))
        else:
            word(out, now)

    def loaded(self, job: int, out: Out, now: Now) -> None:
        """
        The store has answered: the job is in memory, or has ended.
        """
        self._reads.done("job", job)
        for word, _ in self._pending.pop(job, ()):
            word(out, now)

    def parted(self) -> None:
        """
        The connection ended: what the balancer said of offers holds no longer.
        """
        for job, words in self._pending.items():
            self._pending[job] = [(word, lasting) for word, lasting in words if lasting]
