"""
What a node knows of the runs that it has given to its keeper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from itertools import zip_longest
from typing import Final

import attrs

from jobcluster.core.actions import Run
from jobcluster.core.events import (
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import Cause, Outcome, Ref, Status
from jobcluster.runners.keeper_words import KeptRun

__all__ = ["KeeperBooks", "Phase", "Unsaid"]


class Phase(Enum):
    """How far a run is, as far as is known here."""

    WAITING = auto()
    """There is no keeper that could be told of it."""
    HANDED = auto()
    """A keeper was told to start it, and has not answered."""
    RUNNING = auto()
    ENDED = auto()
    """Its outcome was told, and the keeper has it until it is told to forget it."""
    DROPPING = auto()
    """It is to be forgotten, and the keeper has not answered."""


_BUSY: Final = frozenset({Phase.HANDED, Phase.RUNNING, Phase.DROPPING})


class _Entry:
    """A run."""

    __slots__ = ("files", "number", "phase", "run", "started", "stopping", "until")

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.run: Run | None = None
        """What was to be started, while it waits."""
        self.until = 0.0
        """While it waits: the end of its lease."""
        self.started = 0
        """Milliseconds since the epoch, 0 if it was not."""
        self.stopping = False
        self.number: int | None = None
        """Of the files that hold its output, if any do."""
        self.files: int | None = None
        """Of the files that it writes to, if the keeper has said that."""


@attrs.frozen
class Unsaid:
    """What another connection to a keeper has made necessary."""

    events: tuple[RunnerEvent, ...]
    """To be told, in this order."""
    stop: tuple[Ref, ...]
    """To be said once more."""
    drop: tuple[Ref, ...]
    """To be said once more, or for the first time of what nobody here knows."""


class KeeperBooks:
    """
    Each run that was given away and not forgotten, and how far it is.

    What a keeper says of a run that is not so far, or that is unknown, is old news and is ignored.
    """

    def __init__(self) -> None:
        """
        Nothing was given away.
        """
        self._runs: dict[Ref, _Entry] = {}
        self._unanswered = 0
        self._waiting: dict[Ref, None] = {}

    # -- how far they are --------------------------------------------------------------------------

    def phase(self, ref: Ref) -> Phase | None:
        """
        How far a run is; C{None} if it is unknown.
        """
        entry = self._runs.get(ref)
        return None if entry is None else entry.phase

    @property
    def unanswered(self) -> int:
        """How many starts a keeper has not answered."""
        return self._unanswered

    @property
    def is_busy(self) -> bool:
        """Whether a keeper has anything to do with one of them."""
        return any(entry.phase in _BUSY for entry in self._runs.values())

    def number(self, ref: Ref) -> int | None:
        """
        Of the files with a run's output; C{None} if there are none.
        """
        entry = self._runs.get(ref)
        return None if entry is None else entry.number

    def files(self, ref: Ref) -> int | None:
        """
        Of the files that a run writes to, or has written to; C{None} if that is not known.
        """
        entry = self._runs.get(ref)
        if entry is None:
            return None
        return entry.number if entry.files is None else entry.files

    # -- what the node does ------------------------------------------------------------------------

    def wait(self, run: Run, until: float) -> None:
        """
        A run is to be started when there is a keeper, or refused at the end of its lease.
        """
        entry = self._enter(run.ref, Phase.WAITING)
        entry.run, entry.until = run, until
        self._waiting[run.ref] = None

    def waits_until(self) -> float | None:
        """
        When the first lease of those that wait is over, in seconds of the boot-time clock.
        """
        return min((self._runs[ref].until for ref in self._waiting), default=None)

    def overdue(self, now: float) -> tuple[Ref, ...]:
        """
        Forget those that wait and whose lease is over; C{now} is of the boot-time clock.
        """
        refs = tuple(ref for ref in self._waiting if self._runs[ref].until < now)
        self.forget(refs)
        return refs

    def take_waiting(self) -> list[Run]:
        """
        Forget those that wait, for now they can be handed over.
        """
        runs = [entry.run for entry in map(self._runs.__getitem__, self._waiting) if entry.run]
        self.forget(tuple(self._waiting))
        return runs

    def hand(self, ref: Ref) -> None:
        """
        The keeper is being told to start a run.
        """
        self._enter(ref, Phase.HANDED)

    def stop(self, ref: Ref) -> None:
        """
        The keeper is being told to end a run.
        """
        self._runs[ref].stopping = True

    def drop(self, ref: Ref) -> None:
        """
        The keeper is being told to forget a run.
        """
        self._enter(ref, Phase.DROPPING)

    def forget(self, refs: Iterable[Ref]) -> None:
        """
        Nobody has these any more.
        """
        for ref in refs:
            self._leave(ref)
            self._runs.pop(ref, None)

    # -- what the keeper tells ---------------------------------------------------------------------

    def started(self, refs: Sequence[Ref], at: int, files: Sequence[int] = ()) -> tuple[Ref, ...]:
        """
        These run; those of them that were not known to.

        @param at: milliseconds since the epoch.
        @param files: of each, the number of the files that it writes to; none if that is not said.
        """
        found = []
        for ref, number in zip_longest(refs, files[: len(refs)]):
            if self.phase(ref) is Phase.HANDED:
                self._run(ref, at, number)
                found.append(ref)
        return tuple(found)

    def refused(self, refs: Sequence[Ref]) -> tuple[Ref, ...]:
        """
        These were not started; those of them that were to be.
        """
        found = tuple(ref for ref in refs if self.phase(ref) is Phase.HANDED)
        self.forget(found)
        return found

    def ended(self, ref: Ref, number: int | None) -> bool:
        """
        A run has ended; whether that is news.

        @param number: of the files with its output.
        """
        if self.phase(ref) not in (Phase.HANDED, Phase.RUNNING):
            return False
        self._enter(ref, Phase.ENDED).number = number
        return True

    def dropped(self, refs: Sequence[Ref]) -> tuple[Ref, ...]:
        """
        Nothing is left of these; those of them that were to be forgotten.
        """
        found = tuple(ref for ref in refs if self.phase(ref) is Phase.DROPPING)
        self.forget(found)
        return found

    def adopt(self, runs: Iterable[KeptRun]) -> None:
        """
        Enter what the first inventory has.
        """
        for kept in runs:
            held = kept.adopted.held
            if kept.adopted.outcome is None:
                self._run(held.ref, held.started, kept.files)
            else:
                self._enter(held.ref, Phase.ENDED, kept.files).number = kept.number

    def compare(self, runs: Iterable[KeptRun], at: int) -> Unsaid:
        """
        Take a later inventory for the truth about all that was handed over.

        @param at: milliseconds since the epoch, for what has ended nobody knows when.
        """
        held = {kept.adopted.held.ref: kept for kept in runs}
        entries = [(ref, entry, held.pop(ref, None)) for ref, entry in self._runs.items()]
        events: list[RunnerEvent] = []
        ended: list[RunEnded] = []
        stop: list[Ref] = []
        refused = tuple(
            ref for ref, entry, kept in entries if entry.phase is Phase.HANDED and kept is None
        )
        dropping = {ref: kept for ref, entry, kept in entries if entry.phase is Phase.DROPPING}
        dropped = tuple(ref for ref, kept in dropping.items() if kept is None)
        self.forget((*refused, *dropped))
        for ref, entry, kept in entries:
            if entry.phase is Phase.ENDED:
                entry.number = None if kept is None else kept.number
            elif entry.phase in (Phase.HANDED, Phase.RUNNING) and ref in self._runs:
                outcome = self._catch_up(ref, entry, kept, events, at)
                if outcome is not None:
                    ended.append(RunEnded(ref, outcome))
                elif entry.stopping:
                    stop.append(ref)
        if refused:
            events.append(RunsRefused(refused))
        if ended:
            events.append(RunsEnded(tuple(ended)))
        if dropped:
            events.append(RunsDropped(dropped))
        # The node holds none of what is left over in the inventory, and has said so.
        drop = (*(ref for ref, kept in dropping.items() if kept is not None), *held)
        return Unsaid(tuple(events), tuple(stop), drop)

    def _catch_up(
        self, ref: Ref, entry: _Entry, kept: KeptRun | None, events: list[RunnerEvent], at: int
    ) -> Outcome | None:
        """Learn of one that was running or to be started; its outcome, if it runs no more."""
        if kept is None:
            self._enter(ref, Phase.ENDED)
            return Outcome(Status.LOST, None, Cause.KEEPER_DIED, entry.started, at)
        started, outcome = kept.adopted.held.started, kept.adopted.outcome
        if entry.phase is Phase.HANDED and started:
            events.append(RunsStarted((ref,), started))
        if outcome is None:
            self._run(ref, started, kept.files)
        else:
            self._enter(ref, Phase.ENDED, kept.files).number = kept.number
        return outcome

    # -- inside ------------------------------------------------------------------------------------

    def _enter(self, ref: Ref, phase: Phase, files: int | None = None) -> _Entry:
        former = self._runs.get(ref)
        self._leave(ref)
        if phase is Phase.HANDED:
            self._unanswered += 1
        entry = self._runs[ref] = _Entry(phase)
        entry.files = former.files if files is None and former is not None else files
        return entry

    def _run(self, ref: Ref, started: int, files: int | None) -> None:
        stopping = ref in self._runs and self._runs[ref].stopping
        entry = self._enter(ref, Phase.RUNNING, files)
        entry.started, entry.stopping = started, stopping

    def _leave(self, ref: Ref) -> None:
        entry = self._runs.get(ref)
        if entry is not None and entry.phase is Phase.HANDED:
            self._unanswered -= 1
        elif entry is not None and entry.phase is Phase.WAITING:
            self._waiting.pop(ref, None)
