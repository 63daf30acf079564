"""
What becomes of changes, in every store: the first part of its contract, as tests.

Import the module, not the class: a test case is run wherever its name is.
"""

from __future__ import annotations

from jobcluster.core.records import (
    Bound,
    BoundJob,
    Cancelling,
    DeadlinesCleared,
    DeadlinesSet,
    Draining,
    EndedJob,
    JobsEnded,
    JobsSubmitted,
    Lane,
    Recovered,
    Unbound,
)
from jobcluster.core.values import Outcome
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import StoreFailedError
from tests.store import case
from tests.store.scenes import (
    FIRST_JOB,
    attempt,
    bound,
    deadline,
    ended,
    job,
    outcome,
    recorded,
    submitted,
)


class ChangesContract(case.StoreCase):
    """
    What is committed is read.
    """

    # -- jobs --------------------------------------------------------------------------------------

    def test_submitted(self) -> None:
        """
        A new job waits, and is what it was submitted as.
        """
        new = job(1001, priority=-3, requires="gpu,linux", payload=b"\x00\xff")
        self.commit(JobsSubmitted((new,)))
        self.assertEqual((new,), self.load(1001))
        self.assertEqual((new,), self.result(self.store.page("gpu,linux", case.BEST, 1)))
        self.assertEqual(
            JobView(1001, "sleep", b"\x00\xff", "waiting", new.submitted), self.view(1001)
        )

    def test_nothing(self) -> None:
        """
        Nothing may be committed, too.
        """
        self.commit()
        self.commit(JobsSubmitted(()), JobsEnded(()), Unbound(()))
        self.assertEqual(Recovered(last_job=FIRST_JOB), self.reopened())

    def test_load(self) -> None:
        """
        Loaded are the unfinished ones in the order of their ids, each once.
        """
        self.commit(submitted(1001, 1002, 1003), ended(1002))
        loaded = self.load(1003, 1002, 1001, 9999, 1003)
        self.assertEqual([1001, 1003], [job.id for job in loaded])
        self.assertEqual((), self.load())

    def test_load_many(self) -> None:
        """
        Any number of jobs may be submitted, loaded and ended at once.
        """
        numbers = range(1001, 1001 + 1337)
        self.commit(submitted(*numbers))
        self.assertEqual(list(numbers), [job.id for job in self.load(*reversed(numbers))])
        self.commit(ended(*numbers))
        self.assertEqual((), self.load(*numbers))

    def test_ended(self) -> None:
        """
        A job that has ended waits no more, and shows its outcome.
        """
        how = Outcome("failed", -9, "killed", 6_000, 7_000, "node-c", b"\x00")
        self.commit(submitted(1001))
        self.commit(JobsEnded((EndedJob(1001, how, 3),)))
        self.assertEqual([], self.page())
        self.assertEqual((), self.load(1001))
        self.assertEqual(
            JobView(1001, "sleep", b"100", "ended", 6_001, 3, "node-c", how), self.view(1001)
        )

    def test_ended_without_a_code(self) -> None:
        """
        There may be no exit code, which is not the code 0.
        """
        how = Outcome("lost", detail="node-lost", ended=7_000)
        self.commit(submitted(1001), JobsEnded((EndedJob(1001, how, 0),)))
        self.assertEqual(how, self.view(1001).outcome)

    def test_one_outcome(self) -> None:
        """
        A job keeps its first outcome: within a change, within a commit, and for ever.
        """
        first = outcome(status="failed")
        self.commit(submitted(1001, 1002))
        self.commit(
            JobsEnded((EndedJob(1001, first, 1), EndedJob(1001, outcome(), 2))), ended(1001, 1002)
        )
        self.commit(ended(1001, status="lost"))
        self.assertEqual(first, self.view(1001).outcome)
        self.assertEqual("succeeded", self.statuses()[1002])

    def statuses(self) -> dict[int, str]:
        """
        How all jobs ended.
        """
        views = self.result(self.store.views(Filter(), 0, 100))
        return {view.job: view.outcome.status for view in views if view.outcome is not None}

    def test_unknown(self) -> None:
        """
        What is said of a job that was never here changes nothing.
        """
        self.commit(
            ended(9999),
            Cancelling((9999,)),
            bound(9999),
            Unbound((9998,)),
            recorded(attempt(9999)),
            DeadlinesCleared((deadline(1).ref,)),
        )
        self.assertIsNone(self.result(self.store.view(9999)))
        self.assertEqual(Recovered(last_job=FIRST_JOB), self.reopened())

    def test_known_id(self) -> None:
        """
        A job with the id of another cannot be stored, and nothing that comes with it is.
        """
        self.commit(submitted(1001))
        self.failureResultOf(self.store.commit([Draining(True), submitted(1001)]), StoreFailedError)
        self.assertEqual(Recovered(last_job=1001, lanes=(Lane("", 1),)), self.reopened())

    # -- marks -------------------------------------------------------------------------------------

    def test_cancelling(self) -> None:
        """
        A job that is cancelling is loaded, but on no page.
        """
        self.commit(submitted(1001, 1002))
        self.commit(Cancelling((1001,)))
        self.assertEqual([1002], self.page())
        self.assertEqual((job(1001)._replace(cancelling=True),), self.load(1001))
        self.assertEqual("cancelling", self.view(1001).state)

    def test_bound(self) -> None:
        """
        A bound job is loaded, but on no page, until it is not bound any more; it may be bound anew.
        """
        self.commit(submitted(1001, 1002))
        self.commit(bound(1001))
        self.commit(bound(1001, serial=5))
        self.assertEqual([1002], self.page())
        [loaded] = self.load(1001)
        self.assertEqual((1, 5, "node-b", "store-b"), loaded.bound)
        self.assertEqual("waiting", self.view(1001).state)
        self.commit(Unbound((1001,)))
        self.assertEqual([1001, 1002], self.page())
        self.assertEqual((job(1001),), self.load(1001))

    def test_both_marks(self) -> None:
        """
        A job that was cancelled while it was bound stays so when it is not bound any more.
        """
        self.commit(submitted(1001))
        self.commit(bound(1001), Cancelling((1001,)))
        self.commit(Unbound((1001,)))
        self.assertEqual([], self.page())
        self.assertEqual((job(1001)._replace(cancelling=True),), self.load(1001))

    def test_end_of_marks(self) -> None:
        """
        A job that has ended is neither cancelling nor bound, and cannot become so.
        """
        self.commit(submitted(1001), bound(1001), Cancelling((1001,)))
        self.commit(ended(1001))
        self.commit(bound(1001), Cancelling((1001,)))
        self.assertEqual("ended", self.view(1001).state)
        self.assertEqual(Recovered(last_job=1001), self.reopened())

    def test_order_within_a_commit(self) -> None:
        """
        Changes of one commit are made in their order.
        """
        self.commit(
            submitted(1001, 1002, 1003, 1004),
            bound(1001, 1002, 1003),
            Unbound((1001, 1002)),
            bound(1002, serial=2),
            Bound((BoundJob(1004, 1, 3, "node-b", "store-b"), BoundJob(1004, 1, 4, "c", "d"))),
            ended(1003),
            Cancelling((1003,)),
        )
        self.assertEqual([1001], self.page())
        self.assertEqual(
            [None, (1, 2, "node-b", "store-b"), (1, 4, "c", "d")],
            [job.bound for job in self.load(1001, 1002, 1003, 1004)],
        )

    # -- attempts ----------------------------------------------------------------------------------

    def test_attempts(self) -> None:
        """
        Attempts come with their job, in the order of their offers; the last word about each counts.
        """
        later = attempt(1001, serial=1, incarnation=2)
        lost = attempt(1001, serial=7, cause="node-lost")
        self.commit(submitted(1001, 1002))
        self.commit(recorded(later, attempt(1001, serial=7)))
        self.commit(recorded(lost, attempt(1001, serial=2)))
        expected = (attempt(1001, serial=2), lost, later)
        self.assertEqual(expected, self.load(1001)[0].attempts)
        self.assertEqual(expected, self.result(self.store.page("", case.BEST, 1))[0].attempts)
        self.assertEqual((), self.load(1002)[0].attempts)
        self.commit(recorded(lost._replace(counted=False), later._replace(node="node-d")))
        self.assertEqual([False, False, False], [a.counted for a in self.load(1001)[0].attempts])
        view = self.view(1001)
        self.assertEqual((3, "node-d"), (view.attempts, view.node))

    def test_attempts_of_what_has_ended(self) -> None:
        """
        An outcome tells itself how many attempts there were; what is recorded later is harmless.
        """
        self.commit(submitted(1001), recorded(attempt(1001, serial=1)))
        self.commit(ended(1001), recorded(attempt(1001, serial=2)))
        self.commit(recorded(attempt(1001, serial=1, cause="node-lost")))
        view = self.view(1001)
        self.assertEqual((1, "node-a"), (view.attempts, view.node))

    # -- sleeps and draining -----------------------------------------------------------------------

    def test_deadlines(self) -> None:
        """
        Deadlines are recovered in the order of their offers, the last word about each, until they
        are cleared.
        """
        self.commit(DeadlinesSet((deadline(3), deadline(1), deadline(2, origin="node-a"))))
        self.commit(
            DeadlinesSet((deadline(4), deadline(5), deadline(3, at=99.0))),
            DeadlinesCleared((deadline(4).ref, deadline(1).ref, deadline(5).ref)),
            DeadlinesSet((deadline(5, at=0.1),)),
        )
        self.assertEqual(
            (deadline(2, origin="node-a"), deadline(3, at=99.0), deadline(5, at=0.1)),
            self.reopened().deadlines,
        )

    def test_draining(self) -> None:
        """
        Whether the node drains is remembered.
        """
        self.commit(Draining(False), Draining(True))
        self.assertTrue(self.reopened().draining)
        self.commit(Draining(False))
        self.assertFalse(self.reopened().draining)
