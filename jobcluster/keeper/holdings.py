"""
All that a keeper holds, in memory, in its spool, and as files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from jobcluster.keeper.frames import pack_frame
from jobcluster.keeper.notes import note
from jobcluster.keeper.outputs import Outputs, WorkDirectories
from jobcluster.keeper.records import Run, header
from jobcluster.keeper.spool import Spool
from jobcluster.keeper.words import Outcome, Ref, Start, Status

__all__ = ["Holdings"]

_BRIEF: Final = 1024
"""Bytes of a result that the spool has itself."""


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
        run.job, run.kind = wanted.job, wanted.kind
        run.once, run.suspect = wanted.once, wanted.suspect
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
        An outcome as it is said, and the output and the result that go with it.
        """
        said, body = outcome.said(), b""
        if outcome.run is None and outcome.out + outcome.err:
            found = self.outputs.body(run.number, outcome.out, outcome.err)
            if found is None:
                note(f"runs/{run.number}.out and .err, the output of {run.ticket}, cannot be read")
                said |= {"out": 0, "err": 0, "detail": "its output cannot be read"}
            body = found or b""
        if outcome.value:
            value = run.value or self.outputs.value(run.number, outcome.value)
            if value is None:
                note(f"runs/{run.number}.value, the result of {run.ticket}, cannot be read")
                del said["value"]
                said |= {"status": Status.FAILED, "detail": "its result cannot be read"}
            body += value or b""
        return said, body

    def keep_value(self, run: Run) -> None:
        """
        Keep what a function has returned: as a file, unless it is so short that the spool has it.

        @raise OSError: if there is no room for it.
        """
        if len(run.value) > _BRIEF:
            value, run.value = run.value, b""
            self.outputs.keep_value(run.number, value)

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
        if run.outcome is None or run.outcome.files(len(run.value)):
            self.outputs.remove(run.number)
        if run.fresh:
            run.fresh = False
            self.work.remove(run.number)

    def _entries(self) -> Iterator[dict[str, Any]]:
        """All that the spool has to say."""
        yield header(*self._names, self._next)
        for run in self.runs.values():
            yield from run.entries()
