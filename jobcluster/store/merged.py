"""
What several commits come to, when they are made as one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobcluster.core.records import (
    AttemptsRecorded,
    Bound,
    BoundJob,
    Cancelling,
    Change,
    Deadline,
    DeadlinesCleared,
    DeadlinesSet,
    Draining,
    EndedJob,
    JobsEnded,
    JobsSubmitted,
    KeysTaken,
    Unbound,
)
from jobcluster.core.values import Attempt, Job, Keyed, Offer, Ref

__all__ = ["Merged"]


class Merged:
    """
    Changes, sorted by their kind, so that each kind takes one statement for many rows.

    The order in which the kinds are to be written is that of the attributes.
    It may differ from the order in which the changes came, and comes to the same all the same:
    a submission is the first word about its job, as a key is, an outcome undoes the marks before it
    and makes those after it void, attempts are kept whatever becomes of their job, and of several
    words about the same thing only the one that counts is kept: of outcomes the first, else the
    last.
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self.submitted: list[Job] = []
        self.keys: list[Keyed] = []
        self.cancelling: set[int] = set()
        self.bound: dict[int, BoundJob | None] = {}
        """C{None} for a job that is no longer bound."""
        self.attempts: dict[tuple[int, Offer], Attempt] = {}
        self.ended: dict[int, EndedJob] = {}
        self.deadlines: dict[Ref, Deadline | None] = {}
        """C{None} for one that is cleared."""
        self.draining: bool | None = None
        """C{None} if nothing is said about it."""
        for change in changes:
            self.add(change)

    def __bool__(self) -> bool:
        return bool(
            self.submitted
            or self.keys
            or self.cancelling
            or self.bound
            or self.attempts
            or self.ended
            or self.deadlines
            or self.draining is not None
        )

    def add(self, change: Change) -> None:  # noqa: C901 - one row for each kind of change
        """
        Add a change that comes after all others.
        """
        match change:
            case JobsSubmitted(jobs=new):
                self.submitted.extend(new)
            case KeysTaken(keys=keys):
                self.keys.extend(keys)
            case JobsEnded(jobs=over):
                self._end(over)
            case Cancelling(jobs=jobs):
                self.cancelling.update(jobs)
            case Bound(jobs=offers):
                self.bound.update((bound.job, bound) for bound in offers)
            case Unbound(jobs=jobs):
                self.bound.update(dict.fromkeys(jobs))
            case AttemptsRecorded(attempts=attempts):
                self.attempts.update(((one.job, one.offer), one) for one in attempts)
            case DeadlinesSet(deadlines=deadlines):
                self.deadlines.update((deadline.ref, deadline) for deadline in deadlines)
            case DeadlinesCleared(refs=refs):
                self.deadlines.update(dict.fromkeys(refs))
            case Draining(draining=draining):
                self.draining = draining

    def _end(self, jobs: Iterable[EndedJob]) -> None:
        for ended in jobs:
            self.ended.setdefault(ended.job, ended)
