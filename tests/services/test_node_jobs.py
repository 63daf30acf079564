"""
What clients ask a node for: jobs taken, jobs cancelled, outcomes waited for.
"""

from __future__ import annotations

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed

from jobcluster.core.values import SLEEP, Outcome, Status, format_ticket
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import StoreFailedError, StoreFullError
from jobcluster.services.recent import Recent
from jobcluster.services.requests import Waiters
from jobcluster.store.memory import MemoryStore
from tests.services.cases import ServiceCase
from tests.services.rig import EPOCH, sleep

DAY = 86_400_000
"""Milliseconds."""


def ended(job: int, out: bytes = b"") -> JobView:
    """
    A job that has ended.
    """
    outcome = Outcome(Status.SUCCEEDED, out=out)
    return JobView(job, SLEEP, b"5", "ended", 0, outcome=outcome)


def status_of(view: JobView) -> str:
    """
    How a job has ended.
    """
    return "" if view.outcome is None else view.outcome.status


class LookedAt(MemoryStore):
    """
    A store that knows nothing, and writes down what it is asked for.
    """

    def __init__(self) -> None:
        """
        Nobody has asked.
        """
        super().__init__()
        self.jobs: list[int] = []

    def view(self, job: int) -> Deferred[JobView | None]:
        """See L{jobcluster.interfaces.IStore.view}."""
        self.jobs.append(job)
        return succeed(None)


class SubmitTests(ServiceCase):
    """
    Jobs that are handed in.
    """

    def test_committed_first(self) -> None:
        """
        Ids are answered when the jobs are on the disk, not before (C1).
        """
        node = self.started()
        node.disk.hold = True
        submitted = node.submit([sleep(5), sleep(6)])
        self.assertNoResult(submitted)
        self.assertEqual((), node.tables.views(Filter(), 0, 10))
        node.disk.write()
        ids = self.successResultOf(submitted)
        self.assertEqual(ids, tuple(view.job for view in node.tables.views(Filter(), 0, 10)))
        self.assertEqual(2, len(set(ids)))
        node.disk.hold = False

    def test_commit_for_each(self) -> None:
        """
        One that comes while another is being committed does not wait for it to be begun.
        """
        node = self.started()
        node.disk.hold = True
        first, second = node.submit([sleep(5)]), node.submit([sleep(6)])
        self.assertEqual([("commit", "JobsSubmitted")] * 2, node.take())
        node.disk.write()
        [[one], [other]] = map(self.successResultOf, (first, second))
        self.assertLess(one, other)
        node.disk.hold = False

    def test_without_balancer(self) -> None:
        """
        Jobs are taken while there is no balancer, and the node says why it is not joined.
        """
        node = self.started()
        self.assertEqual(1, len(self.successResultOf(node.submit([sleep(5)]))))
        self.assertEqual("no balancer has been reached yet", node.client.joined())

    def test_none(self) -> None:
        """
        No jobs are no trouble.
        """
        self.assertEqual((), self.successResultOf(self.started().service.submit([])))

    def test_floor(self) -> None:
        """
        Below the floor of free space nothing is taken, and nothing reaches the store; at the floor
        it is.
        """
        node = self.started(min_free=1000)
        node.store.bytes_free = 999
        failure = self.failureResultOf(node.submit([sleep(5)]), StoreFullError)
        self.assertIn("--min-free", failure.getErrorMessage())
        self.assertEqual([], node.take())
        node.store.bytes_free = 1000
        self.assertEqual(1, len(self.successResultOf(node.submit([sleep(5)]))))

    def test_cancel_below_the_floor(self) -> None:
        """
        A wish to cancel frees space in the end: it is taken.
        """
        node = self.started(min_free=1000)
        [job] = self.successResultOf(node.submit([sleep(5)]))
        node.store.bytes_free = 0
        self.assertEqual(("cancelled",), self.successResultOf(node.service.cancel([job])))

    def test_verbose(self) -> None:
        """
        With C{VERBOSE} each answer and each end is in the log, without it none.
        """
        for verbose in (True, False):
            node = self.started(verbose=verbose)
            logged = self.logged("info")
            [job] = self.successResultOf(node.submit([sleep(5)]))
            self.successResultOf(node.service.cancel([job]))
            ticket = format_ticket("a", job)
            expected = [f"{ticket} was submitted", f"{ticket} ended: cancelled"]
            self.assertEqual(sorted(expected) if verbose else [], sorted(logged()))

    def test_verbose_starts(self) -> None:
        """
        With C{VERBOSE} so is what starts.
        """
        cluster = self.cluster(nodes=1)
        node = cluster.nodes["a"]
        node.setup = attrs.evolve(node.setup, verbose=True)
        cluster.restart("a")
        cluster.until(cluster.all_joined)
        logged = self.logged("info")
        [ticket] = cluster.submit("a", [5])
        cluster.wait(ticket)
        self.assertEqual(1, logged().count(f"{ticket} starts"))


