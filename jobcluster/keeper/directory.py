"""
The keeper's directory: whose it is, whether it is still there, and what lies in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from typing import Any, Final

from jobcluster.keeper.notes import note
from jobcluster.keeper.outputs import Outputs, WorkDirectories
from jobcluster.keeper.records import Record, replay
from jobcluster.keeper.spool import SPOOL_VERSION, read_entries

__all__ = ["Directory", "DirectoryError", "LockedError"]

_LONGEST_SOCKET: Final = 107
"""Bytes of the path of a UNIX socket (unix(7): 108 with the NUL)."""

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class DirectoryError(Exception):
    """
    The directory cannot be used; its text is one line for the operator.
    """


class LockedError(DirectoryError):
    """
    Another keeper has the directory.
    """


class Directory:
    """
    STATE/keeper, which one keeper at a time uses.
    """

    def __init__(self, state: bytes) -> None:
        """
        Make it, and lock it.

        @raise LockedError: if another keeper has it.
        @raise DirectoryError: if it is of no use.
        """
        self.path = os.path.join(os.path.abspath(state), b"keeper")  # noqa: PTH100, PTH118 - bytes
        try:
            self.descriptor = self._make()
            self._identity = _identity(os.fstat(self.descriptor))
            self._lock = self._take()
        except OSError as error:
            shown = os.fsdecode(self.path)
            raise DirectoryError(f"{shown} cannot be used: {error.strerror}.") from error
        self.workers = b"JOBCLUSTER_WORKER=%d-%d-" % self._identity
        """How what is said in the environment of each worker of its keepers begins."""
        self.socket = b""
        """The path to connect to."""
        self._runtime: bytes | None = None

    def _make(self) -> int:
        try:
            os.mkdir(self.path, 0o700)  # noqa: PTH102 - bytes
        except FileExistsError:
            descriptor = os.open(self.path, _OPEN)
            os.fchmod(descriptor, 0o700)
            return descriptor
        parent = os.open(os.path.dirname(self.path), _OPEN)  # noqa: PTH120 - bytes
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
        return os.open(self.path, _OPEN)

    def _take(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open("lock", flags, 0o600, dir_fd=self.descriptor)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            shown = os.fsdecode(self.path)
            raise LockedError(f"Another keeper uses {shown}; it goes on.") from None
        return lock

    def announce(self, facts: dict[str, Any]) -> None:
        """
        Choose the path of the socket, remove what was left there, and write the lock's line.

        @param facts: what stands there beside the path.
        @raise OSError: if that is not possible.
        """
        self._remove_old_socket()
        self.socket = os.path.join(self.path, b"socket")  # noqa: PTH118 - bytes
        if len(self.socket) > _LONGEST_SOCKET:
            self._runtime = _runtime_directory()
            self.socket = os.path.join(self._runtime, b"socket")  # noqa: PTH118 - bytes
        line = json.dumps({**facts, "socket": os.fsdecode(self.socket)}).encode("ascii") + b"\n"
        os.pwrite(self._lock, line, 0)
        os.ftruncate(self._lock, len(line))

    def _remove_old_socket(self) -> None:
        """Remove the socket that a keeper which was killed has left, wherever that was."""
        with suppress(FileNotFoundError):
            os.unlink("socket", dir_fd=self.descriptor)
        try:
            old = json.loads(os.pread(self._lock, 65536, 0))["socket"]
        except (ValueError, KeyError, TypeError):
            return  # it is fresh, or somebody has written something else
        directory, name = os.path.split(os.fsencode(old))
        if os.path.basename(directory).startswith(_RUNTIME) and name == b"socket":  # noqa: PTH119
            with suppress(OSError):
                os.unlink(os.fsencode(old))  # noqa: PTH108 - bytes
                os.rmdir(directory)  # noqa: PTH106 - bytes

    def files(self) -> tuple[Outputs, WorkDirectories]:
        """
        The directories of output and of fresh working directories.

        @raise OSError: if they cannot be made.
        """
        opened = []
        for name in ("runs", "work"):
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.descriptor)
            opened.append(os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=self.descriptor))
        path = os.path.join(self.path, b"work")  # noqa: PTH118 - bytes
        return Outputs(opened[0]), WorkDirectories(path, opened[1], time.monotonic)

    def record(self) -> Record:
        """
        What the spool says; one line in the log if a part of it is damaged.

        @raise DirectoryError: if it is of a version that is not known here.
        @raise OSError: if it cannot be read.
        """
        try:
            descriptor = os.open("spool", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.descriptor)
        except FileNotFoundError:
            return Record()
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            entries, damaged = read_entries(file.read())
        record, strange = replay(entries)
        if record.version != SPOOL_VERSION:
            raise DirectoryError(
                f"{os.fsdecode(self.path)}/spool is of version {record.version} and not"
                f" {SPOOL_VERSION}: run the jobcluster that wrote it, or remove it and lose what"
                " its runs were."
            )
        if damaged or strange:
            where = f", the first in line {damaged[0]}" if damaged else ""
            note(
                f"the spool is damaged: {len(damaged) + strange} of its entries cannot be"
                f" read{where}; {len(entries) - strange} others count"
            )
        return record

    def is_there(self) -> bool:
        """
        Whether the path still leads to this directory.
        """
        try:
            return _identity(os.stat(self.path)) == self._identity  # noqa: PTH116 - bytes
        except OSError:
            return False

    def leave(self) -> None:
        """
        Remove the socket, and let others have the directory.
        """
        with suppress(OSError):
            os.unlink("socket", dir_fd=self.descriptor)
        if self._runtime is not None:
            with suppress(OSError):
                os.unlink(self.socket)  # noqa: PTH108 - bytes
                os.rmdir(self._runtime)  # noqa: PTH106 - bytes
        os.close(self._lock)


_RUNTIME: Final = b"jobcluster-keeper-"
"""How the names of runtime directories begin."""


def _runtime_directory() -> bytes:
    """A fresh directory with a short path, for this user alone."""
    for base in (os.environb.get(b"XDG_RUNTIME_DIR"), b"/tmp"):
        if not base:
            continue
        path = os.path.join(base, _RUNTIME + os.urandom(8).hex().encode())  # noqa: PTH118 - bytes
        if len(path) + len(b"/socket") > _LONGEST_SOCKET:
            continue
        with suppress(OSError):
            os.mkdir(path, 0o700)  # noqa: PTH102 - bytes
            return path
    raise DirectoryError(
        "There is no directory for a socket: the path of the state directory is too long for one,"
        " and neither XDG_RUNTIME_DIR nor /tmp can be written; choose a shorter --state."
    )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
