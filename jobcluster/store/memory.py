"""
A store that forgets everything when its process ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.core.records import Change, Identity, Recovered
from jobcluster.core.values import Job, Keyed
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import StoreError, StoreFailedError
from jobcluster.interfaces import IStore
from jobcluster.store.tables import Tables

__all__ = ["MemoryStore", "Tables", "at_once"]

_Result = TypeVar("_Result")


def at_once(write: Callable[[], None]) -> Deferred[None]:
    """
    Write without delay, as memory does.
    """
    write()
    return succeed(None)


@implementer(IStore)
class MemoryStore:
    """
    A store in memory, for a node whose jobs need not outlive it.

    @ivar tables: what it remembers; a store that is given the tables of another one continues it.
    """

    def __init__(
        self,
        tables: Tables | None = None,
        medium: Callable[[Callable[[], None]], Deferred[None]] = at_once,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        Begin with these tables, or with empty ones.

        @param medium: is given each write, calls it once in their order, or not, and fires when it
            is safe; a failure is that of the disk.
        @param wall: seconds since the epoch.
        """
        self.tables = Tables() if tables is None else tables
        self._medium = medium
        self._wall = wall
        self._refusal: StoreError | None = StoreFailedError("The store is not open.")
        # Which call of open() a write belongs to: one that comes later than the next call is void.
        self._era = 0

    def open(
        self, name: str, boot: str, fresh_store: str, random: int, first_job: int
    ) -> Deferred[tuple[Identity, Recovered]]:
        """
        See L{jobcluster.interfaces.IStore.open}.
        """
        self._era += 1
        self._refusal = None
        return succeed(self.tables.open(name, boot, fresh_store, random, first_job))

    def commit(self, changes: Sequence[Change]) -> Deferred[None]:
        """
        See L{jobcluster.interfaces.IStore.commit}.
        """
        if self._refusal is not None:
            return fail(self._refusal)
        try:
            written = self._medium(partial(self._write, self._era, changes))
        except StoreError:
            written = fail()
        return written.addErrback(self._break, self._era)

    def _write(self, era: int, changes: Sequence[Change]) -> None:
        if era != self._era:
            raise StoreFailedError("The store was opened anew.")
        if self._refusal is not None:
            raise self._refusal
        self.tables.apply(changes)

    def _break(self, failure: Failure, era: int) -> Failure:
        error = failure.value
        if not isinstance(error, StoreError):
            error = StoreFailedError(str(error))
        if era == self._era and self._refusal is None:
            self._refusal = error
        return Failure(error)

    def load(self, jobs: Sequence[int]) -> Deferred[tuple[Job, ...]]:
        """
        See L{jobcluster.interfaces.IStore.load}.
        """
        return self._read(partial(self.tables.load, jobs))

    def page(self, requires: str, after: tuple[int, int], limit: int) -> Deferred[tuple[Job, ...]]:
        """
        See L{jobcluster.interfaces.IStore.page}.
        """
        return self._read(partial(self.tables.page, requires, after, limit))

    def payload(self, job: int, offset: int, limit: int) -> Deferred[bytes]:
        """
        See L{jobcluster.interfaces.IStore.payload}.
        """
        return self._read(partial(self.tables.payload, job, offset, limit))

    def view(self, job: int) -> Deferred[JobView | None]:
        """
        See L{jobcluster.interfaces.IStore.view}.
        """
        return self._read(partial(self.tables.view, job))

    def keys(self, wanted: Sequence[str]) -> Deferred[tuple[Keyed, ...]]:
        """
        See L{jobcluster.interfaces.IStore.keys}.
        """
        return self._read(partial(self.tables.keys, wanted))

    def views(self, wanted: Filter, after: int, limit: int) -> Deferred[tuple[JobView, ...]]:
        """
        See L{jobcluster.interfaces.IStore.views}.
        """
        return self._read(partial(self.tables.views, wanted, after, limit))

    def _read(self, question: Callable[[], _Result]) -> Deferred[_Result]:
        return succeed(question()) if self._refusal is None else fail(self._refusal)

    def expire(self, before: int, limit: int) -> Deferred[int]:
        """
        See L{jobcluster.interfaces.IStore.expire}.
        """
        forgotten = 2 * before - int(self._wall() * 1000)
        return self._read(partial(self.tables.expire, before, forgotten, limit))

    def free(self) -> int:
        """
        See L{jobcluster.interfaces.IStore.free}.
        """
        return sys.maxsize

    def close(self) -> Deferred[None]:
        """
        See L{jobcluster.interfaces.IStore.close}.
        """
        self._era += 1
        self._refusal = StoreFailedError("The store was closed.")
        return succeed(None)
