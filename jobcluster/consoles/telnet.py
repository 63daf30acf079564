"""
The console: sessions of lines over a stream, for telnet and for nc.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.consoles.lines import LineFilter
from jobcluster.consoles.session import Session
from jobcluster.interfaces import IClusterView

__all__ = ["PROMPTS", "ConsoleFactory", "ConsoleProtocol"]

PROMPTS: Final = ("auto", "on", "off")
"""What C{--console-prompt} may be."""

# What is received is read in pieces of this many bytes, so that a flood of short lines costs
# memory for one piece and not for all of it.
_PIECE: Final = 4096

# The end-of-file key of a telnet client comes alone; junk goes on.
_KEY_ALONE: Final = 0.3

# A connection that is closed over unread input is reset, and the peer may lose the last answers
# with it: so for this long the rest is read, and thrown away.
_LINGER: Final = 2.0

_LOG: Final = Logger(namespace="jobcluster.console")


@implementer(IHalfCloseableProtocol, IPushProducer)
class ConsoleProtocol(Protocol):
    """
    One session.

    As a producer it is its answers: paused while the peer does not read them.
    """

    factory: ConsoleFactory
    transport: ITransport
    _consumer: IConsumer
    _producer: IPushProducer
    _session: Session

    def __init__(self, view: IClusterView, clock: IReactorTime, prompt: str, log: Logger) -> None:
        """
        Begin without a connection; for the arguments see L{ConsoleFactory}.
        """
        self._view = view
        self._clock = clock
        self._prompt = prompt
        self._log = log
        self._filter = LineFilter()
        self._unread = b""
        self._timer: IDelayedCall | None = None
        self._feeding = False
        self._reading = True
        self._input_ended = False
        self._closing = False

    # -- the connection ------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Begin the session.
        """
        if ITCPTransport.providedBy(self.transport):
            # Answers leave as they are written, and a peer whose machine has gone is noticed.
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._consumer = IConsumer(self.transport)
        self._producer = IPushProducer(self.transport)
        self._consumer.registerProducer(self, streaming=True)
        self.factory.sessions.add(self)
        self._log.debug("A console session begins: {peer}.", peer=self.transport.getPeer())
        self._session = Session(self._view, self, self._clock, self._prompt, self._log)
        self._session.accept(())

    def dataReceived(self, data: bytes) -> None:
        """
        Take some bytes.
        """
        if not self._closing:
            self._unread += data
            self.more()

    def readConnectionLost(self) -> None:
        """
        Take that the peer will say no more: it is answered all that it said.
        """
        self._input_ended = True
        if self._closing:
            self.transport.loseConnection()
        else:
            self.more()

    def writeConnectionLost(self) -> None:
        """
        Take that no more can be said; the end of the connection follows.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Forget the session; the jobs go on.
        """
        self._closing = True
        self._unread = b""
        self._stop_timer()
        self._session.stop()
        self.factory.sessions.discard(self)
        self._log.debug("A console session ends: {peer}.", peer=self.transport.getPeer())

    # -- the producer of answers ---------------------------------------------------------------

    def pauseProducing(self) -> None:
        """
        Answer no more for now: the peer does not read.
        """
        self._session.pause()

    def resumeProducing(self) -> None:
        """
        Go on answering.
        """
        self._session.resume()

    def stopProducing(self) -> None:
        """
        Answer nothing any more; the end of the connection follows.
        """

    # -- the outlet of the session -------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """
        Send some answers.
        """
        self._consumer.write(data)

    def more(self) -> None:
        """
        Read what was received, as far as there is room for it.
        """
        if self._feeding:
            # It was called by what the loop below does.
            return
        self._feeding = True
        try:
            while self._unread and self._session.has_room:
                piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
                items = self._filter.feed(piece)
                if refusals := self._filter.take_refusals():
                    self._session.command(refusals)
                self._session.accept(items)
            if self._input_ended and not self._unread:
                self._session.accept(self._filter.end())
        finally:
            self._feeding = False
        if not self._closing:
            self._read(on=not self._unread)
            self._expect_key()

    def close(self, *, linger: bool) -> None:
        """
        End the connection, at once if all that was sent was read.
        """
        self._closing = True
        self._stop_timer()
        self._consumer.unregisterProducer()
        lines = self._filter
        linger = linger or bool(self._unread) or not (lines.between_lines or lines.ending)
        self._unread = b""
        if self._input_ended or not linger:
            self.transport.loseConnection()
        else:
            self._read(on=True)
            self._timer = self._clock.callLater(_LINGER, self.transport.loseConnection)

    def leave(self, words: str) -> None:
        """
        End the session with these last words, whatever is under way.
        """
        self._session.leave(words)

    def _read(self, *, on: bool) -> None:
        if on != self._reading and not self._input_ended:
            self._reading = on
            if on:
                self._producer.resumeProducing()
            else:
                self._producer.pauseProducing()

    def _expect_key(self) -> None:
        """See whether the end-of-file key was typed, which telnet clients send like a letter."""
        if self._filter.ending and self._timer is None and not self._input_ended:
            self._timer = self._clock.callLater(_KEY_ALONE, self._take_key)

    def _take_key(self) -> None:
        self._timer = None
        if self._filter.ending and not self._unread and not self._input_ended:
            self._session.accept(["exit"])

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class ConsoleFactory(Factory["ConsoleProtocol"]):
    """
    Makes the sessions of a node's console.
    """

    noisy = False

    def __init__(
        self,
        view: IClusterView,
        clock: IReactorTime,
        prompt: str = "auto",
        log: Logger = _LOG,
    ) -> None:
        """
        Begin without sessions.

        @param prompt: one of L{PROMPTS}.
        """
        self._view = view
        self._clock = clock
        self._prompt = prompt
        self._log = log
        self.sessions: set[ConsoleProtocol] = set()

    def buildProtocol(self, addr: IAddress | None) -> ConsoleProtocol:
        """
        Make a session.
        """
        protocol = ConsoleProtocol(self._view, self._clock, self._prompt, self._log)
        protocol.factory = self
        return protocol

    def leave(self, words: str) -> None:
        """
        End all sessions with these last words, because the node ends.
        """
        for session in list(self.sessions):
            session.leave(words)
