"""
Processes that can be killed, and connections between them, without either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.base import DelayedCall
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IProtocol,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.testing.clocks import HeapClock

__all__ = ["ADDRESS", "Process", "connect"]

ADDRESS: Final = IPv4Address("TCP", "127.0.0.1", 7000)
"""Of both ends of every connection."""

_BLINK: Final = 1e-6
"""Seconds: whoever waits at all waits for so long, lest rounding make a time that never comes."""

_BUSY: Final = 200_000
"""So many calls are asked for at one time by nothing but a loop that never ends."""

_PRUNE_ABOVE: Final = 64
"""So many calls are kept before those that are over are forgotten."""


@implementer(IReactorTime)
class Process:
    """
    The reactor of one process: of a dead one no call is made any more.
    """

    def __init__(self, clock: HeapClock) -> None:
        """
        A process that runs.
        """
        self.clock = clock
        self.alive = True
        self.ends: list[_End] = []
        """Of its connections."""
        self._calls: list[DelayedCall] = []
        self._prune_above = _PRUNE_ABOVE
        self._asked_at = 0.0
        self._asked = 0
        """How many calls were asked for at that time."""

    def seconds(self) -> float:
        """
        See L{IReactorTime}.
        """
        return self.clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - the interface's name
        *args: object,
        **kwargs: object,
    ) -> DelayedCall:
        """
        See L{IReactorTime}; in a dead process no time passes.
        """
        delay = max(delay, _BLINK) if delay > 0 else delay
        if not self.alive:
            return HeapClock().callLater(delay, callable, *args, **kwargs)
        self._count()
        call = self.clock.callLater(delay, callable, *args, **kwargs)
        self._calls.append(call)
        if len(self._calls) > self._prune_above:
            self._calls = [call for call in self._calls if call.active()]
            self._prune_above = 2 * len(self._calls) + _PRUNE_ABOVE
        return call

    def _count(self) -> None:
        if self._asked_at != self.seconds():
            self._asked_at, self._asked = self.seconds(), 0
        self._asked += 1
        if self._asked > _BUSY:
            raise AssertionError("time stands still: something happens again and again")

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """
        See L{IReactorTime}.
        """
        return [call for call in self._calls if call.active()]

    def die(self) -> None:
        """
        SIGKILL: nothing more is done here, and the other sides see their connections end.

        (Protocols hear of it here too, so that nothing is left of what they were about; but nothing
        that they do then leaves this process.)
        """
        self.alive = False
        for end in list(self.ends):
            end.die()
        for call in self._calls:
            if call.active():
                call.cancel()
        self._calls.clear()


@implementer(ITransport, IConsumer)
class _End:
    """
    One end of a connection; what is written arrives in order, C{hop} seconds later.
    """

    disconnecting = False

    def __init__(self, process: Process, hop: float) -> None:
        """
        An end without another one, which C{join} gives it.
        """
        self._process = process
        self._hop = hop
        self._closed = False
        self._deaf = False
        self._protocol: Any = None
        self._other: _End = self

    def join(self, protocol: IProtocol, other: _End) -> None:
        """
        Be connected.
        """
        self._protocol, self._other = protocol, other
        self._process.ends.append(self)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._closed and self._process.alive:
            self._other._process.callLater(self._hop, self._other._read, data)  # noqa: SLF001

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send bytes."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """End when what was written has arrived."""
        self._end(ConnectionDone(), ConnectionDone())

    def abortConnection(self) -> None:
        """End, and read nothing more."""
        self._deaf = True
        self._end(ConnectionAborted(), ConnectionLost())

    def cut(self) -> None:
        """End from outside, at both ends."""
        self._end(ConnectionLost(), ConnectionLost())

    def deafen(self) -> None:
        """Have nothing arrive here any more, though the connection lasts."""
        self._deaf = True

    def die(self) -> None:
        """End with the process."""
        self.cut()
        self._lost(ConnectionLost())

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401, FBT001
        """See L{IConsumer}: nobody is ever asked to pause."""

    def unregisterProducer(self) -> None:
        """See L{IConsumer}."""

    def getPeer(self) -> IAddress:
        """See L{ITransport}."""
        return ADDRESS

    def getHost(self) -> IAddress:
        """See L{ITransport}."""
        return ADDRESS

    def _end(self, here: Exception, there: Exception) -> None:
        if not self._closed:
            self._closed = self.disconnecting = True
            self._process.callLater(0, self._lost, here)
            self._other._process.callLater(self._hop, self._other._lost, there)  # noqa: SLF001

    def _read(self, data: bytes) -> None:
        if not self._deaf:
            self._protocol.dataReceived(data)

    def _lost(self, reason: Exception) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            self._closed = self._deaf = True
            self._process.ends.remove(self)
            protocol.connectionLost(Failure(reason))


def connect(
    client: tuple[Process, IProtocol], server: tuple[Process, IProtocol], hop: float = 0.0
) -> None:
    """
    Connect two protocols.

    @param client: the process that connects, and its protocol.
    @param server: the process that is connected to, and its protocol, which hears of it first.
    @param hop: seconds that everything takes from one to the other.
    """
    here, there = _End(client[0], hop), _End(server[0], hop)
    here.join(client[1], there)
    there.join(server[1], here)
    server[1].makeConnection(there)
    client[1].makeConnection(here)
