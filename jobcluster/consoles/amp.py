"""
The client protocol at a node: what C{docs/protocol.rst} tells, over AMP.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory
from twisted.protocols import amp
from twisted.python.failure import Failure

from jobcluster import __version__
from jobcluster.consoles.rows import SHOWN_AT_ONCE, brief, explain, show_all, size_of
from jobcluster.consoles.watching import MOST_WATCHED, Vigil, Watch
from jobcluster.core.client_words import CLIENT_VERSION, Greeting, Listing, Shown, Told
from jobcluster.core.description import MAX_TAGS
from jobcluster.core.payloads import check_job
from jobcluster.core.values import Spec, format_ticket, parse_ticket
from jobcluster.core.views import STATES, Filter
from jobcluster.errors import (
    JobclusterError,
    MalformedTicketError,
    NotGreetedError,
    PeerError,
    StoreOpeningError,
    UserError,
    VersionMismatchError,
)
from jobcluster.interfaces import IClusterView
from jobcluster.wire import client_commands as commands
from jobcluster.wire.box import BoundedAMP
from jobcluster.wire.calls import Calls

__all__ = ["JOBS_AT_ONCE", "TICKETS_AT_ONCE", "ClientFactory", "ClientPeer"]

JOBS_AT_ONCE: Final = 10_000
"""The most jobs of one C{Submit}."""

TICKETS_AT_ONCE: Final = 10_000
"""The most tickets of one call."""

_PAGE: Final = 1000
"""The most jobs of a page."""

_PIECE: Final = 256 * 1024
"""The most bytes of a piece of output."""

_PATIENCE: Final = 60.0
"""The most seconds of a C{Wait}."""

_CALLS: Final = 1024
"""Calls of one client that may be unanswered."""

_Answer = dict[str, object]


def _answering(
    answer: Callable[..., Coroutine[Deferred[Any], Any, _Answer]],
) -> Callable[..., Deferred[_Answer]]:
    """Have a client answered only once it has said hello, and not too much of it at once."""

    @wraps(answer)
    def respond(self: ClientPeer, **arguments: object) -> Deferred[_Answer]:
        return self.respond(lambda: answer(self, **arguments))

    return respond


class ClientPeer(BoundedAMP):
    """
    A client, as the node talks to it.
    """

    factory: Any
    """The L{ClientFactory} that made it; typed as what AMP's own may be."""

    def __init__(self, view: IClusterView, clock: IReactorTime) -> None:
        """
        Wait for a connection.
        """
        super().__init__()
        self._view = view
        self._clock = clock
        self._greeted = False
        self._open: set[Deferred[_Answer]] = set()
        self._calls = Calls(clock, self.callRemote, self.end, PeerError)
        self._watch = Watch(view, clock, self._push)
        self.responders.update(
            {
                commands.Hello: self._hello,
                commands.Submit: self._submit,
                commands.Query: self._query,
                commands.Wait: self._wait,
                commands.Watch: self._start_watching,
                commands.Unwatch: self._stop_watching,
                commands.Fetch: self._fetch,
                commands.Follow: self._follow,
                commands.Cancel: self._cancel,
                commands.List: self._list,
                commands.Nodes: self._nodes,
            }
        )

    # -- the life of the connection ----------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Begin.
        """
        if ITCPTransport.providedBy(self.transport):
            # A client may say nothing for days; one whose machine has gone is noticed all the same.
            self.transport.setTcpKeepAlive(True)
        self.factory.peers.add(self)

    def ended(self, reason: str) -> None:
        """
        Work for no answer any more; the jobs go on.
        """
        self.factory.peers.discard(self)
        self._calls.close()
        self._watch.close()
        for answer in tuple(self._open):
            answer.cancel()

    def is_fatal(self, command: type[amp.Command], error: JobclusterError) -> bool:
        """
        Who does not speak this version is not listened to.
        """
        return isinstance(error, VersionMismatchError | NotGreetedError)

    def respond(
        self, begin: Callable[[], Coroutine[Deferred[Any], Any, _Answer]]
    ) -> Deferred[_Answer]:
        """
        Begin to answer a call.

        @raise NotGreetedError: if the client has not said hello.
        @raise PeerError: if too much is unanswered.
        """
        if not self._greeted:
            raise NotGreetedError
        if len(self._open) >= _CALLS:
            raise PeerError(f"more than {_CALLS} calls are unanswered: wait for some answers")
        answer = Deferred.fromCoroutine(begin())
        self._open.add(answer)

        def settle(result: _Answer | Failure) -> _Answer | Failure:
            self._open.discard(answer)
            return result

        return answer.addBoth(settle)

    # -- the verbs ---------------------------------------------------------------------------------

    def _hello(self, version: int) -> _Answer:
        if version != CLIENT_VERSION:
            raise VersionMismatchError(
                f"This node speaks version {CLIENT_VERSION} of the client protocol, and not"
                f" {version}: use a client of its own version of jobcluster, {__version__}."
            )
        view = self._view
        if not view.is_open:
            raise StoreOpeningError
        self._greeted = True
        greeting = Greeting(CLIENT_VERSION, view.name, view.store, __version__, view.joined())
        return {"greeting": greeting}

    @_answering
    async def _submit(self, *, jobs: tuple[Spec, ...], watch: bool) -> _Answer:
        _check_count(jobs, JOBS_AT_ONCE, "jobs")
        if watch:
            self._require_room(len(jobs))
        rows = await submit_all(self._view, jobs)
        if watch and self.transport is not None:
            self._watch.add([row.text for row in rows if not row.error])
        return {"rows": rows}

    @_answering
    async def _query(self, *, tickets: tuple[str, ...]) -> _Answer:
        _check_count(tickets, TICKETS_AT_ONCE, "tickets")
        return {"rows": await show_all(self._view, tickets)}

    @_answering
    async def _wait(self, *, tickets: tuple[str, ...], patience: float) -> _Answer:
        _check_count(tickets, TICKETS_AT_ONCE, "tickets")
        patience = min(max(patience, 0.0), _PATIENCE)
        return {"rows": _cut(await Vigil(self._view, self._clock).keep(tickets, patience))}

    @_answering
    async def _start_watching(self, *, tickets: tuple[str, ...]) -> _Answer:
        _check_count(tickets, TICKETS_AT_ONCE, "tickets")
        self._require_room(len(tickets))
        self._watch.add(tickets)
        return {}

    @_answering
    async def _stop_watching(self, *, tickets: tuple[str, ...]) -> _Answer:
        self._watch.drop(tickets)
        return {}

    @_answering
    async def _fetch(self, *, ticket: str, stream: str, offset: int, limit: int) -> _Answer:
        _check_piece(offset, limit)
        return {"data": await self._view.output(ticket, stream, offset, min(limit, _PIECE))}

    @_answering
    async def _follow(
        self, *, ticket: str, stream: str, offset: int, limit: int, patience: float, attempt: int
    ) -> _Answer:
        _check_piece(offset, limit)
        piece = self._view.live(ticket, stream, offset, min(limit, _PIECE), patience, attempt)
        return {"piece": await piece}

    @_answering
    async def _cancel(self, *, tickets: tuple[str, ...]) -> _Answer:
        _check_count(tickets, TICKETS_AT_ONCE, "tickets")
        asked = [
            maybeDeferred(self._view.cancel, ticket).addCallbacks(Told, _refusal)
            for ticket in tickets
        ]
        return {"rows": await gatherResults(asked)}

    @_answering
    async def _list(self, *, listing: Listing) -> _Answer:
        name, after = self._view.name, 0
        if listing.after:
            parsed = parse_ticket(listing.after)
            if parsed is None:
                raise MalformedTicketError
            after = parsed[1]
        limit = min(max(listing.limit, 1), _PAGE)
        if listing.state and listing.state not in STATES:
            raise UserError(f"There is no such state: the states are {', '.join(STATES)}.")
        if len(listing.tags) > MAX_TAGS:
            raise UserError(f"A job has {MAX_TAGS} tags at most: none has {len(listing.tags)}.")
        wanted = Filter(listing.state, listing.name, listing.tags)
        page = await self._view.jobs(wanted, after, limit)
        rows = [Shown(format_ticket(name, job.job), brief(job)) for job in page]
        return {"rows": _cut(rows)}

    @_answering
    async def _nodes(self) -> _Answer:
        return {"cluster": await self._view.cluster()}

    # -- watching ----------------------------------------------------------------------------------

    def _require_room(self, more: int) -> None:
        if self._watch.count + more > MOST_WATCHED:
            raise UserError(
                f"More than {MOST_WATCHED} jobs would be waited for at once over this connection:"
                " wait for some to end."
            )

    def _push(self, rows: Sequence[Shown]) -> Deferred[dict[str, Any]]:
        told = self._calls.call(commands.Changed, {"rows": rows})

        def unheard(failure: Failure) -> Failure:
            self.end(f"did not take what it watches: {failure.getErrorMessage()}", quietly=True)
            return failure

        told.addErrback(unheard)
        return told


def _check_piece(offset: int, limit: int) -> None:
    if offset < 0 or limit < 1:
        raise UserError("A piece of output begins at byte 0 or later, and has 1 byte or more.")


async def submit_all(view: IClusterView, jobs: Sequence[Spec]) -> list[Told]:
    """
    Submit those that make sense, all at once; return for each its ticket, or why it was refused.

    @raise StoreError: if none was acknowledged.
    """
    rows: list[Told | None] = []
    good: list[Spec] = []
    for spec in jobs:
        try:
            check_job(spec)
        except UserError:
            rows.append(_refusal(Failure()))
        else:
            rows.append(None)
            good.append(spec)
    answers = iter(await view.submit(good) if good else ())
    return [_told(next(answers)) if row is None else row for row in rows]


def _told(answer: str | JobclusterError) -> Told:
    return Told(answer) if isinstance(answer, str) else _refusal(Failure(answer))


def _refusal(failure: Failure) -> Told:
    error, text = explain(failure)
    return Told(text, error)


def _check_count(items: Sequence[object], most: int, what: str) -> None:
    if len(items) > most:
        raise UserError(f"{len(items)} {what} in one call are too many: send at most {most}.")


def _cut(rows: Sequence[Shown]) -> list[Shown]:
    """The first of some rows, as many as fit into a box."""
    fitting: list[Shown] = []
    size = 0
    for row in rows:
        size += size_of(row)
        if fitting and size > SHOWN_AT_ONCE:
            break
        fitting.append(row)
    return fitting


class ClientFactory(Factory):
    """
    Makes a peer for each client that connects.
    """

    noisy = False

    def __init__(self, view: IClusterView, clock: IReactorTime) -> None:
        """
        Show the clients this cluster.
        """
        self._view = view
        self._clock = clock
        self.peers: set[ClientPeer] = set()

    def buildProtocol(self, addr: IAddress | None) -> ClientPeer:
        """
        Make one.
        """
        peer = ClientPeer(self._view, self._clock)
        peer.factory = self
        return peer

    def leave(self) -> None:
        """
        End all connections, because the node ends.
        """
        for peer in list(self.peers):
            peer.end("this node stops", quietly=True)
