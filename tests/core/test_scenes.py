"""
Scenes that break a scheduler like this one: late starts, and joins.

Each keeps its promise, and none does without its rule.
In each A is the origin, E and F are executors, O1 and O2 are offers of one job, the later the
greater.
"""

from __future__ import annotations

from jobcluster.core.values import Status
from tests.core import without
from tests.core.actor import Parts, sleep
from tests.core.faults_of_ours import AnyJoin, BlindToSome
from tests.core.stage import Scene

LONG = 5_000
"""Milliseconds of a sleep whose deadline is in the store."""


class LeaseTests(Scene):
    """
    Scenes 1 to 3: what is started late.
    """

    def unread_start(self, parts: Parts) -> None:
        """
        O1 lies unread in E, which is stopped, when the balancer restarts.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        e.frozen = True
        job = a.submit(sleep(100))
        stage.restart_balancer()
        a.connect()
        f.start()
        stage.wait(4.0)
        self.assertEqual(["f"], stage.started(job))
        e.frozen = False
        stage.flow()
        e.give_up()
        e.connect()
        stage.promise("a", job, Status.SUCCEEDED, 1, 10.0)

    def test_scene_1(self) -> None:
        """
        The lease is shorter than the grace time.
        """
        self.check(self.unread_start, without.LONG_LEASE, "it was started at ['f', 'e']")

    def unread_start_after_reset(self, parts: Parts) -> None:
        """
        O1 lies unread in E, which is stopped, when the balancer sees E's connection end.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        e.frozen = True
        job = a.submit(sleep(100))
        stage.hang_up(e.joined_wire)
        f.start()
        stage.wait(4.0)
        e.frozen = False
        stage.flow()
        e.give_up()
        e.connect()
        stage.promise("a", job, Status.SUCCEEDED, 1, 10.0)

    def test_scene_1_reset(self) -> None:
        """
        The same without a restart.
        """
        self.check(
            self.unread_start_after_reset, without.LONG_LEASE, "it was started at ['f', 'e']"
        )

    def old_bytes(self, parts: Parts) -> None:
        """
        E reads only what was said long ago; its own words do not arrive any more.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        wire = e.joined_wire
        wire.down_held = True
        stage.wait(0.5)
        job = a.submit(sleep(100))
        wire.up_held = True
        stage.hang_up(wire)
        f.start()
        stage.wait(4.0)
        self.assertEqual(["f"], stage.started(job))
        wire.down_held = False
        stage.flow()
        e.give_up()
        e.connect()
        stage.promise("a", job, Status.SUCCEEDED, 1, 10.0)

    def test_scene_2(self) -> None:
        """
        The lease counts from the sending of a report that was answered.
        """
        self.check(self.old_bytes, without.LEASE_FROM_READING, "it was started at ['f', 'e']")

    def slow_deadline(self, parts: Parts) -> None:
        """
        E has taken O1, and the commit of its deadline is slow.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        e.slow = True
        job = a.submit(sleep(LONG))
        stage.hang_up(e.give_up())
        f.start()
        stage.wait(4.0)
        self.assertEqual(["f"], stage.started(job))
        e.commit()
        e.connect()
        stage.promise("a", job, Status.SUCCEEDED, 1, 10.0)

    def test_scene_3(self) -> None:
        """
        The lease is looked at where the job starts, after any commit.
        """
        self.check(
            self.slow_deadline, without.LEASE_LOOKED_AT_EARLY, "it was started at ['f', 'e']"
        )


class JoinTests(Scene):
    """
    Scenes 4, 5, 11 and 13: what is said while somebody joins.
    """

    def blip_of_the_origin(self, parts: Parts) -> None:
        """
        A joins again with O2 while E runs O1, and its *keep* is late.
        """
        stage = self.stage(parts, "a", "e")
        a, _, f = stage.actors.values()
        job = a.submit(sleep(LONG))
        self.assertEqual(["e"], stage.started(job))
        f.start()
        a.blip().up_held = True
        stage.wait(1.0)
        a.joined_wire.up_held = False
        stage.flow()
        stage.promise("a", job, Status.SUCCEEDED, 1, 10.0)

    def test_scene_4(self) -> None:
        """
        A joined holder blocks the placement.
        """
        self.check(self.blip_of_the_origin, without.HOLDERS_BLOCK, "it was started at ['e', 'f']")

    def late_join(self, parts: Parts) -> None:
        """
        An older join of E, without O1, arrives after a newer one, after which O1 was started.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        stage.hang_up(e.give_up())
        first = e.connect(up_held=True)
        e.give_up()
        e.connect()
        job = a.submit(sleep(LONG))
        self.assertEqual(["e"], stage.started(job))
        f.start()
        first.up_held = False
        stage.flow()
        stage.promise("a", job, Status.SUCCEEDED, 1, 10.0)

    def test_scene_5(self) -> None:
        """
        Of the joins of an incarnation only a newer one is accepted.
        """
        self.check(self.late_join, Parts(cluster=AnyJoin), "it was started at ['e', 'f']")

    def both_restart(self, parts: Parts) -> None:
        """
        Origin and balancer restart; E, which runs O1, joins 2 s later.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        job = a.submit(sleep(LONG))
        stage.restart_balancer()
        a.kill()
        f.start()
        a.start()
        stage.wait(2.0)
        e.connect()
        stage.promise("a", job, Status.SUCCEEDED, 1, 10.0)

    def test_scene_11(self) -> None:
        """
        After a restart of their origin all jobs count as put.
        """
        self.check(self.both_restart, without.JOBS_COUNT_AS_PUT, "it was started at ['e', 'f']")

    def given_up_while_joining(self, parts: Parts) -> None:
        """
        O1 is in E's inventory, and refused before E hears that it is accepted.
        """
        stage = self.stage(parts, "a", "e")
        a, e, _ = stage.actors.values()
        e.slow = True
        job = a.submit(sleep(2_000))
        stage.hang_up(e.give_up())
        wire = e.connect(down_held=True)
        stage.wait(3.0)
        e.commit()
        self.assertEqual([], stage.started(job))
        wire.down_held = False
        stage.flow()
        stage.promise("a", job, Status.SUCCEEDED, 1, 15.0)

    def test_scene_13(self) -> None:
        """
        What has changed since the inventory was taken is said after the acceptance.
        """
        self.check(self.given_up_while_joining, without.WHAT_WAS_HELD_BACK, "there is no outcome")

    def join_in_parts(self, parts: Parts) -> None:
        """
        E, which has just started O1, joins anew in two parts, and the second takes its time.
        """
        stage = self.stage(parts, "a", "e")
        a, e, f = stage.actors.values()
        wire = e.joined_wire
        wire.up_held = True
        job = a.submit(sleep(LONG, once=True))
        self.assertEqual(["e"], stage.started(job))
        f.start()
        e.give_up()
        again = e.connect(up_held=True)
        stage.deliver(again)
        stage.hang_up(wire)
        stage.wait(1.0)
        again.up_held = False
        stage.flow()
        stage.promise("a", job, Status.SUCCEEDED, 1, 15.0)

    def test_incomplete_inventory(self) -> None:
        """
        Only a complete inventory can deny that an offer is held.
        """
        self.check(self.join_in_parts, Parts(cluster=BlindToSome), "it was started at ['e', 'f']")
