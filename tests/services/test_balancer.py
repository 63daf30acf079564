"""
What the balancer's shell does with what nodes say and ask, and how it ends.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from jobcluster.core.values import SLEEP
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, Offered, Report
from jobcluster.errors import (
    BalancerAwayError,
    ExpiredTicketError,
    NodeAwayError,
    PeerError,
)
from tests.services.balancer_rig import BalancerCase, Scene, Visitor


class RelayTests(BalancerCase):
    """
    Questions.
    """

    def ask(self, scene: Scene, visitor: Visitor, ask: Ask) -> Deferred[Reply]:
        """
        Ask, and let the question arrive.
        """
        asked = visitor.peer.ask(ask)
        scene.clock.advance(0)
        return asked

    def test_other_node(self) -> None:
        """
        A question to another node is put to that one and its answer passed on.
        """
        scene = self.scene()
        one, other = scene.node(), scene.node(name="b", store="store-b")
        other.answer = answer = Deferred[Reply]()
        asked = self.ask(scene, one, Ask("b", "view", 5))
        self.assertNoResult(asked)
        self.assertEqual([Ask("b", "view", 5)], other.take())
        answer.callback(Reply(text="here it is"))
        scene.clock.advance(0)
        self.assertEqual(Reply(text="here it is"), self.successResultOf(asked))

    def test_other_node_fails(self) -> None:
        """
        What it fails with is passed on as it is.
        """
        scene = self.scene()
        one, other = scene.node(), scene.node(name="b", store="store-b")
        other.answer = answer = Deferred[Reply]()
        asked = self.ask(scene, one, Ask("b", "view", 5))
        answer.errback(ExpiredTicketError())
        scene.clock.advance(0)
        self.failureResultOf(asked, ExpiredTicketError)

    def test_away(self) -> None:
        """
        A node that never joined, or has gone, is away; so is one that goes before it answers.
        """
        scene = self.scene()
        one, other = scene.node(), scene.node(name="b", store="store-b")
        self.failureResultOf(self.ask(scene, one, Ask("never", "view", 5)), NodeAwayError)
        other.answer = Deferred[Reply]()
        asked = self.ask(scene, one, Ask("b", "view", 5))
        other.process.die()
        scene.clock.advance(0)
        self.failureResultOf(asked, NodeAwayError)
        self.failureResultOf(self.ask(scene, one, Ask("b", "view", 5)), NodeAwayError)

    def test_asker_goes(self) -> None:
        """
        If the one who asked goes before the answer, the answer is for nobody.
        """
        scene = self.scene()
        one, other = scene.node(), scene.node(name="b", store="store-b")
        other.answer = answer = Deferred[Reply]()
        asked = self.ask(scene, one, Ask("b", "view", 5))
        one.process.die()
        self.failureResultOf(asked, BalancerAwayError)
        scene.clock.advance(0)
        answer.callback(Reply())
        scene.clock.advance(0)
        self.assertEqual("joined", scene.states()["b"])

    def test_itself(self) -> None:
        """
        A question about the cluster it answers itself; others it does not know.
        """
        scene = self.scene()
        one = scene.node(slots=7)
        cluster = self.successResultOf(self.ask(scene, one, Ask("", "cluster"))).cluster
        self.assertEqual([("a", 7)], [(n.name, n.slots) for n in cluster.nodes] if cluster else 0)
        failure = self.failureResultOf(self.ask(scene, one, Ask("", "weather")), PeerError)
        self.assertIn("does not know", failure.getErrorMessage())


class LeaveTests(BalancerCase):
    """
    Nodes that end in order.
    """

    def test_for_good(self) -> None:
        """
        One that leaves is gone when its connection ends.
        """
        scene = self.scene()
        node = scene.node()
        left = node.peer.leave(keep=False)
        scene.clock.advance(0)
        self.successResultOf(left)
        self.assertEqual({"a": "stopping"}, scene.states())
        node.process.die()
        scene.clock.advance(0)
        self.assertEqual({}, scene.states())

    def test_for_a_while(self) -> None:
        """
        One that will come back is away for a minute, and then gone.
        """
        scene = self.scene()
        node = scene.node()
        node.peer.leave(keep=True)
        scene.clock.advance(0)
        node.process.die()
        scene.clock.advance(59)
        self.assertEqual({"a": "away"}, scene.states())
        scene.clock.advance(1.5)
        self.assertEqual({}, scene.states())

    def test_without_a_word(self) -> None:
        """
        One whose connection just ends is away for the grace time.
        """
        scene = self.scene()
        scene.node().process.die()
        scene.clock.advance(2.9)
        self.assertEqual({"a": "away"}, scene.states())
        scene.clock.advance(0.2)
        self.assertEqual({}, scene.states())


class DispatchTests(BalancerCase):
    """
    What is said to nodes.
    """

    def offer(self, *jobs: int) -> Report:
        """
        Jobs to be placed.
        """
        return Report(
            offered=tuple(
                Offered(job, 1, job, SLEEP, b"5", 0, "", 1, fresh=True, suspect=False, once=False)
                for job in jobs
            )
        )

    def test_one_box(self) -> None:
        """
        What is placed in one turn is placed in one round, and leaves for each node in one batch.
        """
        scene = self.scene()
        one, other = scene.node(), scene.node(name="b", store="store-b")
        one.peer.say(self.offer(1, 2, 3))
        scene.clock.advance(0)
        [mine], [theirs] = one.take(), other.take()
        self.assertEqual(2, len(mine.start))
        self.assertEqual(1, len(theirs.start))
        self.assertEqual({1, 2, 3}, {row.job for row in (*mine.start, *theirs.start)})
        self.assertIsInstance(mine, Dispatch)

    def test_verbose(self) -> None:
        """
        With C{VERBOSE} each dispatch that starts something is in the log, without it none.
        """
        for verbose in (True, False):
            scene = self.scene(verbose=verbose)
            node = scene.node()
            logged = self.logged("info")
            node.peer.say(self.offer(1, 2))
            scene.clock.advance(0)
            said = logged()
            self.assertEqual(2 if verbose else 0, len(said))
            self.assertEqual(len(said), sum(line.endswith(" goes to a") for line in said))

    def test_gone_meanwhile(self) -> None:
        """
        A node that goes with a box on its way to it harms nobody.
        """
        scene = self.scene()
        node = scene.node()
        node.peer.say(self.offer(1))
        node.process.die()
        scene.clock.advance(0)
        self.assertEqual({"a": "away"}, scene.states())


class StopTests(BalancerCase):
    """
    A balancer that is stopped.
    """

    def test_ends_connections(self) -> None:
        """
        The connections of its nodes end, and it does nothing more.
        """
        scene = self.scene()
        nodes = [scene.node(), scene.node(name="b", store="store-b")]
        scene.balancer.stopService()
        scene.clock.advance(0)
        self.assertEqual([["disconnected"]] * 2, [node.take() for node in nodes])
        self.assertEqual([], list(scene.process.getDelayedCalls()))

    def test_ends_strangers(self) -> None:
        """
        So do those of whoever has not joined.
        """
        scene = self.scene()
        stranger = scene.visitor()
        scene.balancer.stopService()
        scene.clock.advance(0)
        self.assertEqual(["disconnected"], stranger.take())

    def test_ends_joins(self) -> None:
        """
        A join that was not answered yet is answered by the end of its connection.
        """
        scene = self.scene()
        scene.node().sleep()
        joined = scene.visitor().join(incarnation=2)
        scene.clock.advance(0.5)
        scene.balancer.stopService()
        scene.clock.advance(0)
        self.failureResultOf(joined, BalancerAwayError)

    def test_says_how_it_went(self) -> None:
        """
        One line in the log says how well the balance was kept.
        """
        scene = self.scene()
        logged = self.logged("info")
        scene.balancer.stopService()
        [line] = logged()
        self.assertIn("balance: running differed by 0.000 on average", line)
        self.assertIn("100.00%", line)

    def test_begins_with_its_start(self) -> None:
        """
        The time for which it has been listening counts from its start, not from its making.
        """
        scene = self.scene()
        scene.clock.advance(1)
        scene.balancer.stopService()
        scene.clock.advance(100)
        scene.balancer.startService()
        node = scene.node()
        node.peer.say(
            Report(
                offered=(
                    Offered(1, 1, 1, SLEEP, b"5", 0, "", 1, fresh=False, suspect=False, once=False),
                )
            )
        )
        scene.clock.advance(2.9)
        self.assertEqual([], node.take())
        scene.clock.advance(0.2)
        self.assertEqual(1, len(node.take()))
