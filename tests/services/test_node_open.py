"""
A node that opens its store, and that opens it again when the disk has failed.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from jobcluster.core.records import Deadline, DeadlinesSet
from jobcluster.core.views import Filter
from jobcluster.errors import (
    NotAcknowledgedError,
    StateGoneError,
    StateLockedError,
    StoreError,
    StoreFailedError,
    StoreOpeningError,
    StoreTooNewError,
)
from jobcluster.store.tables import Tables
from tests.services.cases import ServiceCase
from tests.services.rig import BOOTED, LoneNode, sleep

OPEN = ("open", "a", "boot", "store", 7, 99)
"""How the store of a L{LoneNode} is opened."""


def with_a_sleep() -> Tables:
    """
    What a node has written that was killed while a sleep of a minute ran.
    """
    tables = Tables()
    tables.open("a", "boot", "store", 1, 0)
    begun = Deadline("b", "store-b", 3, 4, 1000, "boot", BOOTED + 60, 1, 60_001, once=False)
    tables.apply([DeadlinesSet((begun,))])
    return tables


class OpeningTests(ServiceCase):
    """
    A node that is started.
    """

    def test_store_first(self) -> None:
        """
        The store is opened as the setup says; then the node knows who it is, and connects.
        """
        node = self.lone()
        opening: Deferred[None] = Deferred()
        node.store.openings = [opening]
        self.assertIsNone(node.service.identity)
        node.service.startService()
        self.assertEqual([OPEN], node.take())
        self.assertIsNone(node.service.core)
        self.assertEqual([], node.endpoint.attempts)
        opening.callback(None)
        self.assertEqual(("a", "store", 1, 7, "boot"), self._identity(node))
        self.assertIsNotNone(node.service.core)
        self.assertEqual(1, len(node.endpoint.attempts))

    def test_store_remembers(self) -> None:
        """
        Name and store are those of the store, whatever the setup says; the incarnation is counted
        up.
        """
        tables = Tables()
        tables.open("old-name", "old-boot", "old-store", 1, 0)
        node = self.started(tables)
        self.assertEqual(("old-name", "old-store", 2, 7, "boot"), self._identity(node))
        self.assertEqual("old-name", node.client.name)

    @staticmethod
    def _identity(node: LoneNode) -> tuple[Any, ...]:
        one = node.identity
        return (one.name, one.store, one.incarnation, one.random, one.boot)

    def test_says_that_it_is_up(self) -> None:
        """
        One line in the log says who is up.
        """
        logged = self.logged("info")
        self.started()
        self.assertEqual(["node a is up, incarnation 1"], logged())

    def test_takes_up_what_runs(self) -> None:
        """
        Sleeps that an earlier process has begun are given to the runner.
        """
        node = self.lone(with_a_sleep())
        node.service.startService()
        self.assertEqual([OPEN, ("start", (4,))], node.take()[:2])

    def test_inventory_first(self) -> None:
        """
        The node connects only when its runner has said what it holds.
        """
        node = self.lone()
        found: Deferred[Any] = Deferred()
        node.next_runner.found = found
        node.service.startService()
        self.assertIsNone(node.service.core)
        self.assertEqual([], node.endpoint.attempts)
        found.callback(("keeper", ()))
        self.assertIsNotNone(node.service.core)
        self.assertEqual(1, len(node.endpoint.attempts))

    def test_not_open_yet(self) -> None:
        """
        Until it is open it takes nothing.
        """
        node = self.lone()
        opening: Deferred[None] = Deferred()
        node.store.openings = [opening]
        node.service.startService()
        self.failureResultOf(node.submit([sleep(5)]), StoreOpeningError)
        self.failureResultOf(node.service.cancel([1000]), StoreOpeningError)
        opening.callback(None)

    def test_cannot_be_opened(self) -> None:
        """
        A store that cannot be opened ends the node with one line, and is not tried again.
        """
        for error in (StateLockedError, StoreTooNewError, StoreFailedError, StateGoneError):
            node = self.lone()
            node.store.openings = [error()]
            node.service.startService()
            self.assertEqual([OPEN, f"fatal: {error()}"], node.take())
            node.clock.advance(5)
            self.assertEqual([], node.take())
            self.assertNotIn("\n", str(error()))

    def test_unforeseen(self) -> None:
        """
        So does any other failure, with a line that says what could not be done.
        """
        node = self.lone()
        node.store.openings = [ZeroDivisionError("by zero")]
        node.service.startService()
        self.assertEqual([OPEN, "fatal: cannot open the state directory: by zero"], node.take())
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))


class SickDiskTests(ServiceCase):
    """
    A commit that fails: nobody knows what is on the disk.
    """

    def broken(self, error: Exception, **how: bool) -> tuple[LoneNode, Deferred[tuple[int, ...]]]:
        """
        A node of which the commit of a submission has failed.
        """
        node = self.started()
        node.disk.hold = True
        submitted = node.submit([sleep(5)])
        self.assertNoResult(submitted)
        node.take()
        node.disk.fail(error, **how)
        node.disk.hold = False
        return node, submitted

    def test_not_acknowledged(self) -> None:
        """
        Whoever waits for an answer hears that the job may exist or not.
        """
        _, submitted = self.broken(StoreFailedError("no space left"))
        failure = self.failureResultOf(submitted, NotAcknowledgedError)
        self.assertIn("may exist", failure.getErrorMessage())

    def test_not_acknowledged_all(self) -> None:
        """
        So does everybody else whose answer was behind the failed commit, one after the other.
        """
        node = self.started()
        [job] = self.successResultOf(node.submit([sleep(5)]))
        node.disk.hold = True
        first = node.submit([sleep(5)])
        second = node.service.cancel([job])
        third = node.submit([sleep(5)])
        node.disk.fail(StoreFailedError())
        for waiting in (first, second, third):
            self.failureResultOf(waiting, NotAcknowledgedError)
        node.disk.hold = False

    def test_begins_anew(self) -> None:
        """
        The old runner is closed, the store opened again, and a new core has a new incarnation.
        """
        node, submitted = self.broken(StoreFailedError())
        self.failureResultOf(submitted)
        self.assertIsNone(node.service.core)
        self.assertEqual(["runner closed"], node.take())
        node.clock.advance(0)
        self.assertEqual([OPEN], node.take())
        self.assertIsNotNone(node.service.core)
        self.assertEqual(2, node.identity.incarnation)
        self.assertEqual(2, len(node.runners))

    def test_is_away_meanwhile(self) -> None:
        """
        Until the store is open again the node does not connect; then it does.
        """
        node, submitted = self.broken(StoreFailedError())
        self.failureResultOf(submitted)
        before = len(node.endpoint.attempts)
        opening: Deferred[None] = Deferred()
        node.store.openings = [opening]
        node.clock.advance(5)
        self.assertEqual(before, len(node.endpoint.attempts))
        self.failureResultOf(node.submit([sleep(5)]), StoreFailedError)
        self.assertIn("disk", node.client.joined())
        opening.callback(None)
        self.assertEqual(before + 1, len(node.endpoint.attempts))

    def test_may_exist(self) -> None:
        """
        What was written although the commit failed is there afterwards, and is offered like any
        other.
        """
        node, submitted = self.broken(StoreFailedError(), written=True)
        self.failureResultOf(submitted)
        node.clock.advance(0)
        [view] = self.successResultOf(node.client.jobs(Filter("open"), 0, 10))
        self.assertEqual((b"5", "waiting"), (view.payload, view.state))
        core = node.service.core
        self.assertEqual({view.job}, {job for job in (view.job,) if core and core.whereabouts(job)})

    def test_goes_on(self) -> None:
        """
        Afterwards it takes jobs as if nothing had happened, under new ids.
        """
        node, submitted = self.broken(StoreFailedError(), written=True)
        self.failureResultOf(submitted)
        node.clock.advance(0)
        [job] = self.successResultOf(node.submit([sleep(6)]))
        views = self.successResultOf(node.client.jobs(Filter("open"), 0, 10))
        self.assertEqual([b"5", b"6"], [view.payload for view in views])
        self.assertEqual(job, views[1].job)

    def test_still_sick(self) -> None:
        """
        A disk that cannot be opened either is tried each second until it can; each time says so.
        """
        logged = self.logged()
        node, submitted = self.broken(StoreFailedError("no space left"))
        self.failureResultOf(submitted)
        node.take()
        node.store.openings = [StoreFailedError("still full"), StoreFailedError("still full")]
        node.clock.advance(2.5)
        self.assertEqual([OPEN] * 3, [told for told in node.take() if told == OPEN])
        self.assertIsNotNone(node.service.core)
        self.assertEqual(
            [
                "a commit failed: no space left",
                "the disk is still sick: still full",
                "the disk is still sick: still full",
            ],
            logged(),
        )

    def test_fails_twice(self) -> None:
        """
        A disk that fails again soon after it was opened is opened again, but not at once: the third
        time would be like the second.
        """
        node, submitted = self.broken(StoreFailedError())
        self.failureResultOf(submitted)
        node.clock.advance(0)
        node.disk.hold = True
        again = node.submit([sleep(5)])
        node.disk.fail(StoreFailedError())
        node.disk.hold = False
        self.failureResultOf(again, NotAcknowledgedError)
        node.clock.advance(0.9)
        self.assertIsNone(node.service.core)
        node.clock.advance(0.1)
        self.assertEqual(3, node.identity.incarnation)

    def test_fails_again_later(self) -> None:
        """
        One that fails again after a while is opened again at once.
        """
        node, submitted = self.broken(StoreFailedError())
        self.failureResultOf(submitted)
        node.clock.advance(11)
        node.disk.hold = True
        again = node.submit([sleep(5)])
        node.disk.fail(StoreFailedError())
        node.disk.hold = False
        self.failureResultOf(again, NotAcknowledgedError)
        node.clock.advance(0)
        self.assertEqual(3, node.identity.incarnation)

    def test_no_room(self) -> None:
        """
        A disk on which nothing is free is not opened: the next commit would fail as the last one.
        """
        node, submitted = self.broken(StoreFailedError())
        self.failureResultOf(submitted)
        node.take()
        node.store.bytes_free = 1000
        node.clock.advance(5)
        self.assertEqual([], node.take())
        self.assertIn("disk", node.client.joined())
        node.store.bytes_free = 1 << 20
        node.clock.advance(1)
        self.assertEqual(2, node.identity.incarnation)

    def test_no_room_at_the_start(self) -> None:
        """
        A node that is started on a full disk opens it all the same: it can answer for what it has.
        """
        node = self.lone(min_free=5000)
        node.store.bytes_free = 0
        node.service.startService()
        self.assertIsNotNone(node.service.core)

    def test_state_gone(self) -> None:
        """
        A state directory that was removed ends the node with one line; it is not made anew.
        """
        node, submitted = self.broken(StateGoneError())
        self.failureResultOf(submitted, NotAcknowledgedError)
        self.assertEqual(["runner closed", f"fatal: {StateGoneError()}"], node.take())
        node.clock.advance(5)
        self.assertEqual([], node.take())
        self.failureResultOf(node.submit([sleep(5)]), StoreError)

    def test_state_gone_meanwhile(self) -> None:
        """
        The same where that is noticed when the store is opened again.
        """
        node, submitted = self.broken(StoreFailedError())
        self.failureResultOf(submitted)
        node.take()
        node.store.openings = [StateGoneError()]
        node.clock.advance(5)
        self.assertEqual([OPEN, f"fatal: {StateGoneError()}"], node.take())

    def test_read_fails(self) -> None:
        """
        What cannot be read is as bad as what cannot be written: the node begins anew.
        """
        node = self.started()
        self.successResultOf(node.submit([sleep(5)]))
        node.store.reading = reading = Deferred[None]()
        cancelled = node.service.cancel([12345])
        reading.errback(StoreFailedError("cannot read"))
        self.failureResultOf(cancelled, NotAcknowledgedError)
        node.clock.advance(0)
        self.assertEqual(2, node.identity.incarnation)

    def test_late_rows(self) -> None:
        """
        So it is with the rows that a read found: the new core reads for itself.
        """
        node = self.started()
        jobs = self.successResultOf(node.submit([sleep(5)] * 4100))
        node.store.reading = reading = Deferred[None]()
        cancelled = node.service.cancel(jobs[-1:])
        node.disk.hold = True
        submitted = node.submit([sleep(5)])
        node.disk.fail(StoreFailedError())
        node.disk.hold = False
        self.failureResultOf(submitted)
        self.failureResultOf(cancelled)
        node.clock.advance(0)
        reading.callback(None)
        core = node.service.core
        if core is None:
            raise AssertionError("not open")
        self.assertIsNotNone(core.whereabouts(jobs[0]))
        self.assertIsNone(core.whereabouts(jobs[-1]))

    def test_late_answer(self) -> None:
        """
        What a read answers, well or ill, to a core that is gone is not told the new one.
        """
        for error in (None, StoreFailedError()):
            node = self.started()
            node.store.reading = reading = Deferred[None]()
            cancelled = node.service.cancel([12345])
            self.assertNoResult(cancelled)
            node.disk.hold = True
            submitted = node.submit([sleep(5)])
            node.disk.fail(StoreFailedError())
            node.disk.hold = False
            self.failureResultOf(submitted)
            self.failureResultOf(cancelled)
            node.clock.advance(0)
            core = node.service.core
            if error is None:
                reading.callback(None)
            else:
                reading.errback(error)
            node.clock.advance(1)
            self.assertIs(core, node.service.core)
            self.assertEqual(2, node.identity.incarnation)
