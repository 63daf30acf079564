"""
A connection in memory, and somebody who types.
"""

from __future__ import annotations

from math import ceil

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from jobcluster.consoles.telnet import ConsoleFactory
from tests.consoles.rig import TICK, FakeCluster


class FakeConnection(StringTransport):
    """
    A transport that keeps what is written until it is read, and pauses its producer meanwhile.
    """

    buffer_size: float = float("inf")
    """How many unread bytes pause the producer."""
    writes = 0

    def write(self, data: bytes) -> None:
        """
        Keep some bytes.
        """
        super().write(data)
        self.writes += 1
        if len(self.value()) > self.buffer_size and self.producer is not None:
            self.producer.pauseProducing()


class Typist:
    """
    A session with somebody who types and reads.
    """

    def __init__(self, cluster: FakeCluster | None = None, prompt: str = "auto") -> None:
        """
        Connect.
        """
        self.cluster = FakeCluster(Clock()) if cluster is None else cluster
        self.clock = self.cluster.clock
        self.factory = ConsoleFactory(self.cluster, self.clock, prompt)
        self.connection = FakeConnection()
        self.protocol = self.factory.buildProtocol(self.connection.getPeer())
        self.protocol.makeConnection(self.connection)
        self._sent = b""
        self._finished = False
        self._lost = False

    @property
    def is_closed(self) -> bool:
        """Whether the node has ended the connection."""
        return self.connection.disconnecting

    @property
    def is_read(self) -> bool:
        """Whether the node has read all that was typed."""
        return not self._sent

    def type(self, typed: str | bytes) -> None:
        """
        Send something.
        """
        self._sent += typed.encode() if isinstance(typed, str) else typed
        self._deliver()

    def finish(self) -> None:
        """
        Send no more, and go on reading.
        """
        self._finished = True
        self._deliver()

    def hang_up(self) -> None:
        """
        End the connection.
        """
        if not self._lost:
            self._lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def advance(self, seconds: float) -> None:
        """
        Let time pass, in steps of a L{TICK}.
        """
        for _ in range(ceil(seconds / TICK)):
            self.clock.advance(TICK)
            self._deliver()

    def read(self) -> str:
        """
        Take what the node has said so far, in words.
        """
        return self.read_bytes().decode()

    def read_bytes(self) -> bytes:
        """
        Take what the node has said so far.
        """
        said: bytes = self.connection.value()
        self.connection.clear()
        if self.connection.producer is not None:
            self.connection.producer.resumeProducing()
        self._deliver()
        return said

    def ask(self, typed: str) -> list[str]:
        """
        Type something and take the lines that are answered at once.
        """
        self.type(typed)
        return self.read().splitlines()

    def leave_nothing(self) -> list[str]:
        """
        Hang up, and return what is left over once the cluster has answered: timers and waits.
        """
        self.hang_up()
        self.clock.advance(self.cluster.delay)
        self.cluster.stop()
        left = [str(call) for call in self.clock.getDelayedCalls()]
        left += ["somebody who listens" for _ in self.cluster.speech.listeners]
        left += [f"a wait for {job}" for job, waits in self.cluster.waits.items() if waits]
        return left + [str(session) for session in self.factory.sessions]

    def _deliver(self) -> None:
        """Hand over what was typed, as far as the node reads."""
        while self._sent and self._is_heard():
            piece, self._sent = self._sent[:65536], self._sent[65536:]
            self.protocol.dataReceived(piece)
        if self._finished and not self._sent and self._is_heard():
            self._finished = False
            self.protocol.readConnectionLost()

    def _is_heard(self) -> bool:
        return self.connection.producerState == "producing" and not self.is_closed
