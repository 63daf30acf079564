"""
Who may join, and what the balancer's shell does with joins.
"""

from __future__ import annotations

import attrs

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.values import Held, RunState, Terms
from jobcluster.errors import (
    BalancerAwayError,
    JobclusterError,
    RefusedError,
    SupersededError,
)
from tests.services.balancer_rig import BalancerCase
from tests.services.link_rig import JOIN


class JoinTests(BalancerCase):
    """
    Who may join.
    """

    def test_accepted(self) -> None:
        """
        A join is answered with the terms, as the settings have them.
        """
        scene = self.scene(ClusterSettings(grace=7.0, retell=1.5, window=17))
        joined = scene.visitor().join()
        scene.clock.advance(0)
        _, terms = self.successResultOf(joined)
        self.assertEqual(Terms("balancer", 7.0, 6.5, 1.5, 17), terms)
        self.assertEqual({"a": "joined"}, scene.states())

    def test_in_parts(self) -> None:
        """
        Only the last part makes it a node; what all parts have said is believed then.
        """
        scene = self.scene()
        visitor = scene.visitor()
        held = [Held("b", "store-b", n, 1, n, RunState.RUNNING, 1) for n in (1, 2, 3)]
        joined = visitor.join(
            *(
                attrs.evolve(JOIN, part=part, last=part == 2, inventory=(row,))
                for part, row in enumerate(held)
            )
        )
        self.assertEqual({}, scene.states())
        scene.clock.advance(0)
        self.successResultOf(joined)
        [node] = scene.view().nodes
        self.assertEqual((3, 3), (node.given, node.running))

    def test_parts_of_two(self) -> None:
        """
        Parts that do not belong together are no join: the connection ends.
        """
        scene = self.scene()
        visitor = scene.visitor()
        joined = visitor.join(
            attrs.evolve(JOIN, last=False), attrs.evolve(JOIN, part=1, name="b", store="store-b")
        )
        scene.clock.advance(0)
        self.failureResultOf(joined, BalancerAwayError)
        self.assertEqual(["disconnected"], visitor.take())
        self.assertEqual({}, scene.states())

    def test_refused(self) -> None:
        """
        Who is refused is told why, and its connection ends; others see it too.
        """
        scene = self.scene(ClusterSettings(max_nodes=1))
        scene.node()
        visitor = scene.visitor()
        joined = visitor.join(name="b", store="store-b")
        logged = self.logged()
        scene.clock.advance(0)
        failure = self.failureResultOf(joined, RefusedError)
        self.assertIn("MAX_NUM_NODES", failure.getErrorMessage())
        self.assertEqual(["disconnected"], visitor.take())
        self.assertEqual({"a": "joined", "b": "refused"}, scene.states())
        self.assertEqual(1, len([line for line in logged() if "refused a node" in line]))

    def test_superseded(self) -> None:
        """
        An older incarnation hears that there is a newer one, as an error of its own.
        """
        scene = self.scene()
        scene.node(incarnation=2)
        joined = scene.visitor().join(incarnation=1)
        scene.clock.advance(0)
        self.failureResultOf(joined, SupersededError)

    def test_connection_ends_meanwhile(self) -> None:
        """
        Whose connection ends between the parts has not joined, and may join anew.
        """
        scene = self.scene()
        visitor = scene.visitor()
        visitor.join(attrs.evolve(JOIN, last=False), attrs.evolve(JOIN, part=1)).addErrback(
            lambda failure: failure.trap(JobclusterError)
        )
        visitor.process.die()
        scene.clock.advance(0)
        self.assertEqual({}, scene.states())
        scene.node(serial=2)

    def test_anew(self) -> None:
        """
        The same process that joins again replaces its old connection at once.
        """
        scene = self.scene()
        old = scene.node()
        scene.node(serial=2)
        self.assertEqual(["disconnected"], old.take())
        self.assertEqual({"a": "joined"}, scene.states())

    def test_strangers(self) -> None:
        """
        Who only connects is no node, and what ends there is nothing.
        """
        scene = self.scene()
        stranger = scene.visitor()
        scene.clock.advance(1)
        stranger.process.die()
        scene.clock.advance(1)
        self.assertEqual({}, scene.states())


class ProbeTests(BalancerCase):
    """
    A greater incarnation of a node that is joined: a restart, or a clone.
    """

    def test_clone(self) -> None:
        """
        If the older connection answers, the newer is refused, and the older stays.
        """
        scene = self.scene()
        old = scene.node()
        joined = scene.visitor().join(incarnation=2)
        scene.clock.advance(0)
        self.assertIn("copied", self.failureResultOf(joined, RefusedError).getErrorMessage())
        self.assertEqual([], old.take())
        shown = [(node.name, node.state) for node in scene.view().nodes]
        self.assertEqual([("a", "joined"), ("a", "refused")], shown)

    def test_restart(self) -> None:
        """
        If it does not answer within a second, the newer takes its place.
        """
        scene = self.scene()
        old = scene.node()
        old.sleep()
        joined = scene.visitor().join(incarnation=2)
        scene.clock.advance(0.9)
        self.assertNoResult(joined)
        scene.clock.advance(0.2)
        self.successResultOf(joined)
        self.assertEqual(["disconnected"], old.take())
        self.assertEqual({"a": "joined"}, scene.states())

    def test_older_ends_meanwhile(self) -> None:
        """
        The end of the older connection is an answer, too.
        """
        scene = self.scene()
        old = scene.node()
        old.sleep()
        joined = scene.visitor().join(incarnation=2)
        scene.clock.advance(0.1)
        old.process.die()
        scene.clock.advance(0)
        self.successResultOf(joined)

    def test_newer_ends_meanwhile(self) -> None:
        """
        If the newer connection ends before the answer, the older goes on as if nothing had been.
        """
        scene = self.scene()
        old = scene.node()
        old.sleep()
        new = scene.visitor()
        new.join(incarnation=2).addErrback(lambda failure: failure.trap(JobclusterError))
        scene.clock.advance(0.5)
        new.process.die()
        scene.clock.advance(1)
        self.assertEqual({"a": "joined"}, scene.states())
        self.assertEqual([], old.take())

    def test_in_parts(self) -> None:
        """
        A join in parts waits for the answer before it is accepted, wherever that falls.
        """
        scene = self.scene()
        old = scene.node()
        old.sleep()
        joined = scene.visitor().join(
            attrs.evolve(JOIN, incarnation=2, last=False), attrs.evolve(JOIN, incarnation=2, part=1)
        )
        scene.clock.advance(0.9)
        self.assertNoResult(joined)
        scene.clock.advance(0.2)
        self.successResultOf(joined)

    def test_clone_in_parts(self) -> None:
        """
        A clone whose join comes in parts is told why it is refused, like any other.
        """
        scene = self.scene()
        scene.node()
        joined = scene.visitor().join(
            *(attrs.evolve(JOIN, incarnation=2, part=n, last=n == 5) for n in range(6))
        )
        scene.clock.advance(0)
        self.failureResultOf(joined, RefusedError)
