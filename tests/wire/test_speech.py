"""
What a node and a balancer say and ask, once they are joined.
"""

from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.protocols import amp

from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, Finished, Named, Report
from jobcluster.errors import (
    BalancerAwayError,
    CallTimedOutError,
    NodeAwayError,
    PeerError,
    UnknownTicketError,
)
from jobcluster.wire.peer import ASKS_LIMIT
from tests.wire.pair import WireCase
from tests.wire.samples import DISPATCH, OUTCOME, REPLY, REPORT, sleeps

ENDED = "the other side closed the connection"
ASKED = Ask("node-b", "view", 77)


def gone(*serials: int) -> Report:
    """
    A report of offers.
    """
    return Report(gone=tuple(Named("a", "s", 1, serial) for serial in serials))


def cancels(*serials: int) -> Dispatch:
    """
    A dispatch of offers.
    """
    return Dispatch(cancel=tuple(Named("a", "s", 1, serial) for serial in serials))


class ReportTests(WireCase):
    """From node to balancer."""

    def test_everyWord(self) -> None:
        """A report arrives as it was said, and its answer tells when it was sent."""
        pair = self.joined()
        pair.run(0.5)
        pair.node.say(REPORT)
        pair.run(0.2)
        pair.take(REPORT, ("answered", 1000.5))

    def test_large(self) -> None:
        """It may be over many AMP values."""
        pair = self.joined()
        report = Report(offered=sleeps(40, b"x" * 60_000))
        pair.node.say(report)
        pair.flush()
        pair.take(report, ("answered", 1000.0))

    def test_oneTurn(self) -> None:
        """What is said in one turn arrives as one."""
        pair = self.joined()
        pair.node.say(gone(1))
        pair.node.say(gone(2))
        pair.flush()
        pair.take(gone(1, 2), ("answered", 1000.0))

    def test_saidWhileHearing(self) -> None:
        """So does what is said while a dispatch is taken."""
        pair = self.joined()

        def speak(_: Dispatch) -> None:
            pair.node.say(gone(1))
            pair.node.say(gone(2))

        pair.node_shell.on_dispatch = speak
        pair.balancer.say(cancels(1))
        pair.flush()
        pair.take(cancels(1), gone(1, 2), ("answered", 1000.0))

    def test_lease(self) -> None:
        """A third of the lease after the last report an empty one leaves; answers tell when."""
        pair = self.joined()
        pair.run(0.8)
        pair.take()
        pair.run(1.0)
        pair.take(("answered", 1000.9), ("answered", 1001.8))

    def test_leaseAtTheSending(self) -> None:
        """The lease counts from the sending, however late the answer comes."""
        pair = self.joined()
        pair.node.say(gone(1))
        pair.frozen.add("balancer")
        pair.run(0.7)
        pair.take()
        pair.frozen.clear()
        pair.flush()
        pair.take(gone(1), ("answered", 1000.0))

    def test_twoUnanswered(self) -> None:
        """Two boxes are on their way at most; what waits meanwhile is one box afterwards."""
        pair = self.joined()
        pair.frozen.add("balancer")
        for serial in range(100):
            pair.node.say(gone(serial))
            pair.run(0.01, step=0.01)
        self.assertEqual(pair.node.outbox.unanswered, 2)
        pair.frozen.clear()
        pair.flush()
        reports = [told for told in pair.told if isinstance(told, Report)]
        self.assertEqual(reports, [gone(0), gone(1), gone(*range(2, 100))])
        pair.told.clear()

    def test_notTaken(self) -> None:
        """A balancer that fails to take a report loses the connection: the next join settles it."""
        pair = self.joined()
        log = self.warnings()

        def breaks(_: Report) -> None:
            raise ZeroDivisionError

        pair.balancer_shell.on_report = breaks
        pair.node.say(gone(1))
        pair.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        reason = "did not take a report: internal error"
        pair.take(gone(1), ("node disconnected", reason), ("balancer disconnected", ENDED))
        self.assertIn(reason, log()[-1])

    def test_finishedWithStart(self) -> None:
        """The start of what has ended meanwhile is not worth a word."""
        pair = self.joined()
        pair.node.say(attrs.evolve(REPORT, load=None))
        done = Finished(*REPORT.started[0][:4], 77, OUTCOME)
        pair.node.say(Report(finished=(done,)))
        pair.flush()
        report = pair.told.pop(0)
        pair.take(("answered", 1000.0))
        self.assertEqual(report.started, ())
        self.assertEqual(report.finished[-1], done)


