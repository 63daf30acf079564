"""
What a node's core answers to one event, collected and put in order.

What is said to the balancer may be true before this event's changes are committed (C{early}), or
only with them (C{late}).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from jobcluster.core.actions import DropRuns, NodeAction, Persist, Run, SendReport, StartRuns
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
from jobcluster.core.values import Attempt, Job, Keyed, Ref
from jobcluster.core.words import Load, Report

__all__ = ["Out", "Words"]

# In the order in which they may be about one job.
_CHANGES: Final[tuple[tuple[str, Any], ...]] = (
    ("submitted", JobsSubmitted),
    ("keys", KeysTaken),
    ("cancelling", Cancelling),
    ("unbound", Unbound),
    ("bound", Bound),
    ("attempts", AttemptsRecorded),
    ("ended", JobsEnded),
    ("deadlines", DeadlinesSet),
    ("cleared", DeadlinesCleared),
)


class Words:
    """
    A growing L{Report}.
    """

    __slots__ = ("_said",)

    def __init__(self) -> None:
        """
        Nothing to say.
        """
        self._said: defaultdict[str, list[Any]] = defaultdict(list)

    def __bool__(self) -> bool:
        """
        Whether there is anything to say.
        """
        return bool(self._said)

    def add(self, word: str, row: tuple[Any, ...]) -> None:
        """
        Say this too; C{word} is a field of L{Report}.
        """
        self._said[word].append(row)

    def touch(self) -> None:
        """
        Say something, if only the load.
        """
        self._said["gone"].extend(())

    def merge(self, other: Words) -> None:
        """
        Say all of that too.
        """
        for word, rows in other._said.items():
            self._said[word].extend(rows)

    def clear(self) -> None:
        """
        Say none of it.
        """
        self._said.clear()

    def report(self, load: Load | None) -> Report:
        """
        All of it, and the node's load.
        """
        return Report(load, **{word: tuple(rows) for word, rows in self._said.items()})


class Out:
    """
    The answer to one event.
    """

    __slots__ = (
        "_after",
        "_before",
        "_changes",
        "_draining",
        "_forgotten",
        "early",
        "late",
        "runs",
        "runs_late",
    )

    def __init__(self) -> None:
        """
        Nothing is to be done.
        """
        self.early = Words()
        self.late = Words()
        self.runs: list[Run] = []
        self.runs_late: list[Run] = []
        """Runs that may start only when this event's changes are committed."""
        self._changes: defaultdict[str, list[Any]] = defaultdict(list)
        self._draining: bool | None = None
        self._before: list[NodeAction] = []
        self._after: list[NodeAction] = []
        self._forgotten: list[Ref] = []

    # -- changes -----------------------------------------------------------------------------------

    def submitted(self, job: Job) -> None:
        """
        Commit a new job.
        """
        self._changes["submitted"].append(job)

    def keyed(self, row: Keyed) -> None:
        """
        Commit the key of a new job.
        """
        self._changes["keys"].append(row)

    def cancelling(self, job: int) -> None:
        """
        Commit the wish to cancel a job.
        """
        self._changes["cancelling"].append(job)

    def bound(self, row: BoundJob) -> None:
        """
        Commit the one offer of a job that may run.
        """
        self._changes["bound"].append(row)

    def unbound(self, job: int) -> None:
        """
        Commit that another offer may run.
        """
        self._changes["unbound"].append(job)

    def attempt(self, attempt: Attempt) -> None:
        """
        Commit what became of an attempt.
        """
        self._changes["attempts"].append(attempt)

    def ended(self, row: EndedJob) -> None:
        """
        Commit a job's outcome.
        """
        self._changes["ended"].append(row)

    def deadline(self, row: Deadline) -> None:
        """
        Commit a sleep's deadline.
        """
        self._changes["deadlines"].append(row)

    def cleared(self, ref: Ref) -> None:
        """
        Commit that nothing needs to be known of a sleep.
        """
        self._changes["cleared"].append(ref)

    def draining(self, draining: bool) -> None:  # noqa: FBT001 - it is what is committed
        """
        Commit whether this node is to be given nothing.
        """
        self._draining = draining

    @property
    def persists(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._changes) or self._draining is not None

    # -- other actions -----------------------------------------------------------------------------

    def before(self, action: NodeAction) -> None:
        """
        Do this without waiting for this event's changes.
        """
        self._before.append(action)

    def after(self, action: NodeAction) -> None:
        """
        Do this when this event's changes are committed.
        """
        self._after.append(action)

    def forget(self, ref: Ref) -> None:
        """
        Have the runner forget an outcome when this event's changes are committed.
        """
        self._forgotten.append(ref)

    def actions(self, connection: int | None, load: Callable[[], Load]) -> list[NodeAction]:
        """
        Everything in order.

        @param connection: where to say things; C{None} while this node is not joined.
        @param load: what is said of the node beside them.
        """
        actions = self._before
        if self.runs:
            actions.append(StartRuns(tuple(self.runs)))
        if not self.persists:
            self.early.merge(self.late)
            self.late.clear()
        if self.early and connection is not None:
            actions.append(SendReport(connection, self.early.report(load())))
        if self.persists:
            actions.append(Persist(self._all_changes()))
        if self.runs_late:
            actions.append(StartRuns(tuple(self.runs_late)))
        if self.late and connection is not None:
            actions.append(SendReport(connection, self.late.report(load())))
        actions.extend(self._after)
        if self._forgotten:
            actions.append(DropRuns(tuple(self._forgotten)))
        return actions

    def _all_changes(self) -> tuple[Change, ...]:
        changes: list[Change] = [
            change(tuple(self._changes[name])) for name, change in _CHANGES if name in self._changes
        ]
        if self._draining is not None:
            changes.append(Draining(self._draining))
        return tuple(changes)
