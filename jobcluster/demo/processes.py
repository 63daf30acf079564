"""
The processes that the demonstration's nodes start, and that must not be left behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from twisted.internet.task import deferLater

__all__ = ["are_gone", "end_all", "is_running", "left_in", "with_state_in"]

_PROC: Final = Path("/proc")

_BEFORE_STATE: Final = frozenset((b"--state", b"jobcluster.keeper"))
"""
The words in front of the state directory: a node's, and its keeper's.  A keeper that is just being
started has its node's for a moment.
"""

_PATIENCE: Final = 8.0
"""Seconds for those that are told to end, and again for those that are killed."""

_LOOK_EVERY: Final = 0.05
"""Seconds."""


def with_state_in(directory: Path) -> list[int]:
    """
    The keepers, and nodes, whose state is in a directory, or in one below it.
    """
    return [pid for pid in _all() if _has_state_in(pid, os.fsencode(directory))]


def left_in(directory: Path) -> list[int]:
    """
    The keepers and nodes of a directory, and the commands that run in it or below it.
    """
    inside = os.fsencode(directory)
    return [pid for pid in _all() if _has_state_in(pid, inside) or _is_command_in(pid, inside)]


def is_running(pid: int) -> bool:
    """
    Whether there is a process of that number, other than a zombie.
    """
    # (The arguments do not tell: a process that was started just now has none yet.)
    try:
        said = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return False
    return said.rpartition(b") ")[2][:1] not in (b"", b"Z", b"X")


async def are_gone(reactor: Any, directory: Path, patience: float) -> bool:  # noqa: ANN401 - none
    """
    Wait until nothing is left in a directory, and say whether it is so.
    """
    end = reactor.seconds() + patience
    while left_in(directory):
        if reactor.seconds() > end:
            return False
        await deferLater(reactor, _LOOK_EVERY)
    return True


async def end_all(reactor: Any, directory: Path) -> None:  # noqa: ANN401 - has no type of its own
    """
    End whatever the nodes of a directory have left: in order, and by force if need be.
    """
    # A keeper ends its commands before it ends.
    _signal(with_state_in, directory, signal.SIGTERM)
    if not await are_gone(reactor, directory, _PATIENCE):
        _signal(left_in, directory, signal.SIGKILL)
        await are_gone(reactor, directory, _PATIENCE)


def _signal(find: Callable[[Path], list[int]], directory: Path, number: int) -> None:
    for pid in find(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _all() -> Iterator[int]:
    return (int(path.name) for path in _PROC.iterdir() if path.name.isdecimal())


def _read(pid: int, name: str) -> list[bytes]:
    """The words of a file of a process; none if it is gone, a zombie, or another user's."""
    try:
        return (_PROC / str(pid) / name).read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def _is_within(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory + b"/")


def _has_state_in(pid: int, directory: bytes) -> bool:
    words = _read(pid, "cmdline")
    return any(
        word in _BEFORE_STATE and _is_within(state, directory) for word, state in pairwise(words)
    )


def _is_command_in(pid: int, directory: bytes) -> bool:
    try:
        place = os.fsencode((_PROC / str(pid) / "cwd").readlink())
    except OSError:
        return False
    if not _is_within(place, directory):
        return False
    return any(word.startswith(b"JOBCLUSTER_TICKET=") for word in _read(pid, "environ"))
