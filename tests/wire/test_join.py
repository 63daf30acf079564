"""
Joining, by a real node's protocol at a real balancer's.
"""

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.protocols import amp

from jobcluster.core.values import Terms
from jobcluster.core.views import Ask
from jobcluster.core.words import Dispatch, JoinPart, Named, Report
from jobcluster.errors import (
    BalancerAwayError,
    CallTimedOutError,
    MalformedBatchError,
    NotJoinedError,
    PeerError,
    RefusedError,
    VersionMismatchError,
)
from jobcluster.wire import VERSION, commands
from jobcluster.wire.balancer_peer import JOIN_LIMIT
from jobcluster.wire.batches import Room
from jobcluster.wire.codec import pack
from tests.wire.pair import WireCase
from tests.wire.samples import JOIN, TERMS, sleeps

PARTS = [attrs.evolve(JOIN, part=number, last=number == 2) for number in range(3)]
SAID = Report(gone=(Named("a", "s", 1, 1),))
TOLD = Dispatch(cancel=(Named("a", "s", 1, 2),))
ENDED = "the other side closed the connection"


class JoinTests(WireCase):
    """A join that is accepted."""

    def test_onePart(self) -> None:
        """It fires with the boot time of its sending, and the terms."""
        pair = self.pair()
        joined = pair.node.join([JOIN])
        self.assertFalse(pair.node.joined)
        pair.run(0.3)
        pair.take(JOIN)
        self.assertEqual(self.successResultOf(joined), (1000.0, TERMS))
        self.assertTrue(pair.node.joined)
        self.assertTrue(pair.balancer.joined)

    def test_parts(self) -> None:
        """Parts are said in their order, each when the one before was taken."""
        pair = self.pair()
        waiting: list[Deferred[Terms | None]] = []

        def slowly(_: object) -> Deferred[Terms | None]:
            waiting.append(Deferred())
            return waiting[-1]

        pair.balancer_shell.on_part = slowly
        joined = pair.node.join(PARTS)
        for part in PARTS:
            pair.run(1.0)
            pair.take(part)
            self.assertNoResult(joined)
            waiting.pop().callback(TERMS if part.last else None)
        pair.flush()
        sent, _ = self.successResultOf(joined)
        self.assertAlmostEqual(sent, 1002.0)

    def test_lateBegin(self) -> None:
        """The time for a join begins with its first part, not with the connection."""
        pair = self.pair(node={"silence": 60.0})
        answer: Deferred[Terms | None] = Deferred()
        pair.balancer_shell.on_part = lambda _: answer
        pair.run(9.0)
        joined = pair.node.join([JOIN])
        pair.run(3.0)
        pair.take(JOIN)
        answer.callback(TERMS)
        pair.run(0.5)
        self.assertEqual(self.successResultOf(joined)[1], TERMS)

    def test_largeParts(self) -> None:
        """What is too large for a box is cut on the way, and arrives in whole."""
        pair = self.pair(node={"room": Room(10_000, 100_000)}, balancer={"stranger_limit": 200_000})
        large = attrs.evolve(JOIN, offered=sleeps(30, b"x" * 30_000))
        joined = pair.node.join([large])
        pair.flush()
        self.successResultOf(joined)
        parts, pair.told[:] = list(pair.told), []
        self.assertEqual([part.part for part in parts], list(range(10)))
        self.assertEqual(sum((part.offered for part in parts), ()), large.offered)

    def test_heldBack(self) -> None:
        """What either side says before is held back until then, and nothing is told before."""
        pair = self.pair()
        answer: Deferred[Terms | None] = Deferred()
        pair.balancer_shell.on_part = lambda _: answer
        pair.node.say(SAID)
        pair.balancer.say(TOLD)
        joined = pair.node.join([JOIN])
        pair.run(2.0)
        pair.take(JOIN)
        told: list[str] = []
        joined.addCallback(lambda _: told.append("accepted"))
        pair.node_shell.on_dispatch = lambda _: told.append("dispatched")
        answer.callback(TERMS)
        pair.flush()
        self.assertCountEqual(pair.told, [SAID, TOLD, ("answered", 1002.0)])
        pair.told.clear()
        self.assertEqual(told, ["accepted", "dispatched"])

    def test_acceptedTooLate(self) -> None:
        """An acceptance after the connection's end is nothing to anyone."""
        pair = self.pair()
        answer: Deferred[Terms | None] = Deferred()
        pair.balancer_shell.on_part = lambda _: answer
        joined = pair.node.join([JOIN])
        pair.flush()
        pair.take(JOIN)
        pair.cut()
        self.failureResultOf(joined, BalancerAwayError)
        pair.take(("balancer disconnected", ENDED), ("node disconnected", ENDED))
        answer.callback(TERMS)
        self.assertFalse(pair.balancer.joined)

    def test_strangeTerms(self) -> None:
        """Terms that nobody can keep do not make the node speak without a pause."""
        pair = self.pair()
        odd = attrs.evolve(TERMS, lease=-1.0)
        pair.balancer_shell.on_part = lambda _: succeed(odd)
        pair.node.join([JOIN])
        pair.flush()
        pair.take(JOIN)
        pair.run(1.0)
        self.assertLess(len(pair.told), 25)
        pair.told.clear()


