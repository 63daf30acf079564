"""
When a node connects to its balancer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from twisted.internet.error import ConnectionRefusedError as RefusedByNetwork

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.events import (
    BalancerDisconnected,
)
from tests.services.link_rig import LinkCase


def pauses(times: Sequence[float]) -> list[float]:
    """
    Seconds between attempts.
    """
    return [later - earlier for earlier, later in pairwise(times)]


class ConnectTests(LinkCase):
    """
    When it tries to connect.
    """

    def test_at_once(self) -> None:
        """
        It connects when it is started, once however often.
        """
        scene = self.scene()
        self.assertEqual([], scene.endpoint.times)
        scene.link.start()
        scene.link.start()
        self.assertEqual([0.0], scene.endpoint.times)

    def test_again_and_again(self) -> None:
        """
        It never gives up, and never waits longer than a third of the grace time; nor does it try
        without any pause.
        """
        scene = self.scene()
        scene.endpoint.refuses = RefusedByNetwork()
        scene.link.start()
        scene.clock.advance(60)
        waited = pauses(scene.endpoint.times)
        self.assertGreater(len(waited), 59)
        self.assertLessEqual(max(waited), 1.0)
        self.assertGreater(min(waited[1:]), 0.02)

    def test_jitter(self) -> None:
        """
        No two pauses are alike, so that nodes that lost one balancer do not come all at once.
        """
        scene = self.scene()
        scene.endpoint.refuses = RefusedByNetwork()
        scene.link.start()
        scene.clock.advance(60)
        late = pauses(scene.endpoint.times)[10:]
        self.assertEqual(len(late), len(set(late)))
        self.assertGreater(max(late) - min(late), 0.1)

    def test_says_so_once(self) -> None:
        """
        That there is no balancer is logged once, not at each attempt.
        """
        scene = self.scene()
        logged = self.logged()
        scene.endpoint.refuses = RefusedByNetwork()
        scene.link.start()
        scene.clock.advance(60)
        self.assertEqual(["the balancer cannot be reached; trying again and again"], logged())

    def test_limit(self) -> None:
        """
        An attempt that nobody answers is given up after a third of the grace time.
        """
        scene = self.scene()
        scene.link.start()
        scene.clock.advance(0.99)
        self.assertEqual(1, len(scene.endpoint.times))
        self.assertNoResult(scene.endpoint.attempts[0])
        scene.clock.advance(1.1)
        self.assertGreaterEqual(len(scene.endpoint.times), 2)
        self.assertLessEqual(scene.endpoint.times[1], 2.0)

    def test_grace_of_the_balancer(self) -> None:
        """
        Both limits are those of the balancer's own grace time, once it has said that.
        """
        scene = self.scene(ClusterSettings(grace=1.5))
        scene.join()
        scene.cut()
        scene.clock.advance(20)
        waited = pauses(scene.endpoint.times)[1:]
        self.assertLessEqual(max(waited), 1.0)
        self.assertGreater(min(waited), 0.5)
        scene.endpoint.refuses = RefusedByNetwork()
        scene.clock.advance(3)
        begun = len(scene.endpoint.times)
        scene.clock.advance(20)
        self.assertLessEqual(max(pauses(scene.endpoint.times[begun:])), 0.5)

    def test_at_once_after_a_loss(self) -> None:
        """
        A connection that ends is made anew at once, and that is no reason to warn.
        """
        scene = self.scene()
        scene.join()
        logged = self.logged()
        scene.clock.advance(5)
        scene.cut()
        self.assertEqual([0.0, 5.0], scene.endpoint.times)
        self.assertEqual([], logged())

    def test_soon_after_a_loss(self) -> None:
        """
        And within a third of the grace time at the latest.
        """
        scene = self.scene()
        scene.join()
        scene.clock.advance(5)
        scene.cut()
        scene.clock.advance(1)
        self.assertEqual(2, len(scene.endpoint.times))

    def test_closed_at_once(self) -> None:
        """
        Something that takes connections and closes them is not called in a busy loop.
        """
        scene = self.scene()
        scene.link.start()
        before = 0
        while scene.clock.seconds() < 10:
            if len(scene.endpoint.times) > before:
                before = len(scene.endpoint.times)
                scene.let_in()
                scene.cut()
            scene.clock.advance(0.001)
        self.assertLess(before, 300)

    def test_pause(self) -> None:
        """
        While it is paused it has no connection and makes none; then it connects at once.
        """
        scene = self.scene()
        scene.join()
        scene.take()
        scene.link.pause("the node's disk failed")
        scene.clock.advance(10)
        self.assertEqual([BalancerDisconnected(1)], scene.take())
        self.assertEqual(1, len(scene.endpoint.times))
        scene.link.start()
        self.assertEqual([0.0, 10.0], scene.endpoint.times)

    def test_pause_while_it_connects(self) -> None:
        """
        The attempt that is under way is given up, too; to pause twice is to pause once.
        """
        scene = self.scene()
        scene.link.start()
        scene.link.pause("the node's disk failed")
        scene.link.pause("the node's disk failed")
        scene.clock.advance(10)
        self.assertEqual([], scene.take())
        self.assertEqual(1, len(scene.endpoint.times))

    def test_stop(self) -> None:
        """
        It has stopped when the connection has ended; there is no other.
        """
        scene = self.scene()
        scene.join()
        scene.take()
        stopped = scene.link.stop()
        self.assertNoResult(stopped)
        scene.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual([BalancerDisconnected(1)], scene.take())
        scene.clock.advance(10)
        self.assertEqual(1, len(scene.endpoint.times))

    def test_stop_before_the_start(self) -> None:
        """
        One that was never started has stopped.
        """
        self.successResultOf(self.scene().link.stop())
