"""
Peers that stop reading, and ends of connections.
"""

from jobcluster.core.words import Dispatch, Load, Report
from jobcluster.errors import BalancerAwayError
from tests.wire.pair import Pair, WireCase
from tests.wire.samples import DISPATCH, JOIN, sleeps
from tests.wire.test_speech import ENDED, cancels, gone


class FrozenPeerTests(WireCase):
    """An end that stops reading."""

    def test_bounded(self) -> None:
        """What is on its way to it is bounded, whatever is said."""
        pair = self.joined(node={"silence": 99.0}, balancer={"silence": 99.0})
        for name, line in (("node", pair.balancer_line), ("balancer", pair.node_line)):
            pair.frozen.add(name)
            for turn in range(50):
                pair.node.say(Report(offered=sleeps(20, b"x" * 50_000, first=20 * turn)))
                pair.balancer.say(Dispatch(outcome=DISPATCH.outcome * 1000))
                pair.run(0.01, step=0.01)
            self.assertLess(line.waiting, 12_000_000)
            pair.frozen.clear()
            pair.flush()
        pair.told.clear()


class EndTests(WireCase):
    """Ends of connections."""

    def test_abandoned(self) -> None:
        """What was on its way to a side that has given up is not delivered there."""
        pair = self.joined()
        log = self.warnings()
        pair.balancer.say(cancels(1))
        pair.node.say(gone(1))
        pair.node_clock.advance(0)
        pair.balancer_clock.advance(0)
        self.assertTrue(pair.balancer_line.waiting)
        pair.node.abandon("told to")
        pair.flush()
        pair.take(("node disconnected", "told to"), ("balancer disconnected", ENDED))
        self.assertEqual(log(), [])

    def test_abandonedWhileHearing(self) -> None:
        """So it is if the first of two boxes that came together was what made it give up."""
        pair = self.joined()
        pair.node_shell.on_dispatch = lambda _: pair.node.abandon("heard enough")
        pair.balancer.say(cancels(1))
        pair.balancer_clock.advance(0)
        pair.balancer.say(cancels(2))
        pair.balancer_clock.advance(0)
        pair.flush()
        pair.take(
            cancels(1), ("node disconnected", "heard enough"), ("balancer disconnected", ENDED)
        )

    def test_abandonedTwice(self) -> None:
        """The first reason counts, and the end is told once."""
        pair = self.joined()
        pair.balancer.abandon("one")
        pair.balancer.abandon("two")
        pair.flush()
        pair.balancer.abandon("three")
        pair.take(("balancer disconnected", "one"), ("node disconnected", ENDED))

    def test_sayingAfterTheEnd(self) -> None:
        """What is said after the end is forgotten."""
        pair = self.joined()
        pair.cut()
        pair.told.clear()
        pair.node.say(gone(1))
        pair.balancer.say(cancels(1))
        self.failureResultOf(pair.node.leave(keep=True), BalancerAwayError)
        self.failureResultOf(pair.node.join([JOIN]), BalancerAwayError)
        pair.run(3.0)
        pair.take()

    def test_lastLoad(self) -> None:
        """A balancer that ends hears no more of a node; nothing is left of either."""
        pair: Pair = self.joined()
        pair.node.say(Report(load=Load(0, 0, 0, False, True)))
        pair.balancer.abandon("stopped")
        pair.flush()
        pair.take(("balancer disconnected", "stopped"), ("node disconnected", ENDED))
