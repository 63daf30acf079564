"""
Scenes that break a scheduler like this one: nodes and keepers that die, freeze and return, each
apart from the other.

Each keeps its promise, and none does without its rule.
In each A is the origin, E and F are executors, O1 and O2 are offers of one job, the later the
greater.
"""

from __future__ import annotations

from jobcluster.core.values import Status
from jobcluster.testing.connections import KeeperConnection
from tests.core import without
from tests.core.faults_of_ours import KITS
from tests.core.play import GRACE, Play, PlayTests
from tests.core.rig.links import Box, Dispatches, End
from tests.core.rig.shapes import Kit, command, sleep


class HandingTests(PlayTests):
    """
    Scenes 3, 6 and 15: what was handed over and lies in the keeper.
    """

    def frozen_keeper(self, kit: Kit) -> None:
        """
        E has looked at its lease and handed O1 to its keeper, which is frozen for 5 s.
        """
        play = Play(kit)
        world, e = play.world, play.e
        play.at_handing(lambda _: play.keeper(e).freeze())
        job = play.submit(command(8_000))
        world.kill(e)
        play.start_f()
        world.run(5.0)
        self.assertEqual(["f"], play.started(job))
        play.keeper(e).thaw()
        world.run(0.5)
        world.boot(e)
        outcome = play.outcome(job)
        self.assertEqual((["f"], Status.SUCCEEDED), (play.started(job), outcome.status))

    def test_scene_3(self) -> None:
        """
        The lease is looked at in the keeper, right before the start.
        """
        self.check(self.frozen_keeper, KITS["no lease at the keeper"], "C5: started again")

    def renewed_lease(self, kit: Kit) -> None:
        """
        The same; E comes back when O2 runs at F, and its lease is renewed, and only then the keeper
        reads, while A's answer is on its way.
        """
        play = Play(kit)
        world, e = play.world, play.e
        play.at_handing(lambda _: play.keeper(e).freeze())
        job = play.submit(command(8_000))
        for link in world.links_of(e):
            link.sever(0.0, 0.0)
        e.cut_off = True
        play.start_f()
        world.run(4.0)
        self.assertEqual(["f"], play.started(job))
        [link] = world.links_of(play.a)
        link.balancer.stall()
        e.cut_off = False
        world.run(2.0)
        play.keeper(e).thaw()
        world.run(1.0)
        link.balancer.release()
        outcome = play.outcome(job)
        self.assertEqual((["f"], Status.SUCCEEDED), (play.started(job), outcome.status))

    def test_renewed_lease(self) -> None:
        """
        A lease that is renewed is none for what was handed over before.
        """
        self.check(self.renewed_lease, KITS["no lease at the keeper"], "C5: started again")

    def old_connection(self, kit: Kit) -> None:
        """
        *Spawn O1* lies unread at a busy keeper; E is killed, and joins again without it.
        """
        play = Play(kit)
        world, e = play.world, play.e
        unread: list[KeeperConnection] = []

        def neglect(connection: KeeperConnection) -> None:
            connection.neglect()
            unread.append(connection)

        play.at_handing(neglect)
        job = play.submit(command(3_000, once=True))
        world.kill(e)
        play.start_f()
        world.boot(e)
        world.run(0.5)
        self.assertEqual(1, len(play.started(job)))
        unread[0].attend()
        world.run(0.5)
        outcome = play.outcome(job)
        self.assertEqual((1, Status.SUCCEEDED), (len(play.started(job)), outcome.status))

    def test_scene_6(self) -> None:
        """
        A keeper obeys its newest connection, and closes older ones unread.
        """
        kit = KITS["an old connection obeyed"]
        self.check(self.old_connection, kit, "C2: an at-most-once job started twice")

    def unconfirmed(self, kit: Kit) -> None:
        """
        O1 was handed to the keeper, which has not confirmed it, when E joins anew.
        """
        play = Play(kit)
        world, e = play.world, play.e
        unread: list[KeeperConnection] = []

        def neglect(connection: KeeperConnection) -> None:
            connection.neglect()
            unread.append(connection)

        play.at_handing(neglect)
        job = play.submit(command(3_000))
        play.start_f()
        for link in world.links_of(e):
            link.sever(0.0, 0.0)
        world.run(1.0)
        unread[0].attend()
        outcome = play.outcome(job)
        self.assertEqual((["b"], Status.SUCCEEDED), (play.started(job), outcome.status))

    def test_scene_15(self) -> None:
        """
        Handed over counts as held.
        """
        self.check(self.unconfirmed, KITS["handed over not held"], "C5: started again")

    def waits_behind(self, kit: Kit) -> None:
        """
        O1 waits at E behind another job; E comes back when O2 runs at F, and its slot is free
        before A's answer has come.
        """
        play = Play(kit, periodic=True)
        world, e = play.world, play.e
        first, job = play.submit_all(sleep(7_000), sleep(9_000))
        world.run(0.6)
        self.assertEqual((["b"], []), (play.started(first), play.started(job)))
        for link in world.links_of(e):
            link.sever(0.0, 0.0)
        e.cut_off = True
        play.start_f(slots=2)
        world.run(4.5)
        self.assertEqual(["f"], play.started(job))
        [link] = world.links_of(play.a)
        link.balancer.stall()
        e.cut_off = False
        world.run(3.0)
        link.balancer.release()
        outcome = play.outcome(job)
        self.assertEqual((["f"], Status.SUCCEEDED), (play.started(job), outcome.status))

    def test_waits_behind(self) -> None:
        """
        What waited when the lease was over is given back.
        """
        self.check(self.waits_behind, without.GIVING_BACK, "C5: started again")


