"""
The store in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import Cancelling, Draining, JobsSubmitted, KeysTaken
from jobcluster.core.values import Keyed
from jobcluster.core.views import Filter
from jobcluster.errors import StateGoneError, StoreFailedError
from jobcluster.interfaces import IStore
from jobcluster.store.memory import MemoryStore, at_once
from jobcluster.store.tables import Tables
from tests.store import contract
from tests.store.case import BEST
from tests.store.scenes import FIRST_JOB, attempt, bound, ended, job, opened, submitted


class MemoryStoreTests(contract.StoreContract):
    """
    L{MemoryStore} keeps the contract.
    """

    def setUp(self) -> None:
        """
        With tables that outlive the store.
        """
        self.tables = Tables()
        self.broken = False
        super().setUp()

    def make_store(self) -> IStore:
        """
        One with the tables of the last.
        """
        return MemoryStore(self.tables, self.medium, lambda: self.now)

    def break_store(self, store: IStore) -> None:
        """
        The medium fails, once.
        """
        self.broken = True

    def medium(self, write: Callable[[], None]) -> Deferred[None]:
        """
        One that can break.
        """
        if self.broken:
            self.broken = False
            return fail(OSError("broken"))
        return at_once(write)


class SlowMedium:
    """
    Holds each write back until it is told what becomes of it.
    """

    def __init__(self) -> None:
        self.held: list[tuple[Callable[[], None], Deferred[None]]] = []

    def __call__(self, write: Callable[[], None]) -> Deferred[None]:
        """
        Take a write.
        """
        done: Deferred[None] = Deferred()
        self.held.append((write, done))
        return done

    def write(self) -> None:
        """
        Carry out the oldest one.
        """
        write, done = self.held.pop(0)
        try:
            write()
        except StoreFailedError:
            done.errback()
        else:
            done.callback(None)

    def fail(self, error: Exception) -> None:
        """
        The oldest one fails.
        """
        self.held.pop(0)[1].errback(error)


class MediumTests(SynchronousTestCase):
    """
    A medium that takes its time, or breaks.
    """

    def setUp(self) -> None:
        """
        Open a store on a slow medium.
        """
        self.medium = SlowMedium()
        self.store = MemoryStore(medium=self.medium)
        self.successResultOf(opened(self.store))

    def test_committed_when_written(self) -> None:
        """
        A commit has happened when it is written, not before.
        """
        done = self.store.commit([submitted(1001)])
        self.assertNoResult(done)
        self.assertIsNone(self.successResultOf(self.store.view(1001)))
        self.medium.write()
        self.assertIsNone(self.successResultOf(done))
        self.assertIsNotNone(self.successResultOf(self.store.view(1001)))

    def test_failure_fails_those_behind_it(self) -> None:
        """
        After a failure, what was to be written later is not.
        """
        first = self.store.commit([submitted(1001)])
        second = self.store.commit([submitted(1002)])
        self.medium.fail(OSError("no space left"))
        failure = self.failureResultOf(first, StoreFailedError)
        self.assertEqual("no space left", failure.getErrorMessage())
        self.medium.write()
        self.failureResultOf(second, StoreFailedError)
        self.successResultOf(opened(self.store))
        self.assertEqual((), self.successResultOf(self.store.views(Filter(), 0, 10)))

    def test_error_of_the_medium(self) -> None:
        """
        A failure that is known is told as it is, also of later commits.
        """
        done = self.store.commit([submitted(1001)])
        self.medium.fail(StateGoneError())
        self.failureResultOf(done, StateGoneError)
        self.failureResultOf(self.store.commit([]), StateGoneError)

    def test_opened_anew(self) -> None:
        """
        What is under way when the store is opened again is not written, and breaks nothing.
        """
        done = self.store.commit([submitted(1001)])
        self.successResultOf(opened(self.store))
        self.medium.write()
        self.failureResultOf(done, StoreFailedError)
        later = self.store.commit([submitted(1002)])
        self.medium.write()
        self.successResultOf(later)
        [view] = self.successResultOf(self.store.views(Filter(), 0, 10))
        self.assertEqual(1002, view.job)


class TablesTests(SynchronousTestCase):
    """
    L{Tables}, as far as no store shows it.
    """

    def test_copy(self) -> None:
        """
        A copy has the same content, and changes on its own.
        """
        tables = Tables()
        tables.open("node-a", "boot-1", "store-a", 7, FIRST_JOB)
        tables.apply([submitted(1001, 1002, 1003, 1004), bound(1002), ended(1003)])
        tables.page("", BEST, 10)
        copy = tables.copy()
        self.assertEqual(tables.recover(), copy.recover())
        tables.apply([ended(1001), ended(1002), Draining(True), submitted(1005)])
        copy.apply([Cancelling((1004,))])
        self.assertEqual([1004, 1005], [job.id for job in tables.page("", BEST, 10)])
        self.assertEqual([1001], [job.id for job in copy.page("", BEST, 10)])
        self.assertEqual(1004, copy.recover().last_job)
        self.assertEqual("ended", copy.views(Filter("succeeded"), 0, 10)[0].state)

    def test_copy_of_keys(self) -> None:
        """
        A copy, and a backup that is restored, has the keys of its jobs and no later ones.
        """
        tables = Tables()
        first, second = Keyed("k", 1001, b"1"), Keyed("l", 1002, b"2")
        tables.apply([submitted(1001), KeysTaken((first,))])
        copy = tables.copy()
        tables.apply([submitted(1002), KeysTaken((second,))])
        copy.restore(1_764_000_000, 7)
        self.assertEqual((first, second), tables.keys(("k", "l")))
        self.assertEqual((first,), copy.keys(("k", "l")))
        copy.apply([submitted(1003), KeysTaken((second._replace(job=1003),))])

    def test_new_jobs_wait(self) -> None:
        """
        Whatever a new job is said to be, it waits and has no attempts.
        """
        tables = Tables()
        marked = job(1001)._replace(
            cancelling=True, bound=(1, 1, "node-b", "store-b"), attempts=(attempt(1001),)
        )
        tables.apply([JobsSubmitted((marked,))])
        self.assertEqual((job(1001),), tables.load([1001]))
        self.assertEqual((job(1001),), tables.page("", BEST, 10))
