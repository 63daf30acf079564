"""
What a client may ask a node: about its own jobs, about those of other nodes, about the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import attrs
from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from jobcluster.core.values import Outcome, Spec, format_ticket, parse_ticket
from jobcluster.core.views import Ask, ClusterView, JobView, Reply
from jobcluster.errors import (
    BalancerAwayError,
    ExpiredTicketError,
    MalformedTicketError,
    PeerError,
    StoreFailedError,
    UnknownTicketError,
)
from jobcluster.interfaces import IClusterView
from jobcluster.services.node import NodeService

__all__ = ["ClusterClient"]

_PATIENCE: Final = 5.0
"""Seconds for which another node is asked to wait for an outcome before it is asked again."""

_PAGE: Final = 500
"""Rows read at once where not all of them may be shown."""

_LIVE: Final = {
    "waiting": "waiting",
    "offered": "waiting",
    "placed": "waiting",
    "running": "running",
    "bound": "waiting",
    "cancelling": "cancelling",
    "revoking": "cancelling",
}
"""How the states of a job in memory are called for people."""


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

    @property
    def name(self) -> str:
        """The node's name; empty before its store is open."""
        identity = self._node.identity
        return "" if identity is None else identity.name

    def joined(self) -> str:
        """
        See L{IClusterView.joined}.
        """
        core = self._node.core
        return "the node's disk cannot be used just now" if core is None else core.reason

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[str, ...]]:
        """
        See L{IClusterView.submit}.
        """
        return self._node.submit(specs).addCallback(
            lambda ids: tuple(format_ticket(self.name, job) for job in ids)
        )

    @inlineCallbacks
    def view(self, ticket: str) -> Any:
        """
        See L{IClusterView.view}.
        """
        origin, job = self._parse(ticket)
        if origin == self.name:
            return (yield self._own(job))
        return (yield self._ask(Ask(origin, "view", job))).view

    @inlineCallbacks
    def wait(self, ticket: str) -> Any:
        """
        See L{IClusterView.wait}.
        """
        origin, job = self._parse(ticket)
        if origin == self.name:
            return (yield self._own_ended(job))
        while True:
            view = (yield self._ask(Ask(origin, "wait", job, _PATIENCE))).view
            if view.outcome is not None:
                return view

    @inlineCallbacks
    def cancel(self, ticket: str) -> Any:
        """
        See L{IClusterView.cancel}.
        """
        origin, job = self._parse(ticket)
        if origin == self.name:
            return (yield self._cancel_own(job))
        return (yield self._ask(Ask(origin, "cancel", job))).text

    @inlineCallbacks
    def jobs(self, state: str, after: int, limit: int) -> Any:
        """
        See L{IClusterView.jobs}.
        """
        if state not in _LIVE.values():
            page = yield self._node.store.views(state, after, limit)
            return tuple(self._overlaid(view) for view in page)
        found: list[JobView] = []
        while len(found) < limit:
            page = yield self._node.store.views("open", after, _PAGE)
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

        return self._ask_raw(Ask("", "cluster")).addCallback(shown)

    def asked(self, ask: Ask) -> Deferred[Reply]:
        """
        Answer another node, which asks about a job of this one.

        Fails with a L{jobcluster.errors.JobclusterError}.
        """
        answers: dict[str, Callable[[Ask], Deferred[Reply]]] = {
            "view": lambda ask: self._own(ask.job).addCallback(Reply),
            "wait": self._wait_for_other,
            "cancel": lambda ask: self._cancel_own(ask.job).addCallback(
                lambda text: Reply(text=text)
            ),
        }
        if ask.verb not in answers:
            return fail(PeerError("this node does not know that question"))
        return answers[ask.verb](ask)

    # -- inside ------------------------------------------------------------------------------------

    @staticmethod
    def _parse(ticket: str) -> tuple[str, int]:
        parsed = parse_ticket(ticket)
        if parsed is None:
            raise MalformedTicketError
        return parsed

    def _ask_raw(self, ask: Ask) -> Deferred[Reply]:
        link = self._node.link
        return fail(BalancerAwayError()) if link is None else link.ask(ask)

    def _ask(self, ask: Ask) -> Deferred[Reply]:
        def shown(reply: Reply) -> Reply:
            if reply.view is None and not reply.text:
                raise PeerError("the other node did not answer the question")
            return reply

        return self._ask_raw(ask).addCallback(shown)

    def _overlaid(self, view: JobView) -> JobView:
        """The store's view with what only memory knows: what runs, and where."""
        core = self._node.core
        live = None if core is None or view.outcome is not None else core.whereabouts(view.job)
        if live is None:
            return view
        state, node = live
        return attrs.evolve(view, state=_LIVE.get(state, view.state), node=node or view.node)

    @inlineCallbacks
    def _own(self, job: int) -> Any:
        if self._node.core is None:
            raise StoreFailedError
        view = yield self._node.store.view(job)
        if view is None:
            raise UnknownTicketError
        if view.state == "expired":
            raise ExpiredTicketError
        return self._overlaid(view)

    @inlineCallbacks
    def _own_ended(self, job: int, patience: float | None = None) -> Any:
        # First listen, then look: an outcome between the two must not be missed.
        waiter: Deferred[Outcome] = self._node.outcome_of(job)
        waiter.addErrback(lambda _: None)
        try:
            view = yield self._own(job)
            if view.outcome is not None:
                return view
            if patience is not None:
                waiter.addTimeout(patience, self._clock, onTimeoutCancel=lambda *_: None)
            outcome = yield waiter
        finally:
            waiter.cancel()
        if outcome is None:
            return (yield self._own(job))
        return attrs.evolve(view, state="ended", outcome=outcome, node=outcome.node)

    def _wait_for_other(self, ask: Ask) -> Deferred[Reply]:
        patience = max(0.0, min(ask.patience, _PATIENCE))
        return cast("Deferred[JobView]", self._own_ended(ask.job, patience)).addCallback(Reply)

    @inlineCallbacks
    def _cancel_own(self, job: int) -> Any:
        view = yield self._own(job)
        if view.outcome is not None:
            return "ended"
        return (yield self._node.cancel([job]))[0]
