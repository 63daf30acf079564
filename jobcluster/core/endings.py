"""
How an origin takes an outcome: is it that of the present offer, is its output here, is it the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jobcluster.core.collecting import Collecting
from jobcluster.core.jobs import Life, Occasion
from jobcluster.core.lives import Lives
from jobcluster.core.out import Out
from jobcluster.core.turns import Turns
from jobcluster.core.values import Cause, Now, Status
from jobcluster.core.words import Ended, HeldBy

__all__ = ["Endings"]

Done = Callable[[Out, Now], None]
"""Called when an outcome is among the changes, or is not wanted."""


class Endings:
    """
    The outcomes that an origin hears of.
    """

    def __init__(
        self, name: str, lives: Lives, turns: Turns, hold: Callable[[HeldBy, Out, Now], None]
    ) -> None:
        """
        None was heard.

        @param name: of this node.
        @param hold: takes the word that an offer is held.
        """
        self._name = name
        self._lives = lives
        self._turns = turns
        self._hold = hold
        self.collecting = Collecting()
        self.old_news = 0
        """Outcomes of offers that are no longer the present ones, counted."""

    def outcomes(self, rows: Iterable[Ended], out: Out, now: Now) -> None:
        """
        Offers ended elsewhere; acknowledged once that is committed.
        """

        def collected(row: Ended, out: Out, now: Now) -> None:
            if self._is_wanted(row):
                self._record(row, out, now)
            # Else it was lost meanwhile; or the connection was, and it will be told again.

        for row in rows:

            def found(out: Out, now: Now, row: Ended = row) -> None:
                if self._must_be_collected(row):
                    self.collecting.begin(row, self._lives.jobs[row.job].node, collected, out)
                else:
                    self._record(row, out, now)

            self._turns.when_in_memory(row.job, found, out, now)

    def own_ended(self, row: Ended, done: Done, out: Out, now: Now) -> None:
        """
        An offer ended here.
        """

        def found(out: Out, now: Now) -> None:
            self._own_held(row, out, now)
            if self._must_be_collected(row):
                self.collecting.begin(row, self._name, collected, out)
            else:
                self._record(row, out, now)
                done(out, now)

        def collected(row: Ended, out: Out, now: Now) -> None:
            self._own_held(row, out, now)
            self._record(row, out, now)
            done(out, now)

        self._turns.when_in_memory(row.job, found, out, now, lasting=True)

    def _own_held(self, row: Ended, out: Out, now: Now) -> None:
        """Nobody needs to tell this node what it holds itself."""
        job = self._lives.jobs.get(row.job)
        if job is not None and not job.node:
            at = row.outcome.started
            offer = (row.incarnation, row.serial)
            self._hold(HeldBy(row.job, *offer, self._name, "", "ended", at), out, now)

    def _is_wanted(self, row: Ended) -> bool:
        """Whether this is how the present offer ended."""
        job, offer = self._lives.jobs.get(row.job), (row.incarnation, row.serial)
        return job is not None and job.offer == offer and not self._lives.losses.is_lost(job, offer)

    def _was_stopped(self, row: Ended) -> bool:
        """
        Whether it was ended though nobody had wished it: its node was stopped, and died over it.
        """
        return row.outcome.status == Status.CANCELLED and not self._lives.jobs[row.job].cancelling

    def _must_be_collected(self, row: Ended) -> bool:
        return row.outcome.is_large and self._is_wanted(row) and not self._was_stopped(row)

    def _record(self, row: Ended, out: Out, now: Now) -> None:
        job = self._lives.jobs.get(row.job)
        offer = (row.incarnation, row.serial)
        told = Occasion(offer, job=row.job, outcome=row.outcome)
        if job is None:
            # It has an outcome: this one was told twice, or comes too late.
            self._lives.say("acknowledge", told, out)
        elif not self._is_wanted(row):
            self.old_news += 1
            self._lives.say("drop", told, out)
        elif row.outcome.status == Status.LOST or self._was_stopped(row):
            told.cause = Cause.NODE_STOPPED if self._was_stopped(row) else row.outcome.detail
            told.node, told.keeper = row.outcome.node, job.keeper
            told.at = row.outcome.started or job.started
            self._lives.live(job, job.hear(Life.lost), told, out, now)
            self._lives.say("acknowledge", told, out)
        else:
            self._lives.live(job, job.hear(Life.ended), told, out, now)
            self._lives.say("acknowledge", told, out)
