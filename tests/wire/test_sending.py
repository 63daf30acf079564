"""
What is written, and to whom.
"""

import attrs
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import succeed
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.views import Reply
from jobcluster.errors import (
    BoxTooLargeError,
    MalformedBatchError,
    RefusedError,
)
from jobcluster.wire import commands
from jobcluster.wire.box import BOX_LIMIT, format_address
from tests.wire.stranger import ASKING, Stranger


class SendingTests(Stranger):
    """A peer that does not read."""

    def test_unread(self) -> None:
        """It is given up when too much waits for it."""
        self.make(unread_limit=200_000)
        self.answer = lambda _: succeed({"reply": Reply(text="x" * 50_000)})
        box = commands.Ask.makeArguments({"ask": ASKING}, None)
        box.update({b"_command": b"Ask", b"_ask": b"1"})
        for _ in range(100):
            self.line.bufferReceived(box.serialize())
        self.assertClosed("does not read")
        self.assertEqual(self.line.waiting, 0)

    def test_read(self) -> None:
        """One that reads may be told any number of bytes."""
        self.make(unread_limit=200_000)
        for _ in range(100):
            self.answer = lambda _: succeed({"reply": Reply(text="x" * 50_000)})
            self.ask()
        self.assertWell()

    def test_largeBox(self) -> None:
        """A box that no peer would take is not sent."""
        self.make()
        call = self.call(attrs.evolve(ASKING, verb="x" * BOX_LIMIT))
        (error,) = call
        self.assertIsInstance(error, BoxTooLargeError)
        self.assertWell()

    def test_noDelay(self) -> None:
        """Small boxes do not wait for each other."""
        self.make()
        self.assertTrue(self.line.no_delay)

    def test_remoteErrors(self) -> None:
        """An error of the other side arrives as what it was there."""
        self.make()
        call = self.call()
        (box,) = self.received()
        self.send(
            amp.AmpBox(
                {
                    b"_error": box[b"_ask"],
                    b"_error_code": b"RefusedError",
                    b"_error_description": "kein Platz für dich".encode(),
                }
            ).serialize()
        )
        (error,) = call
        self.assertIsInstance(error, RefusedError)
        self.assertEqual(str(error), "kein Platz für dich")

    def test_badAnswer(self) -> None:
        """An answer that is malformed, or lacks what it should have, is a declared error."""
        for answer in ({b"reply": b"\xc1"}, {}):
            self.make()
            call = self.call()
            (box,) = self.received()
            self.send(amp.AmpBox({b"_answer": box[b"_ask"], **answer}).serialize())
            (error,) = call
            self.assertIsInstance(error, MalformedBatchError)


class AddressTests(SynchronousTestCase):
    """Addresses for people."""

    def test_formats(self) -> None:
        """Hosts and ports, paths, and what else there is."""
        self.assertEqual(format_address(IPv4Address("TCP", "127.0.0.1", 70)), "127.0.0.1:70")
        self.assertEqual(format_address(IPv6Address("TCP", "::1", 70)), "[::1]:70")
        self.assertEqual(format_address(UNIXAddress("/run/x")), "/run/x")
        self.assertEqual(format_address(UNIXAddress(None)), "a UNIX socket")
        self.assertEqual(format_address(HostnameAddress(b"x", 1)), "HostnameAddress")
