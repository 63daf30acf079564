"""
Scenes with state directories that are restored from a backup: who has forgotten a run denies none.

As in the other scenes, A is the origin, and E and F are executors.
"""

from __future__ import annotations

from jobcluster.core.values import Cause, Status
from jobcluster.store.tables import Tables
from tests.core import without
from tests.core.actor import Parts, sleep
from tests.core.stage import Scene, Stage

_LONG = 5_000
"""Milliseconds of a sleep that is still there some seconds later."""


class ExecutorTests(Scene):
    """
    E is restored from a backup that was made before it was given a job that may run at most once.
    """

    def seen(self, parts: Parts) -> None:
        """
        It has started the job, and that was not said; the balancer knows what it was given.
        """
        stage = self.stage(parts, "a", "e")
        a, e, _ = stage.actors.values()
        backup = e.tables.copy()
        e.joined_wire.up_held = True
        job = a.submit(sleep(_LONG, once=True))
        self.assertEqual(["e"], stage.started(job))
        e.restore(backup)
        e.start()
        stage.promise("a", job, Status.LOST, 1, 15.0)

    def test_seen(self) -> None:
        """
        It has lost what it does not have, and denies nothing.
        """
        self.check(self.seen, without.BACKUPS, "it was started at ['e', 'e']")

    def asked(self, parts: Parts) -> None:
        """
        The same, and the balancer is restarted, so that the origin asks.
        """
        stage = self.stage(parts, "a", "e")
        a, e, _ = stage.actors.values()
        backup = e.tables.copy()
        job = a.submit(sleep(_LONG, once=True))
        e.restore(backup)
        stage.restart_balancer()
        e.start()
        a.connect()
        stage.promise("a", job, Status.LOST, 1, 15.0)

    def test_asked(self) -> None:
        """
        What it denies is no answer to the origin's question.
        """
        self.check(self.asked, without.BACKUPS, "it was started at ['e', 'e']")


class OriginTests(Scene):
    """
    A is restored from a backup that knows a job that may run at most once, and not its outcome.
    """

    def test_waited(self) -> None:
        """
        One that waited then may have run since: it is lost, and ended where it runs.
        """
        stage = self.stage(Parts(), "a", "e")
        a, _, f = stage.actors.values()
        a.joined_wire.up_held = True
        job = a.submit(sleep(_LONG, once=True))
        again = a.submit(sleep(100))
        backup = a.tables.copy()
        a.joined_wire.up_held = False
        stage.flow()
        stage.wait(1.0)
        self.assertEqual(["e"], stage.started(job))
        a.restore(backup)
        f.start()
        a.start()
        stage.promise("a", job, Status.LOST, 1, 0.0)
        self.assertEqual(Cause.RESTORED, self.detail(a.outcome(job)))
        stage.promise("a", again, Status.SUCCEEDED, 1, 10.0)

    @staticmethod
    def detail(outcome: object) -> str:
        """
        Why there was no end.
        """
        return getattr(outcome, "detail", "")

    def test_bound_and_held(self) -> None:
        """
        One that was bound, and still runs, goes on.
        """
        stage = self.stage(Parts(), "a", "e")
        a, _, __ = stage.actors.values()
        job = a.submit(sleep(_LONG, once=True))
        stage.wait(1.0)
        a.restore(a.tables)
        a.start()
        stage.promise("a", job, Status.SUCCEEDED, 1, 15.0)

    def test_bound_and_over(self) -> None:
        """
        One that was bound, and has ended since, is lost: its node has forgotten it.
        """
        stage = self.stage(Parts(), "a", "e")
        a, _, __ = stage.actors.values()
        job = a.submit(sleep(1_500, once=True))
        stage.wait(0.5)
        backup = a.tables.copy()
        stage.promise("a", job, Status.SUCCEEDED, 1, 15.0)
        a.restore(backup)
        a.start()
        stage.promise("a", job, Status.LOST, 1, 15.0)

    def test_cancelling(self) -> None:
        """
        One that was to be cancelled while it waited was not started since.
        """
        stage = self.stage(Parts(), "a")
        a, _, __ = stage.actors.values()
        job = a.submit(sleep(_LONG, once=True))
        a.joined_wire.up_held = True
        a.cancel(job)
        a.restore(a.tables)
        a.start()
        stage.promise("a", job, Status.CANCELLED, 0, 15.0)


class DroppedTests(Scene):
    """
    A is restored from a backup that was made while its job ran on E; since then the job was lost,
    E came back, and was told to drop it.
    """

    def begin(self) -> tuple[Stage, int, Tables]:
        """
        Have it lost, and E away.
        """
        stage = self.stage(Parts(), "a", "e")
        a, e, _ = stage.actors.values()
        job = a.submit(sleep(60_000, once=True))
        stage.wait(1.0)
        backup = a.tables.copy()
        stage.hang_up(e.give_up())
        stage.wait(6.0)
        outcome = a.outcome(job)
        self.assertEqual(Status.LOST, outcome and outcome.status)
        return stage, job, backup

    def test_dropped(self) -> None:
        """
        E has dropped it, and joins without it: that it does not have it says nothing.
        """
        stage, job, backup = self.begin()
        a, e, _ = stage.actors.values()
        a.joined_wire.up_held = True
        e.connect()
        e.joined_wire.up_held = True
        a.joined_wire.up_held = False
        stage.flow()
        stage.hang_up(e.give_up())
        a.restore(backup)
        a.start()
        stage.wait(1.0)
        e.connect()
        stage.promise("a", job, Status.LOST, 1, 15.0)

    def test_drops(self) -> None:
        """
        The drop takes its time at E, which comes back to a restored A meanwhile.
        """
        for blip in (True, False):
            stage, job, backup = self.begin()
            a, e, _ = stage.actors.values()
            e.holds_drops = True
            e.connect()
            stage.wait(0.5)
            a.restore(backup)
            if blip:
                e.blip()
            else:
                stage.restart_balancer()
                e.connect()
            a.start()
            stage.wait(1.0)
            e.drop_now()
            stage.flow()
            stage.promise("a", job, Status.LOST, 1, 15.0)
