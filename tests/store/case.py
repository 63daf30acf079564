"""
What the tests of a store have in common.
"""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import Change, Recovered
from jobcluster.core.values import Job
from jobcluster.core.views import Filter, JobView
from jobcluster.interfaces import IStore
from tests.store.scenes import opened

_Result = TypeVar("_Result")

BEST = (1 << 62, 0)
"""Before every job, as the place where a page begins."""


class StoreCase(SynchronousTestCase):
    """
    A store that is open, by whatever L{make_store} makes.
    """

    now = 0.0
    """Seconds since the epoch, for the store."""

    def make_store(self) -> IStore:
        """
        A store that is not open, and is closed when the test is over.

        Called again, one of the same content: the process before it has died.
        """
        raise NotImplementedError

    def break_store(self, store: IStore) -> None:
        """
        From now on, what is committed to it with a large payload fails, until it is opened again.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        """
        Open a store.
        """
        self.store = self.make_store()
        self.identity, self.recovered = self.result(opened(self.store))

    def result(self, waiting: Deferred[_Result]) -> _Result:
        """
        What a Deferred has fired with.
        """
        result: _Result = self.successResultOf(waiting)
        return result

    def commit(self, *changes: Change) -> None:
        """
        Commit these changes as one.
        """
        self.assertIsNone(self.result(self.store.commit(changes)))

    def reopened(self) -> Recovered:
        """
        What the store recovers.
        """
        return self.result(opened(self.store))[1]

    def load(self, *jobs: int) -> tuple[Job, ...]:
        """
        Those of these jobs that are unfinished.
        """
        return self.result(self.store.load(jobs))

    def page(
        self, requires: str = "", after: tuple[int, int] = BEST, limit: int = 100
    ) -> list[int]:
        """
        The ids of the waiting jobs of a page.
        """
        return [job.id for job in self.result(self.store.page(requires, after, limit))]

    def view(self, number: int) -> JobView:
        """
        The view of a job that there is.
        """
        view = self.result(self.store.view(number))
        assert view is not None  # noqa: S101 - for the type checker
        return view

    def views(self, state: str = "", after: int = 0, limit: int = 100) -> list[int]:
        """
        The ids of the jobs of a list.
        """
        return [view.job for view in self.result(self.store.views(Filter(state), after, limit))]

    def expire(self, before: int, limit: int = 100) -> int:
        """
        How many jobs expired or were forgotten.
        """
        return self.result(self.store.expire(before, limit))
