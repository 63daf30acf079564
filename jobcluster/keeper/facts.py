"""
What the kernel says of processes, in C{/proc}, and its clocks.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

__all__ = [
    "Births",
    "Process",
    "become_subreaper",
    "boot_id",
    "boot_time",
    "environment_of",
    "kill_exactly",
    "milliseconds",
    "parse_stat",
    "process",
    "processes",
]

_PR_SET_CHILD_SUBREAPER: Final = 36
"""prctl(2)."""

_STAT_SIZE: Final = 2048
"""Bytes: more than a line of C{/proc/PID/stat} ever has (52 numbers and a name of 64 bytes)."""

_MANY: Final = 4096
"""Of so many numbers it is quicker to ask which are there than to try each."""

_CHUNK: Final = 65536


class Process(NamedTuple):
    """A process, by C{/proc/PID/stat} (proc_pid_stat(5))."""

    pid: int
    state: str
    """One letter; Z for a zombie."""
    parent: int
    group: int
    session: int
    start: int
    """Clock ticks since the boot; with the pid and the boot it names a process for ever."""


def parse_stat(text: bytes) -> Process:
    """
    Take C{/proc/PID/stat} apart; the name of the program in it may be anything.

    @raise ValueError: if it is no such line.
    """
    pid, _, rest = text.partition(b" (")
    fields = rest[rest.rindex(b") ") + 2 :].split(None, 20)
    state, parent, group, session = fields[:4]
    return Process(
        int(pid), state.decode("ascii"), int(parent), int(group), int(session), int(fields[19])
    )


def process(pid: int) -> Process | None:
    """
    A process, zombies included, or C{None} if there is none of that number.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        return parse_stat(os.read(descriptor, _STAT_SIZE))
    except (OSError, ValueError):
        return None  # it went away in between
    finally:
        os.close(descriptor)


def processes() -> Iterator[Process]:
    """
    All processes of this machine, as far as they can be seen.
    """
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
        if name.isdigit():
            found = process(int(name))
            if found is not None:
                yield found


def environment_of(pid: int) -> frozenset[bytes]:
    """
    The environment that a process was given, as C{NAME=value}; empty where it cannot be read.
    """
    data = bytearray()
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb", 0) as file:  # noqa: PTH123 - fast
        while chunk := file.read(_CHUNK):
            data += chunk
    return frozenset(filter(None, bytes(data).split(b"\0")))


def kill_exactly(pid: int, start: int) -> bool:
    """
    SIGKILL to the process of that number that was started at that time, and to no other.

    @return: whether it is gone already, or is a zombie.
    @raise OSError: if this may not be done.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        found = process(pid)
        if found is None or found.start != start or found.state == "Z":
            return True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
    return False


def become_subreaper() -> None:
    """
    What is orphaned among the processes below this one becomes its child.

    @raise OSError: if the kernel does not do that.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def boot_id() -> str:
    """
    A name for the time since this machine was booted.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - fast
        return file.read().strip()


def boot_time() -> float:
    """
    Seconds of CLOCK_BOOTTIME, which counts the time that the machine is suspended too.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def milliseconds() -> int:
    """
    Since 1970.
    """
    return time.time_ns() // 1_000_000


class Births:
    """
    Tells which processes may have been created, by the number that was given away last.

    That number is the last field of C{/proc/loadavg} (proc_loadavg(5)).
    Where it cannot be believed (some containers put a file of their own there), every process
    counts as new each time.
    """

    def __init__(self) -> None:
        """From now on."""
        self._descriptor: int | None = None
        with suppress(OSError):
            # A file system of its own is put over it by lxcfs, whose numbers are others.
            if os.lstat("/proc/loadavg").st_dev == os.lstat("/proc").st_dev:
                self._descriptor = os.open("/proc/loadavg", os.O_RDONLY)
        self._last = self._newest() or 0

    def new(self, ours: set[int]) -> range | None:
        """
        The numbers given away since this was asked last, or C{None} if these may be any.

        @param ours: the processes that this one itself has started since; they are among them, or
            the numbers are not to be believed.
        """
        newest = self._newest()
        if newest is None:
            return None
        numbers = range(self._last + 1, newest + 1)
        wrapped = newest < self._last
        if not wrapped and not all(pid in numbers for pid in ours):
            self.close()
            return None
        self._last = newest
        return None if wrapped or len(numbers) > _MANY else numbers

    def close(self) -> None:
        """
        Believe it no more.
        """
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _newest(self) -> int | None:
        if self._descriptor is None:
            return None
        try:
            return int(os.pread(self._descriptor, _STAT_SIZE, 0).rsplit(None, 1)[-1])
        except (OSError, ValueError, IndexError):
            self.close()
            return None