class CancelTests(ServiceCase):
    """
    The wish to cancel jobs.
    """

    def test_committed_first(self) -> None:
        """
        What became of it is answered when that is on the disk (C1).
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        node.disk.hold = True
        cancelled = node.service.cancel([job])
        self.assertNoResult(cancelled)
        node.disk.write()
        self.assertEqual(("cancelled",), self.successResultOf(cancelled))
        node.disk.hold = False

    def test_each(self) -> None:
        """
        For each job that is named there is an answer, in their order, also for one that is named
        twice; what is unknown has ended.
        """
        node = self.started()
        first, second = self.successResultOf(node.submit([sleep(5), sleep(5)]))
        self.successResultOf(node.service.cancel([first]))
        self.assertEqual(
            ("ended", "cancelled", "cancelled", "ended"),
            self.successResultOf(node.service.cancel([first, second, second, 12345])),
        )

    def test_while_it_is_read(self) -> None:
        """
        A job that is not in memory is read first, and answered when it has been.
        """
        node = self.started()
        reading: Deferred[None] = Deferred()
        node.store.reading = reading
        cancelled = node.service.cancel([12345])
        self.assertNoResult(cancelled)
        reading.callback(None)
        self.assertEqual(("ended",), self.successResultOf(cancelled))


class OutcomeTests(ServiceCase):
    """
    Those who wait for outcomes.
    """

    def test_told(self) -> None:
        """
        Everybody who waits for a job hears its outcome when that is on the disk, nobody else does.
        """
        node = self.started()
        first, second = self.successResultOf(node.submit([sleep(5), sleep(5)]))
        waiting = [node.service.end_of(first) for _ in range(2)]
        other = node.service.end_of(second)
        node.disk.hold = True
        node.service.cancel([first])
        for waiter in waiting:
            self.assertNoResult(waiter)
        node.disk.write()
        for waiter in waiting:
            self.assertEqual(Status.CANCELLED, status_of(self.successResultOf(waiter)))
        self.assertNoResult(other)
        node.disk.hold = False

    def test_cancelled(self) -> None:
        """
        Who waits no longer is forgotten; the others hear it all the same.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        one, other = node.service.end_of(job), node.service.end_of(job)
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.successResultOf(node.service.cancel([job]))
        self.assertEqual(Status.CANCELLED, status_of(self.successResultOf(other)))

    def test_leaves_nothing(self) -> None:
        """
        Of a waiter that was cancelled nothing is kept, whether it was the only one or not: nobody
        looks for its outcome, or tells it one.
        """
        waiters = Waiters()
        stays, goes, alone = waiters.add(1), waiters.add(1), waiters.add(2)
        for waiter in (goes, alone):
            waiter.cancel()
            self.failureResultOf(waiter, CancelledError)
        store = LookedAt()
        self.successResultOf(Deferred.fromCoroutine(waiters.look(store)))
        self.assertEqual([1], store.jobs)
        for job in (2, 1):
            waiters.tell(ended(job))
        self.assertEqual(ended(1), self.successResultOf(stays))
        self.successResultOf(Deferred.fromCoroutine(waiters.look(store)))
        self.assertEqual([1], store.jobs)


