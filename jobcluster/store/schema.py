"""
How a database is made, and how one of an older version is brought up to date.

The versions are the files of a directory, C{0001.sql} and so on; C{PRAGMA user_version} says which
of them a database has been through.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from jobcluster.errors import StoreError, StoreTooNewError
from jobcluster.store.directory import sync

__all__ = ["SCHEMA", "address", "bring_up_to_date", "create", "require_known"]

SCHEMA: Final = Path(__file__).parent / "schema"

# "jobc": by it a database of another program is known. It never changes.
_APPLICATION: Final = 0x6A6F6263

# What SQLite may leave beside a database when its process is killed.
_COMPANIONS: Final = ("-journal", "-wal", "-shm")


def address(database: Path) -> str:
    """
    The URI of a database that is to be opened if it is there, and not to be made if it is not.
    """
    return f"{database.absolute().as_uri()}?mode=rw"


def create(database: Path, schema: Path) -> None:
    """
    Make a new database, whole or not at all.
    """
    for companion in _COMPANIONS:
        left = Path(f"{database}{companion}")
        if left.exists():
            # A new database would take what is in it for its own.
            raise StoreError(f"{database} is missing, but {left} is there: restore or remove both.")
    new = _blank(database)
    with closing(_connect(new)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        _upgrade(connection, schema, 0)
    _put(new, database)


def bring_up_to_date(database: Path, schema: Path) -> Path | None:
    """
    Bring an older database to the latest version, after a copy of it was made beside it.

    @return: the copy, or C{None} if there was nothing to do.
    @raise StoreTooNewError: if its version is later than the latest.
    @raise StoreError: if it is no database of jobcluster.
    """
    with closing(_connect(database)) as connection:
        version = require_known(connection, database, schema)
        if version == len(_scripts(schema)):
            return None
        kept = database.with_name(f"{database.name}.version-{version}")
        _copy(connection, kept)
        _upgrade(connection, schema, version)
    return kept


def require_known(connection: sqlite3.Connection, database: Path, schema: Path = SCHEMA) -> int:
    """
    The version of a database.

    @raise StoreTooNewError: if it is later than the latest.
    @raise StoreError: if it is no database of jobcluster.
    """
    version, known = _version(connection, database), len(_scripts(schema))
    if version > known:
        raise StoreTooNewError(
            f"{database} was written by a newer jobcluster (it has version {version}, this one "
            f"knows {known}): upgrade this one, or use another --state."
        )
    return version


def _scripts(schema: Path) -> list[Path]:
    scripts = sorted(schema.glob("*.sql"))
    if [script.stem for script in scripts] != [f"{n + 1:04}" for n in range(len(scripts))]:
        raise StoreError(f"The files in {schema} are not 0001.sql and so on, without a gap.")
    return scripts


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(address(database), uri=True, isolation_level=None)


def _version(connection: sqlite3.Connection, database: Path) -> int:
    try:
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # the disk
        application = None
    if application != _APPLICATION:
        raise StoreError(f"{database} is not a database of jobcluster.")
    return int(version)


def _upgrade(connection: sqlite3.Connection, schema: Path, version: int) -> None:
    for number, script in enumerate(_scripts(schema), start=1):
        if number > version:
            text = script.read_text(encoding="utf-8")
            try:
                connection.executescript(
                    f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;"
                )
            finally:
                connection.rollback()  # of what failed; after a commit there is nothing to do


def _copy(connection: sqlite3.Connection, place: Path) -> None:
    new = _blank(place)
    with closing(_connect(new)) as copy:
        connection.backup(copy)
    _put(new, place)


def _blank(place: Path) -> Path:
    """
    An empty file that is to become C{place}, and that nobody else may read.
    """
    new = place.with_name(f"{place.name}.new")
    for leftover in ("", *_COMPANIONS):
        Path(f"{new}{leftover}").unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return new


def _put(new: Path, place: Path) -> None:
    sync(new)
    new.replace(place)
    sync(place.parent)
