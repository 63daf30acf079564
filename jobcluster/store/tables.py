"""
What a store is, without a disk: the tables of L{jobcluster.interfaces.IStore}, as dictionaries.

Everything in them is immutable, so a copy costs no more than the dictionaries.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from jobcluster.core.description import split_tags
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
    Identity,
    JobsEnded,
    JobsSubmitted,
    KeysTaken,
    Lane,
    Recovered,
    Unbound,
)
from jobcluster.core.values import (
    Attempt,
    Cause,
    Job,
    Keyed,
    OnNodeLoss,
    Outcome,
    Ref,
    Status,
    restored_as,
)
from jobcluster.core.views import PAYLOAD_SHOWN, Filter, JobView, ended_view
from jobcluster.errors import StoreFailedError
from jobcluster.store.keys import Keys
from jobcluster.store.queues import Queue

__all__ = ["Tables"]


class Tables:
    """
    The content of one node's store.

    Nothing here waits, fails or forgets: what it means to commit is for whoever owns this.
    """

    def __init__(self) -> None:
        self._name = ""
        self._store = ""
        self._incarnation = 0
        self._last_job = 0
        self._draining = False
        self._open: dict[int, Job] = {}
        self._queues: dict[str, Queue] = {}
        self._ended: dict[int, _Ended] = {}
        self._expired: dict[int, _Expired] = {}
        self._deadlines: dict[Ref, Deadline] = {}
        self._keys = Keys()

    def copy(self) -> Tables:
        """
        Tables of the same content, which change on their own from here on.
        """
        other = Tables()
        other.__dict__.update(self.__dict__)
        other._open = dict(self._open)
        other._queues = {requires: queue.copy() for requires, queue in self._queues.items()}
        other._ended = dict(self._ended)
        other._expired = dict(self._expired)
        other._deadlines = dict(self._deadlines)
        other._keys = self._keys.copy()
        return other

    def restore(self, seconds: int, random: int) -> None:
        """
        Be those of a restored backup: the incarnation is raised, and of the jobs that may run at
        most once those that wait are lost, and those that are bound denied by nobody. See
        L{jobcluster.store.writing.count_up}.

        @param seconds: since the epoch.
        @param random: 16 bits.
        """
        # It is counted up once more when they are opened.
        self._incarnation = restored_as(self._incarnation, seconds, random) - 1
        for job in list(self._open.values()):
            if job.bound is not None:
                bound = (*job.bound[:3], "")
                self._mark((job.id,), partial(Job._replace, bound=bound))
            elif job.on_node_loss == OnNodeLoss.FAIL and not job.cancelling:
                outcome = Outcome(Status.LOST, None, Cause.RESTORED)
                self._end((EndedJob(job.id, outcome, len(job.attempts)),))

    # -- who the node is ---------------------------------------------------------------------------

    def open(
        self, name: str, boot: str, fresh_store: str, random: int, first_job: int
    ) -> tuple[Identity, Recovered]:
        """
        Count the incarnation up; see L{jobcluster.interfaces.IStore.open}.
        """
        if not self._store:
            self._name, self._store, self._last_job = name, fresh_store, first_job
        self._incarnation += 1
        identity = Identity(
            name=self._name,
            store=self._store,
            incarnation=self._incarnation,
            random=random,
            boot=boot,
        )
        return identity, self.recover()

    def recover(self) -> Recovered:
        """
        What a node has to know when it starts.
        """
        return Recovered(
            last_job=self._last_job,
            lanes=tuple(
                Lane(requires, len(queue.waiting))
                for requires, queue in sorted(self._queues.items())
            ),
            questions=tuple(job for _, job in sorted(self._open.items()) if not _waits(job)),
            deadlines=tuple(deadline for _, deadline in sorted(self._deadlines.items())),
            draining=self._draining,
        )

    # -- changes -----------------------------------------------------------------------------------

    def apply(self, changes: Iterable[Change]) -> None:
        """
        Make these changes, in their order.

        What is said of a job that is unknown, or of one whose life is past that, changes nothing.

        @raise StoreFailedError: if a new job has the id or the key of another; then nothing has
            changed.
        """
        changes = tuple(changes)
        self._refuse_known_ids(changes)
        self._refuse_known_keys(changes)
        for change in changes:
            self._make(change)

    def _refuse_known_ids(self, changes: Iterable[Change]) -> None:
        new: set[int] = set()
        for change in changes:
            if isinstance(change, JobsSubmitted):
                for job in change.jobs:
                    if job.id in new or self._knows(job.id):
                        raise StoreFailedError(f"There is a job {job.id} already.")
                    new.add(job.id)

    def _refuse_known_keys(self, changes: Iterable[Change]) -> None:
        new = [
            row.key for change in changes if isinstance(change, KeysTaken) for row in change.keys
        ]
        if len(set(new)) < len(new) or self._keys.find(new):
            raise StoreFailedError("A key of a new job is that of another.")

    def _knows(self, job: int) -> bool:
        return job in self._open or job in self._ended or job in self._expired

    def _make(self, change: Change) -> None:  # noqa: C901 - one row for each kind of change
        match change:
            case JobsSubmitted(jobs=new):
                self._submit(new)
            case KeysTaken(keys=keys):
                self._keys.take(keys)
            case JobsEnded(jobs=over):
                self._end(over)
            case Cancelling(jobs=jobs):
                self._mark(jobs, partial(Job._replace, cancelling=True))
            case Bound(jobs=offers):
                self._bind(offers)
            case Unbound(jobs=jobs):
                self._mark(jobs, partial(Job._replace, bound=None))
            case AttemptsRecorded(attempts=attempts):
                self._record(attempts)
            case DeadlinesSet(deadlines=deadlines):
                self._deadlines.update((deadline.ref, deadline) for deadline in deadlines)
            case DeadlinesCleared(refs=refs):
                self._clear(refs)
            case Draining(draining=draining):
                self._draining = draining

    def _submit(self, jobs: Iterable[Job]) -> None:
        for submitted in jobs:
            job = submitted._replace(cancelling=False, bound=None, attempts=())
            self._open[job.id] = job
            self._last_job = max(self._last_job, job.id)
            self._enqueue(job)

    def _end(self, jobs: Iterable[EndedJob]) -> None:
        for ended in jobs:
            job = self._open.pop(ended.job, None)
            if job is not None:
                self._dequeue(job)
                self._ended[job.id] = _Ended(job, ended.outcome, ended.attempts)

    def _bind(self, offers: Iterable[BoundJob]) -> None:
        for offer in offers:
            bound = (offer.incarnation, offer.serial, offer.node, offer.memory)
            self._mark((offer.job,), partial(Job._replace, bound=bound))

    def _mark(self, jobs: Iterable[int], change: Callable[[Job], Job]) -> None:
        for number in jobs:
            before = self._open.get(number)
            if before is not None:
                after = self._open[number] = change(before)
                if not _waits(after):
                    self._dequeue(after)
                elif not _waits(before):
                    self._enqueue(after)

    def _record(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            job = self._open.get(attempt.job)
            ended = self._ended.get(attempt.job)
            if job is not None:
                self._open[job.id] = _with_attempt(job, attempt)
            elif ended is not None:
                self._ended[attempt.job] = ended._replace(job=_with_attempt(ended.job, attempt))

    def _clear(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            self._deadlines.pop(ref, None)

    def _enqueue(self, job: Job) -> None:
        queue = self._queues.get(job.requires)
        if queue is None:
            queue = self._queues[job.requires] = Queue()
        queue.add(job)

    def _dequeue(self, job: Job) -> None:
        queue = self._queues.get(job.requires)
        if queue is not None:
            queue.discard(job.id)
            if not queue.waiting:
                del self._queues[job.requires]

    # -- questions ---------------------------------------------------------------------------------

    def load(self, jobs: Collection[int]) -> tuple[Job, ...]:
        """
        Those of C{jobs} that are unfinished, in the order of their ids.
        """
        return tuple(self._open[job] for job in sorted(set(jobs)) if job in self._open)

    def page(self, requires: str, after: tuple[int, int], limit: int) -> tuple[Job, ...]:
        """
        The best waiting jobs of these requirements, those after C{(priority, id)}.
        """
        queue = self._queues.get(requires)
        if queue is None:
            return ()
        return tuple(self._open[job] for job in queue.page((-after[0], after[1]), limit))

    def payload(self, job: int, offset: int, limit: int) -> bytes:
        """
        A piece of what an unfinished job is to run; nothing if there is no such job.
        """
        row = self._open.get(job)
        return b"" if row is None else row.payload[offset : offset + limit]

    def view(self, job: int) -> JobView | None:
        """
        One job as a client sees it, or C{None} if it was never here.
        """
        if (unfinished := self._open.get(job)) is not None:
            return _view_open(unfinished)
        if (ended := self._ended.get(job)) is not None:
            return ended.view()
        if (expired := self._expired.get(job)) is not None:
            return JobView(job, expired.kind, b"", "expired", expired.submitted)
        return None

    def keys(self, wanted: Collection[str]) -> tuple[Keyed, ...]:
        """
        Those keys that jobs have.
        """
        return self._keys.find(wanted)

    def views(self, wanted: Filter, after: int, limit: int) -> tuple[JobView, ...]:
        """
        Jobs in the order of their ids; see L{jobcluster.interfaces.IStore.views}.
        """
        ids = heapq.nsmallest(limit, (job for job in self._wanted(wanted) if job > after))
        return tuple(view for job in ids if (view := self.view(job)) is not None)

    def _wanted(self, wanted: Filter) -> Iterator[int]:
        if wanted.state in {"", "open"}:
            yield from (id_ for id_, job in self._open.items() if _is_called(job, wanted))
        for id_, row in self._ended.items():
            if wanted.state in {"", row.outcome.status} and _is_called(row.job, wanted):
                yield id_
        if not (wanted.state or wanted.name or wanted.tags):
            yield from self._expired

    # -- retention ---------------------------------------------------------------------------------

    def expire(self, before: int, forgotten: int, limit: int) -> int:
        """
        Forget what has expired and ended before C{forgotten}, then let expire what ended before
        C{before}: the earliest, at most C{limit} of each.

        @return: how many jobs that were.
        """
        gone = _earliest(((row.ended, job) for job, row in self._expired.items()), forgotten, limit)
        for job in gone:
            del self._expired[job]
            self._keys.forget(job)
        over = _earliest(
            ((row.outcome.ended, job) for job, row in self._ended.items()), before, limit
        )
        for job in over:
            row = self._ended.pop(job)
            self._expired[job] = _Expired(row.job.kind, row.job.submitted, row.outcome.ended)
        return len(gone) + len(over)


class _Ended(NamedTuple):
    """A job with an outcome."""

    job: Job
    outcome: Outcome
    attempts: int

    def view(self) -> JobView:
        """
        It as a client sees it.
        """
        return ended_view(self.job, self.outcome, self.attempts)


class _Expired(NamedTuple):
    """What is left of a job."""

    kind: str
    submitted: int
    ended: int


def _is_called(job: Job, wanted: Filter) -> bool:
    tags = f",{job.tags},"
    return wanted.name in {"", job.name} and all(f",{tag}," in tags for tag in wanted.tags)


def _waits(job: Job) -> bool:
    return not job.cancelling and job.bound is None


def _with_attempt(job: Job, attempt: Attempt) -> Job:
    attempts = {known.offer: known for known in job.attempts}
    attempts[attempt.offer] = attempt
    return job._replace(attempts=tuple(attempts[offer] for offer in sorted(attempts)))


def _view_open(job: Job) -> JobView:
    return JobView(
        job.id,
        job.kind,
        job.payload[:PAYLOAD_SHOWN],
        "cancelling" if job.cancelling else "waiting",
        job.submitted,
        len(job.attempts),
        job.attempts[-1].node if job.attempts else "",
        None,
        job.name,
        split_tags(job.tags),
    )


def _earliest(rows: Iterable[tuple[int, int]], before: int, limit: int) -> Sequence[int]:
    return [job for _, job in heapq.nsmallest(limit, (row for row in rows if row[0] < before))]
