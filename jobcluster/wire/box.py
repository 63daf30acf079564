"""
AMP that a peer cannot hurt: bounded boxes, bounded answers, declared errors, one line in the log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectionClosed, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IPushProducer, ITCPTransport, ITransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.errors import (
    BoxTooLargeError,
    JobclusterError,
    MalformedBatchError,
    PeerError,
    VersionMismatchError,
)
from jobcluster.wire.commands import code_of

__all__ = ["BOX_LIMIT", "BoundedAMP", "Responder", "format_address"]

Responder = Callable[..., "Deferred[dict[str, object]] | dict[str, object]"]
"""Takes a command's arguments by name, and gives its response."""

BOX_LIMIT: Final = 32 * 2**20
"""Bytes of the largest box that is taken."""

UNREAD_LIMIT: Final = 64 * 2**20
"""Bytes that wait for a peer which does not read: two full outboxes are a fraction of it."""

_ENTRY: Final = 200
"""Bytes that an entry of a box takes in memory beside its key and value."""

_DESCRIPTION: Final = 1000
"""The most characters of an error's text that are sent, or logged."""

_log = Logger()


def format_address(address: IAddress) -> str:
    """
    An address for people.
    """
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, UNIXAddress) and address.name:
        return os.fsdecode(address.name)
    if isinstance(address, UNIXAddress):
        return "a UNIX socket"
    return type(address).__name__


