"""
A store in a SQLite database, in a state directory of its own.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, fail
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.core.records import Change, Identity, Recovered
from jobcluster.core.values import Job, Keyed
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import StoreError, StoreFailedError
from jobcluster.interfaces import IStore
from jobcluster.store import reading
from jobcluster.store.directory import StateDirectory
from jobcluster.store.group import GroupCommit
from jobcluster.store.ledger import Begun, Ledger, explain
from jobcluster.store.pools import Pool, PoolFactory, prepare_reader, prepare_writer
from jobcluster.store.schema import SCHEMA, address

__all__ = ["SqliteStore"]

_Result = TypeVar("_Result")

# Connections that read: a long list does not hold up a page of jobs to be offered.
_READERS: Final = 2


class _Session(NamedTuple):
    """What there is between one opening of a store and the next."""

    ledger: Ledger
    commits: GroupCommit
    writer: Pool
    readers: Pool


@implementer(IStore)
class SqliteStore:
    """
    A store whose commits are on the disk: see L{GroupCommit} for how they get there.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        pools: PoolFactory,
        schema: Path = SCHEMA,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        A store that is not open yet.

        @param directory: made if it is not there.
        @param pools: see L{jobcluster.store.pools.threads}.
        @param schema: the directory of the files that make a database.
        @param wall: seconds since the epoch.
        """
        self._directory = StateDirectory(directory)
        self._make_pool = pools
        self._schema = schema
        self._wall = wall
        self._session: _Session | StoreError = StoreFailedError("The store is not open.")
        # Those that are to be closed, the writer first.
        self._pools: list[Pool] = []
        # Opening and closing, one after the other.
        self._turn = DeferredLock()

    # -- opening and closing -----------------------------------------------------------------------

    def open(
        self, name: str, boot: str, fresh_store: str, random: int, first_job: int
    ) -> Deferred[tuple[Identity, Recovered]]:
        """
        See L{jobcluster.interfaces.IStore.open}.
        """

        async def opened() -> tuple[Identity, Recovered]:
            begun = await self._open(name, fresh_store, first_job)
            identity = Identity(
                name=begun.name,
                store=begun.store,
                incarnation=begun.incarnation,
                random=random,
                boot=boot,
            )
            return identity, begun.recovered

        return self._turn.run(lambda: Deferred.fromCoroutine(opened()))

    async def _open(self, name: str, store: str, first_job: int) -> Begun:
        before, self._session = self._session, StoreFailedError("The store is being opened.")
        if isinstance(before, _Session):
            before.commits.refuse(self._session)
            await before.commits.idle()
        try:
            self._session, begun = await self._begin(name, store, first_job)
        except Exception as error:
            self._session = explain(error, self._directory)
            raise self._session from error
        return begun

    async def _begin(self, name: str, store: str, first_job: int) -> tuple[_Session, Begun]:
        await self._disconnect()
        ledger = Ledger(self._directory, self._schema)
        writer = self._connect(prepare_writer, 1)
        for remark in await writer.call(ledger.prepare):
            self._log.warn("{remark}", remark=remark)
        begun = await writer.run(partial(ledger.begin, name, store, first_job))
        if begun.restored:
            self._log.warn(
                "The state in {path} was copied or restored: incarnation {incarnation}.",
                path=self._directory.path,
                incarnation=begun.incarnation,
            )
        commits = GroupCommit(
            lambda changes: self._explained(writer.run(partial(ledger.commit, changes)))
        )
        return _Session(ledger, commits, writer, self._connect(prepare_reader, _READERS)), begun

    def _connect(self, prepare: Callable[[sqlite3.Connection], object], connections: int) -> Pool:
        pool = self._make_pool(address(self._directory.database), prepare, connections)
        self._pools.append(pool)
        return pool

    async def _disconnect(self) -> None:
        # The writer last: it is the one that may checkpoint.
        while self._pools:
            await self._pools.pop().close()

    def close(self) -> Deferred[None]:
        """
        See L{jobcluster.interfaces.IStore.close}; what was to be committed before is.
        """

        async def closed() -> None:
            before, self._session = self._session, StoreFailedError("The store is closed.")
            if isinstance(before, _Session):
                await before.commits.idle()
            await self._disconnect()
            self._directory.leave()

        return self._turn.run(lambda: Deferred.fromCoroutine(closed()))

    # -- writing -----------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change]) -> Deferred[None]:
        """
        See L{jobcluster.interfaces.IStore.commit}; without any change it only looks whether the
        state directory is still there.
        """
        if isinstance(self._session, StoreError):
            return fail(self._session)
        return self._session.commits.commit(changes)

    def expire(self, before: int, limit: int) -> Deferred[int]:
        """
        See L{jobcluster.interfaces.IStore.expire}.
        """
        session = self._usable()
        if isinstance(session, StoreError):
            return fail(session)
        forgotten = 2 * before - int(self._wall() * 1000)

        def failed(failure: Failure) -> Failure:
            if isinstance(failure.value, StoreError):
                session.commits.refuse(failure.value)
            return failure

        done = session.writer.run(partial(session.ledger.expire, before, forgotten, limit))
        return self._explained(done).addErrback(failed)

    # -- reading -----------------------------------------------------------------------------------

    def load(self, jobs: Sequence[int]) -> Deferred[tuple[Job, ...]]:
        """
        See L{jobcluster.interfaces.IStore.load}.
        """
        return self._read(lambda cursor: reading.load(cursor, jobs))

    def page(self, requires: str, after: tuple[int, int], limit: int) -> Deferred[tuple[Job, ...]]:
        """
        See L{jobcluster.interfaces.IStore.page}.
        """
        return self._read(lambda cursor: reading.page(cursor, requires, after, limit))

    def payload(self, job: int, offset: int, limit: int) -> Deferred[bytes]:
        """
        See L{jobcluster.interfaces.IStore.payload}.
        """
        return self._read(lambda cursor: reading.payload(cursor, job, offset, limit))

    def view(self, job: int) -> Deferred[JobView | None]:
        """
        See L{jobcluster.interfaces.IStore.view}.
        """
        return self._read(lambda cursor: reading.view(cursor, job))

    def keys(self, wanted: Sequence[str]) -> Deferred[tuple[Keyed, ...]]:
        """
        See L{jobcluster.interfaces.IStore.keys}.
        """
        return self._read(lambda cursor: reading.keys(cursor, wanted))

    def views(self, wanted: Filter, after: int, limit: int) -> Deferred[tuple[JobView, ...]]:
        """
        See L{jobcluster.interfaces.IStore.views}.
        """
        return self._read(lambda cursor: reading.views(cursor, wanted, after, limit))

    def free(self) -> int:
        """
        See L{jobcluster.interfaces.IStore.free}; 0 while the state directory is not in use.
        """
        return self._directory.free()

    def _read(self, query: Callable[[sqlite3.Cursor], _Result]) -> Deferred[_Result]:
        session = self._usable()
        if isinstance(session, StoreError):
            return fail(session)
        return self._explained(session.readers.run(query))

    def _usable(self) -> _Session | StoreError:
        """
        The session; or, after a failed commit, why nobody knows what is on the disk.
        """
        if isinstance(self._session, StoreError):
            return self._session
        return self._session.commits.refusal or self._session

    def _explained(self, result: Deferred[_Result]) -> Deferred[_Result]:
        def explained(failure: Failure) -> Failure:
            return Failure(explain(failure.value, self._directory))

        return result.addErrback(explained)
