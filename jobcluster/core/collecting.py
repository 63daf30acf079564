"""
Outcomes whose output is too long for a word: it is on the origin's disk before they are (rule 8).
"""

from __future__ import annotations

from collections.abc import Callable

from jobcluster.core.actions import CollectOutput
from jobcluster.core.out import Out
from jobcluster.core.values import Now, Offer
from jobcluster.core.words import Ended

__all__ = ["Collecting"]

Resume = Callable[[Ended, Out, Now], None]
"""Goes on with an outcome whose output has been dealt with."""


class Collecting:
    """
    The outcomes of an origin that wait for their output.
    """

    def __init__(self) -> None:
        """
        None waits.
        """
        self._open: dict[int, tuple[Ended, Resume]] = {}

    def begin(self, row: Ended, node: str, resume: Resume, out: Out) -> None:
        """
        Have the output fetched, unless that is under way.

        @param node: who has it.
        @param resume: is called when it is here.
        """
        known = self._open.get(row.job)
        if known is not None and known[0][:3] == row[:3]:
            return
        self._open[row.job] = (row, resume)
        out.after(CollectOutput(row.job, (row.incarnation, row.serial), node, row.outcome))

    def collected(self, job: int, offer: Offer, trouble: str, out: Out, now: Now) -> None:
        """
        The output is on the disk.

        @param trouble: why it is not, and never will be; empty if it is.
        """
        found = self._open.get(job)
        if found is None or found[0][1:3] != offer:
            return
        del self._open[job]
        row, resume = found
        if trouble:
            outcome = row.outcome
            detail = f"{outcome.detail}; {trouble}" if outcome.detail else trouble
            outcome = outcome._replace(detail=detail, out_size=0, err_size=0)
            row = row._replace(outcome=outcome)
        resume(row, out, now)

    def missed(self, job: int, offer: Offer) -> None:
        """
        The output could not be fetched this time; it will be when the outcome is told again.
        """
        found = self._open.get(job)
        if found is not None and found[0][1:3] == offer:
            del self._open[job]