class RecentTests(ServiceCase):
    """
    Jobs that ended a short while ago.
    """

    def test_not_read(self) -> None:
        """
        They are known as the store has them.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        self.assertIsNone(node.service.recent.get(job))
        self.successResultOf(node.service.cancel([job]))
        self.assertEqual(
            self.successResultOf(node.store.view(job)), node.service.recent.get(job) or self.fail()
        )

    def test_not_before_the_disk(self) -> None:
        """
        What is not committed has not ended.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        node.disk.hold = True
        node.service.cancel([job])
        self.assertIsNone(node.service.recent.get(job))
        node.disk.write()
        self.assertIsNotNone(node.service.recent.get(job))
        node.disk.hold = False

    def test_expire(self) -> None:
        """
        They are forgotten when outcomes expire, for theirs may have.
        """
        node = self.started()
        for failures in ([], [StoreFailedError("cannot read")]):
            node.store.expiring = [*failures]
            node.service.recent.add(ended(1))
            node.clock.advance(600)
            self.assertIsNone(node.service.recent.get(1))

    def test_bounded(self) -> None:
        """
        They are a thousand at most, and small ones: what is long is read from the disk.
        """
        recent = Recent()
        for job in range(3000):
            recent.add(ended(job))
        found = [job for job in range(3000) if recent.get(job) is not None]
        self.assertEqual(list(range(3000 - 1024, 3000)), found)
        recent.add(ended(3000, out=b"x" * 5000))
        self.assertIsNone(recent.get(3000))


class UpkeepTests(ServiceCase):
    """
    What is done now and then.
    """

    def test_retention(self) -> None:
        """
        Outcomes whose retention is over are looked for at the start and every ten minutes.
        """
        node = self.lone(retention=2.0)
        node.service.startService()
        expired = ("expire", int(EPOCH * 1000) - 2 * DAY)
        self.assertEqual([expired], [told for told in node.take() if told[0] == "expire"])
        node.clock.advance(599)
        self.assertEqual([], [told for told in node.take() if told[0] == "expire"])
        node.clock.advance(1)
        later = ("expire", int(EPOCH * 1000) + 600_000 - 2 * DAY)
        self.assertEqual([later], [told for told in node.take() if told[0] == "expire"])

    def test_retention_fails(self) -> None:
        """
        Where that fails, it is in the log, and is tried again the next time.
        """
        node = self.started()
        node.store.expiring = [StoreFailedError("cannot read")]
        logged = self.logged()
        node.clock.advance(600)
        self.assertEqual(
            ["outcomes could not be expired: cannot read"],
            [line for line in logged() if "balancer" not in line],
        )
        node.take()
        node.clock.advance(600)
        self.assertEqual(1, len([told for told in node.take() if told[0] == "expire"]))

    def test_retention_of_many(self) -> None:
        """
        Where there are more than are done with in one go, the next go follows at once.
        """
        node = self.started()
        node.store.expiring = [1000, 1000, 3]
        node.clock.advance(600)
        self.assertEqual(3, len([told for told in node.take() if told[0] == "expire"]))

    def test_looks_at_the_disk(self) -> None:
        """
        An idle node looks each second whether its state directory is still there.
        """
        node = self.started()
        node.clock.advance(3)
        self.assertEqual([("commit",)] * 3, node.take())

    def test_looks_only_when_idle(self) -> None:
        """
        While a commit is under way nobody has to look.
        """
        node = self.started()
        node.disk.hold = True
        node.submit([sleep(5)])
        node.take()
        node.clock.advance(3)
        self.assertEqual([], node.take())
        node.disk.hold = False
        node.disk.write()
