"""
A process that runs jobs and outlives the node process, without a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from jobcluster.core.actions import Run
from jobcluster.core.events import (
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import Adopted, Cause, Held, Now, Outcome, Ref, RunState, Status

__all__ = ["FakeKeeper", "KeptJob", "Silent", "Witness"]

_CODES: Final = {Status.SUCCEEDED: 0, Status.CANCELLED: -15}


class Witness(Protocol):
    """
    Who sees what really runs, whatever is told of it.
    """

    def run_started(self, run: Run, keeper: str) -> None:
        """
        A run was started.

        @param keeper: the id of the keeper that runs it, empty for what the node process runs.
        """

    def run_adopted(self, run: Run) -> None:
        """The node process watches again what an earlier one had started."""

    def run_over(self, ref: Ref, keeper: str) -> None:
        """Nothing of a run is left running."""


class Silent:
    """
    A witness that does not care.
    """

    def run_started(self, run: Run, keeper: str) -> None:
        """See L{Witness.run_started}."""

    def run_adopted(self, run: Run) -> None:
        """See L{Witness.run_adopted}."""

    def run_over(self, ref: Ref, keeper: str) -> None:
        """See L{Witness.run_over}."""


class KeptJob:
    """
    A job in a keeper's spool.
    """

    __slots__ = ("outcome", "run", "started")

    def __init__(self, run: Run, started: int, outcome: Outcome | None = None) -> None:
        """
        A job that was started, and perhaps has ended.
        """
        self.run = run
        self.started = started
        self.outcome = outcome

    def adopted(self) -> Adopted:
        """The row of an inventory."""
        run = self.run
        held = Held(
            origin=run.origin,
            store=run.store,
            job=run.job,
            incarnation=run.incarnation,
            serial=run.serial,
            state=RunState.RUNNING if self.outcome is None else RunState.ENDED,
            started=self.started,
        )
        return Adopted(held, run.kind, self.outcome)


class FakeKeeper:
    """
    What a keeper is to its node: it runs jobs whose payload says for how many milliseconds.

    It obeys its newest connection only, and what it was told on older ones it has not read when it
    gives an inventory is never read.
    What it holds stays until it is dropped.
    """

    def __init__(
        self,
        time: IReactorTime,
        now: Callable[[], Now],
        ident: str,
        witness: Witness | None = None,
        spool: Mapping[Ref, KeptJob] | None = None,
    ) -> None:
        """
        Be a process that nobody has connected to.

        @param time: the reactor of this process, so to speak.
        @param now: the clocks of its machine.
        @param ident: tells this process from others.
        @param spool: what an earlier keeper left behind.
        """
        self.ident = ident
        self.alive = True
        self.time = time
        """The reactor of this process: what it is told is read there."""
        self._now = now
        self._witness = Silent() if witness is None else witness
        self._spool: dict[Ref, KeptJob] = {} if spool is None else dict(spool)
        self._accepted = 0
        self._obeyed = 0
        self._tell: Callable[[RunnerEvent], None] = _tell_nobody

    @property
    def spool(self) -> Mapping[Ref, KeptJob]:
        """All that is held: what runs, and what has ended and was not dropped."""
        return self._spool

    def accept(self) -> int:
        """
        A node process connects.

        @return: the number of its connection, which it says with every word.
        """
        self._accepted += 1
        return self._accepted

    def inventory(
        self, connection: int, tell: Callable[[RunnerEvent], None]
    ) -> tuple[Adopted, ...] | None:
        """
        Say all that is held, and obey this connection alone from now on.

        @param tell: is called with what happens, until another connection is obeyed.
        @return: C{None} if there is a newer connection already.
        """
        if connection < self._obeyed or not self.alive:
            return None
        self._obeyed = connection
        self._tell = tell
        return tuple(kept.adopted() for kept in self._spool.values())

    def start(self, connection: int, run: Run, until: float) -> None:
        """
        Start a job, unless the lease is over.

        @param until: the end of the lease, in seconds of the boot-time clock.
        """
        if connection != self._obeyed or not self.alive or run.ref in self._spool:
            return
        now = self._now()
        if now.boot > until:
            self._tell(RunsRefused((run.ref,)))
            return
        at = int(now.wall * 1000)
        kept = self._spool[run.ref] = KeptJob(run, at)
        self._witness.run_started(run, self.ident)
        self.time.callLater(int(run.payload) / 1000, self._finish, kept, Status.SUCCEEDED)
        self._tell(RunsStarted((run.ref,), at))

    def stop(self, connection: int, ref: Ref) -> None:
        """
        End a job as cancelled.
        """
        kept = self._spool.get(ref)
        if connection == self._obeyed and kept is not None:
            self._finish(kept, Status.CANCELLED)

    def drop(self, connection: int, ref: Ref) -> None:
        """
        End a job and forget it.
        """
        if connection != self._obeyed or not self.alive:
            return
        kept = self._spool.pop(ref, None)
        if kept is not None:
            if kept.outcome is None:
                self._witness.run_over(ref, self.ident)
            self._tell(RunsDropped((ref,)))

    def die(self) -> None:
        """
        The process is killed; its jobs go on, and nobody watches them.
        """
        self.alive = False
        self._tell = _tell_nobody

    def succeed(self, ident: str, *, rebooted: bool = False) -> FakeKeeper:
        """
        Another keeper finds what this one left behind, ends it and calls it lost.

        @param rebooted: whether the machine was: then what this one had not synced is gone, which
            is all but the intents of the jobs that run at most once.
        """
        self.die()
        cause = Cause.REBOOTED if rebooted else Cause.KEEPER_DIED
        spool = {}
        for ref, kept in self._spool.items():
            self._finish(kept, Status.LOST, cause)
            if not rebooted:
                spool[ref] = kept
            elif kept.run.once:
                spool[ref] = KeptJob(
                    kept.run, kept.started, self._outcome(kept, Status.LOST, cause)
                )
        self._spool.clear()
        return FakeKeeper(self.time, self._now, ident, self._witness, spool)

    def _finish(self, kept: KeptJob, status: str, detail: str = "") -> None:
        ref = kept.run.ref
        if kept.outcome is not None or self._spool.get(ref) is not kept:
            return
        if not self.alive:
            # Nobody has seen how it ended.
            status, detail = Status.LOST, detail or Cause.KEEPER_DIED
        kept.outcome = self._outcome(kept, status, detail)
        self._witness.run_over(ref, self.ident)
        self._tell(RunsEnded((RunEnded(ref, kept.outcome),)))

    def _outcome(self, kept: KeptJob, status: str, detail: str) -> Outcome:
        code = _CODES.get(status)
        ended = int(self._now().wall * 1000)
        return Outcome(status, code=code, detail=detail, started=kept.started, ended=ended)


def _tell_nobody(_: RunnerEvent) -> None:
    """Nobody is connected."""
