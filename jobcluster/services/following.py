"""
What jobs put out, for those who follow it while the jobs run.

Whoever follows asks their origin for one piece after the other, and the origin asks whoever runs
them: so all that is known of who that is, is known in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.defer import TimeoutError as TwistedTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from jobcluster.core.lives import Whereabouts
from jobcluster.core.values import Ref
from jobcluster.core.views import Ask, JobView, Piece, Reply
from jobcluster.errors import BalancerAwayError, JobclusterError, OutputMissingError
from jobcluster.services.node import NodeService
from jobcluster.services.transfers import PIECE

__all__ = ["MOST_PATIENCE", "Following"]

MOST_PATIENCE: Final = 5.0
"""Seconds for which a question may wait for something new, before it is asked again."""

_LOOK_EVERY: Final = 0.1
"""Seconds between two looks at an output that somebody waits for."""

_ROUND_TRIP: Final = 2.0
"""Seconds after its patience in which an executor is to have answered, or is asked again."""

_LARGE: Final = 64
"""Jobs with a long output that are remembered, so that the store need not be asked for each
piece."""

View = Callable[[int], Coroutine[Deferred[Any], Any, JobView]]
"""Reads a job of this node; fails if there is none."""


class Following:
    """
    The pieces of output that others ask a node for, as the origin of a job and as its executor.

    Nothing is held for them between two questions.
    """

    def __init__(self, node: NodeService, clock: IReactorTime, view: View) -> None:
        """
        Answer for this node.
        """
        self._node = node
        self._clock = clock
        self._view = view
        self._large: dict[int, JobView] = {}
        """Jobs whose output is in files, without what else is shown of them."""

    # -- as the origin -----------------------------------------------------------------------------

    async def follow(self, ask: Ask) -> Piece:
        """
        Return what there is of the output of a job of this node from an offset on; if there is
        nothing, and there may still be something, once there is or the patience is over.

        Without data it says of which attempt there is something, if that is not the one that was
        asked about.

        @raise JobclusterError: if the job is not known.
        """
        if ask.stream not in ("out", "err"):
            raise OutputMissingError
        ask = _bounded(ask)
        ended = [self._large[ask.job]] if ask.job in self._large else []
        looking: Deferred[Piece] | None = None

        def over(view: JobView) -> None:
            ended.append(view)
            if looking is not None:
                looking.cancel()

        # First listen, then look: an outcome between the two must not be missed.
        waiting = self._node.end_of(ask.job)
        waiting.addCallbacks(over, lambda _: None)
        try:
            if not ended and self._running(ask.job) is None:
                view = await self._view(ask.job)
                ended += [view] if view.outcome is not None else []
            if not ended:
                looking = Deferred.fromCoroutine(self._look(ask))
                return await looking
        except CancelledError:
            if not ended:
                # It was the client who did not want to wait any more.
                raise
        finally:
            waiting.cancel()
        return await self._recorded(ended[0], ask)

    async def _look(self, ask: Ask) -> Piece:
        """Look again and again at a job without an outcome."""
        until = self._clock.seconds() + ask.patience
        while True:
            piece = await self._piece(ask, until)
            is_other = ask.attempt not in (0, piece.attempt)
            if piece.data or is_other or self._is_over(until):
                return piece
            await self._pause(until)

    def _running(self, job: int) -> Whereabouts | None:
        core = self._node.core
        return None if core is None else core.running(job)

    async def _piece(self, ask: Ask, until: float) -> Piece:
        """What there is now of a job without an outcome, as far as it can be had."""
        found, identity = self._running(ask.job), self._node.identity
        if found is None or not any(found.offer) or identity is None:
            return Piece(attempt=ask.attempt)
        if ask.attempt not in (0, found.attempts):
            return Piece(attempt=found.attempts)
        ref = (identity.name, identity.store, *found.offer)
        try:
            if found.node == identity.name:
                data = self._node.live_output(ref, ask.stream, ask.offset, ask.limit)
            else:
                data = await self._afar(found.node, ref, ask, until)
        except (JobclusterError, TwistedTimeoutError):
            # Whoever runs it is away, or has just been told to forget it: the next look will tell.
            data = b""
        return Piece(data, found.attempts)

    def _afar(self, node: str, ref: Ref, ask: Ask, until: float) -> Deferred[bytes]:
        """Ask another node for what it runs."""
        patience = max(0.0, until - self._clock.seconds())
        link = self._node.link
        asked = Ask(node, "live", ask.job, patience, ask.stream, ask.offset, ask.limit, *ref)
        answer: Deferred[Reply] = fail(BalancerAwayError()) if link is None else link.ask(asked)
        answer.addTimeout(patience + _ROUND_TRIP, self._clock)
        return answer.addCallback(lambda reply: reply.data)

    # -- of what has ended -------------------------------------------------------------------------

    async def _recorded(self, view: JobView, ask: Ask) -> Piece:
        outcome = view.outcome
        if outcome is None or view.attempts > ask.attempt > 0:
            return Piece(attempt=view.attempts)
        whole, size = (
            (outcome.out, outcome.out_size)
            if ask.stream == "out"
            else (outcome.err, outcome.err_size)
        )
        if outcome.is_large:
            self._remember(view)
            data = await self._node.outputs.read(ask.job, ask.stream, ask.offset, ask.limit)
        else:
            data, size = whole[ask.offset : ask.offset + ask.limit], len(whole)
        # What ended without being started there has no attempt of its own, and nothing to say.
        attempt = max(view.attempts, ask.attempt)
        return Piece(data, attempt, is_over=ask.offset + len(data) >= size)

    def _remember(self, view: JobView) -> None:
        while len(self._large) >= _LARGE:
            self._large.pop(next(iter(self._large)))
        self._large[view.job] = attrs.evolve(view, payload=b"")

    # -- as the executor ---------------------------------------------------------------------------

    async def live(self, ask: Ask) -> bytes:
        """
        Return what there is of the output of an offer that this node holds, from an offset on; if
        there is nothing, once there is or the patience is over.

        @raise OutputMissingError: if the offer is not held (any more).
        """
        ask = _bounded(ask)
        until = self._clock.seconds() + ask.patience
        ref = (ask.origin, ask.store, ask.incarnation, ask.serial)
        while True:
            data = self._node.live_output(ref, ask.stream, ask.offset, ask.limit)
            if data or self._is_over(until):
                return data
            await self._pause(until)

    # -- both --------------------------------------------------------------------------------------

    def _is_over(self, until: float) -> bool:
        return self._clock.seconds() >= until

    def _pause(self, until: float) -> Deferred[None]:
        wait = min(_LOOK_EVERY, until - self._clock.seconds())
        return deferLater(self._clock, max(0.0, wait))


def _bounded(ask: Ask) -> Ask:
    """A question of which nothing is too much, whoever asks it."""
    return attrs.evolve(
        ask,
        patience=max(0.0, min(ask.patience, MOST_PATIENCE)),
        offset=max(0, ask.offset),
        limit=max(1, min(ask.limit, PIECE)),
    )
