"""
The files of a run: its output, its input, and its fresh directory.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from jobcluster.keeper.notes import note, printable

__all__ = ["INLINE", "Outputs", "WorkDirectories"]

INLINE: Final = 65536
"""Bytes of output that are said together with the outcome."""

_RUN_FILE: Final = re.compile(r"([0-9]+)\.(?:out|err|in|value)")

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_SPARES: Final = 256
"""Fresh directories that are kept for runs to come."""

_NUMBER: Final = re.compile(r"[0-9]+")

_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


class Outputs:
    """
    The directory C{runs}.
    """

    def __init__(self, descriptor: int) -> None:
        """
        @param descriptor: of the directory.
        """
        self._directory = descriptor

    def numbers(self) -> set[int]:
        """
        The runs that have a file here.
        """
        names = map(_RUN_FILE.fullmatch, os.listdir(self._directory))  # noqa: PTH208 - by descriptor
        return {int(name[1]) for name in names if name}

    def create(self, number: int) -> tuple[int, int]:
        """
        Descriptors to write standard output and standard error with.

        @raise OSError: if they cannot be created.
        """
        out = os.open(f"{number}.out", _WRITE, 0o600, dir_fd=self._directory)
        try:
            return out, os.open(f"{number}.err", _WRITE, 0o600, dir_fd=self._directory)
        except OSError:
            os.close(out)
            raise

    def stdin(self, number: int, data: bytes) -> int:
        """
        A descriptor to read this from, whose file has no name any more.

        @raise OSError: if there is no room for it.
        """
        name = f"{number}.in"
        writing = os.open(name, _WRITE, 0o600, dir_fd=self._directory)
        try:
            with open(writing, "wb", 0, closefd=True) as file:  # noqa: PTH123 - a descriptor
                view = memoryview(data)
                while view:
                    view = view[file.write(view) or 0 :]
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        finally:
            os.unlink(name, dir_fd=self._directory)

    def keep_value(self, number: int, value: bytes) -> None:
        """
        Keep what a function has returned.

        @raise OSError: if there is no room for it.
        """
        writing = os.open(f"{number}.value", _WRITE, 0o600, dir_fd=self._directory)
        with open(writing, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(value)

    def value(self, number: int, size: int) -> bytes | None:
        """
        What was kept, of so many bytes; C{None} if it is not there.
        """
        try:
            data = self._read(f"{number}.value", size)
        except OSError:
            return None
        return data if len(data) == size else None

    def sizes(self, number: int) -> tuple[int, int]:
        """
        Bytes of standard output and of standard error.
        """
        return self._size(f"{number}.out"), self._size(f"{number}.err")

    def body(self, number: int, out: int, err: int) -> bytes | None:
        """
        So many bytes of standard output and then of standard error; C{None} if they are not there.
        """
        try:
            data = self._read(f"{number}.out", out) + self._read(f"{number}.err", err)
        except OSError:
            return None
        return data if len(data) == out + err else None

    def cut(self, number: int, limit: int) -> tuple[int, int]:
        """
        Cut off what is over the limit, the lesser half of which neither stream loses.

        @param limit: bytes of both together.
        @return: the bytes that are left of each.
        """
        out, err = self.sizes(number)
        if out + err > limit:
            err = min(err, max(limit - out, limit // 2))
            out = min(out, limit - err)
            for name, size in ((f"{number}.out", out), (f"{number}.err", err)):
                with suppress(OSError):
                    descriptor = os.open(name, os.O_WRONLY, dir_fd=self._directory)
                    try:
                        os.ftruncate(descriptor, size)
                    finally:
                        os.close(descriptor)
        return out, err

    def remove(self, number: int) -> None:
        """
        Remove what there is of a run.
        """
        for stream in ("out", "err", "in", "value"):
            self._remove(f"{number}.{stream}")

    def remove_empty(self, number: int, out: int, err: int) -> None:
        """
        Remove those files of a run that have no bytes, of so many in each.
        """
        if not out:
            self._remove(f"{number}.out")
        if not err:
            self._remove(f"{number}.err")

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(name, dir_fd=self._directory)

    def _size(self, name: str) -> int:
        try:
            return os.stat(name, dir_fd=self._directory).st_size
        except OSError:
            return 0

    def _read(self, name: str, size: int) -> bytes:
        if not size:
            return b""
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            return os.read(descriptor, size)
        finally:
            os.close(descriptor)


class WorkDirectories:
    """
    The directory C{work}: fresh directories of runs, and those that are being removed.

    Removing goes on in pieces, for nobody knows how much a run has left there.
    A directory within another is moved up and waits for its turn, so that no path gets long.
    """

    def __init__(self, path: bytes, descriptor: int, clock: Callable[[], float]) -> None:
        """
        @param path: of the directory.
        @param descriptor: of the same.
        @param clock: seconds.
        """
        self._path = path
        self._directory = descriptor
        self._clock = clock
        self._owner = os.geteuid()
        self._waiting: deque[bytes] = deque()
        self._mine = os.urandom(4).hex().encode()
        self._given = 0
        self._spare: list[bytes] = []
        """As good as fresh; to remove a directory is to wait, for a millisecond at times."""

    def create(self, number: int) -> bytes:
        """
        The path of a fresh directory.

        @raise OSError: if it cannot be created.
        """
        name = b"%d" % number
        if self._spare:
            self._rename(self._spare.pop(), name)
        else:
            os.mkdir(name, 0o700, dir_fd=self._directory)
        return os.path.join(self._path, name)  # noqa: PTH118 - bytes

    def remove(self, number: int) -> bool:
        """
        Remove the directory of a run; what is not empty waits for L{sweep}.

        @return: whether it is gone.
        """
        name = b"%d" % number
        try:
            self._retire(name)
        except FileNotFoundError:
            pass
        except OSError:
            self._waiting.append(name)
            return False
        return True

    def remove_all(self) -> int:
        """
        Everything here is to go: of what ran here, nothing runs.

        @return: the greatest number of a run that has a directory here; 0 if there is none.
        """
        names = os.listdir(self._directory)  # noqa: PTH208 - by descriptor
        self._waiting.extend(map(os.fsencode, names))
        return max((int(name) for name in names if _NUMBER.fullmatch(name)), default=0)

    def sweep(self, seconds: float) -> bool:
        """
        Go on removing for so long.

        @return: whether there is more to do.
        """
        until = self._clock() + seconds
        while self._waiting and self._clock() < until:
            name = self._waiting[0]
            try:
                done = self._empty(name, until)
            except OSError as error:
                note(
                    f"work/{printable(name)}, the directory of a run that has ended, cannot be"
                    f" removed: {error.strerror}; remove it"
                )
                done = True
            if done:
                self._waiting.popleft()
        return bool(self._waiting)

    def _retire(self, name: bytes) -> None:
        """Keep an empty directory for later, or remove it; fail if it is not empty."""
        if len(self._spare) < _SPARES and self._is_as_fresh(name):
            spare = self._unused(b"spare")
            self._rename(name, spare)
            self._spare.append(spare)
        else:
            os.rmdir(name, dir_fd=self._directory)

    def _unused(self, kind: bytes) -> bytes:
        """A name that no keeper has used here."""
        self._given += 1
        return b"%s-%s-%d" % (kind, self._mine, self._given)

    def _rename(self, old: bytes, new: bytes) -> None:
        os.rename(old, new, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _is_as_fresh(self, name: bytes) -> bool:
        """Whether nobody can tell this directory from one that was just made."""
        descriptor = os.open(name, _OPEN, dir_fd=self._directory)
        try:
            status = os.fstat(descriptor)
            return (
                status.st_mode == stat.S_IFDIR | 0o700
                and status.st_uid == self._owner
                and not os.listdir(descriptor)  # noqa: PTH208 - by descriptor
                and not os.listxattr(descriptor)
            )
        finally:
            os.close(descriptor)

    def _empty(self, name: bytes, until: float) -> bool:
        """Remove one; whether that is done."""
        try:
            descriptor = self._open(name)
        except NotADirectoryError:
            os.unlink(name, dir_fd=self._directory)
            return True
        except FileNotFoundError:
            return True
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    self._take_out(descriptor, entry)
                    if self._clock() > until:
                        return False
        finally:
            os.close(descriptor)
        self._retire(name)
        return True

    def _take_out(self, directory: int, entry: os.DirEntry[str]) -> None:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=directory)
            return
        try:
            os.rmdir(entry.name, dir_fd=directory)
        except OSError:
            moved = self._unused(b"removed")
            # To move a directory is to write into it.
            os.chmod(entry.name, 0o700, dir_fd=directory)
            os.rename(entry.name, moved, src_dir_fd=directory, dst_dir_fd=self._directory)
            self._waiting.append(moved)

    def _open(self, name: bytes) -> int:
        try:
            descriptor = os.open(name, _OPEN, dir_fd=self._directory)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=self._directory)
            return os.open(name, _OPEN, dir_fd=self._directory)
        with suppress(PermissionError):
            # What may be read may still not be written.
            os.fchmod(descriptor, 0o700)
        return descriptor