class KeeperTests(PlayTests):
    """
    Keepers that die or freeze while their nodes live.
    """

    def test_replaced(self) -> None:
        """
        A keeper dies that runs 50 commands: all are told lost, counted, and run again.
        """
        play = Play(Kit(), slots=50)
        jobs = play.submit_all(*(command(4_000) for _ in range(50)))
        process = play.e.process
        play.world.run(0.5)
        play.world.kill_keeper(play.e)
        play.world.run(4.0)
        self.assertEqual([(1, ["b", "b"])] * 50, [(play.counts(j), play.started(j)) for j in jobs])
        self.assertEqual({Status.SUCCEEDED}, {play.outcome(job).status for job in jobs})
        self.assertEqual([["b", "b"]] * 50, [play.started(job) for job in jobs])
        self.assertIs(process, play.e.process)

    def another_keeper(self, kit: Kit) -> None:
        """
        E has another keeper, whose job goes on when E's process is away for longer than the grace.
        """
        play = Play(kit)
        play.world.kill_keeper(play.e)
        play.world.run(4.0)
        job = play.submit(command(20_000))
        play.restart(play.e, GRACE + 1.0)
        play.world.run(2.0)
        self.expect("crash counts", holds=not play.counts(job), what=play.counts(job))

    def test_another_keeper(self) -> None:
        """
        The balancer hears which keeper runs what, also when that has changed.
        """
        self.check(self.another_keeper, without.REPLACEMENT, "crash counts: 1")

    def test_frozen_for_a_moment(self) -> None:
        """
        Nothing happens when a keeper is frozen for 5 s.
        """
        play = Play(Kit())
        job = play.submit(command(2_000))
        keeper = play.keeper(play.e)
        keeper.freeze()
        play.world.run(5.0)
        keeper.thaw()
        outcome = play.outcome(job)
        self.assertEqual((["b"], Status.SUCCEEDED), (play.started(job), outcome.status))
        self.assertIs(keeper, play.e.keeper_process)

    def test_frozen_for_good(self) -> None:
        """
        A keeper that does not answer for 11 s is killed and replaced, and its jobs run again.
        """
        play = Play(Kit())
        job = play.submit(command(60_000))
        keeper = play.keeper(play.e)
        keeper.freeze()
        play.world.run(10.0)
        self.assertEqual((keeper, 0), (play.e.keeper_process, play.counts(job)))
        play.world.run(9.0)
        self.assertIsNot(keeper, play.e.keeper_process)
        self.assertEqual((["b", "b"], 1), (play.started(job), play.counts(job)))
        self.assertEqual(Status.SUCCEEDED, play.outcome(job).status)

    def test_frozen_together(self) -> None:
        """
        While a node does not run either, its keeper is not waited for.
        """
        play = Play(Kit())
        job = play.submit(command(60_000))
        keeper, process = play.keeper(play.e), play.process(play.e)
        keeper.freeze()
        process.freeze()
        play.world.run(20.0)
        process.thaw()
        play.world.run(4.0)
        keeper.thaw()
        play.world.run(12.0)
        self.assertIs(keeper, play.e.keeper_process)
        self.assertEqual(Status.SUCCEEDED, play.outcome(job).status)