class RefusalTests(WireCase):
    """A join that is not."""

    def fails(self, kind: type[Exception], parts: list[JoinPart] | None = None) -> str:
        """
        Join; returns what the error says, after the connection's end.
        """
        joined = self.pair_.node.join(PARTS[:1] if parts is None else parts)
        self.pair_.flush()
        error = self.failureResultOf(joined, kind).value
        self.assertTrue(self.pair_.node_line.disconnected)
        self.assertTrue(self.pair_.balancer_line.disconnected)
        ends = self.pair_.told[-2:]
        del self.pair_.told[-2:]
        self.assertEqual(
            sorted(str(end[0]) for end in ends), ["balancer disconnected", "node disconnected"]
        )
        return str(error)

    def setUp(self) -> None:
        """Connect."""
        self.pair_ = self.pair()
        self.log = self.warnings()

    def test_refused(self) -> None:
        """The node is told why, and the connection ends; saying so is the balancer's business."""
        self.pair_.balancer_shell.on_part = self.pair_.balancer_shell.refuse
        self.assertIn("MAX_NUM_NODES", self.fails(RefusedError))
        self.pair_.take(PARTS[0])
        self.assertEqual(self.log(), [])

    def test_refusedAndUnread(self) -> None:
        """A node that does not read why it was refused does not keep the connection for ever."""
        pair = self.pair_
        pair.balancer_shell.on_part = pair.balancer_shell.refuse
        joined = pair.node.join(PARTS[:1])
        pair.frozen.add("node")
        pair.run(5.0)
        pair.take(PARTS[0])
        pair.node_line.write(b"\0\0")
        pair.run(6.1)
        pair.take(("balancer disconnected", "ten nodes are here already, see MAX_NUM_NODES"))
        pair.cut()
        self.failureResultOf(joined, BalancerAwayError)
        pair.take(("node disconnected", ENDED))

    def test_otherVersion(self) -> None:
        """Versions are compared before anything else is looked at."""
        part = attrs.evolve(JOIN, version=VERSION + 1)
        text = self.fails(VersionMismatchError, [part])
        self.assertIn(f"version {VERSION} ", text)
        self.assertIn(f"version {VERSION + 1}:", text)
        self.assertIn(text, *self.log())

    def test_undeclared(self) -> None:
        """A fault in the balancer is logged there, and the node is told no more."""
        self.pair_.balancer_shell.on_part = lambda _: fail(ZeroDivisionError())
        self.assertEqual(self.fails(PeerError), "internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.pair_.take(PARTS[0])

    def test_noTerms(self) -> None:
        """A balancer that accepts without terms is no balancer."""
        self.pair_.balancer_shell.on_part = lambda _: succeed(None)
        self.assertIn("terms", self.fails(MalformedBatchError, [JOIN]))
        self.pair_.take(JOIN)

    def test_partsOutOfOrder(self) -> None:
        """A part that is not the next one is not passed on."""
        self.assertIn("part", self.fails(MalformedBatchError, [PARTS[0], PARTS[2]]))
        self.pair_.take(PARTS[0])

    def test_timeLimit(self) -> None:
        """Eleven seconds are for the whole join, however many parts it has."""
        pair = self.pair(node={"silence": 60.0}, balancer={"silence": 60.0})
        waiting: list[Deferred[Terms | None]] = []

        def slowly(_: object) -> Deferred[Terms | None]:
            waiting.append(Deferred())
            return waiting[-1]

        pair.balancer_shell.on_part = slowly
        joined = pair.node.join(PARTS)
        pair.run(9.0)
        waiting[0].callback(None)
        pair.run(1.9)
        self.assertNoResult(joined)
        pair.run(0.2)
        self.failureResultOf(joined, CallTimedOutError)
        self.assertIn("Join was not answered", *self.log())
        del pair.told[:2]
        pair.take(
            ("node disconnected", pair.node.ending),
            ("balancer disconnected", ENDED),
        )

    def test_joinTwice(self) -> None:
        """One connection is for one join; the one that was accepted is none the worse."""
        self.pair_.join()
        again = self.pair_.node.calls.call(commands.Join, {"version": VERSION, "part": pack(JOIN)})
        self.pair_.flush()
        self.failureResultOf(again, RefusedError)
        self.assertTrue(self.pair_.balancer.joined)
        self.assertFalse(self.pair_.balancer_line.disconnecting)


class StrangerTests(WireCase):
    """What a peer may do that has not joined."""

    def setUp(self) -> None:
        """Connect."""
        self.log = self.warnings()
        self.pair_ = self.pair()

    def test_notJoined(self) -> None:
        """Nothing is taken from it, and nothing answered."""
        node = self.pair_.node
        for command, arguments in (
            (commands.Report, {"batch": SAID}),
            (commands.Ask, {"ask": Ask("", "cluster")}),
            (commands.Ask, {"ask": Ask("", "")}),
            (commands.Leave, {"keep": True}),
        ):
            call = node.calls.call(command, arguments)  # type: ignore[arg-type]
            self.pair_.flush()
            self.failureResultOf(call, NotJoinedError)

    def test_balancerBeforeTheJoin(self) -> None:
        """Nor does a node listen to a balancer that has not accepted it."""
        for command, arguments in (
            (commands.Dispatch, {"batch": TOLD}),
            (commands.Ask, {"ask": Ask("", "view")}),
        ):
            call = self.pair_.balancer.calls.call(command, arguments)  # type: ignore[arg-type]
            self.pair_.flush()
            self.failureResultOf(call, NotJoinedError)

    def closed(self, reason: str) -> None:
        """
        The balancer has closed the connection, with one line.
        """
        self.assertIn(reason, *self.log())
        self.pair_.flush()
        first, second = self.pair_.told
        self.pair_.told.clear()
        self.assertEqual(first, ("balancer disconnected", self.pair_.balancer.ending))
        self.assertEqual(second[0], "node disconnected")

    def test_nothingAtAll(self) -> None:
        """Somebody who says nothing is sent away after the time of silence."""
        self.pair_.frozen.add("node")
        self.pair_.run(10.9)
        self.assertFalse(self.pair_.balancer_line.disconnecting)
        self.pair_.run(0.2)
        self.pair_.frozen.clear()
        self.closed("said nothing for 11 s")

    def test_dribble(self) -> None:
        """Somebody who sends a byte now and then, and never a join, gets no longer."""
        self.pair_.frozen.add("node")
        for byte in b"\0\x28" + b"x" * 21:
            self.pair_.node_line.write(bytes([byte]))
            self.pair_.run(0.5)
        self.pair_.frozen.clear()
        self.closed("did not join within 11 s")

    def test_partsWithoutEnd(self) -> None:
        """So does a join without an end, though its parts come."""
        for number in range(23):
            part = attrs.evolve(JOIN, part=number, last=False)
            if not self.pair_.balancer.ending:
                self.pair_.node.calls.call(
                    commands.Join, {"version": VERSION, "part": pack(part)}
                ).addErrback(lambda _: None)
            self.pair_.run(0.5)
        self.assertGreater(len(self.pair_.told), 20)
        del self.pair_.told[:-2]
        self.closed("did not join within 11 s")

    def test_manyBytes(self) -> None:
        """And one that is too much."""
        box = commands.Join.makeArguments({"version": VERSION, "part": pack(PARTS[0])}, None)
        box.update({b"_command": b"Nothing", b"_ask": b"1", b"x": b"x" * 65_000})
        data = box.serialize() * 15
        for _ in range(JOIN_LIMIT // len(data) + 1):
            self.pair_.balancer_line.bufferReceived(data)
            self.pair_.balancer_line.getOutBuffer()
        self.closed("without having joined")

    def test_largeFirstBox(self) -> None:
        """Its first box may not be as large as a node's."""
        self.pair_ = self.pair(balancer={"stranger_limit": 100_000})
        report = Report(offered=sleeps(30, b"x" * 10_000))
        call = self.pair_.node.calls.call(commands.Report, {"batch": report})
        self.pair_.flush()
        self.failureResultOf(call, BalancerAwayError)
        self.closed("larger than")

    def test_nodesBoxes(self) -> None:
        """Once it is a node it is."""
        pair = self.pair(balancer={"stranger_limit": 100_000})
        pair.join()
        report = Report(offered=sleeps(30, b"x" * 10_000))
        pair.node.say(report)
        pair.flush()
        pair.take(report, ("answered", 1000.0))

    def test_nonsense(self) -> None:
        """A batch that is none ends the connection of a stranger; a node's is only refused."""
        node = self.pair_.node_line
        box = amp_box(b"Report", batch=b"\xc1")
        node.write(box)
        self.pair_.flush()
        self.closed("Report:")
        pair = self.pair()
        pair.join()
        pair.node_line.write(amp_box(b"Report", batch=b"\xc1"))
        pair.pump()
        self.assertIn("Report:", *self.log())
        self.assertFalse(pair.balancer_line.disconnecting)
        pair.balancer_line.getOutBuffer()

    def test_webPage(self) -> None:
        """An HTTP request is not taken for a node."""
        self.pair_.node_line.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.pair_.flush()
        self.closed("not AMP")

    def test_probe(self) -> None:
        """Somebody who comes and goes is not worth a line."""
        self.pair_.cut()
        self.assertEqual(self.log(), [])
        self.pair_.take(("balancer disconnected", ENDED), ("node disconnected", ENDED))


def amp_box(command: bytes, **arguments: bytes) -> bytes:
    """
    A call in raw bytes.
    """
    box = amp.AmpBox({name.encode(): value for name, value in arguments.items()})
    box.update({b"_command": command, b"_ask": b"ff"})
    data: bytes = box.serialize()
    return data
