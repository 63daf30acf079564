"""
The state directory: whose it is, whether it is still there, and where in it the database lies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from jobcluster.errors import StateGoneError, StateLockedError, StoreError

__all__ = ["MOVE_LIMIT", "StateDirectory", "network_file_system", "sync"]

# Where a lock may not lock, and the shared memory of SQLite's WAL is not shared.
_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)

# What is wrong with the path that was chosen, and not with the disk.
_WRONG_PATH: Final = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)

_TO: Final = "-"

MOVE_LIMIT: Final = 60 * 10**9
"""Nanoseconds in which a lock is touched, once that was said; one that is newer is of a copy."""

# A file or directory: (device, inode).
_Identity = tuple[int, int]


class StateDirectory:
    """
    A directory that one process at a time uses.

    The methods may block, but for L{free}.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.database = self.path / "jobs.sqlite"
        self._log = self.path / "jobs.sqlite-wal"
        self._lock_path = self.path / "lock"
        self._lock: int | None = None
        self._known: dict[Path, _Identity] = {}

    def enter(self) -> None:
        """
        Make the directory if it is not there, and lock it; within it, make sure it is the same.

        @raise StateLockedError: if another process has it.
        @raise StoreError: if there can be no such directory.
        """
        if self._lock is None:
            try:
                _make(self.path)
                self._lock = self._take()
            except OSError as error:
                if error.errno not in _WRONG_PATH:
                    raise
                raise StoreError(
                    f"{self.path} cannot be the state directory: {error.strerror}."
                ) from error
            self._known = {self._lock_path: _identity(os.fstat(self._lock))}
        self._known.pop(self._log, None)  # SQLite removes it when the last connection is closed
        self.look()

    def _take(self) -> int:
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StateLockedError(
                f"Another node uses {self.path}: give each node its own with --state."
            ) from None
        except OSError:
            os.close(lock)
            raise
        return lock

    def remember(self) -> None:
        """
        From now on, this is how it is to look.
        """
        for path in (self.path, self._lock_path, self.database, self._log):
            with suppress(FileNotFoundError):
                self._known[path] = _identity(path.stat())

    def look(self) -> None:
        """
        See whether everything is in its place.

        @raise StateGoneError: if something was removed or replaced.
        """
        for path, known in self._known.items():
            try:
                found = _identity(os.stat(path))  # noqa: PTH116 - half the time of Path.stat
            except (FileNotFoundError, NotADirectoryError):
                found = None
            if found != known:
                raise StateGoneError(
                    f"{path} was {'replaced' if found else 'removed'} while the node was running."
                )

    def place(self) -> str:
        """
        Where the database is, in words that are true of no copy of it.

        They have its inode, and the time of the last change to that of the lock: neither the copy
        of a database or of a directory, nor what was restored over another, has both. A false alarm
        (of C{chown}, say) costs no more than the jobs that wait here and may run at most once.
        """
        changed = os.fstat(self._descriptor()).st_ctime_ns
        return f"inode {self.database.stat().st_ino}, lock {changed}"

    def move(self) -> None:
        """
        Have another place, so that what a copy says of itself is true no longer.
        """
        os.utime(self._descriptor())
        os.fsync(self._descriptor())

    def next_place(self) -> str:
        """
        Where the database will be after L{move}, as far as that is known before.
        """
        return f"{self.place()}{_TO}{time.time_ns() + MOVE_LIMIT}"

    def is_here(self, place: str) -> bool:
        """
        Whether a database that says this of itself is where it was left.

        @param place: what L{place} or L{next_place} was when it was left.
        """
        where, _, changed = place.rpartition(" ")
        found, _, now = self.place().rpartition(" ")
        earliest, _, latest = changed.partition(_TO)
        if where != found:
            return False
        return now == earliest or (bool(latest) and int(earliest) <= int(now) <= int(latest))

    def _descriptor(self) -> int:
        if self._lock is None:
            raise StateGoneError(f"{self.path} is not in use.")
        return self._lock

    def free(self) -> int:
        """
        Bytes that are free for this user; 0 outside.
        """
        if self._lock is None:
            return 0
        space = os.fstatvfs(self._lock)
        return space.f_bavail * space.f_frsize

    def leave(self) -> None:
        """
        Unlock it.
        """
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None
        self._known = {}


def sync(path: Path) -> None:
    """
    Wait until a file, or what is in a directory by name, is on the disk.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """
    The type of the network file system that a directory is on; empty if on none, or unknown.

    @param mounts: a table as Linux has it: device, mount point, type, and more, a line each.
    """
    real = path.resolve()
    found = Path(), ""
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    for line in table.splitlines():
        _, point, kind, *_ = line.split(" ")
        where = Path(_unescaped(point))
        # The last of several at one place hides the others.
        if (where == real or where in real.parents) and len(where.parts) >= len(found[0].parts):
            found = where, kind
    return found[1] if found[1] in _NETWORK_FILE_SYSTEMS else ""


def _unescaped(text: str) -> str:
    for escape, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, letter)
    return text


def _make(path: Path) -> None:
    missing = [part for part in (path, *path.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)
        # Without it, the directory and what was acknowledged may not be there after a power cut.
        with suppress(PermissionError):
            sync(part.parent)


def _identity(status: os.stat_result) -> _Identity:
    return (status.st_dev, status.st_ino)