class CountTests(PlayTests):
    """
    What counts against a job.
    """

    def dies_and_returns(self, kit: Kit) -> None:
        """
        E's process dies three times under a job, and is soon back each time.
        """
        play = Play(kit)
        job = play.submit(command(20_000))
        for _ in range(3):
            play.restart(play.e, 0.5)
            play.world.run(1.0)
        outcome = play.outcome(job)
        self.assertEqual((["b"], 0), (play.started(job), play.counts(job)))
        self.assertEqual(Status.SUCCEEDED, outcome.status)

    def test_dies_and_returns(self) -> None:
        """
        What goes on in the keeper is taken up, and nothing counts.
        """
        self.check(self.dies_and_returns, without.ADOPTION, "C6: started again")

    def dies_for_long(self, kit: Kit) -> None:
        """
        The same, but each time it is away for longer than the grace.
        """
        play = Play(kit)
        job = play.submit(command(20_000))
        for _ in range(3):
            play.restart(play.e, GRACE + 1.0)
            play.world.run(2.0)
        outcome = play.outcome(job)
        self.expect("outcome", holds=outcome.status == Status.SUCCEEDED, what=outcome.status)
        self.assertEqual((4, 0), (len(play.started(job)), play.counts(job)))

    def test_dies_for_long(self) -> None:
        """
        A count is taken back when the keeper is there that ran it.
        """
        self.check(self.dies_for_long, without.TAKING_BACK, "outcome: quarantined")

    def deadly(self, kit: Kit) -> None:
        """
        A job kills its keeper and its node each time; the first two times 50 others run beside it.
        """
        play = Play(kit, slots=51)
        specs = [command(9_000), *(command(600) for _ in range(50))]
        play.kill_over(specs[0].payload)
        deadly, *others = play.submit_all(*specs)
        play.world.until(lambda: play.counts(deadly) == 3)
        statuses = {play.outcome(job).status for job in others}
        self.expect("bystanders", holds=statuses == {Status.SUCCEEDED}, what=statuses)
        outcome = play.outcome(deadly)
        self.assertEqual((Status.QUARANTINED, 3), (outcome.status, len(play.started(deadly))))
        self.assertEqual(3, outcome.detail.count("b ("))

    def test_deadly(self) -> None:
        """
        It is quarantined after three attempts, and no other job is blamed.
        """
        self.check(self.deadly, without.SUSPICION, "bystanders: ")

    def deadly_and_unheard(self, kit: Kit) -> None:
        """
        The same; and each time the connection is cut on which E would hear that A knows.
        """
        play = Play(kit)
        spec = command(9_000)
        play.kill_over(spec.payload)

        def cut(end: End, box: Box) -> bool:
            known = isinstance(box, Dispatches) and any(word.acknowledge for word in box.words)
            if known and play.dead and end.owner is play.e.process:
                play.dead = False
                end.link.sever(None, 0.0)
                end.notice()
            return False

        play.world.ground.set_trap("arriving", cut)
        job = play.submit(spec)
        play.world.until(lambda: play.counts(job) == 3)
        outcome = play.outcome(job)
        self.assertEqual((Status.QUARANTINED, 3), (outcome.status, len(play.started(job))))

    def test_deadly_and_unheard(self) -> None:
        """
        A keeper that tells how the one before it died is not the one that ran the job.
        """
        self.check(self.deadly_and_unheard, without.DEAD_KEEPERS, "crash counts: ")
