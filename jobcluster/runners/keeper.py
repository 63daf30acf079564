"""
Commands and functions, run by a process that outlives the node's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.core.actions import Run
from jobcluster.core.events import (
    KeeperReplaced,
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
)
from jobcluster.core.values import Adopted, Now, Outcome, Ref, Status
from jobcluster.errors import KeeperError, OutputMissingError
from jobcluster.interfaces import IRunner
from jobcluster.keeper.frames import Frame, pack_frame
from jobcluster.runners.keeper_books import KeeperBooks, Phase
from jobcluster.runners.keeper_hearing import hear
from jobcluster.runners.keeper_peer import KeeperPeer
from jobcluster.runners.keeper_place import KeeperPlace, Sighting
from jobcluster.runners.keeper_search import Found, KeeperSearch
from jobcluster.runners.keeper_words import pack_hello, pack_refs, pack_start

__all__ = ["KeeperRunner", "KeeperSettings"]

_RETRY_AFTER: Final = 1.0
"""Seconds after which a keeper is looked for again, if there was none or it was lost at once."""

_NEAR: Final = 1e-3
"""Seconds after the end of a lease by which the clocks agree that it is over."""


@attrs.frozen
class KeeperSettings:
    """What a keeper is told by its node, and how long the node waits for it."""

    node: Callable[[], str]
    """Says the node's name; is asked when a keeper is looked for."""
    kill_after: float = 5.0
    """Seconds between SIGTERM and SIGKILL for a command that is to end."""
    max_output: int = 1 << 30
    """Bytes of output that end a command."""
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """What every command gets."""
    allow_pickle: bool = False
    """Whether functions are called that are pickled."""
    silence: float = 11.0
    """Seconds after which a keeper that does not answer is replaced (part 3 of the design)."""


