"""
All that a keeper holds, in memory, in its spool, and as files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jobcluster.keeper.frames import pack_frame
from jobcluster.keeper.notes import note
from jobcluster.keeper.outputs import Outputs, WorkDirectories
from jobcluster.keeper.records import Run, header
from jobcluster.keeper.spool import Spool
from jobcluster.keeper.words import Outcome, Ref, Start

__all__ = ["Holdings"]


class Holdings:
    """
    Runs by their refs, none of which the spool does not know.
    """

    def __init__(
        self,
        directory: int,
        names: tuple[str, str],
        files: tuple[Outputs, WorkDirectories],
        held: tuple[Iterable[Run], int],
    ) -> None:
        """
        Hold what an earlier keeper has left.

        @param directory: a descriptor of the keeper's directory.
        @param names: of the boot and of this keeper.
        @param held: runs that have ended, and the first number for new ones.
        @raise OSError: if the spool cannot be written.
        """
        self._names = names
        self.outputs, self.work = files
        runs, self._next = held
        self.runs: dict[Ref, Run] = {run.ref: run for run in runs}
        self.spool = Spool(directory, self._entries)

    def add(self, wanted: Start, node: str, at: int) -> Run:
        """
        A run that is about to be started, by a node, at that time.
        """
        run = Run(self._next, wanted.ref, wanted.ticket, wanted.attempt, node)
        self._next += 1
        run.job, run.once, run.suspect = wanted.job, wanted.once, wanted.suspect
        run.at = at
        self.runs[run.ref] = run
        self.spool.later(run.starting())
        return run

    def write(self, runs: Iterable[Run]) -> bool:
        """
        Have in the spool what was said of these; on the disk, if one may be started once only.
        """
        if any(run.once for run in runs):
            return self.spool.sync()
        return self.spool.maintain() and self.spool.flush()

    def void(self, runs: list[Run]) -> list[Ref]:
        """
        These were not started although the spool says that they may be; their refs.
        """
        for run in runs:
            self._remove(run, "void")
        self.write(runs)
        return [run.ref for run in runs]

    def forget(self, run: Run) -> None:
        """
        A run is of no interest any more.
        """
        self._remove(run, "dropped")

    def end(self, run: Run, outcome: Outcome) -> None:
        """
        A run has ended.
        """
        run.outcome = outcome
        self.spool.later(run.ended())

    def with_output(self, run: Run, outcome: Outcome) -> tuple[dict[str, Any], bytes]:
        """
        An outcome as it is said, and the output that goes with it.
        """
        said = outcome._asdict()
        if outcome.run is not None or not outcome.out + outcome.err:
            return said, b""
        body = self.outputs.body(run.number, outcome.out, outcome.err)
        if body is None:
            note(f"runs/{run.number}.out and .err, the output of {run.ticket}, cannot be read")
            return {**said, "out": 0, "err": 0, "detail": "its output cannot be read"}, b""
        return said, body

    def inventory(self) -> Iterator[bytes]:
        """
        Frames about all that is held now, each made when it is wanted.
        """
        return self._tell([(run, run.outcome) for run in self.runs.values()])

    def _tell(self, held: list[tuple[Run, Outcome | None]]) -> Iterator[bytes]:
        for run, outcome in held:
            if self.runs.get(run.ref) is not run:
                continue  # dropped in the meantime
            head = {**run.head(), "number": run.number}
            if outcome is None:
                yield pack_frame("holds", {**head, "state": "running"})
                continue
            said, body = self.with_output(run, outcome)
            yield pack_frame("holds", {**head, "state": "ended", "outcome": said}, body)
        yield pack_frame("complete")

    def _remove(self, run: Run, word: str) -> None:
        del self.runs[run.ref]
        self.spool.later(run.forgotten(word))
        if run.outcome is None or run.outcome.out + run.outcome.err:
            self.outputs.remove(run.number)
        if run.fresh:
            run.fresh = False
            self.work.remove(run.number)

    def _entries(self) -> Iterator[dict[str, Any]]:
        """All that the spool has to say."""
        yield header(*self._names, self._next)
        for run in self.runs.values():
            yield from run.entries()
