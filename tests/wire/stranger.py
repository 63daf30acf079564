"""
Raw bytes at one end of a connection.
"""

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.protocols import amp
from twisted.python.failure import Failure

from jobcluster.core.views import Ask, Reply
from jobcluster.wire import commands
from jobcluster.wire.box import BoundedAMP
from tests.wire.pair import Line, WireCase

ASKING = Ask("node-b", "view", 77)


class Stranger(WireCase):
    """One end of a connection, and raw bytes at the other."""

    def setUp(self) -> None:
        """Listen to the log."""
        self.log = self.warnings()
        self.told: list[str] = []

    def make(self, **limits: int) -> None:
        """
        Connect.
        """
        told = self.told

        class Server(BoundedAMP):
            def ended(self, reason: str) -> None:
                told.append(reason)

        self.server = Server(**limits)
        self.answer: Any = lambda ask: {"reply": Reply(text=ask.verb)}
        self.server.responders[commands.Ask] = self.respond
        self.line = Line(self.server, is_server=True)
        self.server.makeConnection(self.line)

    def respond(self, ask: Ask) -> Any:  # noqa: ANN401 - what the test says
        """
        Answer as the test says.
        """
        return self.answer(ask)

    def send(self, data: bytes) -> None:
        """
        Send these bytes, in pieces as TCP might.
        """
        for start in range(0, len(data), 60_000):
            self.line.bufferReceived(data[start : start + 60_000])

    def ask(self, change: Mapping[bytes, bytes] | None = None) -> list[amp.AmpBox]:
        """
        Ask properly; returns what comes back.
        """
        box = commands.Ask.makeArguments({"ask": ASKING}, None)
        box.update({b"_command": b"Ask", b"_ask": b"1", **(change or {})})
        self.send(box.serialize())
        return self.received()

    def call(self, ask: Ask = ASKING) -> list[BaseException | None]:
        """
        Let the server ask; what that fails with is appended to what is returned.
        """
        errors: list[BaseException | None] = []

        def failed(failure: Failure) -> None:
            errors.append(failure.value)

        maybeDeferred(self.server.callRemote, commands.Ask, ask=ask).addErrback(failed)
        return errors

    def received(self) -> list[amp.AmpBox]:
        """
        The boxes that the server has sent.
        """
        data = self.line.getOutBuffer()
        boxes: list[amp.AmpBox] = amp.parseString(data) if data else []
        return boxes

    def assertClosed(self, reason: str) -> None:
        """
        The connection is closed, with one line.
        """
        self.assertTrue(self.line.disconnecting)
        (line,) = self.log()
        self.assertIn(reason, line)
        self.assertIn(reason, self.server.ending)

    def assertWell(self) -> None:
        """
        The connection goes on.
        """
        self.assertFalse(self.line.disconnecting)
        self.answer = lambda ask: {"reply": Reply(text=ask.verb)}
        (box,) = self.ask()
        self.assertIn(b"_answer", box)
        self.assertEqual(self.log(), [])
