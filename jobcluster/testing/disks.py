"""
The disk of a machine in memory, which may be slow or sick, and the store of a process on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from jobcluster.core.records import Change, Identity, Recovered
from jobcluster.errors import StoreError, StoreFailedError
from jobcluster.store.memory import MemoryStore, Tables, at_once
from jobcluster.testing.processes import Process

__all__ = ["DiskStore", "MemoryDisk"]


class MemoryDisk:
    """
    What a node writes to.
    """

    def __init__(self) -> None:
        """
        A disk that is well, and takes no time.
        """
        self.delay = 0.0
        """Seconds that a commit takes; to be changed while none is under way."""
        self.error: StoreError | None = None
        """What commits fail with, and opening the store."""

    @property
    def sick(self) -> bool:
        """Whether commits fail, and the store cannot be opened."""
        return self.error is not None

    @sick.setter
    def sick(self, sick: bool) -> None:
        self.error = StoreFailedError("the disk is sick") if sick else None

    def write(self, time: IReactorTime, write: Callable[[], None]) -> Deferred[None]:
        """
        Write, as L{MemoryStore} wants it.
        """

        def now() -> None:
            if self.error is not None:
                raise self.error
            write()

        return deferLater(time, self.delay, now) if self.delay else at_once(now)


class DiskStore(MemoryStore):
    """
    The store of a process that may be killed, on a disk that may be sick when it is opened.
    """

    def __init__(
        self, tables: Tables, disk: MemoryDisk, process: Process, wall: Callable[[], float]
    ) -> None:
        """
        A store of these tables.
        """
        super().__init__(tables, partial(disk.write, process), wall)
        self._process = process
        self._disk = disk

    def commit(self, changes: Sequence[Change]) -> Deferred[None]:
        """
        See L{jobcluster.interfaces.IStore.commit}; a dead process hears of nothing.
        """
        return super().commit(changes) if self._process.alive else Deferred()

    def open(
        self, name: str, boot: str, fresh_store: str, random: int, first_job: int
    ) -> Deferred[tuple[Identity, Recovered]]:
        """
        See L{jobcluster.interfaces.IStore.open}.
        """
        if self._disk.error is not None:
            return fail(self._disk.error)
        return super().open(name, boot, fresh_store, random, first_job)
