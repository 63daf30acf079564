"""
What a keeper that died has left behind: found, ended, and called lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from jobcluster.keeper.facts import (
    Process,
    environment_of,
    kill_exactly,
    milliseconds,
    processes,
)
from jobcluster.keeper.notes import note
from jobcluster.keeper.records import ENDED, Record, Run
from jobcluster.keeper.words import Outcome, Status

__all__ = ["KEEPER_DIED", "REBOOTED", "end_processes", "take_over"]

KEEPER_DIED: Final = "keeper-died"
REBOOTED: Final = "rebooted"

_PATIENCE: Final = 5.0
"""Seconds for killed processes to go; a node waits 11 s for a keeper's answer."""

_LOOKS: Final = 2
"""So often nothing has to be found."""

_LOOK_EVERY: Final = 0.005
"""Seconds between two looks at what was killed."""


def take_over(record: Record, boot: str, workers: bytes) -> list[Run]:
    """
    End what an earlier keeper had begun, and say which runs are held now; all of them have ended.

    @param workers: how what is said in the environment of all its workers begins.
    """
    if record.boot and record.boot != boot:
        held = [run for run in record.runs.values() if run.once]
        for run in held:
            _lose(run, REBOOTED)
        if record.runs:
            note(
                f"the spool is of an earlier boot: {len(held)} runs that may be started once only"
                f" are lost, {len(record.runs) - len(held)} others are forgotten"
            )
        return held
    begun = [run for run in record.runs.values() if run.phase != ENDED]
    if begun:
        end_processes(begun, workers, known_boot=bool(record.boot))
        for run in begun:
            _lose(run, KEEPER_DIED)
        note(f"an earlier keeper died: {len(begun)} runs that it had begun were ended and are lost")
    return list(record.runs.values())


def _lose(run: Run, detail: str) -> None:
    run.outcome = Outcome(Status.LOST, None, detail, run.at, max(run.at, milliseconds()))
    run.phase = ENDED


def end_processes(
    runs: Sequence[Run],
    workers: bytes,
    *,
    known_boot: bool,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """
    Kill all that is left of some runs, and wait until it is gone.

    Of a process it must be proven that it belongs to one: by pid and start of the leader, by the
    environment (also if it says that it is a worker of this directory's keepers), or by being below
    or in the group or session of one of which that is proven.

    @param known_boot: whether pids and starts are of this boot.
    """
    until = clock() + _PATIENCE
    refused: set[int] = set()
    seen_none = 0
    # What is just being loaded has no environment for a moment: one look is not enough.
    while seen_none < _LOOKS:
        left = [
            one for one in _find(runs, workers, known_boot=known_boot) if one.pid not in refused
        ]
        seen_none = 0 if left else seen_none + 1
        if left and clock() > until:
            pids = ", ".join(str(one.pid) for one in left)
            note(f"what an earlier keeper left running does not end although killed: {pids}")
            return
        for one in left:
            try:
                kill_exactly(one.pid, one.start)
            except OSError as error:
                refused.add(one.pid)
                note(
                    f"process {one.pid}, left running by an earlier keeper, cannot be killed:"
                    f" {error.strerror}"
                )
        time.sleep(_LOOK_EVERY)


def _find(runs: Iterable[Run], workers: bytes, *, known_boot: bool) -> list[Process]:
    """The living processes of these runs."""
    leaders = {run.pid: run.start for run in runs if run.pid and known_boot}
    marks = [run.marks() for run in runs]
    everything = {one.pid: one for one in processes()}
    ours = {one.pid for one in everything.values() if leaders.get(one.pid) == one.start}
    for one in everything.values():
        environment = environment_of(one.pid)
        if any(mark <= environment for mark in marks) or any(
            variable.startswith(workers) for variable in environment
        ):
            ours.add(one.pid)
    grown = -1
    while grown != len(ours):
        grown = len(ours)
        ours |= {
            one.pid
            for one in everything.values()
            if one.parent in ours or one.group in ours or one.session in ours
        }
    ours.discard(os.getpid())
    return [everything[pid] for pid in ours if everything[pid].state != "Z"]
