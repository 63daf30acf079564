"""
The keepers of the nodes of a test, which outlive these and must not outlive the test.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.functional.daemons import PatienceOverError, until

__all__ = ["end_keepers", "find_keeper", "find_keepers", "jobs_of"]

_PATIENCE: Final = 8.0
"""Seconds in which a keeper that is asked to end does: its jobs have five."""


def find_keepers(directory: Path) -> dict[int, Path]:
    """
    The keepers whose state is under a directory, be it gone: state directories by process ids.
    """
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"jobcluster.keeper" in words:
                state = Path(os.fsdecode(words[words.index(b"jobcluster.keeper") + 1]))
                if directory in state.parents or directory == state:
                    found[int(process.name)] = state
    return found


def find_keeper(state: Path) -> int:
    """
    The process id of the keeper of a state directory.
    """
    # What it is about to start is a copy of it for a moment, in its session.
    [pid] = [pid for pid in find_keepers(state) if _leads_session(pid)]
    return pid


def _leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def jobs_of(*tickets: str) -> list[int]:
    """
    The processes that run for some jobs.
    """
    wanted = {f"JOBCLUSTER_TICKET={ticket}".encode() for ticket in tickets}
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                if not wanted.isdisjoint((process / "environ").read_bytes().split(b"\0")):
                    found.append(int(process.name))
    return found


async def end_keepers(directory: Path) -> None:
    """
    End the keepers of a test and their jobs; returns when they are gone.
    """
    for pid in find_keepers(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
    try:
        await until(_PATIENCE, "keepers are left", lambda: not find_keepers(directory))
    except PatienceOverError:
        for pid in find_keepers(directory):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise
