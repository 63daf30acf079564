"""
Peers that speak AMP badly, or something else.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.protocols import amp

from jobcluster.core.views import Ask, Reply
from jobcluster.errors import (
    NotJoinedError,
    PeerError,
    RefusedError,
    StoreFullError,
    UnknownTicketError,
    VersionMismatchError,
)
from jobcluster.wire import commands
from tests.wire.stranger import ASKING, Stranger


class ReceivingTests(Stranger):
    """What is not for us ends the connection at once, with one line."""

    def test_http(self) -> None:
        """A browser is sent away with its first bytes."""
        for request in (b"GET / HTTP/1.1\r\n\r\n", b"POST /", b"\x16\x03\x01\x02\x00\x01\x00"):
            self.make()
            self.send(request)
            self.assertClosed("not AMP")

    @given(st.binary())
    def test_anyBytes(self, data: bytes) -> None:
        """Any bytes at all end in silence, or in one line; nothing is ever raised."""
        self.make()
        self.send(data)
        self.send(data * 3)
        self.assertLessEqual(len(self.log()), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    @given(
        st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=9)), max_size=5)
    )
    def test_anyBox(self, entries: list[tuple[bytes, bytes]]) -> None:
        """So do any boxes, those with AMP's own keys included."""
        for keys in ([b"_ask", b"_command"], [b"_answer"], [b"_error"], []):
            self.make()
            box = amp.AmpBox(entries)
            box.update(dict.fromkeys(keys, b"1"))
            self.send(box.serialize() * 2)
            self.assertLessEqual(len(self.log()), 1)
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_answersToNothing(self) -> None:
        """Answers that nobody waits for, and boxes that are neither, make no sense."""
        for box in (
            {b"_answer": b"1"},
            {b"_error": b"1", b"_error_code": b"X", b"_error_description": b"x"},
            {b"a": b"b"},
        ):
            self.make()
            self.send(amp.AmpBox(box).serialize())
            self.assertClosed("makes no sense")
        self.make()
        self.send(b"\0\0")
        self.assertClosed("makes no sense")

    def test_largeBox(self) -> None:
        """A box that is too large is refused while it arrives."""
        self.make(box_limit=300_000)
        box = amp.AmpBox({b"%d" % number: b"x" * 60_000 for number in range(6)})
        data = box.serialize()
        self.send(data[:240_000])
        self.assertFalse(self.line.disconnecting)
        self.send(data[240_000:310_000])
        self.assertClosed("larger than")

    def test_manySmallEntries(self) -> None:
        """Entries count for what they take in memory, not for their few bytes."""
        self.make(box_limit=300_000)
        sent = 0
        while not self.line.disconnecting:
            self.send(b"\0\3%03x\0\0" % (sent % 4096))
            sent += 1
        self.assertLess(sent, 300_000 / 200 + 1)
        self.assertClosed("larger than")

    def test_boxesOneAfterTheOther(self) -> None:
        """The limit is for each box, not for all of them."""
        self.make(box_limit=30_000)
        for _ in range(20):
            self.ask(change={b"more": b"x" * 20_000})
        self.assertWell()

    def test_endlessBox(self) -> None:
        """A box without an end costs no more memory than the limit."""
        self.make(box_limit=1_000_000)
        entry = b"\0\1a\xff\xff" + b"x" * 65_535
        for _ in range(100):
            self.send(entry)
        self.assertClosed("larger than")
        self.assertIsNone(self.server._currentBox)  # noqa: SLF001 - Twisted's, not ours
        self.assertLess(len(self.server._unprocessed), 200_000)  # noqa: SLF001 - the same

    def test_nothingAfterTheEnd(self) -> None:
        """What follows nonsense is not read, though it came with it."""
        self.make()
        asked: list[Ask] = []
        self.answer = asked.append
        good = commands.Ask.makeArguments({"ask": ASKING}, None)
        good.update({b"_command": b"Ask", b"_ask": b"1"})
        self.send(b"\0\0" + good.serialize())
        self.send(good.serialize())
        self.assertEqual(asked, [])
        self.assertClosed("makes no sense")

    def test_startTLS(self) -> None:
        """AMP's own way to TLS is no command of ours."""
        self.make()
        self.send(amp.AmpBox({b"_command": b"StartTLS", b"_ask": b"1"}).serialize())
        (box,) = self.received()
        self.assertEqual(box[b"_error_code"], b"UNHANDLED")
        self.assertWell()

    def test_longUnknownCommand(self) -> None:
        """An unknown command whose name does not even fit into an answer ends the connection."""
        self.make()
        self.send(amp.AmpBox({b"_command": b"\xff" * 65_535, b"_ask": b"1"}).serialize())
        self.assertClosed("could not be answered")

    def test_nobodyToBeAnswered(self) -> None:
        """A command that wants no answer and fails ends the connection with one line."""
        self.make()
        self.send(amp.AmpBox({b"_command": b"Ask"}).serialize())
        (complaint, line) = self.log()
        self.assertIn("ask is missing", complaint)
        self.assertIn("could not be answered", line)
        self.assertTrue(self.line.disconnecting)


