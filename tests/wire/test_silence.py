"""
Silence, and what either side makes of it.
"""

from twisted.internet.defer import Deferred

from jobcluster.core.words import Dispatch, Named, Report
from jobcluster.errors import BalancerAwayError
from tests.wire.pair import WireCase
from tests.wire.samples import JOIN

ENDED = "the other side closed the connection"
START = Dispatch(cancel=(Named("a", "s", 1, 1),))


class BalancerSideTests(WireCase):
    """The balancer listens to a node: 11 s, by its monotonic clock, its own pauses not counted."""

    def test_quietNode(self) -> None:
        """A node that has nothing to say says so, and stays."""
        pair = self.joined()
        pair.run(60.0)
        self.assertEqual((pair.node.ending, pair.balancer.ending), ("", ""))
        pair.told.clear()

    def test_silentNode(self) -> None:
        """A node that stops is lost after eleven seconds, no later."""
        pair = self.joined()
        log = self.warnings()
        pair.run(2.7)
        pair.take(("answered", 1000.9), ("answered", 1001.8), ("answered", 1002.7))
        pair.frozen.add("node")
        pair.run(10.9)
        self.assertFalse(pair.balancer.ending)
        pair.run(0.2)
        pair.take(("balancer disconnected", "said nothing for 11 s"))
        self.assertEqual(len(log()), 1)

    def test_halfABox(self) -> None:
        """The bytes of a box that is not complete are life."""
        pair = self.joined()
        pair.take()
        pair.balancer.outbox.close()
        pair.frozen.add("node")
        for byte in b"\0\x28" + b"x" * 38:
            pair.run(5.0)
            pair.node_line.write(bytes([byte]))
            pair.pump()
        self.assertFalse(pair.balancer.ending)
        pair.run(10.9)
        self.assertFalse(pair.balancer.ending)
        pair.run(0.2)
        pair.take(("balancer disconnected", "said nothing for 11 s"))

    def test_stalledBalancer(self) -> None:
        """A balancer that did not run itself gives nobody up for that."""
        pair = self.joined()
        pair.frozen.add("balancer")
        pair.run(7.0)
        pair.thaw("balancer", 7.0)
        self.assertEqual(pair.balancer.ending, "")
        pair.run(5.0)
        for _ in range(5):
            pair.balancer_clock.advance(60.0)
            pair.run(0.5)
        self.assertEqual((pair.node.ending, pair.balancer.ending), ("", ""))
        pair.told.clear()

    def test_probe(self) -> None:
        """Whether anybody is there is known within a second."""
        pair = self.joined()
        alive = pair.balancer.probe()
        pair.flush()
        self.assertIs(self.successResultOf(alive), True)
        pair.frozen.add("node")
        dead = pair.balancer.probe()
        pair.run(0.9)
        self.assertNoResult(dead)
        pair.run(0.2)
        self.assertIs(self.successResultOf(dead), False)
        self.assertFalse(pair.balancer.ending)
        pair.frozen.clear()
        pair.run(1.0)
        pair.told.clear()

    def test_probeOfADeadConnection(self) -> None:
        """Nobody is there when the connection ends, or has ended."""
        pair = self.joined()
        probe = pair.balancer.probe()
        pair.cut()
        self.assertIs(self.successResultOf(probe), False)
        self.assertIs(self.successResultOf(pair.balancer.probe()), False)
        pair.told.clear()

    def test_probeBeforeTheAnswer(self) -> None:
        """Somebody is there who says that the join is not complete yet."""
        pair = self.pair()
        probe = pair.balancer.probe()
        pair.flush()
        self.assertIs(self.successResultOf(probe), True)


class NodeSideTests(WireCase):
    """The node listens to the balancer: 8 s, by the boot-time clock, its own pauses counted."""

    def test_silentBalancer(self) -> None:
        """A balancer that stops is left after eight seconds."""
        pair = self.joined()
        log = self.warnings()
        pair.frozen.add("balancer")
        pair.run(7.9)
        self.assertFalse(pair.node.ending)
        pair.run(0.2)
        pair.take(("node disconnected", "said nothing for 8 s"))
        self.assertEqual(len(log()), 1)

    def test_frozen(self) -> None:
        """What came while the node did not run is not read if it was too long."""
        pair = self.joined()
        pair.frozen.add("node")
        pair.balancer.say(START)
        pair.run(8.1)
        pair.thaw("node", 8.1)
        pair.flush()
        pair.take(("node disconnected", "said nothing for 8 s"), ("balancer disconnected", ENDED))

    def test_frozenAndReadFirst(self) -> None:
        """Nor is it if its bytes are read before any timer has run."""
        pair = self.joined()
        pair.frozen.add("node")
        pair.balancer.say(START)
        pair.run(1.0)
        pair.frozen.clear()
        pair.suspended += 8.0
        pair.pump()
        pair.flush()
        pair.take(("node disconnected", "said nothing for 8 s"), ("balancer disconnected", ENDED))

    def test_frozenForLess(self) -> None:
        """If it was not, it is."""
        pair = self.joined()
        pair.frozen.add("node")
        pair.balancer.say(START)
        pair.run(7.0)
        pair.thaw("node", 7.0)
        pair.flush()
        self.assertIn(START, pair.told)
        pair.told.clear()
        self.assertEqual((pair.node.ending, pair.balancer.ending), ("", ""))

    def test_suspended(self) -> None:
        """A machine that slept has not heard for as long, though its timers do not know."""
        pair = self.joined()
        pair.run(2.0)
        pair.told.clear()
        pair.suspended += 3600.0
        pair.frozen.add("balancer")
        pair.run(0.6)
        pair.take(("node disconnected", "said nothing for 8 s"))

    def test_joinUnanswered(self) -> None:
        """So it is while a join is under way."""
        pair = self.pair()
        pair.balancer_shell.on_part = lambda _: Deferred()
        joined = pair.node.join([JOIN])
        pair.run(8.1)
        self.failureResultOf(joined, BalancerAwayError)
        del pair.told[0]
        pair.take(("node disconnected", "said nothing for 8 s"), ("balancer disconnected", ENDED))


class UnansweredTests(WireCase):
    """A peer that lives, and does not answer."""

    def test_report(self) -> None:
        """The limit of a call ends the connection, though there are bytes enough."""
        pair = self.joined()
        log = self.warnings()
        pair.node.say(Report(gone=(Named("a", "s", 1, 1),)))
        pair.frozen.add("balancer")
        for byte in b"\0\x28" + b"x" * 8:
            pair.run(1.0)
            pair.node_line.bufferReceived(bytes([byte]))
        self.assertFalse(pair.node.ending)
        pair.run(1.1)
        pair.take(("node disconnected", "Report was not answered within 11 s"))
        self.assertEqual(len(log()), 1)
