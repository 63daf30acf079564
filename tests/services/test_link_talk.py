"""
What a node and its balancer say to each other over the link.
"""

from __future__ import annotations

import attrs

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.events import (
    BalancerConnected,
    BalancerDisconnected,
    JoinAccepted,
    JoinRefused,
    ReportAnswered,
)
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Load, Report
from jobcluster.errors import BalancerAwayError
from jobcluster.wire import VERSION
from tests.services.link_rig import JOIN, LinkCase, Scene
from tests.services.rig import BOOTED, clocks_of


class JoinTests(LinkCase):
    """
    What becomes of joins.
    """

    def test_accepted(self) -> None:
        """
        The core hears when its join was sent, by the boot-time clock, and on what terms it was
        accepted.
        """
        scene = self.scene()
        scene.clock.advance(4)
        scene.join(serial=3)
        [accepted] = scene.take()
        self.assertIsInstance(accepted, JoinAccepted)
        assert isinstance(accepted, JoinAccepted)  # noqa: S101 - for mypy
        self.assertEqual((1, 3, BOOTED + 4), attrs.astuple(accepted, recurse=False)[:3])
        self.assertEqual(3.0, accepted.terms.grace)

    def test_refused(self) -> None:
        """
        The core hears why a join was refused; the next attempt is a second later at the earliest,
        and not much later.
        """
        scene = self.scene(ClusterSettings(max_nodes=0))
        scene.join()
        refused, ended = scene.take()
        self.assertIsInstance(refused, JoinRefused)
        assert isinstance(refused, JoinRefused)  # noqa: S101 - for mypy
        self.assertIn("MAX_NUM_NODES", refused.reason)
        self.assertFalse(refused.superseded)
        self.assertEqual(BalancerDisconnected(1), ended)
        scene.clock.advance(0.99)
        self.assertEqual(1, len(scene.endpoint.times))
        scene.clock.advance(0.02)
        self.assertEqual(2, len(scene.endpoint.times))

    def test_other_version(self) -> None:
        """
        A peer of another version is one that refuses.
        """
        scene = self.scene()
        scene.join(version=VERSION + 1)
        refused = scene.take()[0]
        self.assertIsInstance(refused, JoinRefused)
        self.assertIn("version", str(refused))
        scene.clock.advance(0.99)
        self.assertEqual(1, len(scene.endpoint.times))

    def test_connection_ends_meanwhile(self) -> None:
        """
        A join whose connection ends is neither accepted nor refused.
        """
        scene = self.scene()
        scene.link.start()
        scene.let_in()
        scene.link.join(1, [JOIN])
        scene.cut()
        scene.clock.advance(0.2)
        self.assertEqual([BalancerConnected(1), BalancerDisconnected(1)], scene.take())
        self.assertEqual(2, len(scene.endpoint.times))

    def test_accepted_too_late(self) -> None:
        """
        What is heard of a connection that has been replaced is not told.
        """
        scene = self.scene()
        scene.join()
        scene.take()
        scene.link.pause("the node begins anew")
        scene.link.start()
        scene.let_in()
        scene.clock.advance(0)
        self.assertEqual([BalancerConnected(2)], scene.take())


class TalkTests(LinkCase):
    """
    What is said over a connection.
    """

    def test_old_connection(self) -> None:
        """
        Words for a connection that is not the present one are not said on the present one.
        """
        scene = self.scene()
        scene.join()
        scene.cut()
        scene.let_in()
        scene.link.join(2, [attrs.evolve(JOIN, serial=2)])
        scene.clock.advance(0)
        scene.take()
        scene.link.join(1, [attrs.evolve(JOIN, serial=3)])
        scene.link.say(1, Report(Load(0, 0, 0, draining=True, stopping=False)))
        scene.link.leave(1, keep=False)
        scene.link.close(1, "old")
        scene.clock.advance(1)
        self.assertEqual([], scene.take())
        self.assertIsNone(scene.link.left)
        self.assertEqual(["joined"], self._states(scene))

    @staticmethod
    def _states(scene: Scene) -> list[str]:
        return [node.state for node in scene.balancer.cluster.view(clocks_of(scene.clock)()).nodes]

    def test_report(self) -> None:
        """
        What is said arrives, and its answer is told with when it was sent.
        """
        scene = self.scene()
        scene.join()
        scene.clock.advance(0.25)
        scene.told.clear()
        scene.link.say(1, Report(Load(0, 0, 0, draining=True, stopping=False)))
        scene.clock.advance(0)
        self.assertEqual(["draining"], self._states(scene))
        self.assertIn(ReportAnswered(1, BOOTED + 0.25), scene.told)

    def test_leave(self) -> None:
        """
        The balancer hears that the node leaves, and the link that it has heard it.
        """
        scene = self.scene()
        scene.join()
        self.assertIsNone(scene.link.left)
        scene.link.leave(1, keep=False)
        scene.clock.advance(0)
        left = scene.link.left
        if left is None:
            raise AssertionError("nothing was said")
        self.successResultOf(left)
        self.assertEqual(["stopping"], self._states(scene))

    def test_close(self) -> None:
        """
        A connection that the core wants closed is closed, and another made.
        """
        scene = self.scene()
        scene.join()
        scene.take()
        scene.link.close(1, "refused")
        scene.clock.advance(0.2)
        self.assertEqual([BalancerDisconnected(1)], scene.take())
        self.assertEqual(2, len(scene.endpoint.times))

    def test_ask(self) -> None:
        """
        Questions are answered while the node is joined, and not before.
        """
        scene = self.scene()
        self.failureResultOf(scene.link.ask(Ask("", "cluster")), BalancerAwayError)
        scene.link.start()
        scene.let_in()
        self.failureResultOf(scene.link.ask(Ask("", "cluster")), BalancerAwayError)
        scene.link.join(1, [JOIN])
        scene.clock.advance(0)
        asked = scene.link.ask(Ask("", "cluster"))
        scene.clock.advance(0)
        cluster = self.successResultOf(asked).cluster
        self.assertEqual(["a"], [node.name for node in cluster.nodes] if cluster else None)

    def test_asked(self) -> None:
        """
        What other nodes ask is answered by whoever the link was given.
        """
        scene = self.scene()
        scene.join()
        asked = scene.link.ask(Ask("a", "view", 5))
        scene.clock.advance(0)
        self.assertEqual(Reply(text="view 5"), self.successResultOf(asked))