class AnsweringTests(Stranger):
    """Every exception is answered with a declared error, and the connection goes on."""

    def error(self, failing: Callable[[Ask], object]) -> tuple[bytes, str]:
        """
        Code and text of the answer.
        """
        self.make()
        self.answer = failing
        (box,) = self.ask()
        return box[b"_error_code"], box[b"_error_description"].decode()

    def test_declared(self) -> None:
        """Errors of jobcluster keep their type and their text."""
        for error in (
            UnknownTicketError(),
            StoreFullError("full"),
            RefusedError("no"),
            NotJoinedError(),
        ):
            code, text = self.error(partial(fail_with, error))
            self.assertEqual(code, type(error).__name__.encode())
            self.assertEqual(text, str(error))
            self.assertWell()

    def test_undeclared(self) -> None:
        """Anything else is logged once, with its traceback, and told as an internal error."""

        def breaks(_: Ask) -> None:
            raise ZeroDivisionError

        for failing in (breaks, lambda _: fail(ZeroDivisionError())):
            self.assertEqual(self.error(failing), (b"PeerError", "internal error"))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.log()
            self.assertWell()

    def test_badAnswer(self) -> None:
        """So is an answer that cannot be sent."""
        code, _ = self.error(lambda _: {"reply": Reply(text="\ud800")})
        self.assertEqual(code, b"MalformedBatchError")
        self.log()
        code, _ = self.error(lambda _: None)
        self.assertEqual(code, b"PeerError")
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.log()
        self.assertWell()

    def test_badArguments(self) -> None:
        """Malformed arguments are answered, and noted in one line."""
        self.make()
        (box,) = self.ask(change={b"ask": b"\xc1"})
        self.assertEqual(box[b"_error_code"], b"MalformedBatchError")
        self.assertIn("Ask", *self.log())
        self.assertWell()

    def test_otherVersion(self) -> None:
        """A peer of another version is told so, and noted in one line."""
        code, text = self.error(lambda _: fail(VersionMismatchError("2, not 1")))
        self.assertEqual((code, text), (b"VersionMismatchError", "2, not 1"))
        self.assertIn("2, not 1", *self.log())

    def test_longText(self) -> None:
        """The text of an error is cut and on one line, so that it can be sent."""
        _, text = self.error(lambda _: fail(PeerError("x\ny\ud800" + "z" * 70_000)))
        self.assertEqual(text[:6], "x y?zz")
        self.assertEqual(len(text), 1000)
        self.make()
        self.ask(change={b"ask": b"\x81\xa5a\nb\x1bc\xc0"})
        (line,) = self.log()
        self.assertIn("a b?c", line)
        self.assertWell()

    def test_late(self) -> None:
        """An answer after the connection's end, or an error, is nobody's business."""
        for late in (lambda d: d.callback({"reply": Reply()}), lambda d: d.errback(PeerError())):
            self.make()
            answer: Deferred[Any] = Deferred()
            self.answer = lambda _, answer=answer: answer
            self.ask()
            self.line.reportDisconnect()
            late(answer)
            self.assertEqual(self.log(), [])
        self.assertEqual(self.told, ["the other side closed the connection"] * 2)


def fail_with(error: Exception, _: Ask) -> Deferred[Reply]:
    """
    Answer with an error.
    """
    return fail(error)
