"""
Calls to a peer: each with a limit of time, and with nothing left over when it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from jobcluster.errors import CallTimedOutError, JobclusterError, PeerError
from jobcluster.wire.liveness import SLACK

__all__ = ["CALL_LIMIT", "Calls"]

CALL_LIMIT: Final = 11.0
"""Seconds in which a call is to be answered (design, part 3)."""

_log = Logger()


class _Call:
    """A call that has not been answered."""

    __slots__ = ("deferred", "due", "ends", "limit", "name", "timer")

    deferred: Deferred[dict[str, Any]]
    timer: IDelayedCall

    def __init__(self, name: str, limit: float, due: float, *, ends: bool) -> None:
        self.name = name
        self.limit = limit
        self.due = due
        self.ends = ends


class Calls:
    """All calls over one connection; the only place where one is made."""

    def __init__(
        self,
        clock: IReactorTime,
        call_remote: Callable[..., Deferred[dict[str, Any]]],
        end: Callable[[str], None],
        away: type[JobclusterError],
    ) -> None:
        """
        Begin without a call.

        @param call_remote: C{callRemote} of an L{amp.AMP}.
        @param end: ends the connection, when a call has not been answered in time.
        @param away: what calls fail with that are cut off by the connection's end.
        """
        self._clock = clock
        self._call_remote = call_remote
        self._end = end
        self._away = away
        self._open: set[_Call] = set()
        self._closed = False

    def call(
        self,
        command: type[amp.Command],
        arguments: dict[str, object],
        limit: float = CALL_LIMIT,
        *,
        ends: bool = True,
    ) -> Deferred[dict[str, Any]]:
        """
        Call the peer.

        Fires with the response; it may be cancelled, which only ends the interest in it.
        Fails with L{CallTimedOutError}, with the L{JobclusterError} that the peer answers, with
        C{away} if the connection ends, and with nothing else.

        @param limit: seconds.
        @param ends: whether the connection ends with a call that is not answered in time.
        """
        if self._closed:
            return fail(self._away())
        call = _Call(command.__name__, limit, self._clock.seconds() + limit, ends=ends)
        call.deferred = Deferred(partial(self._cancel, call))
        call.timer = self._clock.callLater(limit, self._expire, call)
        self._open.add(call)
        maybeDeferred(self._call_remote, command, **arguments).addCallbacks(
            self._answered, self._failed, callbackArgs=(call,), errbackArgs=(call,)
        )
        return call.deferred

    def close(self) -> None:
        """
        Fail every open call, and every later one: the connection has ended.
        """
        self._closed = True
        for call in tuple(self._open):
            if self._settle(call):
                call.deferred.errback(Failure(self._away()))

    def _settle(self, call: _Call) -> bool:
        """
        Whether this call is still open; now it is not.
        """
        if call not in self._open:
            return False
        self._open.discard(call)
        if call.timer.active():
            call.timer.cancel()
        return True

    def _cancel(self, call: _Call, _: object) -> None:
        self._settle(call)

    def _answered(self, response: dict[str, Any], call: _Call) -> None:
        if self._settle(call):
            call.deferred.callback(response)

    def _failed(self, failure: Failure, call: _Call) -> None:
        if self._settle(call):
            call.deferred.errback(Failure(self._explain(failure, call)))

    def _explain(self, failure: Failure, call: _Call) -> JobclusterError:
        error = failure.value
        if isinstance(error, JobclusterError):
            return error
        if isinstance(error, ConnectionClosed):
            return self._away()
        if isinstance(error, amp.UnknownRemoteError | amp.UnhandledCommand):
            return PeerError(f"{call.name} was answered with {error}")
        _log.failure("calling {name}", failure, name=call.name)
        return PeerError("internal error")

    def _expire(self, call: _Call) -> None:
        now = self._clock.seconds()
        if now - call.due > SLACK:
            # This process did not run when the time was over: the answer may be here, unread.
            call.due = now + SLACK
            call.timer = self._clock.callLater(SLACK, self._expire, call)
            return
        self._open.discard(call)
        error = CallTimedOutError(f"{call.name} was not answered within {call.limit:g} s")
        if call.ends:
            self._end(str(error))
        call.deferred.errback(Failure(error))
