"""
New jobs, and those of them that are not new: with the key of a job they are that job.

Which keys there are the store knows.  It is asked behind all commits that were begun by then, and
what it does not know is committed with the answer to that, so that no two jobs get the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from jobcluster.core.actions import Answer, LoadKeys
from jobcluster.core.description import digest_of, fault_of
from jobcluster.core.out import Out
from jobcluster.core.values import Keyed, Now, Spec, format_ticket
from jobcluster.errors import KeyTakenError, UserError

__all__ = ["Submissions"]


class _Batch(NamedTuple):
    """Jobs that were submitted together."""

    request: int
    specs: tuple[Spec, ...]

    def named(self) -> list[str]:
        """
        The keys that it has, but for those that can be nobody's.
        """
        return [spec.key for spec in self.specs if spec.key and fault_of(spec) is None]


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
        self._asked: list[_Batch] = []
        """Those whose keys are being read."""
        self._behind: list[_Batch] = []
        """Those whose keys are read next, all at once."""

    def submit(self, request: int, specs: tuple[Spec, ...], out: Out, now: Now) -> None:
        """
        Take jobs; once they are committed their ids are answered, or why one was not taken.
        """
        batch = _Batch(request, specs)
        if any(spec.key for spec in specs):
            self._behind.append(batch)
            self._look(out)
        else:
            self._settle(batch, {}, out, now)

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
            keys = dict.fromkeys(key for batch in self._asked for key in batch.named())
            out.after(LoadKeys(tuple(keys)))

    def _settle(self, batch: _Batch, known: dict[str, Keyed], out: Out, now: Now) -> None:
        answers = tuple([self._answer(spec, known, out, now) for spec in batch.specs])
        out.after(Answer(batch.request, answers))

    def _answer(self, spec: Spec, known: dict[str, Keyed], out: Out, now: Now) -> int | UserError:
        """
        The id of a job, be it new or not.

        @param known: jobs by their keys; a new one is added.
        """
        fault = fault_of(spec)
        if fault is not None:
            return fault
        if not spec.key:
            return self._take(spec, out, now)
        digest = digest_of(spec)
        row = known.get(spec.key)
        if row is None:
            row = known[spec.key] = Keyed(spec.key, self._take(spec, out, now), digest)
            out.keyed(row)
        elif row.digest != digest:
            ticket = format_ticket(self._origin, row.job)
            return KeyTakenError(f"That key is the key of another job, {ticket}: use a new one.")
        return row.job
