"""
Calls with a limit of time.
"""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.errors import (
    BalancerAwayError,
    CallTimedOutError,
    MalformedBatchError,
    PeerError,
    RefusedError,
)
from jobcluster.wire.calls import Calls
from jobcluster.wire.commands import Leave


class CallTests(SynchronousTestCase):
    """What becomes of a call."""

    def setUp(self) -> None:
        """A connection whose calls are answered by hand."""
        self.clock = Clock()
        self.sent: list[Deferred[dict[str, Any]]] = []
        self.ended: list[str] = []
        self.calls = Calls(self.clock, self.call_remote, self.ended.append, BalancerAwayError)

    def call_remote(self, command: type[amp.Command], **arguments: object) -> Deferred[Any]:
        """
        Take a call.
        """
        self.assertIs(command, Leave)
        self.assertEqual(arguments, {"keep": True})
        answer: Deferred[dict[str, Any]] = Deferred()
        self.sent.append(answer)
        return answer

    def call(self, limit: float = 11.0, *, ends: bool = True) -> Deferred[dict[str, Any]]:
        """
        Make one.
        """
        return self.calls.call(Leave, {"keep": True}, limit, ends=ends)

    def assertOver(self) -> None:
        """
        Nothing is left of any call, and the connection is well.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.ended, [])

    def test_answered(self) -> None:
        """It fires with the response."""
        call = self.call()
        self.assertNoResult(call)
        self.sent[0].callback({"a": 1})
        self.assertEqual(self.successResultOf(call), {"a": 1})
        self.assertOver()

    def test_declaredError(self) -> None:
        """It fails with what the peer declares."""
        for error in (RefusedError("no"), MalformedBatchError("Report: x")):
            call = self.call()
            self.sent[-1].errback(Failure(error))
            self.assertIs(self.failureResultOf(call).value, error)
        self.assertOver()

    def test_foreignError(self) -> None:
        """What AMP says instead of an answer becomes a declared error that names the call."""
        for error in (amp.UnknownRemoteError("odd"), amp.UnhandledCommand("b'Leave'")):
            call = self.call()
            self.sent[-1].errback(Failure(error))
            self.assertIn("Leave", str(self.failureResultOf(call, PeerError).value))
        self.assertOver()

    def test_connectionEnded(self) -> None:
        """With the connection's end it fails with whom it says is away, and so do later calls."""
        for reason in (ConnectionDone(), ConnectionLost()):
            call = self.call()
            self.sent[-1].errback(Failure(reason))
            self.failureResultOf(call, BalancerAwayError)
        open_call = self.call()
        self.calls.close()
        self.failureResultOf(open_call, BalancerAwayError)
        self.failureResultOf(self.call(), BalancerAwayError)
        self.sent[-1].errback(Failure(ConnectionDone()))
        self.assertOver()

    def test_callInAClose(self) -> None:
        """A call that is made because another has failed with the connection fails too."""
        again: list[Deferred[Any]] = []
        call = self.call().addErrback(lambda _: again.append(self.call()))
        self.calls.close()
        self.successResultOf(call)
        self.failureResultOf(again[0], BalancerAwayError)
        self.assertOver()

    def test_ownFault(self) -> None:
        """A fault of this side is logged once, and told as a declared error."""
        calls = Calls(
            self.clock,
            lambda *_, **__: fail(ZeroDivisionError()),
            self.ended.append,
            BalancerAwayError,
        )
        self.failureResultOf(calls.call(Leave, {"keep": True}), PeerError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertOver()

    def test_timedOut(self) -> None:
        """It ends the connection, and fails; the answer that comes too late is nobody's."""
        call = self.call(3.0)
        self.clock.advance(2.9)
        self.assertNoResult(call)
        self.clock.advance(0.2)
        self.failureResultOf(call, CallTimedOutError)
        self.assertEqual(self.ended, ["Leave was not answered within 3 s"])
        self.sent[0].callback({})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timedOutWithoutEnd(self) -> None:
        """If the caller wants that, the connection goes on."""
        call = self.call(3.0, ends=False)
        self.clock.advance(3.1)
        self.failureResultOf(call, CallTimedOutError)
        self.assertOver()

    def test_stalledObserver(self) -> None:
        """After a pause of this process an answer that lies there unread is read first."""
        call = self.call(3.0)
        self.clock.advance(20.0)
        self.assertNoResult(call)
        self.sent[0].callback({})
        self.successResultOf(call)
        self.assertOver()
        call = self.call(3.0)
        self.clock.advance(20.0)
        self.clock.advance(1.1)
        self.failureResultOf(call, CallTimedOutError)

    def test_cancelled(self) -> None:
        """The caller may lose interest; the connection is none the worse for it."""
        call = self.call()
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.sent[0].callback({})
        self.assertOver()
