"""
What an origin writes down of attempts: those that were lost, and those that run for a while.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Final

from jobcluster.core.jobs import Occasion, OriginJob
from jobcluster.core.out import Out
from jobcluster.core.values import SLEEP, Attempt, Cause, Now, Offer, Outcome

__all__ = ["CRASH_LIMIT", "Losses"]

CRASH_LIMIT: Final = 3
"""Crashes after which a job is quarantined (part 3 of the design)."""

_RUN_FOR: Final = 1.0
"""Seconds an attempt has run before its start is recorded (part 3)."""
_AT_MOST: Final = 5.0
"""Seconds within which that is done even when nothing else is to be committed (part 3)."""


class Losses:
    """
    The attempts of an origin's jobs.
    """

    def __init__(self) -> None:
        """
        Nothing runs.
        """
        self._due: list[tuple[float, int, Offer]] = []

    # -- starts ------------------------------------------------------------------------------------

    def started(self, job: OriginJob, now: Now) -> None:
        """
        The present offer of a job was started; sleeps harm nobody, so theirs are not recorded.
        """
        if job.row.kind != SLEEP and job.due is None and job.offer is not None:
            job.due = now.mono + _RUN_FOR
            heapq.heappush(self._due, (job.due, job.row.id, job.offer))

    def record_starts(self, jobs: Mapping[int, OriginJob], out: Out, now: Now) -> None:
        """
        Write down what has run for a second, if something is committed anyway or it is high time.
        """
        while self._due:
            due, id_, offer = self._due[0]
            late = due + _AT_MOST - _RUN_FOR <= now.mono
            if due > now.mono or not (late or out.persists):
                return
            heapq.heappop(self._due)
            job = jobs.get(id_)
            if job is None or job.offer != offer or not job.started:
                continue
            attempt = Attempt(id_, *offer, job.node, job.keeper, job.started)
            if offer not in job.attempts:
                job.attempts[offer] = attempt
                out.attempt(attempt)

    def wake(self, now: Now) -> float | None:
        """
        In how many seconds something must be written down at the latest.
        """
        return self._due[0][0] + _AT_MOST - _RUN_FOR - now.mono if self._due else None

    def leave_open(self, job: OriginJob) -> None:
        """
        Whether the present offer goes on is known no longer.
        """
        if job.offer is not None and job.started and job.offer not in job.attempts:
            job.attempts[job.offer] = Attempt(
                job.row.id, *job.offer, job.node, job.keeper, job.started
            )

    # -- ends --------------------------------------------------------------------------------------

    def lost(self, job: OriginJob, occasion: Occasion, out: Out, now: Now) -> None:
        """
        An attempt is lost; of one that was not started there is nothing to write down.
        """
        offer, cause = occasion.offer, occasion.cause
        node, keeper, started = occasion.node, occasion.keeper, occasion.at
        known = job.attempts.get(offer)
        if known is not None:
            if known.cause:
                return
            node, keeper = known.node or node, known.keeper or keeper
            started = known.started or started
        if not started:
            return
        counted = job.row.kind != SLEEP and cause not in Cause.IN_ORDER
        ended = int(now.wall * 1000)
        attempt = Attempt(job.row.id, *offer, node, keeper, started, ended, cause, counted)
        job.attempts[offer] = attempt
        out.attempt(attempt)

    def record_open(self, job: OriginJob, out: Out, now: Now) -> None:
        """
        A newer offer was placed: so nobody holds what was started before (rule 4).
        """
        for offer, attempt in list(job.attempts.items()):
            if not attempt.cause and offer != job.offer:
                self.lost(job, Occasion(offer, cause=Cause.NOT_HELD), out, now)

    def returned(self, job: OriginJob, offer: Offer, keeper: str, out: Out) -> None:
        """
        What was lost is held after all: if by the process that ran it, it was no crash.

        A keeper that died does not return; who holds this then is the next one, that tells of it.
        """
        attempt = job.attempts[offer]
        is_back = keeper and attempt.keeper == keeper and attempt.cause not in Cause.OF_KEEPERS
        if attempt.counted and is_back:
            job.attempts[offer] = attempt = attempt._replace(counted=False)
            out.attempt(attempt)

    def ended(self, job: OriginJob, outcome: Outcome, out: Out) -> None:
        """
        A job has its outcome; an attempt whose start was recorded is closed.
        """
        attempt = job.attempts.get(job.offer) if job.offer is not None else None
        if attempt is not None and not attempt.cause:
            out.attempt(attempt._replace(ended=outcome.ended))

    # -- what is known -----------------------------------------------------------------------------

    @staticmethod
    def is_lost(job: OriginJob, offer: Offer) -> bool:
        """
        Whether this offer is recorded as lost.
        """
        attempt = job.attempts.get(offer)
        return attempt is not None and bool(attempt.cause)

    @staticmethod
    def count(job: OriginJob) -> int:
        """
        How many attempts are known.
        """
        return len(job.attempts)

    @staticmethod
    def number(job: OriginJob, present: Offer | None = None) -> int:
        """
        The number of the present attempt, or of the next one, from 1.

        @param present: the offer that is the present one, if the job does not say that.
        """
        present = present or job.offer
        return 1 + sum(offer != present for offer in job.attempts)

    @staticmethod
    def blame(job: OriginJob) -> str:
        """
        What to tell the user about a job that crashed too often.
        """
        crashes = [attempt for attempt in job.attempts.values() if attempt.counted]
        where = ", ".join(f"{attempt.node} ({attempt.cause})" for attempt in crashes)
        return f"its attempts took down what ran them: {where}"
