"""
The database as the one thread that writes to it sees it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from jobcluster.core.records import Change, Recovered
from jobcluster.errors import StoreError, StoreFailedError
from jobcluster.store import reading, schema, writing
from jobcluster.store.directory import StateDirectory, network_file_system
from jobcluster.store.merged import Merged

__all__ = ["Begun", "Ledger", "explain", "require_sqlite"]

_Result = TypeVar("_Result")

_NEEDED: Final = (3, 33)  # the first with UPDATE … FROM


# With less than this free, the write-ahead log is moved to the database after each commit: left to
# itself, it grows to 4 MiB, and on a disk that it fills itself it can never be moved.
_SCARCE: Final = 16 * 1024 * 1024


class Begun(NamedTuple):
    """
    A new incarnation of a node.
    """

    name: str
    store: str
    incarnation: int
    restored: bool
    """Whether the database is a restored backup."""
    recovered: Recovered


class Ledger:
    """
    What is written between one opening of a store and the next.

    It is used by one thread, but for its making.
    After a failure it does nothing more, for nobody knows then what is on the disk.
    """

    def __init__(self, directory: StateDirectory, schema: Path) -> None:
        self._directory = directory
        self._schema = schema
        self._failed: StoreError | None = None

    def prepare(self) -> list[str]:
        """
        Before there is a connection: enter the directory, and see to it that there is a database of
        the latest version in it.

        @return: what the operator should know, a line each.
        """
        require_sqlite(sqlite3.sqlite_version_info)
        directory = self._directory
        directory.enter()
        remarks = []
        if network := network_file_system(directory.path):
            remarks.append(
                f"{directory.path} is on a network file system ({network}): locks may not hold "
                "there, and the database may break; use a local disk."
            )
        if not directory.database.exists():
            schema.create(directory.database, self._schema)
        elif kept := schema.bring_up_to_date(directory.database, self._schema):
            remarks.append(f"The database was brought up to date; its former self is {kept}.")
        directory.remember()
        return remarks

    def begin(self, name: str, store: str, first_job: int, cursor: sqlite3.Cursor) -> Begun:
        """
        Begin an incarnation.

        @param name: taken if the store is new, as are C{store} and C{first_job}.
        """
        _, pages, done = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if pages != done:
            # Pages of the log that were read may never have reached the disk.
            raise StoreFailedError(
                "Another program is reading the database, so that it cannot be checked: end that."
            )
        directory = self._directory
        # The database says first that its place will change: or a failure in between would make a
        # restored one of it.
        here = self._transact(
            cursor,
            lambda cursor: writing.leave(cursor, directory.is_here, directory.next_place()),
        )
        directory.move()
        place = directory.place()
        counted = self._transact(
            cursor,
            lambda cursor: writing.count_up(
                cursor, name, store, first_job, place, restored=not here
            ),
        )
        self._directory.remember()  # the log too, which is there by now
        return Begun(*counted, reading.recover(cursor))

    def commit(self, changes: Iterable[Change], cursor: sqlite3.Cursor) -> None:
        """
        Commit these changes as one; without any, only look whether the directory is there.
        """
        merged = Merged(changes)
        if merged:
            self._transact(cursor, lambda cursor: writing.write(cursor, merged))
        else:
            self._directory.look()

    def expire(self, before: int, forgotten: int, limit: int, cursor: sqlite3.Cursor) -> int:
        """
        See L{writing.expire}.
        """
        return self._transact(
            cursor, lambda cursor: writing.expire(cursor, before, forgotten, limit)
        )

    def _transact(
        self, cursor: sqlite3.Cursor, work: Callable[[sqlite3.Cursor], _Result]
    ) -> _Result:
        if self._failed is not None:
            raise self._failed
        try:
            cursor.execute("BEGIN IMMEDIATE")
            result = work(cursor)
            self._directory.look()  # a commit to a removed file would succeed
            cursor.execute("COMMIT")
        except Exception as error:
            self._failed = explain(error, self._directory)
            if cursor.connection.in_transaction:
                with suppress(sqlite3.Error):
                    cursor.execute("ROLLBACK")
            raise self._failed from error
        if self._directory.free() < _SCARCE:
            with suppress(sqlite3.Error):  # the commit is on the disk, whatever becomes of this
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return result


def explain(error: BaseException | None, directory: StateDirectory) -> StoreError:
    """
    What an error of SQLite, or of the file system, means for whoever uses the store.
    """
    if isinstance(error, StoreError):
        return error
    try:
        directory.look()
    except StoreError as gone:
        return gone
    except OSError as failed:
        error = failed
    match error:
        case (
            sqlite3.IntegrityError()
            | sqlite3.DataError()
            | sqlite3.InterfaceError()
            | sqlite3.ProgrammingError()
        ):
            pass
        case sqlite3.DatabaseError() if "malformed" in str(error):
            return StoreFailedError(f"{directory.database} is damaged: restore a backup.")
        case sqlite3.Error() | OSError():
            return StoreFailedError(f"The disk failed ({error}): free some space or look at it.")
    return StoreFailedError(f"That cannot be stored: {error}.")


def require_sqlite(version: tuple[int, ...]) -> None:
    """
    Refuse a SQLite that is too old.
    """
    if version < _NEEDED:
        needed, found = (".".join(map(str, numbers)) for numbers in (_NEEDED, version))
        raise StoreError(f"This Python has SQLite {found}; {needed} or newer is needed.")
