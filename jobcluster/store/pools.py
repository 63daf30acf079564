"""
Where queries run: connections to one database, on threads of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

from jobcluster.store.many import STATEMENTS

__all__ = [
    "Pool",
    "PoolFactory",
    "connection_options",
    "on_cursor",
    "prepare_reader",
    "prepare_writer",
    "threads",
]

_Result = TypeVar("_Result")

# Seconds for which a connection waits for one that is not ours (somebody looks into the database).
_PATIENCE: Final = 10.0

# After so many pages of 4 KiB in the write-ahead log, a commit also moves them to the database.
_CHECKPOINT_PAGES: Final = 1000

# A log that one large transaction made longer than this many bytes is cut again.
_LOG_LIMIT: Final = 16 * 1024 * 1024


class Pool(Protocol):
    """
    Connections to a database, each opened when it is first needed.
    """

    def call(self, function: Callable[[], _Result]) -> Deferred[_Result]:
        """
        Fires with the result of a function that was called where queries are, without a connection.
        """
        ...

    def run(self, query: Callable[[sqlite3.Cursor], _Result]) -> Deferred[_Result]:
        """
        Fires with the result of a query, which begins and ends its own transaction if it has one.
        """
        ...

    def close(self) -> Deferred[None]:
        """
        Fires when what was asked for is done, and the connections and threads are gone.
        """
        ...


PoolFactory = Callable[[str, Callable[[sqlite3.Connection], object], int], Pool]
"""
Makes a pool, of the URI of a database, a function that prepares each new connection, and the number
of connections.
"""


def threads(reactor: IReactorThreads) -> PoolFactory:
    """
    Pools of threads, for this reactor.
    """
    return partial(_ThreadedPool, reactor)


class _ThreadedPool:
    """
    A L{Pool} by L{twisted.enterprise.adbapi}.
    """

    def __init__(
        self,
        reactor: IReactorThreads,
        uri: str,
        prepare: Callable[[sqlite3.Connection], object],
        connections: int,
    ) -> None:
        self._reactor = reactor
        self._running = 0
        self._idle: list[Deferred[None]] = []
        self._pool = ConnectionPool(
            "sqlite3",
            uri,
            **connection_options(_PATIENCE),
            cp_reactor=reactor,
            cp_openfun=prepare,
            cp_min=1,
            cp_max=connections,
        )

    def call(self, function: Callable[[], _Result]) -> Deferred[_Result]:
        """
        See L{Pool.call}.
        """
        return self._counted(deferToThreadPool(self._reactor, self._pool.threadpool, function))

    def run(self, query: Callable[[sqlite3.Cursor], _Result]) -> Deferred[_Result]:
        """
        See L{Pool.run}.
        """
        return self._counted(self._pool.runWithConnection(on_cursor, query))

    def _counted(self, result: Deferred[_Result]) -> Deferred[_Result]:
        self._running += 1
        return result.addBoth(self._count_down)

    def _count_down(self, result: _Result) -> _Result:
        self._running -= 1
        if not self._running:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)
        return result

    def close(self) -> Deferred[None]:
        """
        See L{Pool.close}.
        """
        idle: Deferred[None] = Deferred()
        if self._running:
            self._idle.append(idle)
        else:
            idle.callback(None)
        return idle.addCallback(self._disconnect).addCallback(self._stop)

    def _disconnect(self, _: None) -> Deferred[None]:
        # The last connection moves the write-ahead log to the database, which is no work for the
        # reactor's thread; of several threads none can be chosen, but then it is not the last.
        if not self._pool.running or self._pool.max > 1:
            return succeed(None)
        return deferToThreadPool(self._reactor, self._pool.threadpool, self._disconnect_here)

    def _disconnect_here(self) -> None:
        connection = self._pool.connections.get(self._pool.threadID())
        if connection is not None:
            self._pool.disconnect(connection)

    def _stop(self, _: None) -> None:
        self._pool.close()


def on_cursor(
    connection: sqlite3.Connection, query: Callable[[sqlite3.Cursor], _Result]
) -> _Result:
    """
    Run a query on a cursor of its own.

    The cursor is closed, for a failure may keep it alive, and it the files of its connection.
    """
    with closing(connection.cursor()) as cursor:
        return query(cursor)


def connection_options(patience: float) -> dict[str, Any]:
    """
    How to connect; transactions are ours to begin.

    @param patience: seconds to wait for another process.
    """
    return {
        "uri": True,
        "timeout": patience,
        "isolation_level": None,
        "check_same_thread": False,  # connections are closed by whoever closes their pool
        "cached_statements": STATEMENTS,
    }


def prepare_writer(connection: sqlite3.Connection) -> None:
    """
    Make a new connection the one that writes.
    """
    _set(
        connection,
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),  # a commit is on the disk when it returns
        ("wal_autocheckpoint", _CHECKPOINT_PAGES),
        ("journal_size_limit", _LOG_LIMIT),
        ("temp_store", "MEMORY"),
    )


def prepare_reader(connection: sqlite3.Connection) -> None:
    """
    Make a new connection one that reads.
    """
    _set(
        connection,
        ("query_only", 1),
        # SQLite before 3.51.3 can break a database that one connection writes to while another
        # checkpoints.
        ("wal_autocheckpoint", 0),
        ("temp_store", "MEMORY"),
    )


def _set(connection: sqlite3.Connection, *pragmas: tuple[str, str | int]) -> None:
    try:
        for name, value in pragmas:
            found = connection.execute(f"PRAGMA {name} = {value}").fetchone()
            if name == "journal_mode" and found != ("wal",):
                raise sqlite3.OperationalError(f"the file system cannot do journal_mode {value}")
    except sqlite3.Error:
        connection.close()
        raise