class DispatchTests(WireCase):
    """From balancer to node."""

    def test_everyWord(self) -> None:
        """A dispatch arrives as it was said."""
        pair = self.joined()
        pair.balancer.say(DISPATCH)
        pair.flush()
        pair.take(DISPATCH)
        self.assertEqual(pair.balancer.outbox.unanswered, 0)

    def test_idle(self) -> None:
        """Once a second something is said, if nothing else is."""
        pair = self.joined()
        heard: list[Dispatch] = []
        pair.node_shell.on_dispatch = heard.append
        pair.run(5.3)
        self.assertEqual(heard, [Dispatch()] * 5)
        pair.told.clear()

    def test_notTaken(self) -> None:
        """A node that fails to take a dispatch loses the connection."""
        pair = self.joined()

        def breaks(_: Dispatch) -> None:
            raise ZeroDivisionError

        pair.node_shell.on_dispatch = breaks
        pair.balancer.say(cancels(1))
        pair.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        pair.take(
            cancels(1),
            ("balancer disconnected", "did not take a dispatch: internal error"),
            ("node disconnected", ENDED),
        )


class AskTests(WireCase):
    """Questions either way."""

    def test_answers(self) -> None:
        """Each side asks the other."""
        pair = self.joined()
        pair.balancer_shell.answer = lambda _: succeed(REPLY)
        asked = pair.node.ask(ASKED)
        pair.flush()
        pair.take(("balancer asked", ASKED))
        self.assertEqual(self.successResultOf(asked), REPLY)
        asked = pair.balancer.ask(ASKED)
        pair.flush()
        pair.take(("node asked", ASKED))
        self.assertEqual(self.successResultOf(asked), Reply(text="view"))

    def test_errors(self) -> None:
        """Errors arrive as they were raised."""
        pair = self.joined()
        pair.balancer_shell.answer = lambda _: fail(UnknownTicketError())
        asked = pair.node.ask(ASKED)
        pair.flush()
        error = self.failureResultOf(asked, UnknownTicketError).value
        self.assertEqual(str(error), str(UnknownTicketError()))
        pair.take(("balancer asked", ASKED))

    def test_outOfOrder(self) -> None:
        """A question that is waited for holds up no other."""
        pair = self.joined()
        answers: list[Deferred[Reply]] = [Deferred(), Deferred()]
        waiting = list(answers)
        pair.balancer_shell.answer = lambda _: waiting.pop(0)
        first, second = pair.node.ask(ASKED), pair.node.ask(ASKED)
        pair.flush()
        answers[1].callback(REPLY)
        pair.flush()
        self.assertEqual(self.successResultOf(second), REPLY)
        self.assertNoResult(first)
        answers[0].callback(REPLY)
        pair.flush()
        self.successResultOf(first)
        pair.take(*[("balancer asked", ASKED)] * 2)

    def test_patience(self) -> None:
        """The limit of a question is that of a call and its own patience."""
        pair = self.joined()
        pair.balancer_shell.answer = lambda _: Deferred()
        ask = attrs.evolve(ASKED, verb="wait", patience=20.0)
        asked = pair.node.ask(ask)
        pair.run(30.9)
        self.assertNoResult(asked)
        pair.run(0.2)
        self.failureResultOf(asked, CallTimedOutError)
        self.assertEqual(pair.told[0], ("balancer asked", ask))
        self.assertEqual(
            pair.told[-2:],
            [
                ("node disconnected", "Ask was not answered within 31 s"),
                ("balancer disconnected", ENDED),
            ],
        )
        pair.told.clear()

    def test_slowNode(self) -> None:
        """
        A node that does not answer the balancer's question keeps its connection, and the one that
        asked hears of it before it gives up the balancer.
        """
        pair, other = self.joined(), self.joined()
        other.node_shell.answer = lambda _: Deferred()
        pair.balancer_shell.answer = other.balancer.ask
        asked = pair.node.ask(ASKED)
        for _ in range(95):
            pair.run(0.1)
            other.run(0.1)
        self.failureResultOf(asked, CallTimedOutError)
        self.assertTrue(pair.node.joined and other.node.joined)
        self.assertEqual((pair.node.ending, other.balancer.ending), ("", ""))
        pair.told.clear()
        other.told.clear()

    def test_connectionEnds(self) -> None:
        """Who asked is told who is away, and who was about to answer stops."""
        pair = self.joined()
        stopped: list[Any] = []
        pair.balancer_shell.answer = lambda _: Deferred(stopped.append)
        pair.node_shell.answer = lambda _: Deferred(stopped.append)
        asked, probed = pair.node.ask(ASKED), pair.balancer.ask(ASKED)
        pair.flush()
        pair.take(("balancer asked", ASKED), ("node asked", ASKED))
        pair.cut()
        self.failureResultOf(asked, BalancerAwayError)
        self.failureResultOf(probed, NodeAwayError)
        self.assertEqual(len(stopped), 2)
        self.failureResultOf(pair.node.ask(ASKED), BalancerAwayError)
        pair.told.clear()

    def test_errorWithoutACode(self) -> None:
        """An error that says nothing ends the connection, and the question with it."""
        pair = self.joined()
        log = self.warnings()
        asked = pair.node.ask(ASKED)
        pair.node_line.bufferReceived(amp.AmpBox({b"_error": b"2"}).serialize())
        pair.cut()
        self.failureResultOf(asked, BalancerAwayError)
        self.assertIn("makes no sense", *log())
        pair.told.clear()

    def test_lostInterest(self) -> None:
        """Who asked may lose interest."""
        pair = self.joined()
        asked = pair.node.ask(ASKED)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        pair.flush()
        pair.take(("balancer asked", ASKED))

    def test_tooMany(self) -> None:
        """The open questions of one peer are bounded."""
        pair = self.joined()
        pair.balancer_shell.answer = lambda _: Deferred()
        asked = [pair.node.ask(ASKED) for _ in range(ASKS_LIMIT + 1)]
        pair.flush()
        self.assertEqual(len(pair.told), ASKS_LIMIT)
        self.assertIn("too many", str(self.failureResultOf(asked.pop(), PeerError).value))
        pair.told.clear()
        pair.cut()
        for one in asked:
            self.failureResultOf(one, BalancerAwayError)
        pair.told.clear()

    def test_undeclared(self) -> None:
        """A fault in answering is an error like others, and the connection goes on."""
        pair = self.joined()

        def breaks(_: Ask) -> Deferred[Reply]:
            raise ZeroDivisionError

        pair.node_shell.answer = breaks
        asked = pair.balancer.ask(ASKED)
        pair.flush()
        self.failureResultOf(asked, PeerError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        pair.take(("node asked", ASKED))


class LeaveTests(WireCase):
    """A node that ends in order."""

    def test_afterTheRest(self) -> None:
        """It leaves after all that was said before, though that has to wait."""
        pair = self.joined()
        pair.frozen.add("balancer")
        for serial in range(5):
            pair.node.say(gone(serial))
            pair.flush()
        left = pair.node.leave(keep=True)
        pair.flush()
        self.assertNoResult(left)
        pair.frozen.clear()
        pair.flush()
        self.assertIsNone(self.successResultOf(left))
        told = [one for one in pair.told if isinstance(one, Report) or one[0] == "left"]
        self.assertEqual(told, [gone(0), gone(1), gone(2, 3, 4), ("left", True)])
        pair.told.clear()

    def test_nothingToSay(self) -> None:
        """It is said at once otherwise."""
        pair = self.joined()
        left = pair.node.leave(keep=False)
        pair.flush()
        self.successResultOf(left)
        pair.take(("left", False))

    def test_connectionEnds(self) -> None:
        """It fails with the connection, whether it was sent or not."""
        for said in (0, 5):
            pair = self.joined()
            pair.frozen.add("balancer")
            for serial in range(said):
                pair.node.say(gone(serial))
                pair.flush()
            left = pair.node.leave(keep=False)
            pair.flush()
            self.assertNoResult(left)
            pair.node.abandon("no time")
            pair.flush()
            self.failureResultOf(left, BalancerAwayError)
            pair.cut()
            pair.told.clear()
