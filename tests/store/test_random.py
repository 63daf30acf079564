"""
SQLite held against plain tables, over changes that chance has made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import (
    AttemptsRecorded,
    Bound,
    BoundJob,
    Cancelling,
    Change,
    DeadlinesCleared,
    DeadlinesSet,
    Draining,
    EndedJob,
    JobsEnded,
    JobsSubmitted,
    KeysTaken,
    Unbound,
)
from jobcluster.core.values import Job, Keyed
from jobcluster.core.views import Filter, JobView
from jobcluster.interfaces import IStore
from jobcluster.store.memory import MemoryStore
from jobcluster.store.sqlite import SqliteStore
from tests.store.case import BEST
from tests.store.direct import DirectPools
from tests.store.scenes import FIRST_JOB, attempt, deadline, job, opened, outcome

_Result = TypeVar("_Result")

NOW = 100.0

LANES = ("", "gpu", "gpu,linux")

FILTERS = (
    *map(Filter, ("open", "succeeded", "failed")),
    Filter(name="n"),
    Filter("open", tags=("b",)),
    Filter("failed", "m", ("a",)),
)

serials = st.integers(1, 3)
times = st.integers(0, 100_000)


def rows(row: st.SearchStrategy[_Result]) -> st.SearchStrategy[tuple[_Result, ...]]:
    """
    Some of these, in any order, the same more than once too.
    """
    return st.lists(row, max_size=5).map(tuple)


def submissions(last: int) -> st.SearchStrategy[JobsSubmitted]:
    """
    New jobs, with the ids after the last one.
    """
    parts = st.tuples(
        st.integers(-2, 2),
        st.sampled_from(LANES),
        st.sampled_from([b"", b"100", bytes(5000)]),
        st.sampled_from(["", "n", "m"]),
        st.sampled_from(["", "a", "a,b"]),
    )

    def new(place: int, name: str, tags: str, *some: Any) -> Job:  # noqa: ANN401
        return job(last + 1 + place, *some)._replace(name=name, tags=tags)

    return rows(parts).map(
        lambda found: JobsSubmitted(
            tuple(new(place, *some[3:], *some[:3]) for place, some in enumerate(found))
        )
    )


def keys(new: JobsSubmitted) -> st.SearchStrategy[KeysTaken]:
    """
    Keys for some of these jobs.
    """
    wanted = st.lists(st.booleans(), min_size=len(new.jobs), max_size=len(new.jobs))
    return wanted.map(
        lambda has: KeysTaken(
            tuple(
                Keyed(f"key of {job.id}", job.id, b"digest")
                for job, has_one in zip(new.jobs, has, strict=True)
                if has_one
            )
        )
    )


def changes(last: int) -> st.SearchStrategy[Change]:
    """
    What may be said of jobs up to the last one, and of sleeps; one job was never submitted.
    """
    jobs = st.integers(FIRST_JOB, last)
    outcomes = st.builds(outcome, times, st.sampled_from(["succeeded", "failed", "lost"]))
    offers = st.builds(BoundJob, jobs, serials, serials, st.just("b"), st.just("store-b"))
    causes = st.sampled_from(["", "node-lost"])
    return st.one_of(
        rows(st.builds(EndedJob, jobs, outcomes, serials)).map(JobsEnded),
        rows(jobs).map(Cancelling),
        rows(offers).map(Bound),
        rows(jobs).map(Unbound),
        rows(st.builds(attempt, jobs, serials, serials, causes)).map(AttemptsRecorded),
        rows(st.builds(deadline, serials, at=st.floats(0, 1e6))).map(DeadlinesSet),
        rows(serials.map(lambda serial: deadline(serial).ref)).map(DeadlinesCleared),
        st.booleans().map(Draining),
    )


class Expiry(NamedTuple):
    """
    What ended before that time expires, if it is not too much.
    """

    before: int
    limit: int


Life = list[list[Change] | Expiry]


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """
    What happens to a store: commits, and expiries.

    No change is about a job that is submitted after it.
    """
    last = FIRST_JOB
    life: Life = []
    for _ in range(draw(st.integers(1, 6))):
        commit: list[Change] = []
        for _ in range(draw(st.integers(0, 8))):
            if draw(st.booleans()):
                new = draw(submissions(last))
                last += len(new.jobs)
                commit += [new, draw(keys(new))]
            else:
                commit.append(draw(changes(last)))
        life.append(commit)
        if draw(st.booleans()):
            life.append(draw(st.builds(Expiry, times, st.integers(0, 5))))
    return life


class RandomTests(SynchronousTestCase):
    """
    Both stores say the same.
    """

    def setUp(self) -> None:
        """
        Nothing is open.
        """
        self.stores: list[IStore] = []

    @given(lives())
    def test_same(self, life: Life) -> None:
        """
        After every commit, however it is merged, and every expiry, all answers are the same.
        """
        directory = Path(self.mktemp())
        self.stores = [
            MemoryStore(wall=lambda: NOW),
            SqliteStore(directory, DirectPools(durable=False), wall=lambda: NOW),
        ]
        try:
            self.both(opened)
            for step in life:
                self.take(step)
                self.compare()
            self.both(opened)
            self.compare()
        finally:
            self.both(lambda store: store.close())

    def take(self, step: list[Change] | Expiry) -> None:
        """
        Do the same to both.
        """
        if isinstance(step, Expiry):
            self.both(lambda store: store.expire(step.before, step.limit))
        else:
            self.both(lambda store: store.commit(step))

    def compare(self) -> None:
        """
        Ask both everything.
        """
        views = self.both(lambda store: store.views(Filter(), 0, 1000))
        ids = [FIRST_JOB, *(view.job for view in views)]
        self.both(lambda store: store.load(ids[::-1]))
        for number in ids:
            self.both(partial(_view, number))
        for wanted in FILTERS:
            self.both(partial(_views, wanted))
        # Those of forgotten ones too, for the ids are given out in order.
        numbers = range(FIRST_JOB, max(ids) + 1)
        self.both(partial(_keys, [f"key of {number}" for number in numbers]))
        for lane in LANES:
            for last in self.both(partial(_page, lane, BEST, 1000)):
                self.both(partial(_page, lane, (last.priority, last.id), 2))

    def both(self, ask: Callable[[IStore], Deferred[_Result]]) -> _Result:
        """
        What both stores answer.
        """
        memory, sqlite = (self.successResultOf(ask(store)) for store in self.stores)
        self.assertEqual(memory, sqlite)
        result: _Result = memory
        return result


def _view(number: int, store: IStore) -> Deferred[JobView | None]:
    return store.view(number)


def _views(wanted: Filter, store: IStore) -> Deferred[tuple[JobView, ...]]:
    return store.views(wanted, FIRST_JOB + 3, 3)


def _keys(wanted: list[str], store: IStore) -> Deferred[list[Keyed]]:
    return store.keys(wanted).addCallback(sorted)


def _page(
    requires: str, after: tuple[int, int], limit: int, store: IStore
) -> Deferred[tuple[Job, ...]]:
    return store.page(requires, after, limit)
