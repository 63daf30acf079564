"""
Pools of connections that run what they are given at once, or when they are told to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from jobcluster.store.pools import Pool, connection_options, on_cursor

_Result = TypeVar("_Result")


class DirectPool:
    """
    A L{jobcluster.store.pools.Pool} of one connection and no thread.
    """

    def __init__(
        self, uri: str, prepare: Callable[[sqlite3.Connection], object], connections: int
    ) -> None:
        self._uri = uri
        self._prepare = prepare
        self._connection: sqlite3.Connection | None = None
        self.transactions = 0
        """How many queries were run."""

    def connected(self) -> sqlite3.Connection:
        """
        The connection, made if there is none.
        """
        if self._connection is None:
            connection = sqlite3.connect(self._uri, **connection_options(patience=0.0))
            self._prepare(connection)
            self._connection = connection
        return self._connection

    def call(self, function: Callable[[], _Result]) -> Deferred[_Result]:
        """
        Call it.
        """
        return maybeDeferred(function)

    def run(self, query: Callable[[sqlite3.Cursor], _Result]) -> Deferred[_Result]:
        """
        Run it.
        """
        self.transactions += 1
        return maybeDeferred(lambda: on_cursor(self.connected(), query))

    def close(self) -> Deferred[None]:
        """
        Close the connection.
        """
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        return succeed(None)


class DirectPools:
    """
    Makes L{DirectPool}s, and remembers them: first that of the writer, then that of the readers.
    """

    def __init__(self, *, durable: bool = True) -> None:
        """
        None yet.

        @param durable: whether to wait for the disk, as a node does.
        """
        self.made: list[DirectPool] = []
        self._durable = durable

    def __call__(
        self, uri: str, prepare: Callable[[sqlite3.Connection], object], connections: int
    ) -> Pool:
        """
        See L{jobcluster.store.pools.PoolFactory}.
        """

        def prepared(connection: sqlite3.Connection) -> None:
            prepare(connection)
            if not self._durable:
                connection.execute("PRAGMA synchronous = OFF")

        pool = DirectPool(uri, prepared, connections)
        self.made.append(pool)
        return pool

    @property
    def writer(self) -> DirectPool:
        """
        The writer's, since the store was opened last.
        """
        return self.made[-2]

    @property
    def readers(self) -> DirectPool:
        """
        The readers', since the store was opened last.
        """
        return self.made[-1]

    def fill_disk(self) -> None:
        """
        From now on, until the store is opened again, the database cannot grow.
        """
        self.writer.connected().execute("PRAGMA max_page_count = 1")  # at least what it has