@implementer(IPushProducer)
class _Backlog:
    """
    What was written since the transport last said that it has enough.

    (A transport takes all that it is given; it only tells its producer when that becomes much.)
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._full = False
        self._size = 0

    def wrote(self, size: int) -> bool:
        """
        Whether this was too much.
        """
        if not self._full:
            return False
        self._size += size
        return self._size > self._limit

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._full = True

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._full = False
        self._size = 0

    def stopProducing(self) -> None:
        """The transport takes no more."""


class BoundedAMP(amp.AMP):
    """
    One end of a connection.

    A subclass says in C{responders} what it answers; each exception of those is answered as one of
    L{jobcluster.wire.commands.ERRORS}, so that none ends the connection by itself.
    Whatever is not AMP, or AMP that nobody asked for, ends it at once.
    """

    ending: str = ""
    """Why this side ended the connection; nothing more is read from then on."""
    address: str = ""
    """The other side's, for people."""

    def __init__(self, box_limit: int = BOX_LIMIT, unread_limit: int = UNREAD_LIMIT) -> None:
        """
        Wait for a connection.

        @param box_limit: bytes, with what the box takes in memory; may be changed between boxes.
        @param unread_limit: bytes that may wait for a peer which does not read.
        """
        amp.AMP.__init__(self)
        self.box_limit = box_limit
        self.responders: dict[type[amp.Command], Responder] = {}
        # The transport, typed as what there is no interface for: all of a stream transport.
        self._stream: Any = None
        self._backlog = _Backlog(unread_limit)
        self._box_size = 0

    # -- the life of the connection ----------------------------------------------------------------

    def makeConnection(self, transport: ITransport) -> None:
        """
        Begin; unlike AMP's own this logs nothing, for ports are probed all day.
        """
        self.address = format_address(transport.getPeer())
        if ITCPTransport.providedBy(transport):
            # Two boxes in flight wait 40 ms for each other without it.
            transport.setTcpNoDelay(True)
        self._stream = transport
        self._stream.registerProducer(self._backlog, True)
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        End; C{ended} is told why.
        """
        self._close_ears(_explain(reason))
        self.transport = None
        self.ended(self.ending)
        amp.BinaryBoxProtocol.connectionLost(self, reason)

    def ended(self, reason: str) -> None:
        """
        The connection has ended: to be overridden.
        """

    def end(self, reason: str, *, quietly: bool = False) -> None:
        """
        End the connection at once, unread and unsent.

        @param quietly: without a line in the log.
        """
        if self.transport is None:
            return
        reason = _one_line(reason)
        if not self.ending and not quietly:
            _log.warn("{address}: {reason}; connection closed", address=self.address, reason=reason)
        self._close_ears(reason)
        self._stream.abortConnection()

    def _close_ears(self, reason: str) -> None:
        self.ending = self.ending or reason
        # The rest of what is being read is left where it is: see IntNStringReceiver.dataReceived.
        self.paused = True
        self._currentBox = None

    # -- receiving ---------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """
        Bytes came.
        """
        if not self.ending:
            amp.AMP.dataReceived(self, data)

    def lengthLimitExceeded(self, length: int) -> None:
        """
        A key has more than 255 bytes: this is something else than AMP.
        """
        self.end("sent something that is not AMP")

    def proto_init(self, string: bytes) -> str:
        """
        A box begins.
        """
        self._box_size = 0
        state: str = amp.AMP.proto_init(self, string)
        return state

    def proto_key(self, string: bytes) -> str:
        """
        A key came, or the end of a box.
        """
        if string and not self._fits(len(string) + _ENTRY):
            return "key"
        state: str = amp.AMP.proto_key(self, string)
        return state

    def proto_value(self, string: bytes) -> str:
        """
        A value came.
        """
        if not self._fits(len(string)):
            return "key"
        state: str = amp.AMP.proto_value(self, string)
        return state

    def _fits(self, size: int) -> bool:
        self._box_size += size
        if self._box_size <= self.box_limit:
            return True
        self.end(f"sent a box that is larger than {self.box_limit:,} bytes")
        return False

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        """
        A box is complete.
        """
        try:
            amp.AMP.ampBoxReceived(self, box)
        except (KeyError, amp.NoEmptyBoxes):
            # An answer to what was never asked, or one without its parts; a box that is neither
            # question nor answer.  Nothing of ours is called from in there but through a Deferred.
            self.end("sent a box that makes no sense")

    # -- sending -----------------------------------------------------------------------------------

    def sendBox(self, box: amp.AmpBox) -> None:
        """
        Write a box.

        @raise ConnectionLost: if there is no connection any more.
        @raise BoxTooLargeError: if no peer would take it.
        """
        if self.transport is None:
            raise ConnectionLost
        data = box.serialize()
        if len(data) > BOX_LIMIT:
            raise BoxTooLargeError(f"a box of {len(data):,} bytes is too large to be sent")
        self.transport.write(data)
        if self._backlog.wrote(len(data)):
            self.end("does not read what it is told")

    def unhandledError(self, failure: Failure) -> None:
        """
        There is nobody to be answered: one line instead of AMP's traceback.
        """
        self.end(f"could not be answered: {failure.getErrorMessage()}")

    # -- answering ---------------------------------------------------------------------------------

    def locateResponder(self, name: bytes) -> Callable[[amp.AmpBox], Deferred[Any]] | None:
        """
        The function that answers a command; of C{responders} only, so StartTLS is none.
        """
        for command, responder in self.responders.items():
            if command.commandName == name:
                return partial(self._respond, command, responder)
        return None

    def _respond(
        self, command: type[amp.Command], responder: Responder, box: amp.AmpBox
    ) -> Deferred[Any]:
        def answer() -> Deferred[dict[str, object]] | dict[str, object]:
            return responder(**command.parseArguments(box, self))

        return (
            maybeDeferred(answer)
            .addCallback(command.makeResponse, self)
            .addErrback(self._declare, command)
        )

    def is_fatal(self, command: type[amp.Command], error: JobclusterError) -> bool:
        """
        Whether the connection ends with this answer: to be overridden.
        """
        return False

    def _declare(self, failure: Failure, command: type[amp.Command]) -> Failure:
        """
        Make any failure one that can be answered.
        """
        error = failure.value
        if isinstance(error, MalformedBatchError | VersionMismatchError):
            _log.warn("{address}: {error}", address=self.address, error=_one_line(str(error)))
        elif not isinstance(error, JobclusterError):
            if not (self.transport is None and isinstance(error, CancelledError)):
                _log.failure("answering {name}", failure, name=command.__name__)
            error = PeerError("internal error")
        text = _one_line(str(error))
        fatal = self.is_fatal(command, error)
        if fatal and self.transport is not None:
            # AMP sends the answer and then ends the connection in order.
            self._close_ears(text)
            self._stream.unregisterProducer()
        return Failure(amp.RemoteAmpError(code_of(error), text, fatal))


def _one_line(text: str) -> str:
    """
    A text that may have come from anywhere, fit for a log and for a box.
    """
    line = " ".join(text[:_DESCRIPTION].split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _explain(reason: Failure) -> str:
    if reason.check(ConnectionDone):
        return "the other side closed the connection"
    if reason.check(ConnectionClosed):
        return reason.getErrorMessage().rstrip(".")
    return f"{type(reason.value).__name__}: {reason.getErrorMessage()}"
