"""
What every store does, as tests.

Import the module, not the class: a test case is run wherever its name is.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from jobcluster.core.records import (
    Cancelling,
    Draining,
    Identity,
    JobsSubmitted,
    Lane,
    Recovered,
    Unbound,
)
from jobcluster.core.values import Job
from jobcluster.core.views import PAYLOAD_SHOWN, Filter, JobView
from jobcluster.errors import StoreFailedError
from jobcluster.interfaces import IStore
from tests.store import changes, described
from tests.store.case import BEST
from tests.store.scenes import FIRST_JOB, attempt, bound, ended, job, opened, recorded, submitted


class StoreContract(changes.ChangesContract, described.DescribedContract):
    """
    L{IStore}, all of it.
    """

    # -- opening -----------------------------------------------------------------------------------

    def test_interface(self) -> None:
        """
        It provides the interface.
        """
        self.assertTrue(verifyObject(IStore, self.store))

    def test_new(self) -> None:
        """
        A new store takes the name and ids that it is offered, and is empty.
        """
        self.assertEqual(Identity("node-a", "store-a", 1, 77, "boot-1"), self.identity)
        self.assertEqual(Recovered(last_job=FIRST_JOB), self.recovered)

    def test_remembers_who_it_is(self) -> None:
        """
        A store keeps its name and id; each opening counts the incarnation up.
        """
        again = self.store.open("other", "boot-2", "other-store", 78, 5)
        identity, recovered = self.result(again)
        self.assertEqual(Identity("node-a", "store-a", 2, 78, "boot-2"), identity)
        self.assertEqual(FIRST_JOB, recovered.last_job)

    def test_remembers_after_its_process(self) -> None:
        """
        What was committed is there for the next process, and its incarnation is a new one.
        """
        self.commit(submitted(1001), Draining(True))
        self.result(self.store.close())
        self.store = self.make_store()
        identity, recovered = self.result(opened(self.store))
        self.assertEqual(("store-a", 2), (identity.store, identity.incarnation))
        self.assertEqual(Recovered(last_job=1001, lanes=(Lane("", 1),), draining=True), recovered)

    def test_not_open(self) -> None:
        """
        A store that is not open, or is closed, does nothing.
        """
        self.result(self.store.close())
        for waiting in (
            self.store.commit([submitted(1001)]),
            self.store.load([1001]),
            self.store.page("", BEST, 1),
            self.store.view(1001),
            self.store.views(Filter(), 0, 1),
            self.store.keys(["k"]),
            self.store.expire(1, 1),
        ):
            self.failureResultOf(waiting, StoreFailedError)

    def test_close_twice(self) -> None:
        """
        A store that is closed may be closed once more, and opened.
        """
        self.result(self.store.close())
        self.result(self.store.close())
        self.assertEqual(2, self.result(opened(self.store))[0].incarnation)

    def test_recovers(self) -> None:
        """
        Recovered are the counts of what waits, sorted; and what is cancelling or bound, in full.
        """
        jobs = [job(1001), job(1002, requires="gpu"), job(1003), job(1004), job(1005), job(1006)]
        self.commit(JobsSubmitted(tuple(jobs)))
        self.commit(Cancelling((1005,)), bound(1004), ended(1006))
        self.commit(recorded(attempt(1004)))
        self.assertEqual(
            Recovered(
                last_job=1006,
                lanes=(Lane("", 2), Lane("gpu", 1)),
                questions=(
                    jobs[3]._replace(bound=(1, 1, "node-b", "store-b"), attempts=(attempt(1004),)),
                    jobs[4]._replace(cancelling=True),
                ),
            ),
            self.reopened(),
        )

    # -- pages and lists ---------------------------------------------------------------------------

    def test_page(self) -> None:
        """
        A page has the best jobs first, goes on where the last one ended, and has one lane only.
        """
        self.commit(
            JobsSubmitted(
                (
                    job(1001),
                    job(1002, priority=5),
                    job(1003, priority=-5),
                    job(1004),
                    job(1005, requires="gpu", priority=9),
                    job(1006, priority=5),
                )
            )
        )
        self.assertEqual([1002, 1006, 1001, 1004, 1003], self.page())
        self.assertEqual([1002, 1006], self.page(limit=2))
        self.assertEqual([1001, 1004], self.page(after=(5, 1006), limit=2))
        self.assertEqual([1004, 1003], self.page(after=(0, 1001)))
        self.assertEqual([], self.page(after=(-5, 1003)))
        self.assertEqual([1005], self.page("gpu"))
        self.assertEqual([], self.page("never"))

    def test_page_of_what_comes_and_goes(self) -> None:
        """
        A page has the jobs that wait when it is asked for.
        """
        self.commit(submitted(*range(1001, 1301)))
        self.assertEqual([1001, 1002], self.page(limit=2))
        self.commit(ended(*range(1001, 1200)), bound(1250))
        self.assertEqual([1200, 1201], self.page(limit=2))
        self.commit(submitted(1301), JobsSubmitted((job(1302, priority=1),)), Unbound((1250,)))
        self.assertEqual([1302, *range(1200, 1302)], self.page(limit=1000))

    def test_views(self) -> None:
        """
        Lists are in the order of ids, of all jobs, of those without an outcome, or of a status.
        """
        self.commit(submitted(1001, 1002, 1003, 1004, 1005), Cancelling((1001,)))
        self.commit(ended(1002), ended(1003, 1005, status="failed"))
        self.assertEqual([1001, 1002, 1003, 1004, 1005], self.views())
        self.assertEqual([1001, 1004], self.views("open"))
        self.assertEqual([1003, 1005], self.views("failed"))
        self.assertEqual([], self.views("lost"))
        self.assertEqual([1003, 1004], self.views(after=1002, limit=2))
        self.assertEqual([1004], self.views("open", after=1001))
        self.assertEqual([1005], self.views("failed", after=1003))
        listed = self.result(self.store.views(Filter(), 0, 100))
        self.assertEqual([self.view(view.job) for view in listed], list(listed))

    # -- retention ---------------------------------------------------------------------------------

    def test_expire(self) -> None:
        """
        What ended before the time given is expired, and all that is left of it is its ticket.
        """
        self.now = 20.0
        self.commit(submitted(1001, 1002, 1003), recorded(attempt(1001)))
        self.commit(ended(1001, at=11_000), ended(1002, at=12_000))
        self.assertEqual(1, self.expire(12_000))
        self.assertEqual(JobView(1001, "sleep", b"", "expired", 6_001), self.view(1001))
        self.assertEqual("ended", self.view(1002).state)
        self.assertEqual([1001, 1002, 1003], self.views())
        self.assertEqual([1002], self.views("succeeded"))
        self.commit(ended(1001, status="failed"), recorded(attempt(1001)), Cancelling((1001,)))
        self.assertEqual("expired", self.view(1001).state)
        self.assertEqual(0, self.expire(12_000))

    def test_forget(self) -> None:
        """
        A ticket that has been expired for as long as its outcome was kept is unknown; the greatest
        id is not forgotten with it.
        """
        self.now = 20.0  # what is kept for 5 s, and so expires when it is 5 s old
        self.commit(submitted(1001, 1002), ended(1001, 1002, at=14_000))
        self.assertEqual(2, self.expire(15_000))
        self.now = 24.0
        self.assertEqual(0, self.expire(19_000))
        self.assertEqual("expired", self.view(1002).state)
        self.now = 24.5
        self.assertEqual(2, self.expire(19_500))
        self.assertIsNone(self.result(self.store.view(1002)))
        self.assertEqual(Recovered(last_job=1002), self.reopened())

    def test_expire_some(self) -> None:
        """
        No more than the limit is expired or forgotten at a time, the earliest first.
        """
        self.now = 20.0
        numbers = (1003, 1002, 1001, 1004)
        self.commit(submitted(*numbers))
        for place, number in enumerate(numbers):
            self.commit(ended(number, at=10_000 + place))
        self.assertEqual(2, self.expire(12_003, limit=2))
        self.assertEqual([1001, 1004], self.views("succeeded"))
        self.now = 30.0
        self.assertEqual(2, self.expire(20_001, limit=1))
        self.assertEqual([1001, 1002, 1004], self.views())
        self.assertEqual([1004], self.views("succeeded"))

    # -- failures ----------------------------------------------------------------------------------

    def test_failed_commit(self) -> None:
        """
        After a commit has failed, everything fails, until the store is opened again; what was
        committed before is there, and nobody was told that what failed is.
        """
        self.commit(submitted(1001))
        self.break_store(self.store)
        self.failureResultOf(self.large(1002), StoreFailedError)
        self.failureResultOf(self.store.commit([submitted(1003)]), StoreFailedError)
        self.failureResultOf(self.store.commit([]), StoreFailedError)
        self.failureResultOf(self.store.view(1001), StoreFailedError)
        self.failureResultOf(self.store.expire(1, 1), StoreFailedError)
        identity, recovered = self.result(opened(self.store))
        self.assertEqual(2, identity.incarnation)
        self.assertEqual((Lane("", 1),), recovered.lanes)
        self.commit(submitted(1004))
        self.assertEqual([1001, 1004], self.page())

    def large(self, *numbers: int) -> Deferred[None]:
        """
        Submit jobs whose payload is large.
        """
        jobs: Sequence[Job] = [job(number, payload=bytes(1 << 20)) for number in numbers]
        return self.store.commit([JobsSubmitted(tuple(jobs))])

    def test_payload(self) -> None:
        """
        The payload of an unfinished job is read in pieces.
        """
        self.commit(JobsSubmitted((job(1001, payload=b"abcdef"), job(1002, payload=b""))))

        def piece(number: int, offset: int) -> bytes:
            return self.result(self.store.payload(number, offset, 4))

        self.assertEqual([b"abcd", b"ef", b""], [piece(1001, at) for at in (0, 4, 8)])
        self.assertEqual([b"", b""], [piece(number, 0) for number in (1002, 1003)])
        self.commit(ended(1001))
        self.assertEqual(b"", piece(1001, 0))

    def test_long_payload_is_not_shown(self) -> None:
        """
        A view has the beginning of it.
        """
        self.commit(JobsSubmitted((job(1001, payload=bytes(PAYLOAD_SHOWN + 1)),)))
        for _ in range(2):
            view = self.result(self.store.view(1001))
            self.assertEqual(PAYLOAD_SHOWN, len(view.payload) if view else 0)
            self.commit(ended(1001))

    def test_free(self) -> None:
        """
        There is room.
        """
        self.assertGreater(self.store.free(), 0)
