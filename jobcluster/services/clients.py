"""
What a client may ask a node: about its own jobs, about those of other nodes, about the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from jobcluster.core.values import Spec, format_ticket, parse_ticket
from jobcluster.core.views import Ask, ClusterView, Filter, JobView, Piece, Reply
from jobcluster.errors import (
    BalancerAwayError,
    CallTimedOutError,
    ExpiredTicketError,
    JobclusterError,
    MalformedTicketError,
    NodeAwayError,
    NotJoinedError,
    OutputMissingError,
    PeerError,
    StoreFailedError,
    StoreOpeningError,
    UnknownTicketError,
)
from jobcluster.interfaces import IClusterView
from jobcluster.services.following import MOST_PATIENCE, Following
from jobcluster.services.node import NodeService
from jobcluster.services.transfers import PIECE

__all__ = ["ClusterClient"]

_PAGE: Final = 500
"""Rows read at once where not all of them may be shown."""

_LARGE: Final = 64
"""Jobs with a long output that are remembered: more are not read at once."""

_OF_BYTES: Final = frozenset({"output", "live", "kept", "payload"})
"""The questions that are answered with a piece of something long."""

_AWAY: Final = (
    BalancerAwayError,
    NodeAwayError,
    CallTimedOutError,
    NotJoinedError,
    StoreOpeningError,
    StoreFailedError,
)
"""What may be over in a moment: whoever follows an output waits for that as for more of it."""

_AGAIN_AFTER: Final = 0.2
"""Seconds until somebody who is away is asked again."""

_LIVE: Final = frozenset({"waiting", "running", "cancelling"})
"""The states in which only memory knows a job to be."""


@implementer(IClusterView)
class ClusterClient:
    """
    A node and its cluster, as its clients see them.
    """

    def __init__(self, node: NodeService, clock: IReactorTime) -> None:
        """
        See the cluster from this node.
        """
        self._node = node
        self._clock = clock
        self._large: dict[int, None] = {}
        """Jobs whose output is in files, so that the store need not be asked for each piece."""
        self._following = Following(node, clock, self._own)

    @property
    def name(self) -> str:
        """The node's name; empty before its store is open."""
        identity = self._node.identity
        return "" if identity is None else identity.name

    @property
    def store(self) -> str:
        """The id of its store; empty before that is open."""
        identity = self._node.identity
        return "" if identity is None else identity.store

    @property
    def is_open(self) -> bool:
        """Whether it can be asked about its jobs; otherwise it will be, soon."""
        return self._node.core is not None

    def joined(self) -> str:
        """
        See L{IClusterView.joined}.
        """
        core = self._node.core
        return str(self._node.trouble()) if core is None else core.reason

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[str | JobclusterError, ...]]:
        """
        See L{IClusterView.submit}.
        """

        def shown(answers: tuple[int | JobclusterError, ...]) -> tuple[str | JobclusterError, ...]:
            name = self.name
            return tuple(
                format_ticket(name, answer) if isinstance(answer, int) else answer
                for answer in answers
            )

        return self._node.submit(specs).addCallback(shown)

    def view(self, ticket: str) -> Deferred[JobView]:
        """
        See L{IClusterView.view}.
        """
        return Deferred.fromCoroutine(self._view(ticket))

    def wait(self, ticket: str) -> Deferred[JobView]:
        """
        See L{IClusterView.wait}.
        """
        try:
            origin, job = self._parse(ticket)
        except JobclusterError:
            return fail()
        if origin == self.name:
            return self._end_of_own(job)
        return Deferred.fromCoroutine(self._wait(origin, job))

    def cancel(self, ticket: str) -> Deferred[str]:
        """
        See L{IClusterView.cancel}.
        """
        return Deferred.fromCoroutine(self._cancel(ticket))

    def output(self, ticket: str, stream: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        See L{IClusterView.output}.
        """
        return Deferred.fromCoroutine(self._output(ticket, stream, offset, limit))

    def live(
        self, ticket: str, stream: str, offset: int, limit: int, patience: float, attempt: int = 0
    ) -> Deferred[Piece]:
        """
        See L{IClusterView.live}.
        """
        asked = Ask("", "follow", 0, patience, stream, offset, limit, attempt=attempt)
        return Deferred.fromCoroutine(self._live(ticket, asked))

    def jobs(self, wanted: Filter, after: int, limit: int) -> Deferred[tuple[JobView, ...]]:
        """
        See L{IClusterView.jobs}.
        """
        return Deferred.fromCoroutine(self._jobs(wanted, after, limit))

    async def _jobs(self, wanted: Filter, after: int, limit: int) -> tuple[JobView, ...]:
        state = wanted.state
        if state not in _LIVE:
            page = await self._node.store.views(wanted, after, limit)
            return tuple(self._overlaid(view) for view in page)
        unfinished = attrs.evolve(wanted, state="open")
        found: list[JobView] = []
        while len(found) < limit:
            page = await self._node.store.views(unfinished, after, _PAGE)
            found.extend(view for view in map(self._overlaid, page) if view.state == state)
            if len(page) < _PAGE:
                break
            after = page[-1].job
        return tuple(found[:limit])

    def cluster(self) -> Deferred[ClusterView]:
        """
        See L{IClusterView.cluster}.
        """

        def shown(reply: Reply) -> ClusterView:
            if reply.cluster is None:
                raise PeerError("the balancer did not say how the cluster is")
            return reply.cluster

        return self._ask(Ask("", "cluster")).addCallback(shown)

    def asked(self, ask: Ask) -> Deferred[Reply]:
        """
        Answer another node, which asks about a job of this one.

        Fails with a L{jobcluster.errors.JobclusterError}.
        """
        return Deferred.fromCoroutine(self._asked(ask))

    # -- about any job -----------------------------------------------------------------------------

    async def _view(self, ticket: str) -> JobView:
        origin, job = self._parse(ticket)
        if origin == self.name:
            return await self._own(job)
        return self._shown(await self._ask(Ask(origin, "view", job)))

    async def _wait(self, origin: str, job: int) -> JobView:
        while True:
            view = self._shown(await self._ask(Ask(origin, "wait", job, MOST_PATIENCE)))
            if view.outcome is not None:
                return view

    async def _cancel(self, ticket: str) -> str:
        origin, job = self._parse(ticket)
        if origin == self.name:
            return await self._cancel_own(job)
        return (await self._ask(Ask(origin, "cancel", job))).text

    async def _output(self, ticket: str, stream: str, offset: int, limit: int) -> bytes:
        origin, job = self._parse(ticket)
        if origin == self.name:
            return await self._own_output(job, stream, offset, min(limit, PIECE))
        asked = Ask(origin, "output", job, stream=stream, offset=offset, limit=limit)
        return (await self._ask(asked)).data

    async def _live(self, ticket: str, ask: Ask) -> Piece:
        origin, job = self._parse(ticket)
        until = self._clock.seconds() + min(ask.patience, MOST_PATIENCE)
        while True:
            left = max(0.0, until - self._clock.seconds())
            asked = attrs.evolve(ask, node=origin, job=job, patience=left)
            try:
                if origin == self.name:
                    return await self._following.follow(asked)
                piece = (await self._ask(asked)).piece
            except _AWAY:
                if self._clock.seconds() >= until:
                    raise
            else:
                if piece is None:
                    raise PeerError("the other node did not answer the question")
                return piece
            await deferLater(self._clock, min(_AGAIN_AFTER, left))

    def _parse(self, ticket: str) -> tuple[str, int]:
        parsed = parse_ticket(ticket)
        if parsed is None:
            raise MalformedTicketError
        if self._node.identity is None:
            raise self._node.trouble()
        return parsed

    @staticmethod
    def _shown(reply: Reply) -> JobView:
        if reply.view is None:
            raise PeerError("the other node did not answer the question")
        return reply.view

    def _ask(self, ask: Ask) -> Deferred[Reply]:
        link = self._node.link
        return fail(BalancerAwayError()) if link is None else link.ask(ask)

    # -- about jobs of this node -------------------------------------------------------------------

    async def _asked(self, ask: Ask) -> Reply:
        if ask.verb in _OF_BYTES:
            return Reply(data=await self._asked_for_bytes(ask))
        if ask.verb == "follow":
            return Reply(piece=await self._following.follow(ask))
        if ask.verb == "view":
            return Reply(view=await self._own(ask.job))
        if ask.verb == "wait":
            patience = max(0.0, min(ask.patience, MOST_PATIENCE))
            return Reply(view=await self._own_ended(ask.job, patience))
        if ask.verb == "cancel":
            return Reply(text=await self._cancel_own(ask.job))
        raise PeerError("this node does not know that question")

    async def _asked_for_bytes(self, ask: Ask) -> bytes:
        piece = (ask.offset, min(ask.limit, PIECE))
        if ask.verb == "output":
            return await self._own_output(ask.job, ask.stream, *piece)
        if ask.verb == "live":
            return await self._following.live(ask)
        if ask.verb == "kept":
            ref = (ask.origin, ask.store, ask.incarnation, ask.serial)
            return self._node.kept_output(ref, ask.stream, *piece)
        return await self._node.payload(ask.job, ask.store, *piece)

    def _overlaid(self, view: JobView) -> JobView:
        """The store's view with what only memory knows: what runs, and where."""
        core = self._node.core
        live = None if core is None or view.outcome is not None else core.whereabouts(view.job)
        if live is None:
            return view
        return attrs.evolve(
            view, state=live.state, node=live.node or view.node, attempts=live.attempts
        )

    def _is_live(self, job: int) -> bool:
        """Whether the core has it in memory, without an outcome."""
        core = self._node.core
        return core is not None and core.whereabouts(job) is not None

    async def _own(self, job: int) -> JobView:
        if self._node.core is None:
            raise self._node.trouble()
        view = self._node.recent.get(job) or await self._node.store.view(job)
        if view is None:
            raise UnknownTicketError
        if view.state == "expired":
            raise ExpiredTicketError
        return self._overlaid(view)

    def _end_of_own(self, job: int) -> Deferred[JobView]:
        """
        Fires with a job once it has ended; of the many that wait for days none keeps more than this
        Deferred.
        """
        # First listen, then look: an outcome between the two must not be missed.
        ended = self._node.end_of(job)
        if not self._is_live(job):
            waiters = self._node.waiters

            def tell(view: JobView) -> None:
                if view.outcome is not None:
                    waiters.tell(view)

            looking = Deferred.fromCoroutine(self._own(job)).addCallback(tell)
            looking.addErrback(lambda failure: waiters.fail(job, ended, failure))
        return ended

    async def _own_ended(self, job: int, patience: float) -> JobView:
        """
        A job once it has ended, or as it is when the patience is over.
        """
        # First listen, then look: an outcome between the two must not be missed.
        ended = self._node.end_of(job)
        timer = None
        try:
            if not self._is_live(job):
                view = await self._own(job)
                if view.outcome is not None:
                    return view
            timer = self._clock.callLater(patience, ended.cancel)
            return await ended
        except CancelledError:
            if timer is None or timer.active():
                # It was the client who did not want to wait any more.
                raise
        finally:
            ended.addErrback(lambda _: None).cancel()
            if timer is not None and timer.active():
                timer.cancel()
        return await self._own(job)

    async def _own_output(self, job: int, stream: str, offset: int, limit: int) -> bytes:
        if job in self._large:
            return await self._node.outputs.read(job, stream, offset, limit)
        outcome = (await self._own(job)).outcome
        if outcome is None or stream not in ("out", "err"):
            raise OutputMissingError
        if outcome.is_large:
            self._remember(job)
            return await self._node.outputs.read(job, stream, offset, limit)
        return (outcome.out if stream == "out" else outcome.err)[offset : offset + limit]

    def _remember(self, job: int) -> None:
        while len(self._large) >= _LARGE:
            self._large.pop(next(iter(self._large)))
        self._large[job] = None

    async def _cancel_own(self, job: int) -> str:
        view = await self._own(job)
        if view.outcome is not None:
            return "ended"
        return (await self._node.cancel([job]))[0]
