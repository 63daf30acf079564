"""
New jobs, and those of them that are not new: with the key of a job they are that job.

Which keys there are the store knows.  It is asked behind all commits that were begun by then, and
what it does not know is committed with the answer to that, so that no two jobs get the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jobcluster.core.actions import Answer, LoadKeys
from jobcluster.core.description import are_plain, digest_of, fault_of
from jobcluster.core.events import JobsRequested
from jobcluster.core.out import Out
from jobcluster.core.values import Keyed, Now, Spec, format_ticket
from jobcluster.errors import JobclusterError, KeyTakenError, StoreFullError

__all__ = ["Submissions"]


class Submissions:
    """
    What clients submit to an origin.
    """

    def __init__(self, origin: str, take: Callable[[Spec, Out, Now], int]) -> None:
        """
        Nothing was submitted.

        @param origin: its name.
        @param take: takes a new job, and returns its id.
        """
        self._origin = origin
        self._take = take
        self._asked: list[JobsRequested] = []
        """Those whose keys are being read."""
        self._behind: list[JobsRequested] = []
        """Those whose keys are read next, all at once."""

    def submit(self, event: JobsRequested, out: Out, now: Now) -> None:
        """
        Take jobs; once they are committed their ids are answered, or why one was not taken.
        """
        if event.room and are_plain(event.specs):
            ids = [self._take(spec, out, now) for spec in event.specs]
            out.after(Answer(event.request, tuple(ids)))
        elif any(spec.key for spec in event.specs):
            self._behind.append(event)
            self._look(out)
        else:
            self._settle(event, {}, out, now)

    def loaded(self, found: Iterable[Keyed], out: Out, now: Now) -> None:
        """
        The store has said which keys it knows.
        """
        known = {row.key: row for row in found}
        asked, self._asked = self._asked, []
        for batch in asked:
            self._settle(batch, known, out, now)
        self._look(out)

    def _look(self, out: Out) -> None:
        """Have the keys read of all that wait for it, when those before are."""
        if not self._asked and self._behind:
            self._asked, self._behind = self._behind, []
            keys = dict.fromkeys(key for batch in self._asked for key in _keys_of(batch))
            out.after(LoadKeys(tuple(keys)))

    def _settle(self, batch: JobsRequested, known: dict[str, Keyed], out: Out, now: Now) -> None:
        """
        Answer for each job, be it new or not.

        @param known: jobs by their keys; new ones are added.
        """
        answers: list[int | JobclusterError] = []
        for spec in batch.specs:
            fault = fault_of(spec)
            row = known.get(spec.key)
            if fault is not None:
                answers.append(fault)
            elif row is not None:
                answers.append(self._known(spec, row))
            elif not batch.room:
                answers.append(StoreFullError())
            else:
                job = self._take(spec, out, now)
                answers.append(job)
                if spec.key:
                    row = known[spec.key] = Keyed(spec.key, job, digest_of(spec))
                    out.keyed(row)
        out.after(Answer(batch.request, tuple(answers)))

    def _known(self, spec: Spec, row: Keyed) -> int | KeyTakenError:
        """The id of the job that has the key, unless another one was submitted."""
        if row.digest == digest_of(spec):
            return row.job
        ticket = format_ticket(self._origin, row.job)
        return KeyTakenError(f"That key is the key of another job, {ticket}: use a new one.")


def _keys_of(batch: JobsRequested) -> list[str]:
    """The keys that it has, but for those that can be nobody's."""
    return [spec.key for spec in batch.specs if spec.key and fault_of(spec) is None]
