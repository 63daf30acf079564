"""
What a node process does with its keeper: it hands runs over, and replaces a keeper that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from jobcluster.core.actions import Run
from jobcluster.core.events import (
    KeeperReplaced,
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import Adopted, Now, Outcome, Ref, Status
from jobcluster.errors import OutputMissingError
from jobcluster.runners.keeper_books import KeeperBooks, Phase
from jobcluster.runners.keeper_words import KeptRun
from jobcluster.runners.patience import Patience
from jobcluster.testing.connections import KeeperConnection
from jobcluster.testing.keepers import FakeKeeper

__all__ = ["KeeperHands"]

_SILENCE: Final = 11.0
"""Seconds without an answer after which a keeper is killed (part 3 of the design)."""

_PING_EVERY: Final = 3.0

_RETRY: Final = 0.1
"""Seconds until a keeper is looked for again."""

_NEAR: Final = 1e-3


class KeeperHands:
    """
    The runner of commands, but for the process and the socket; its books are the real ones.
    """

    def __init__(
        self,
        time: IReactorTime,
        now: Callable[[], Now],
        find: Callable[[], FakeKeeper | None],
        hop: Callable[[], float],
        tell: Callable[[RunnerEvent], None],
    ) -> None:
        """
        Look for no keeper before L{meet}.

        @param find: finds the keeper that lives, or starts another; C{None} as long as there is
            none that could be connected to.
        @param hop: says how many seconds the next word to or from the keeper takes.
        """
        self.connection: KeeperConnection | None = None
        self._keeper: FakeKeeper | None = None
        self._time = time
        self._now = now
        self._find = find
        self._hop = hop
        self._tell = tell
        self._books = KeeperBooks()
        self._until = float("-inf")
        self._met: Deferred[tuple[str, tuple[Adopted, ...]]] = Deferred()
        self._ended: Deferred[None] = Deferred()
        self._ident = ""
        self._complete = False
        self._owed = False
        self._asked_at = time.seconds()
        self._patience = Patience(_SILENCE, self._asked_at)
        self._finishing = self._closed = False

    # -- for the runner ----------------------------------------------------------------------------

    def meet(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """
        Connect; fires with the id of the keeper, and with all that it holds.
        """
        self._look_for()
        return self._met

    def start(self, runs: Sequence[Run]) -> None:
        """
        Hand these over; what there is no keeper for waits until there is one, or the lease is over.
        """
        books, now = self._books, self._now().boot
        refused = []
        for run in runs:
            if run.adopted or books.phase(run.ref) is not None:
                continue
            if now > self._until or self._finishing:
                refused.append(run.ref)
            elif self._complete:
                self._hand(run)
            else:
                books.wait(run, self._until)
                wait = max(0.0, self._until - now) + _NEAR
                self._time.callLater(wait, self._refuse_overdue)
        if refused:
            self._time.callLater(0, self._tell, RunsRefused(tuple(refused)))

    def stop(self, refs: Sequence[Ref]) -> None:
        """
        End these as cancelled.
        """
        books = self._books
        waiting = [ref for ref in refs if books.phase(ref) is Phase.WAITING]
        for ref in refs:
            if books.phase(ref) in (Phase.HANDED, Phase.RUNNING):
                books.stop(ref)
                self._say("stop", ref)
        books.forget(waiting)
        if waiting:
            outcome = Outcome(Status.CANCELLED, ended=int(self._now().wall * 1000))
            ended = tuple(RunEnded(ref, outcome) for ref in waiting)
            self._time.callLater(0, self._tell, RunsEnded(ended))

    def drop(self, refs: Sequence[Ref]) -> None:
        """
        End these and forget them.
        """
        books = self._books
        waiting = [ref for ref in refs if books.phase(ref) is Phase.WAITING]
        for ref in refs:
            if books.phase(ref) in (Phase.HANDED, Phase.RUNNING, Phase.ENDED):
                books.drop(ref)
                self._say("drop", ref)
        books.forget(waiting)
        if waiting:
            self._time.callLater(0, self._tell, RunsDropped(tuple(waiting)))

    def lease(self, until: float) -> None:
        """
        Let nothing be started later; it is no lease for what was handed over before.
        """
        self._until = until

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{jobcluster.interfaces.IRunner.output}.
        """
        if self._keeper is None or self._books.number(ref) is None:
            raise OutputMissingError
        return self._keeper.output(ref, stream, offset, limit)

    def finish(self) -> Deferred[None]:
        """
        Have the keeper end everything, and then itself.
        """
        self._finishing = True
        if self._complete:
            self._say("end")
        else:
            self._time.callLater(0, self._ended.callback, None)
        return self._ended

    def close(self) -> None:
        """
        Neither say nor hear anything more.
        """
        self._closed = True
        self.connection = None
        self._complete = False

    # -- the connection ----------------------------------------------------------------------------

    def _look_for(self) -> None:
        if self._closed or self._finishing:
            return
        keeper = self._find()
        if keeper is None:
            self._time.callLater(_RETRY, self._look_for)
            return
        connection = KeeperConnection(keeper, self._time, self._hop, self)
        self.connection = connection
        self._keeper = keeper
        self._complete = False
        connection.say("hello")
        self._await_answer()
        pause = self._patience.pause
        self._time.callLater(pause, self._look, connection, self._time.seconds() + pause)

    def _say(self, word: str, *args: object) -> None:
        """Say something; without a keeper, the books know that it is to be said."""
        connection = self.connection
        if connection is not None and self._complete:
            connection.say(word, *args)
            if not self._owed:
                connection.say("ping")
                self._await_answer()

    def _await_answer(self) -> None:
        self._owed = True
        self._asked_at = self._time.seconds()
        self._patience.begin(self._asked_at)

    def _look(self, connection: KeeperConnection, due: float) -> None:
        """Look whether the keeper answers; of one that does not, only its death is sure."""
        if connection is not self.connection:
            return
        now = self._time.seconds()
        if self._owed and self._keeper is not None and self._patience.look(now, due):
            self._keeper.die()
            self.keeper_lost(connection)
            return
        if not self._owed and now - self._asked_at > _PING_EVERY - _NEAR:
            connection.say("ping")
            self._await_answer()
        quiet = now - self._asked_at
        pause = self._patience.pause if self._owed else max(_NEAR, _PING_EVERY - quiet)
        self._time.callLater(pause, self._look, connection, now + pause)

    # -- from the keeper ---------------------------------------------------------------------------

    def keeper_met(
        self, connection: KeeperConnection, keeper: str, held: tuple[Adopted, ...]
    ) -> None:
        """
        See L{jobcluster.testing.connections.KeeperUser}.
        """
        if connection is not self.connection:
            return
        self._owed = False
        self._complete = True
        runs = [KeptRun(row, _number(row.outcome)) for row in held]
        if not self._ident:
            self._ident = keeper
            self._books.adopt(runs)
            self._met.callback((keeper, held))
        else:
            self._catch_up(keeper, runs)

    def _catch_up(self, keeper: str, runs: Sequence[KeptRun]) -> None:
        """Tell what another keeper holds."""
        unsaid = self._books.compare(runs, int(self._now().wall * 1000))
        for ref in unsaid.stop:
            self._say("stop", ref)
        for ref in unsaid.drop:
            self._say("drop", ref)
        if keeper != self._ident:
            self._ident = keeper
            self._tell(KeeperReplaced(keeper))
        for event in unsaid.events:
            self._tell(event)
        self._refuse_overdue()
        if self._complete:
            for run in self._books.take_waiting():
                self._hand(run)

    def keeper_told(self, connection: KeeperConnection, event: RunnerEvent) -> None:
        """
        See L{jobcluster.testing.connections.KeeperUser}.
        """
        if connection is self.connection:
            news = self._news(event)
            if news is not None:
                self._tell(news)

    def _news(self, event: RunnerEvent) -> RunnerEvent | None:
        """Enter an event in the books; what of it is news."""
        books = self._books
        if isinstance(event, RunsStarted):
            refs = books.started(event.refs, event.at)
            return RunsStarted(refs, event.at) if refs else None
        if isinstance(event, RunsRefused):
            refs = books.refused(event.refs)
            return RunsRefused(refs) if refs else None
        if isinstance(event, RunsDropped):
            refs = books.dropped(event.refs)
            return RunsDropped(refs) if refs else None
        if isinstance(event, RunsEnded):
            runs = tuple(run for run in event.runs if books.ended(run.ref, _number(run.outcome)))
            return RunsEnded(runs) if runs else None
        return event

    def keeper_answered(self, connection: KeeperConnection) -> None:
        """
        See L{jobcluster.testing.connections.KeeperUser}.
        """
        if connection is self.connection:
            self._owed = False

    def keeper_lost(self, connection: KeeperConnection) -> None:
        """
        See L{jobcluster.testing.connections.KeeperUser}.
        """
        if connection is not self.connection:
            return
        self.connection = None
        self._complete = False
        if self._finishing:
            self._ended.callback(None)
        else:
            self._time.callLater(self._hop(), self._look_for)

    # -- inside ------------------------------------------------------------------------------------

    def _hand(self, run: Run) -> None:
        self._books.hand(run.ref)
        # The end of the lease travels with it: it is looked at where the job starts.
        self._say("start", run, self._until)

    def _refuse_overdue(self) -> None:
        refused = self._books.overdue(self._now().boot)
        if refused and not self._closed:
            self._tell(RunsRefused(refused))


def _number(outcome: Outcome | None) -> int | None:
    """What stands for the names of the files that output is in."""
    return 1 if outcome is not None and outcome.is_large else None
