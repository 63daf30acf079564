"""
The way to one node: it is connected when somebody needs it, and connected anew when it was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from jobcluster.client.connection import NodeConnection
from jobcluster.core.client_words import Greeting, Shown
from jobcluster.errors import (
    CallTimedOutError,
    JobclusterError,
    NodeUnreachableError,
    StoreOpeningError,
)

__all__ = ["PATIENCE", "Link", "Place"]

PATIENCE: Final = 60.0
"""Seconds in which a node that was there may come back."""

_FIRST_PAUSE: Final = 0.05
_LAST_PAUSE: Final = 1.0
"""Seconds between two attempts; each pause is longer than the one before it."""

_GROWTH: Final = 1.5

Place = tuple[str, IStreamClientEndpoint]
"""Where a node may be: in words, and for Twisted."""


class _ConnectionFactory(Factory):
    """Makes one connection."""

    noisy = False

    def __init__(self, make: Callable[[], NodeConnection]) -> None:
        self._make = make

    def buildProtocol(self, addr: object) -> NodeConnection:
        return self._make()


class Link:
    """
    The connection to a node, whichever it is just now.
    """

    def __init__(
        self,
        clock: IReactorTime,
        places: Sequence[Place],
        changed: Callable[[tuple[Shown, ...]], None],
        lost: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        """
        Connect later.

        @param places: where a node may be; the first that answers is the one from then on.
        @param changed: called with watched jobs that have ended.
        @param lost: called when a connection has ended that was of use; not by L{close}.
        @param patience: seconds for which a node that was there is waited for.
        """
        self._clock = clock
        self._places = list(places)
        self._changed = changed
        self._lost = lost
        self._patience = patience
        self._connection: NodeConnection | None = None
        self._waiting: list[Deferred[NodeConnection]] = []
        self._search: Deferred[None] | None = None
        self._closed = False
        self._until = 0.0
        self.greeting: Greeting | None = None
        """Who the node is; C{None} until it has said so."""

    def connected(self) -> Deferred[NodeConnection]:
        """
        Fires with a connection on which the node has said who it is; may be cancelled.

        Fails with a L{NodeUnreachableError}, at once if no node was ever reached, or with what the
        node answers to a hello.
        """
        if self._closed:
            return fail(NodeUnreachableError("This client is closed."))
        if self._connection is not None:
            return succeed(self._connection)
        waiting: Deferred[NodeConnection] = Deferred(self._forget)
        self._waiting.append(waiting)
        if self._search is None:
            self._search = Deferred.fromCoroutine(self._look())
            self._search.addBoth(self._searched)
        return waiting

    def close(self) -> None:
        """
        End the connection; there is none any more.
        """
        self._closed = True
        if self._search is not None:
            self._search.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end("not needed any more", quietly=True)
        self._fail(NodeUnreachableError("This client is closed."))

    def _forget(self, waiting: Deferred[NodeConnection]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _fail(self, error: JobclusterError) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(Failure(error))

    # -- looking for it ----------------------------------------------------------------------------

    async def _look(self) -> None:
        self._until = self._clock.seconds() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._try_places()
            except NodeUnreachableError as error:
                # Somebody who has never seen a node is not made to wait for it.
                if self.greeting is None or self._clock.seconds() > self._until:
                    raise error from None
            else:
                return
            await deferLater(self._clock, pause)
            pause = min(pause * _GROWTH, _LAST_PAUSE)

    async def _try_places(self) -> None:
        reasons = []
        for described, endpoint in list(self._places):
            connection: NodeConnection | None = None
            try:
                factory = _ConnectionFactory(self._make)
                connection = await endpoint.connect(factory)  # type: ignore[assignment]
                assert connection is not None  # noqa: S101 - what the factory makes
                await self._meet(connection, described)
            except (NodeUnreachableError, CallTimedOutError) as error:
                reasons.append(str(error))
            except JobclusterError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an endpoint fails with
                reasons.append(f"{described}: {str(error).rstrip('.')}")
            else:
                self._places = [(described, endpoint)]
                return
        tried = "; ".join(reasons)
        raise NodeUnreachableError(
            f"No node answers ({tried}): start one, or name another with --connect or"
            " JOBCLUSTER_CONNECT."
        )

    def _make(self) -> NodeConnection:
        return NodeConnection(self._clock, self._changed, self._disconnected)

    async def _meet(self, connection: NodeConnection, described: str) -> None:
        while True:
            try:
                greeting = await connection.hello()
                break
            except StoreOpeningError:
                if self._clock.seconds() > self._until:
                    raise
                await deferLater(self._clock, _FIRST_PAUSE)
        known = self.greeting
        if known is not None and known.store != greeting.store:
            connection.end("another node", quietly=True)
            raise JobclusterError(
                f"At {described} there is node {greeting.node} now, and no longer the node"
                f" {known.node} that the jobs were handed to."
            )
        self.greeting = greeting
        self._connection = connection

    def _searched(self, result: Any) -> None:  # noqa: ANN401 - a result or a failure
        self._search = None
        if isinstance(result, Failure):
            error = result.value
            if not isinstance(error, JobclusterError):
                error = NodeUnreachableError("This client is closed.")
            self._fail(error)
            return
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if self._connection is not None:
                each.callback(self._connection)
            else:  # it has ended already
                self.connected().chainDeferred(each)

    def _disconnected(self, connection: NodeConnection) -> None:
        if connection is self._connection:
            self._connection = None
            if not self._closed:
                self._lost()
