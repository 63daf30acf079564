"""
What is on the disks, and the promises that are about that: C1 and C2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from jobcluster.core.losses import CRASH_LIMIT
from jobcluster.core.records import (
    AttemptsRecorded,
    Cancelling,
    Change,
    Deadline,
    DeadlinesCleared,
    DeadlinesSet,
    JobsEnded,
    JobsSubmitted,
)
from jobcluster.core.values import (
    SLEEP,
    Attempt,
    Cause,
    Job,
    Offer,
    Outcome,
    Owner,
    Ref,
    Status,
)
from jobcluster.core.views import JobView
from jobcluster.core.words import Offered
from tests.core.rig.disks import Disk, DiskWatcher
from tests.core.rig.ground import BrokenPromiseError

__all__ = ["Key", "Ledger", "Ledgers"]

_CRASHES: Final = (Cause.KEEPER_DIED, Cause.REBOOTED)
"""Causes that nobody takes back: such a keeper never returns."""

Key = tuple[str, str, int]
"""A job over the whole cluster: name and store of its origin, and its id there."""


class Ledger:
    """
    What is on one disk, as far as promises are concerned.
    """

    __slots__ = (
        "acknowledged",
        "attempts",
        "cancelling",
        "deadlines",
        "jobs",
        "open_jobs",
        "outcomes",
    )

    def __init__(self) -> None:
        """
        Nothing.
        """
        self.jobs: dict[int, Job] = {}
        self.open_jobs: set[int] = set()
        """Those without an outcome."""
        self.outcomes: dict[int, Outcome] = {}
        self.cancelling: set[int] = set()
        self.attempts: dict[int, dict[Offer, Attempt]] = {}
        """Of each job those that are recorded."""
        self.deadlines: dict[Ref, Deadline] = {}
        self.acknowledged: set[int] = set()
        """Jobs whose tickets were handed out."""

    def copy(self) -> Ledger:
        """
        The same for a copy of the disk; but nobody was told of tickets there.
        """
        other = Ledger()
        other.jobs = dict(self.jobs)
        other.open_jobs = set(self.open_jobs)
        other.outcomes = dict(self.outcomes)
        other.cancelling = set(self.cancelling)
        other.attempts = {job: dict(rows) for job, rows in self.attempts.items()}
        other.deadlines = dict(self.deadlines)
        return other


class Ledgers(DiskWatcher):
    """
    Of every disk, what became durable there; whether anybody was told so or not.
    """

    def __init__(self) -> None:
        """
        There are no disks.
        """
        self.ledgers: dict[Disk, Ledger] = {}
        self.copies: set[Owner] = set()
        """Of these there are clones: two stores that claim to be one, for which little holds."""
        self.settled: set[Key] = set()
        """Jobs that have their outcome."""
        self.never: set[Key] = set()
        """Jobs of which a client was told that they will never run."""
        self.wished: set[Key] = set()
        """Jobs that somebody wanted cancelled."""
        self._collected: dict[Key, dict[Offer, Outcome]] = {}
        self._over: dict[Key, set[Offer]] = {}
        self._takes: dict[type, Callable[[Disk, Ledger, Any], None]] = {
            JobsSubmitted: self._submitted,
            JobsEnded: self._ended,
            AttemptsRecorded: self._recorded,
            Cancelling: self._cancelling,
            DeadlinesSet: self._set,
            DeadlinesCleared: self._cleared,
        }

    def is_over(self, key: Key, offer: Offer) -> bool:
        """
        Whether its origin has committed how this attempt ended, or that it is lost.
        """
        return offer in self._over.get(key, ())

    def was_started(self, key: Key, offer: Offer) -> bool:
        """
        Whether this attempt was ever started, so that there is something to be committed of it.
        """
        raise NotImplementedError

    def ledger(self, disk: Disk) -> Ledger:
        """
        What is on a disk.
        """
        ledger = self.ledgers.get(disk)
        if ledger is None:
            ledger = self.ledgers[disk] = Ledger()
        return ledger

    def committed(self, disk: Disk, changes: Sequence[Change]) -> None:
        """
        See L{DiskWatcher.committed}.
        """
        ledger = self.ledger(disk)
        for change in changes:
            take = self._takes.get(type(change))
            if take is not None:
                take(disk, ledger, change)

    @staticmethod
    def _submitted(disk: Disk, ledger: Ledger, change: JobsSubmitted) -> None:
        for job in change.jobs:
            if job.id in ledger.jobs:
                raise BrokenPromiseError("C1", f"job {job.id} of {disk.name} was replaced")
            ledger.jobs[job.id] = job
            ledger.open_jobs.add(job.id)

    def _ended(self, disk: Disk, ledger: Ledger, change: JobsEnded) -> None:
        for job, outcome, _ in change.jobs:
            before = ledger.outcomes.get(job)
            if before is not None and before != outcome:
                text = f"job {job} of {disk.name} has two outcomes: {before} {outcome}"
                raise BrokenPromiseError("C2", text)
            self._look_at_outcome((disk.name, disk.store, job), outcome)
            crashes = sum(row.counted for row in ledger.attempts.get(job, {}).values())
            if outcome.status == Status.QUARANTINED and crashes < CRASH_LIMIT:
                text = f"job {job} of {disk.name} with {crashes} crashes: {outcome}"
                raise BrokenPromiseError("crash counts", text)
            ledger.outcomes[job] = outcome
            ledger.open_jobs.discard(job)
            self.settled.add((disk.name, disk.store, job))

    def _look_at_outcome(self, key: Key, outcome: Outcome) -> None:
        """Whether this outcome may be committed, as far as that shows."""
        if outcome.is_large and outcome not in self._collected.get(key, {}).values():
            raise BrokenPromiseError(
                "rule 8", f"job {key}: {outcome} is committed, and its output was not collected"
            )
        if outcome.status == Status.CANCELLED and key not in self.wished:
            raise BrokenPromiseError("C2", f"job {key} is cancelled, and nobody has wanted that")

    def _recorded(self, disk: Disk, ledger: Ledger, change: AttemptsRecorded) -> None:
        for attempt in change.attempts:
            ledger.attempts.setdefault(attempt.job, {})[attempt.offer] = attempt
            crashed = attempt.cause in _CRASHES and ledger.jobs[attempt.job].kind != SLEEP
            if crashed and not attempt.counted:
                raise BrokenPromiseError("crash counts", f"of {disk.name}, not counted: {attempt}")
            if attempt.ended or attempt.cause:
                key = (disk.name, disk.store, attempt.job)
                self._over.setdefault(key, set()).add(attempt.offer)

    @staticmethod
    def _cancelling(_: Disk, ledger: Ledger, change: Cancelling) -> None:
        ledger.cancelling.update(change.jobs)

    @staticmethod
    def _set(_: Disk, ledger: Ledger, change: DeadlinesSet) -> None:
        ledger.deadlines.update((row.ref, row) for row in change.deadlines)

    @staticmethod
    def _cleared(_: Disk, ledger: Ledger, change: DeadlinesCleared) -> None:
        for ref in change.refs:
            ledger.deadlines.pop(ref, None)

    def copied(self, disk: Disk, copy: Disk) -> None:
        """
        See L{DiskWatcher.copied}.
        """
        self.copies.add((disk.name, disk.store))
        self.ledgers[copy] = self.ledger(disk).copy()

    def restored(self, disk: Disk, backup: Ledger) -> None:
        """
        There is a backup in the place of a disk: what became durable since is not there any more.
        """
        before, ledger = self.ledger(disk), backup.copy()
        self.ledgers[disk] = ledger
        ledger.acknowledged = before.acknowledged & set(ledger.jobs)
        for job in set(before.jobs) - set(ledger.outcomes):
            key = (disk.name, disk.store, job)
            self.settled.discard(key)
            self.never.discard(key)
        for job in tuple(ledger.open_jobs):
            view = disk.tables.view(job)
            if view is not None and view.outcome is not None:
                ledger.outcomes[job] = view.outcome
                ledger.open_jobs.discard(job)
                self.settled.add((disk.name, disk.store, job))

    def collected(self, disk: Disk, job: int, offer: Offer, outcome: Outcome) -> None:
        """
        What an attempt has said is on the disk; whoever ran it had it until then.
        """
        self._collected.setdefault((disk.name, disk.store, job), {})[offer] = outcome

    def acknowledged(self, disk: Disk, jobs: Iterable[int]) -> None:
        """
        Tickets are handed out.
        """
        ledger = self.ledger(disk)
        for job in jobs:
            if job not in ledger.jobs:
                raise BrokenPromiseError(
                    "C1", f"ticket of job {job}, which is not on the disk of {disk.name}"
                )
            ledger.acknowledged.add(job)

    def offered(self, disk: Disk, rows: Iterable[Offered]) -> None:
        """
        An origin puts jobs before a balancer.
        """
        outcomes = self.ledger(disk).outcomes
        for row in rows:
            if row.job in outcomes:
                text = f"job {row.job} of {disk.name} is offered after its outcome was recorded"
                raise BrokenPromiseError("C2", text)

    def told_outcomes(self, disk: Disk, jobs: Iterable[JobView]) -> None:
        """
        Those who wait for these jobs are told.
        """
        ledger = self.ledger(disk)
        for view in jobs:
            found = ledger.outcomes.get(view.job)
            if found != view.outcome:
                raise BrokenPromiseError(
                    "C2", f"job {view.job} of {disk.name}: told {view.outcome}, recorded {found}"
                )

    def told_cancelled(self, disk: Disk, job: int, answer: str) -> None:
        """
        A client is told what became of its wish.
        """
        ledger = self.ledger(disk)
        outcome = ledger.outcomes.get(job)
        if answer == "cancelled":
            self.never.add((disk.name, disk.store, job))
        if answer == "cancelled" and (outcome is None or outcome.status != Status.CANCELLED):
            raise BrokenPromiseError(
                "C2", f"job {job} of {disk.name}: told cancelled, recorded {outcome}"
            )
        if answer == "cancelling" and outcome is None and job not in ledger.cancelling:
            raise BrokenPromiseError("C2", f"job {job} of {disk.name}: the wish is not on the disk")

    def told_acknowledged(self, disk: Disk, job: int, offer: Offer) -> None:
        """
        An executor is told that it may forget an outcome.
        """
        ledger = self.ledger(disk)
        if job not in ledger.open_jobs:
            return
        key = (disk.name, disk.store, job)
        if self.was_started(key, offer) and not self.is_over(key, offer):
            raise BrokenPromiseError(
                "C2", f"job {job} of {disk.name}: {offer} acknowledged, not recorded"
            )
