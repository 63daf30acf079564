"""
The same key at the same node is the same job, whatever happens in between.
"""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred

from jobcluster.core.values import SLEEP, Spec, Status, format_ticket
from jobcluster.core.views import Filter
from jobcluster.errors import (
    ExpiredTicketError,
    KeyTakenError,
    NotAcknowledgedError,
    StoreFailedError,
    StoreFullError,
    UserError,
)
from tests.services.cases import ServiceCase
from tests.services.rig import EPOCH, LoneNode, sleep


def keyed(key: str, milliseconds: int = 5) -> Spec:
    """
    A sleep with a key.
    """
    return Spec(SLEEP, b"%d" % milliseconds, key=key)


class KeyTests(ServiceCase):
    """
    Submissions with keys to a node without a balancer.
    """

    def jobs(self, node: LoneNode) -> list[int]:
        """
        All jobs that its store has.
        """
        return [view.job for view in node.tables.views(Filter(), 0, 1000)]

    def test_again(self) -> None:
        """
        A job that is submitted again with its key is the one that there is, in whatever batch.
        """
        node = self.started()
        [first] = self.successResultOf(node.submit([keyed("k")]))
        again = self.successResultOf(node.submit([keyed("k"), keyed("l"), keyed("k"), sleep(5)]))
        self.assertEqual((first, first), again[::2])
        self.assertEqual(sorted({first, *again}), self.jobs(node))
        self.assertEqual(3, len(self.jobs(node)))

    def test_same_commit(self) -> None:
        """
        A key is on the disk in the commit of its job; jobs without one have nothing read.
        """
        node = self.started()
        node.take()
        self.successResultOf(node.submit([keyed("k"), sleep(5)]))
        self.successResultOf(node.submit([sleep(5)]))
        commits = [("commit", "JobsSubmitted", "KeysTaken"), ("commit", "JobsSubmitted")]
        self.assertEqual([("keys", "k"), *commits], node.take())

    def test_while_it_is_committed(self) -> None:
        """
        One that comes while the first is being committed waits for that, and is the same job.
        """
        node = self.started()
        node.disk.hold = True
        waiting = [node.submit([keyed("k")]) for _ in range(3)]
        for submitted in waiting:
            self.assertNoResult(submitted)
        node.disk.write()
        node.disk.hold = False
        self.assertEqual(1, len({self.successResultOf(submitted) for submitted in waiting}))
        self.assertEqual(1, len(self.jobs(node)))

    def test_while_it_is_read(self) -> None:
        """
        What comes while keys are read is read all at once, after that.
        """
        node = self.started()
        node.take()
        reading: Deferred[None] = Deferred()
        node.store.reading = reading
        waiting = [node.submit([keyed(key)]) for key in ("k", "l", "k", "m")]
        reading.callback(None)
        ids = [self.successResultOf(submitted)[0] for submitted in waiting]
        self.assertEqual((ids[0], 3), (ids[2], len(set(ids))))
        asked = [said for said in node.take() if said[0] == "keys"]
        self.assertEqual([("keys", "k"), ("keys", "l", "k", "m")], asked)

    def test_disk_failed(self) -> None:
        """
        Where the disk fails nobody knows; submitted again it is the job that was written, or a new
        one if none was.
        """
        for written in (True, False):
            node = self.started()
            node.disk.hold = True
            failing, behind = node.submit([keyed("k"), sleep(5)]), node.submit([keyed("k")])
            node.disk.fail(StoreFailedError(), written=written)
            node.disk.hold = False
            for submitted in (failing, behind):
                self.failureResultOf(submitted, NotAcknowledgedError)
            self.assertEqual(2 if written else 0, len(self.jobs(node)))
            node.clock.advance(5)
            known = self.jobs(node)[:1]
            [job] = self.successResultOf(node.submit([keyed("k")]))
            self.assertEqual(known or [job], [job])
            self.assertEqual(2 if written else 1, len(self.jobs(node)))

    def test_disk_fails_while_it_reads(self) -> None:
        """
        What is read after the node has begun anew is of no use to it: nothing was submitted, and
        the key is free.
        """
        node = self.started()
        reading: Deferred[None] = Deferred()
        node.store.reading = reading
        waiting = node.submit([keyed("k")])
        node.disk.hold = True
        failing = node.submit([sleep(5)])
        node.disk.fail(StoreFailedError())
        node.disk.hold = False
        for submitted in (waiting, failing):
            self.failureResultOf(submitted, NotAcknowledgedError)
        node.clock.advance(5)
        reading.callback(None)
        self.assertEqual([], self.jobs(node))
        self.assertEqual(1, len(self.successResultOf(node.submit([keyed("k")]))))

    def test_cannot_be_read(self) -> None:
        """
        Where the keys cannot be read the node begins anew, as after any read that fails.
        """
        node = self.started()
        reading: Deferred[None] = Deferred()
        node.store.reading = reading
        waiting = node.submit([keyed("k")])
        reading.errback(StoreFailedError("cannot read"))
        self.failureResultOf(waiting, NotAcknowledgedError)
        node.clock.advance(5)
        self.assertEqual(2, node.identity.incarnation)

    def test_floor(self) -> None:
        """
        Below the floor of free space nothing is taken, and what is known is told all the same.
        """
        node = self.started(min_free=1000)
        [job] = self.successResultOf(node.submit([keyed("k")]))
        node.store.bytes_free = 999
        same, other = self.successResultOf(node.service.submit([keyed("k"), keyed("l")]))
        self.assertEqual(job, same)
        self.assertIsInstance(other, StoreFullError)
        self.failureResultOf(node.submit([sleep(5)]), StoreFullError)
        self.assertEqual([job], self.jobs(node))

    def test_restarted(self) -> None:
        """
        The next process of the node knows the keys, those of jobs that have ended included.
        """
        node = self.started()
        first, second = self.successResultOf(node.tickets([keyed("k"), keyed("l")]))
        self.successResultOf(node.client.cancel(second))
        again = self.started(node.tables)
        tickets = self.successResultOf(again.tickets([keyed("k"), keyed("l")]))
        self.assertEqual((first, second), tickets)

    def test_expired(self) -> None:
        """
        As long as the ticket is known it is given, an expired one too; then the key is free.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([keyed("k")]))
        self.successResultOf(node.service.cancel([job]))
        now = int(EPOCH * 1000)
        node.tables.expire(now + 1, 0, 10)
        node.service.recent.clear()  # as upkeep does
        self.assertEqual((job,), self.successResultOf(node.submit([keyed("k")])))
        self.failureResultOf(node.client.view(format_ticket("a", job)), ExpiredTicketError)
        node.tables.expire(0, now + 1, 10)
        [other] = self.successResultOf(node.submit([keyed("k")]))
        self.assertNotEqual(job, other)

    def test_refused(self) -> None:
        """
        Another job with the key is refused in one line, as is what cannot be; the others are taken.
        """
        node = self.started()
        [ticket] = self.successResultOf(node.tickets([keyed("k")]))
        named = Spec(SLEEP, b"5", name="n" * 256)
        specs = [keyed("k", 6), keyed("k"), named, attrs.evolve(keyed("k"), tags=("t",)), sleep(5)]
        taken, same, wrong, tagged, last = self.successResultOf(node.client.submit(specs))
        self.assertIsInstance(taken, KeyTakenError)
        self.assertIsInstance(tagged, KeyTakenError)
        self.assertIsInstance(wrong, UserError)
        self.assertIn(ticket, str(taken))
        self.assertEqual(ticket, same)
        self.assertIsInstance(last, str)
        self.assertEqual(2, len(self.jobs(node)))


class DescriptionTests(ServiceCase):
    """
    Names, tags and priorities in a cluster.
    """

    def test_listed(self) -> None:
        """
        Jobs are found by name and tags, wait or run or have ended; at other nodes they show both.
        """
        cluster = self.cluster(nodes=2, slots=1)
        long, named = Spec(SLEEP, b"9000", name="n", tags=("b", "a")), Spec(SLEEP, b"1", name="n")
        tickets = cluster.submit("a", [named, long, long, long, Spec(SLEEP, b"9000", tags=("a",))])
        cluster.advance(1)

        def found(wanted: Filter) -> list[str]:
            views = cluster.result(cluster.client("a").jobs(wanted, 0, 10))
            return [format_ticket("a", view.job) for view in views]

        self.assertEqual(list(tickets[:4]), found(Filter(name="n")))
        self.assertEqual([tickets[0]], found(Filter(Status.SUCCEEDED, "n")))
        self.assertEqual(list(tickets[1:3]), found(Filter("running", "n", ("a",))))
        self.assertEqual(list(tickets[3:]), found(Filter("waiting", tags=("a",))))
        self.assertEqual([tickets[3]], found(Filter("waiting", tags=("a", "b"))))
        view = cluster.result(cluster.client("b").view(tickets[1]))
        self.assertEqual(("n", ("a", "b")), (view.name, view.tags))
        # One that has just ended is shown from memory.
        ended = cluster.result(cluster.client("b").view(tickets[0]))
        self.assertEqual(("ended", "n"), (ended.state, ended.name))
