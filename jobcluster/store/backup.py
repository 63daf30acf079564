"""
The backup of a state directory, made while its node runs or not.

It has the database as it was at one moment, and of the files beside it those that this speaks of.
Of the keeper's directory nothing is in it: what its spool says is true of the processes of one
keeper, and of no other time.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import attrs

from jobcluster.errors import StoreError
from jobcluster.store import schema
from jobcluster.store.directory import StateDirectory, sync
from jobcluster.store.outputs import DIRECTORY, kept_names
from jobcluster.store.pools import connection_options
from jobcluster.store.writing import disown

__all__ = ["Backup", "back_up"]

_PATIENCE: Final = 10.0
"""Seconds for which another process may have the database to itself."""

_IN_FILES: Final = """
SELECT id FROM ended WHERE length(out) < out_size OR length(err) < err_size ORDER BY id
"""

_COUNTS: Final = """
SELECT name, (SELECT COUNT(*) FROM open), (SELECT COUNT(*) FROM ended) FROM meta
"""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class Backup:
    """
    What is in a backup.
    """

    node: str
    """Whose it is."""
    waiting: int
    """Jobs without an outcome."""
    ended: int
    """Jobs with one."""
    files: int
    """Files of output."""
    missing: tuple[str, ...]
    """Files that the database speaks of, and that were not there."""
    size: int
    """Bytes of all files."""


def back_up(state: Path, place: Path) -> Backup:
    """
    Make a backup of a state directory, whole or not at all.

    @param place: where it is to be; nothing may be there.
    @raise StoreError: if it cannot be made, with one line that says why.
    """
    try:
        _require_room(state, place)
        with _unfinished(place) as directory:
            made = _Making(state, directory).make()
        sync(place.parent)
    except (OSError, sqlite3.Error) as error:
        wrong = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"{state} cannot be backed up to {place}: {wrong}.") from error
    return made


def _require_room(state: Path, place: Path) -> None:
    database = StateDirectory(state).database
    try:
        is_there = stat.S_ISREG(database.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_there = False
    if not is_there:
        raise StoreError(f"There is no state of a node in {state}: it has no {database.name}.")
    if os.path.lexists(place):
        raise StoreError(f"{place} is there already: choose another name.")
    if place.resolve().is_relative_to(state.resolve()):
        raise StoreError(f"{place} is within {state}: choose a place outside.")


@contextmanager
def _unfinished(place: Path) -> Iterator[Path]:
    """
    A fresh directory that gets its name when what is within is done, or is removed again.
    """
    directory = Path(tempfile.mkdtemp(prefix=f".{place.name}.unfinished-", dir=place.parent))
    try:
        yield directory
        directory.rename(place)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


class _Making:
    """
    A backup that is being made.
    """

    def __init__(self, state: Path, directory: Path) -> None:
        self._state = state
        self._directory = directory
        self._missing: list[str] = []
        self._files = 0
        self._size = 0
        status = StateDirectory(state).database.stat()
        self._owner = (status.st_uid, status.st_gid)

    def make(self) -> Backup:
        """
        Fill the directory, and wait until all is on the disk.
        """
        database = StateDirectory(self._directory).database
        self._copy_database(StateDirectory(self._state).database, database)
        with closing(_connect(database)) as connection:
            counts = connection.execute(_COUNTS).fetchone()
            jobs = [job for (job,) in connection.execute(_IN_FILES)]
        if counts is None:
            raise StoreError(f"No node has begun with {self._state} yet: there is nothing in it.")
        # Only now: what a row speaks of is there before it, and what comes later is not wanted.
        self._take_output(jobs)
        self._finish(self._directory)
        node, waiting, ended = counts
        return Backup(node, waiting, ended, self._files, tuple(self._missing), self._size)

    def _copy_database(self, source: Path, copy: Path) -> None:
        with closing(_connect(copy, "rwc")) as target:
            with closing(_connect(source, "ro")) as connection:
                schema.require_known(connection, source)
                connection.backup(target)
            # One file that can be read anywhere: the node itself turns the log on again.
            target.execute("PRAGMA journal_mode = DELETE")
            [found] = target.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                wrong = " ".join(found.split())
                raise StoreError(f"{source} is damaged ({wrong}): there is no backup of it.")
            with target:
                target.execute("BEGIN")
                disown(target.cursor())
        copy.chmod(0o600)
        self._finish(copy)
        # Or a log that is left where this is copied to would be taken for that of this database.
        log = copy.with_name(f"{copy.name}-wal")
        log.touch(0o600)
        self._finish(log)

    def _take_output(self, jobs: list[int]) -> None:
        (self._directory / DIRECTORY).mkdir(mode=0o700)
        names = [name for job in jobs for name in kept_names(job)]
        try:
            with (
                _opened(self._state / DIRECTORY, _DIRECTORY) as source,
                _opened(self._directory / DIRECTORY, _DIRECTORY) as target,
            ):
                for name in names:
                    self._take(name, source, target)
        except FileNotFoundError:
            self._missing = names  # there is no such directory
        self._finish(self._directory / DIRECTORY)

    def _take(self, name: str, source: int, target: int) -> None:
        """
        Take over a file by a link, for it never changes; where there can be none, by a copy.
        """
        try:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(name)  # noqa: TRY301 - there is none of ours
            try:
                os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            except OSError:
                self._copy(name, source, target)
        except FileNotFoundError:
            self._missing.append(name)
        else:
            self._files += 1
            self._size += status.st_size

    def _copy(self, name: str, source: int, target: int) -> None:
        reading = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        writing = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with (
            os.fdopen(os.open(name, reading, dir_fd=source), "rb") as original,
            os.fdopen(os.open(name, writing, 0o600, dir_fd=target), "wb") as copy,
        ):
            shutil.copyfileobj(original, copy)
            copy.flush()
            self._own(copy.fileno())
            # Its age is how a node knows that it has expired.
            status = os.fstat(original.fileno())
            os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(copy.fileno())

    def _own(self, descriptor: int) -> None:
        """
        What root makes is to be of use to the node, which has another user.
        """
        if os.geteuid() == 0:
            os.fchown(descriptor, *self._owner)

    def _finish(self, path: Path) -> None:
        """
        See to the owner of a file or directory, and wait until it is on the disk.
        """
        with _opened(path, os.O_RDONLY | os.O_CLOEXEC) as descriptor:
            self._own(descriptor)
            os.fsync(descriptor)
            if path.is_file():
                self._size += os.fstat(descriptor).st_size


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _connect(database: Path, mode: str = "ro") -> sqlite3.Connection:
    """
    A connection that never moves the write-ahead log of a node to its database.
    """
    uri = f"{database.absolute().as_uri()}?mode={mode}"
    connection: sqlite3.Connection = sqlite3.connect(uri, **connection_options(_PATIENCE))
    return connection
