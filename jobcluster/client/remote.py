"""
A node as a program has it that is not in the node: the same verbs, over the client protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, FirstError, fail, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.client.batching import Batches
from jobcluster.client.connection import ConnectionEndedError, error_of
from jobcluster.client.link import PATIENCE, Link, Place
from jobcluster.client.watched import Watched
from jobcluster.core.client_words import Greeting, Listing, Shown, Told
from jobcluster.core.values import Spec, format_ticket, parse_ticket
from jobcluster.core.views import ClusterView, Filter, JobView, Piece
from jobcluster.errors import (
    CallTimedOutError,
    JobclusterError,
    MalformedTicketError,
    NodeUnreachableError,
    NotAcknowledgedError,
    StoreOpeningError,
)
from jobcluster.interfaces import IClusterView
from jobcluster.wire import client_commands as commands
from jobcluster.wire.calls import CALL_LIMIT

__all__ = ["RemoteNode"]

_JOBS: Final = 1000
"""Jobs of one call."""

_BYTES: Final = 4 * 2**20
"""Bytes of payloads from which on a call takes no further job."""

_ROW: Final = 100
"""About how many bytes a job takes beside its payload."""

_TICKETS: Final = 1000
"""Tickets of one call."""

_RETRY: Final = 0.2
"""Seconds until a node that cannot answer just now is asked again."""

_LOST: Final = (ConnectionEndedError, CallTimedOutError)
"""What a call fails with when its connection ends."""


@implementer(IClusterView)
class RemoteNode:
    """
    A node of the cluster, wherever it is.

    It is connected when something is asked, and connected anew when the connection is lost: what is
    asked then waits, and is asked again.
    Only a job without a key is not submitted again when nobody knows whether it was.
    """

    def __init__(
        self, clock: IReactorTime, places: Sequence[Place], patience: float = PATIENCE
    ) -> None:
        """
        Connect later.

        @param places: where the node may be; the first that answers is the one from then on.
        @param patience: seconds for which a node that was there is waited for.
        """
        self.clock = clock
        """The reactor that it is of."""
        self._patience = patience
        self._watches: Batches[str, None] = Batches(clock, self._send_watches, _TICKETS)
        self._watched = Watched(clock, patience, self._watches.ask, self._unwatch, self._look)
        self._link = Link(clock, places, self._watched.changed, self._watched.lost, patience)
        self._submissions: Batches[tuple[Spec, bool], Told] = Batches(
            clock, self._send_jobs, _JOBS, lambda job: len(job[0].payload) + _ROW, _BYTES
        )
        self._queries: Batches[str, Shown] = Batches(clock, self._send_queries, _TICKETS)
        self._cancels: Batches[str, Told] = Batches(clock, self._send_cancels, _TICKETS)

    # -- as a cluster ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The node's name; empty until it has said it."""
        return "" if self._link.greeting is None else self._link.greeting.node

    @property
    def store(self) -> str:
        """The id of its store; empty until it has said it."""
        return "" if self._link.greeting is None else self._link.greeting.store

    @property
    def is_open(self) -> bool:
        """Whether there is a node that has said who it is."""
        return self._link.greeting is not None

    def joined(self) -> str:
        """
        See L{IClusterView.joined}; as it was when this client connected.
        """
        return "" if self._link.greeting is None else self._link.greeting.trouble

    def connect(self) -> Deferred[Greeting]:
        """
        Fires with who the node is, once there is a connection.

        Fails with a L{NodeUnreachableError} if no node answers.
        """

        def greet(_: object) -> Greeting:
            greeting = self._link.greeting
            assert greeting is not None  # noqa: S101 - said before anybody is told
            return greeting

        return self._link.connected().addCallback(greet)

    def close(self) -> None:
        """
        End the connection; whoever waits hears that this client is closed.
        """
        error = NodeUnreachableError("This client is closed.")
        for batches in (self._submissions, self._queries, self._watches, self._cancels):
            batches.close(error)
        self._watched.close(error)
        self._link.close()

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[str | JobclusterError, ...]]:
        """
        See L{IClusterView.submit}.
        """
        asked = [self._submissions.ask((spec, False)).addCallback(_answer_of) for spec in specs]
        return gatherResults(asked, consumeErrors=True).addCallbacks(tuple, _first_failure)

    def run(self, spec: Spec) -> tuple[Deferred[str], Deferred[JobView]]:
        """
        Submit a job and wait for it.

        @return: what fires with its ticket, once it is on the disk there; and what fires with it
            once it has ended.  If it is not acknowledged both fail.
        """
        ended: Deferred[JobView] = Deferred()

        def note(ticket: str) -> str:
            # The node watches it: nothing more is to be said.
            self._watched.note(ticket, ended)
            return ticket

        def give_up(failure: Failure) -> Failure:
            ended.errback(failure)
            return failure

        ticket = self._submissions.ask((spec, True)).addCallback(_text_of)
        return ticket.addCallbacks(note, give_up), ended

    def view(self, ticket: str) -> Deferred[JobView]:
        """
        See L{IClusterView.view}.
        """
        if parse_ticket(ticket) is None:
            return fail(MalformedTicketError())
        return self._queries.ask(ticket).addCallback(_view_of)

    def wait(self, ticket: str) -> Deferred[JobView]:
        """
        See L{IClusterView.wait}.
        """
        if parse_ticket(ticket) is None:
            return fail(MalformedTicketError())
        return self._watched.wait(ticket)

    def cancel(self, ticket: str) -> Deferred[str]:
        """
        See L{IClusterView.cancel}.
        """
        if parse_ticket(ticket) is None:
            return fail(MalformedTicketError())
        return self._cancels.ask(ticket).addCallback(_text_of)

    def output(self, ticket: str, stream: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        See L{IClusterView.output}.
        """
        asked = {"ticket": ticket, "stream": stream, "offset": offset, "limit": limit}
        return self._ask(commands.Fetch, asked).addCallback(lambda answer: answer["data"])

    def live(
        self, ticket: str, stream: str, offset: int, limit: int, patience: float, attempt: int = 0
    ) -> Deferred[Piece]:
        """
        See L{IClusterView.live}; a node that is started again is waited for, and asked again.
        """
        asked = {"ticket": ticket, "stream": stream, "offset": offset, "limit": limit}
        asked |= {"patience": float(patience), "attempt": attempt}
        called = self._ask(commands.Follow, asked, limit=CALL_LIMIT + max(0.0, patience))
        return called.addCallback(lambda answer: answer["piece"])

    def jobs(self, wanted: Filter, after: int, limit: int) -> Deferred[tuple[JobView, ...]]:
        """
        See L{IClusterView.jobs}.
        """
        return Deferred.fromCoroutine(self._jobs(wanted, after, limit))

    def cluster(self) -> Deferred[ClusterView]:
        """
        See L{IClusterView.cluster}.
        """
        return self._ask(commands.Nodes, {}).addCallback(lambda answer: answer["cluster"])

    async def _jobs(self, wanted: Filter, after: int, limit: int) -> tuple[JobView, ...]:
        await self.connect()
        behind = format_ticket(self.name, after) if after else ""
        listing = Listing(wanted.state, wanted.name, wanted.tags, behind, limit)
        answer = await self._ask(commands.List, {"listing": listing})
        return tuple(row.view for row in answer["rows"] if row.view is not None)

    # -- calls -------------------------------------------------------------------------------------

    def _ask(
        self,
        command: type[amp.Command],
        arguments: dict[str, object],
        *,
        again: bool = True,
        limit: float = CALL_LIMIT,
    ) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self._call(command, arguments, limit, again=again))

    async def _call(
        self, command: type[amp.Command], arguments: dict[str, object], limit: float, *, again: bool
    ) -> dict[str, Any]:
        """
        @param limit: seconds.
        @param again: whether it may be said again when nobody knows whether it was heard.
        """
        since: float | None = None
        while True:
            connection = await self._link.connected()
            try:
                answer = await connection.call(command, arguments, limit)
                if not _is_opening(answer):
                    return answer
                await deferLater(self.clock, _RETRY)
            except _LOST as error:
                if not again:
                    raise NotAcknowledgedError(
                        "Not acknowledged: the connection was lost, so the job may exist or not."
                    ) from None
                now = self.clock.seconds()
                if since is None:
                    since = now
                    continue
                # It was lost again: this may be what ends it.
                if now - since > self._patience:
                    raise NodeUnreachableError(f"The node does not answer this: {error}") from error
                await deferLater(self.clock, _RETRY)
            except StoreOpeningError:
                await deferLater(self.clock, _RETRY)

    def _send_jobs(self, jobs: Sequence[tuple[Spec, bool]]) -> Deferred[Sequence[Told]]:
        specs = [spec for spec, _ in jobs]
        watch = any(watch for _, watch in jobs)
        again = all(_is_repeatable(spec) for spec in specs)
        said = self._ask(commands.Submit, {"jobs": specs, "watch": watch}, again=again)
        return said.addCallback(lambda answer: answer["rows"])

    def _send_queries(self, tickets: Sequence[str]) -> Deferred[Sequence[Shown]]:
        asked = self._ask(commands.Query, {"tickets": tickets})
        return asked.addCallback(lambda answer: answer["rows"])

    def _send_watches(self, tickets: Sequence[str]) -> Deferred[Sequence[None]]:
        asked = self._ask(commands.Watch, {"tickets": tickets})
        return asked.addCallback(lambda _: [None] * len(tickets))

    def _send_cancels(self, tickets: Sequence[str]) -> Deferred[Sequence[Told]]:
        asked = self._ask(commands.Cancel, {"tickets": tickets})
        return asked.addCallback(lambda answer: answer["rows"])

    def _unwatch(self, ticket: str) -> None:
        self._ask(commands.Unwatch, {"tickets": [ticket]}).addErrback(lambda _: None)

    def _look(self) -> None:
        # A call that is not answered ends the connection, and what is watched is asked anew.
        self._ask(commands.Query, {"tickets": []}).addErrback(lambda _: None)


def _is_opening(answer: dict[str, Any]) -> bool:
    """Whether an answer has a row that says that the node begins anew."""
    return any(row.error == StoreOpeningError.__name__ for row in answer.get("rows", ()))


def _is_repeatable(spec: Spec) -> bool:
    """Whether a job may be submitted twice: then it is one all the same."""
    return bool(spec.key)


def _answer_of(row: Told) -> str | JobclusterError:
    return error_of(row.error, row.text) if row.error else row.text


def _text_of(row: Told) -> str:
    if row.error:
        raise error_of(row.error, row.text)
    return row.text


def _view_of(row: Shown) -> JobView:
    if row.view is None:
        raise error_of(row.error, row.text)
    return row.view


def _first_failure(failure: Failure) -> Failure:
    """What lies within the failure of many."""
    error = failure.value
    return error.subFailure if isinstance(error, FirstError) else failure
