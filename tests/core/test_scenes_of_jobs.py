"""
Scenes that break a scheduler like this one: jobs that run once, are cancelled, or dropped.

Each keeps its promise, and none does without its rule.
In each A is the origin, E and F are executors, O1 and O2 are offers of one job, the later the
greater.
"""

from __future__ import annotations

from jobcluster.core.values import Status
from tests.core import without
from tests.core.actor import Parts, sleep
from tests.core.faults_of_ours import ForgetsWishes
from tests.core.stage import Scene

LONG = 5_000
"""Milliseconds of a sleep whose deadline is in the store."""


class OnceTests(Scene):
    """
    Scenes 7, 12 and 14: jobs that are started at most once.
    """

    def late_bound(self, parts: Parts) -> None:
        """
        *Bound to E* is under way while E's connection blips.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        wire = a.joined_wire
        wire.down_held = True
        job = a.submit(sleep(300, once=True))
        wire.up_held, wire.down_held = True, False
        stage.flow()
        e.blip()
        f.start()
        wire.up_held = False
        stage.flow()
        stage.promise("a", job, Status.SUCCEEDED, 1, 15.0)

    def test_scene_7(self) -> None:
        """
        What was denied is dead.
        """
        self.check(self.late_bound, without.DENIED_IS_DEAD, "it was started at ['e', 'f']")

    def short_sleep(self, parts: Parts) -> None:
        """
        E is killed when it has just started a sleep of less than a second, and joins again.
        """
        stage = self.stage(parts, "a", "e")
        a, e, _ = stage.actors.values()
        e.joined_wire.up_held = True
        job = a.submit(sleep(800, once=True))
        self.assertEqual(["e"], stage.started(job))
        e.kill()
        e.start()
        stage.promise("a", job, Status.SUCCEEDED, 1, 15.0)

    def test_scene_12(self) -> None:
        """
        The row of its deadline is its intent.
        """
        self.check(self.short_sleep, without.SHORT_INTENTS, "it was started at ['e', 'e']")

    def eighth_day(self, parts: Parts) -> None:
        """
        The origin is away for eight days; E has ended O1 long ago.
        """
        stage = self.stage(parts, "a", "e")
        a, _, __ = stage.actors.values()
        job = a.submit(sleep(800, once=True))
        a.kill()
        stage.wait(2.0)
        stage.seconds += 8 * 86_400.0
        stage.wait(2.0)
        a.start()
        stage.promise("a", job, Status.SUCCEEDED, 1, 15.0)

    def test_scene_14(self) -> None:
        """
        Intents have no age limit.
        """
        self.check(self.eighth_day, without.OLD_INTENTS, "it was started at ['e', 'e']")


class CancelTests(Scene):
    """
    Scenes 8 to 10: jobs that are cancelling.
    """

    def nobody_knows(self, parts: Parts) -> None:
        """
        E runs a job that is cancelled, and is gone for good; the balancer restarts.
        """
        stage = self.stage(parts, "a", "e")
        a, e, _ = stage.actors.values()
        job = a.submit(sleep(LONG))
        a.joined_wire.up_held = True
        a.cancel(job)
        e.kill()
        stage.restart_balancer()
        a.connect()
        stage.promise("a", job, Status.CANCELLED, 1, 10.0)

    def bound_and_gone(self, parts: Parts) -> None:
        """
        E runs a job that is bound to it, and is gone for good; the balancer restarts.
        """
        stage = self.stage(parts, "a", "e")
        a, e, _ = stage.actors.values()
        job = a.submit(sleep(LONG, once=True))
        e.kill()
        stage.restart_balancer()
        a.connect()
        stage.promise("a", job, Status.LOST, 1, 10.0)

    def test_scene_8(self) -> None:
        """
        An origin asks for those of its jobs that must not be placed but may be held.
        """
        self.check(self.nobody_knows, without.QUESTIONS, "there is no outcome")

    def test_scene_8_bound(self) -> None:
        """
        The same for one that is bound.
        """
        self.check(self.bound_and_gone, without.QUESTIONS, "there is no outcome")

    def cancelled_and_lost(self, parts: Parts) -> None:
        """
        The wish is committed, then E is lost.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        job = a.submit(sleep(LONG))
        e.frozen = True
        a.cancel(job)
        e.kill()
        f.start()
        stage.promise("a", job, Status.CANCELLED, 1, 15.0)

    def test_scene_9(self) -> None:
        """
        A job that is cancelling is never offered again.
        """
        self.check(
            self.cancelled_and_lost, without.CANCELLING_IS_A_STATE, "it was started at ['e', 'f']"
        )

    def cancelled_and_restarted(self, parts: Parts) -> None:
        """
        The wish is committed, then A is restarted, and E is lost.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        job = a.submit(sleep(LONG))
        e.frozen = True
        a.cancel(job)
        a.kill()
        e.kill()
        f.start()
        a.start()
        stage.promise("a", job, Status.CANCELLED, 1, 15.0)

    def test_scene_9_restart(self) -> None:
        """
        A wish outlives its origin's process.
        """
        self.check(
            self.cancelled_and_restarted, Parts(node=ForgetsWishes), "it was started at ['e', 'f']"
        )

    def waits_in_the_window(self, parts: Parts) -> None:
        """
        A job waits for a slot when it is cancelled.
        """
        stage = self.stage(parts, "a", "e")
        a, _, __ = stage.actors.values()
        first = a.submit(sleep(LONG))
        job = a.submit(sleep(100))
        a.cancel(job)
        if a.outcome(job) is None:
            stage.wait(1.0)
        stage.promise("a", first, Status.SUCCEEDED, 1, 10.0)
        stage.promise("a", job, Status.CANCELLED, 0, 0.0)

    def test_scene_10(self) -> None:
        """
        A withdrawal is answered.
        """
        self.check(self.waits_in_the_window, without.ANSWERS, "there is no outcome")


class DropTests(Scene):
    """
    Scene 16: what is dropped.
    """

    def dropped(self, parts: Parts) -> None:
        """
        E comes back with O1, which was recorded as lost, when F runs O2.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        job = a.submit(sleep(60_000))
        stage.hang_up(e.give_up())
        f.start()
        stage.wait(4.0)
        e.connect()
        a.cancel(job)
        stage.promise("a", job, Status.CANCELLED, 2, 5.0)

    def test_scene_16(self) -> None:
        """
        *Gone* frees the slot.
        """
        self.check(self.dropped, without.GONE, "a slot of e is not freed")