@implementer(IRunner)
class KeeperRunner:
    """
    Has commands and functions run by the keeper of this node, and replaces a keeper that is lost.

    What is asked for while there is none waits until there is one, a start not beyond its lease.
    """

    told: Callable[[RunnerEvent], None]

    def __init__(
        self,
        clock: IReactorTime,
        clocks: Callable[[], Now],
        place: KeeperPlace,
        settings: KeeperSettings,
    ) -> None:
        """
        Look for no keeper before L{inventory}.

        @param clock: the reactor.
        @param clocks: reads the three clocks.
        @param place: where the keeper is.
        """
        self._clock = clock
        self._clocks = clocks
        self._place = place
        self._settings = settings
        self._log = Logger(namespace="jobcluster.node")
        self._search = KeeperSearch(
            clock, place, self._make_peer, settings.kill_after, settings.silence
        )
        self._books = KeeperBooks()
        self._until = float("-inf")
        self._peer: KeeperPeer | None = None
        self._sighting: Sighting | None = None
        self._keeper = ""
        self._met_at = float("-inf")
        self._early_losses = 0
        """How many keepers were lost at once, one after the other."""
        self._task: Deferred[None] | None = None
        """Of the search that is under way."""
        self._timer: IDelayedCall | None = None
        self._is_finishing = self._is_closed = False

    def _make_peer(self) -> KeeperPeer:
        settings = self._settings
        hello = pack_hello(
            settings.node(),
            settings.kill_after,
            settings.max_output,
            settings.environment,
            allow_pickle=settings.allow_pickle,
        )
        return KeeperPeer(self._clock, hello, settings.silence)

    # -- as a runner -------------------------------------------------------------------------------

    def inventory(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """
        See L{IRunner.inventory}.
        """
        answer: Deferred[tuple[str, tuple[Adopted, ...]]] = Deferred(lambda _: self.close())
        self._begin(self._meet(answer))
        return answer

    def start(self, runs: Sequence[Run]) -> None:
        """
        See L{IRunner.start}.
        """
        now = self._clocks().boot
        refused = []
        for run in runs:
            if run.adopted or self._books.phase(run.ref) is not None:
                continue  # the keeper tells how it goes on
            if now > self._until or self._is_finishing or self._is_closed:
                refused.append(run.ref)
            elif self._peer is None:
                self._books.wait(run, self._until)
            else:
                self._hand(self._peer, run)
        if refused:
            self._tell(RunsRefused(tuple(refused)))
        self._watch_leases()

    def stop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.stop}.
        """
        books = self._books
        waiting = [ref for ref in refs if books.phase(ref) is Phase.WAITING]
        others = [ref for ref in refs if books.phase(ref) in (Phase.HANDED, Phase.RUNNING)]
        for ref in others:
            books.stop(ref)
        self._say_of("stop", others)
        books.forget(waiting)
        if waiting:
            outcome = Outcome(Status.CANCELLED, ended=self._milliseconds())
            self._tell(RunsEnded(tuple(RunEnded(ref, outcome) for ref in waiting)))

    def drop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.drop}.
        """
        books = self._books
        waiting = [ref for ref in refs if books.phase(ref) is Phase.WAITING]
        others = [
            ref for ref in refs if books.phase(ref) in (Phase.HANDED, Phase.RUNNING, Phase.ENDED)
        ]
        for ref in others:
            books.drop(ref)
        self._say_of("drop", others)
        books.forget(waiting)
        if waiting:
            self._tell(RunsDropped(tuple(waiting)))

    def lease(self, until: float) -> None:
        """
        See L{IRunner.lease}.

        It is none for what was handed over before: if that lies unread until its own lease is over,
        the offer may be somebody else's by now.
        """
        self._until = until

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.output}.
        """
        number = self._books.number(ref)
        if number is None:
            raise OutputMissingError
        return self._place.read(number, stream, offset, limit)

    def live(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.live}: the keeper's files are read while commands write to them.

        Of too much output the keeper cuts off what is over, but of no stream what is within half
        the limit: what is beyond that is given when it is known to stay.
        """
        number = self._books.files(ref)
        if number is None:
            raise OutputMissingError
        if self._books.phase(ref) is not Phase.ENDED:
            limit = min(limit, self._settings.max_output // 2 - offset)
        try:
            return self._place.read(number, stream, offset, limit) if limit > 0 else b""
        except OutputMissingError:
            return b""  # what is empty is removed at the end

    def finish(self) -> Deferred[None]:
        """
        See L{IRunner.finish}: the keeper is told to end, and is killed if it does not.
        """
        self._is_finishing = True
        return Deferred.fromCoroutine(self._finish())

    def close(self) -> None:
        """
        See L{IRunner.close}: the keeper and what it runs go on.
        """
        self._is_closed = True
        self._give_up_search()
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()

    # -- meeting and losing keepers ----------------------------------------------------------------

    def _begin(self, search: Coroutine[Deferred[Any], Any, None]) -> None:
        task = Deferred.fromCoroutine(search)
        if not task.called:
            self._task = task
        task.addErrback(lambda failure: failure.trap(CancelledError) and None)
        task.addErrback(self._log_failure)

    def _log_failure(self, failure: Failure) -> None:
        self._log.failure("looking for the keeper failed", failure)

    def _give_up_search(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    async def _meet(self, answer: Deferred[tuple[str, tuple[Adopted, ...]]]) -> None:
        try:
            found = await self._search.find()
        except KeeperError as error:
            answer.errback(error)
            return
        runs = found.inventory.runs
        self._books.adopt(runs)
        self._take(found)
        # The node can hear what happens when it has this, and not before.
        answer.callback((self._keeper, tuple(kept.adopted for kept in runs)))
        self._listen(found.peer)

    def _take(self, found: Found) -> None:
        self._task = None
        self._peer, self._sighting = found.peer, found.sighting
        self._keeper = found.inventory.keeper
        self._met_at = self._clock.seconds()

    def _listen(self, peer: KeeperPeer) -> None:
        if not self._is_closed:
            peer.listen(self._heard, self._lost)

    def _lost(self, error: KeeperError) -> None:
        self._peer = None
        if self._is_closed or self._is_finishing or self._sighting is None:
            return
        self._begin(self._replace(self._sighting, error))

    async def _replace(self, sighting: Sighting, error: KeeperError) -> None:
        is_early = self._clock.seconds() - self._met_at < _RETRY_AFTER
        self._early_losses = self._early_losses + 1 if is_early else 0
        if self._early_losses > 1:
            await self._search.pause(_RETRY_AFTER)
        await self._search.remove(sighting, error)
        is_said = False
        while True:
            try:
                found = await self._search.find()
                break
            except KeeperError as trouble:
                if not is_said:
                    is_said = True
                    self._log.warn("{trouble} It is tried again and again.", trouble=str(trouble))
            await self._search.pause(_RETRY_AFTER)
        self._catch_up(found)

    def _catch_up(self, found: Found) -> None:
        """Tell what another keeper holds, or the same one on another connection."""
        is_another = found.inventory.keeper != self._keeper
        self._take(found)
        unsaid = self._books.compare(found.inventory.runs, self._milliseconds())
        self._say_of("stop", unsaid.stop)
        self._say_of("drop", unsaid.drop)
        if is_another:
            self._log.info(
                "there is another keeper (process {pid}), {count} runs are known to it",
                pid=found.sighting.pid,
                count=len(found.inventory.runs),
            )
            self._tell(KeeperReplaced(self._keeper))
        for event in unsaid.events:
            self._tell(event)
        self._refuse_overdue()
        if self._peer is found.peer:
            for run in self._books.take_waiting():
                self._hand(found.peer, run)
        self._listen(found.peer)

    async def _finish(self) -> None:
        self._give_up_search()
        waiting = tuple(run.ref for run in self._books.take_waiting())
        if waiting:
            self._tell(RunsRefused(waiting))
        peer = self._peer
        if peer is None or self._sighting is None:
            await self._search.end_unmet()
            return
        peer.say(pack_frame("end"))
        self._part_when_idle()
        await self._search.outlive(self._sighting)

    def _part_when_idle(self) -> None:
        """A keeper that was told to end waits for those whom it might have something to tell."""
        if self._is_finishing and self._peer is not None and not self._books.is_busy:
            self._peer.close()
            self._peer = None

    # -- words -------------------------------------------------------------------------------------

    def _hand(self, peer: KeeperPeer, run: Run) -> None:
        self._books.hand(run.ref)
        peer.say(pack_start(run, self._until))

    def _say_of(self, word: str, refs: Sequence[Ref]) -> None:
        """Say something of some runs; without a keeper, the books know that it is to be said."""
        if refs and self._peer is not None:
            self._peer.say(pack_refs(word, refs))

    def _heard(self, frames: Sequence[Frame]) -> None:
        for event in hear(frames, self._books):
            self._tell(event)
        self._part_when_idle()

    def _tell(self, event: RunnerEvent) -> None:
        if not self._is_closed:
            self.told(event)

    def _milliseconds(self) -> int:
        return int(self._clocks().wall * 1000)

    # -- the leases of what waits ------------------------------------------------------------------

    def _watch_leases(self) -> None:
        until = self._books.waits_until()
        if until is None or self._is_closed or (self._timer and self._timer.active()):
            return
        wait = max(0.0, until - self._clocks().boot) + _NEAR
        self._timer = self._clock.callLater(wait, self._lease_ended)

    def _lease_ended(self) -> None:
        self._refuse_overdue()
        self._watch_leases()

    def _refuse_overdue(self) -> None:
        refused = self._books.overdue(self._clocks().boot)
        if refused:
            self._tell(RunsRefused(refused))
