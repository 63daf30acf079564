"""
Disks: what a node's store is committed to, late, and sometimes not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from jobcluster.core.records import Change, Identity, Recovered
from jobcluster.errors import StoreFailedError
from jobcluster.store.tables import Tables
from tests.core.rig.ground import Ground
from tests.core.rig.machines import Process

__all__ = ["Disk", "DiskWatcher"]

_RETRY = 0.5

_Opened = Callable[[Identity, Recovered], None]


class DiskWatcher:
    """
    Who wants to know what becomes durable.
    """

    def committed(self, disk: Disk, changes: Sequence[Change]) -> None:
        """
        These changes are on the disk, whether anybody is told so or not.
        """
        raise NotImplementedError

    def copied(self, disk: Disk, copy: Disk) -> None:
        """
        There is a copy of a disk.
        """
        raise NotImplementedError


class _Commit:
    """A commit under way."""

    __slots__ = ("changes", "done")

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.done: Deferred[None] = Deferred()


class Disk:
    """
    A state directory: it stays when its process is killed.
    """

    def __init__(self, ground: Ground, name: str, store: str, watcher: DiskWatcher) -> None:
        """
        A new, empty one.

        @param name: the node's name, which the directory remembers.
        @param store: its id.
        """
        self.ground = ground
        self.name = name
        self.store = store
        self.tables = Tables()
        self.copied = False
        """Whether there is a copy of it: then two nodes may claim to be the same one."""
        self.failing = False
        """Whether commits fail now."""
        self.slow = 0.0
        """Seconds that the next commit takes, if not 0."""
        self._watcher = watcher
        self._pending: deque[_Commit] = deque()
        self._broken = False
        self._opens = 0
        self._ready_at = 0.0

    def copy(self) -> Disk:
        """
        What a restored backup, or a cloned machine, would have.
        """
        self.copied = True
        other = type(self)(self.ground, self.name, self.store, self._watcher)
        other.copied = True
        other.tables = self.tables.copy()
        self._watcher.copied(self, other)
        return other

    def restore(self, tables: Tables, seconds: int) -> None:
        """
        Have what a backup has; nobody may be using it.

        @param seconds: since the epoch.
        """
        self._pending.clear()
        self.tables = tables.copy()
        self.tables.restore(seconds, self.ground.rng.getrandbits(16))

    def open(self, process: Process, opened: _Opened, random: int) -> None:
        """
        Count the incarnation up, commit that, and say what there is.
        """
        self._opens += 1
        self._pending.clear()
        self._try_open(process, opened, random, self._opens)

    def _try_open(
        self,
        process: Process,
        opened: _Opened,
        random: int,
        call: int,
    ) -> None:
        """Believe the disk only when it works again; a later call replaces this one."""
        if call != self._opens:
            return
        if self.failing:
            process.callLater(_RETRY, self._try_open, process, opened, random, call)
        else:
            self._broken = False
            process.callLater(self._commit_time(), self._opened, process, opened, random, call)

    def _opened(
        self,
        process: Process,
        opened: _Opened,
        random: int,
        call: int,
    ) -> None:
        if call == self._opens:
            opened(*self.read(process.machine.boot_id, random))

    def read(self, boot: str, random: int) -> tuple[Identity, Recovered]:
        """
        Count the incarnation up, and say what there is; mutants do it wrongly.
        """
        return self.tables.open(self.name, boot, self.store, random, 0)

    def commit(self, process: Process, changes: Sequence[Change]) -> Deferred[None]:
        """
        See L{jobcluster.interfaces.IStore.commit}.
        """
        entry = _Commit(changes)
        self._pending.append(entry)
        if "committing" in self.ground.traps:
            self.ground.spring("committing", self, process, changes)
        now = self.ground.clock.seconds()
        self._ready_at = max(self._ready_at, now + self._commit_time())
        process.callLater(self._ready_at - now, self._complete, entry)
        return entry.done

    def _commit_time(self) -> float:
        slow, self.slow = self.slow, 0.0
        return slow or self.ground.rng.random() * self.ground.pace.commit

    def _complete(self, entry: _Commit) -> None:
        if not self._pending or self._pending[0] is not entry:
            # Of a process that has opened the store again in the meantime.
            return
        if self.failing or self._broken:
            self._fail()
        else:
            self._pending.popleft()
            self.write(entry.changes)
            entry.done.callback(None)

    def _fail(self) -> None:
        """Nobody knows how much of this is on the disk."""
        entries = self._give_up()
        for entry in entries:
            entry.done.errback(StoreFailedError())

    def lose_process(self) -> None:
        """
        The process was killed: of what it was about to commit, a part is on the disk.
        """
        self._give_up()

    def _give_up(self) -> list[_Commit]:
        entries = list(self._pending)
        self._pending.clear()
        written = 0 if self._broken else self.ground.rng.randint(0, len(entries))
        self._broken = True
        for entry in entries[:written]:
            self.write(entry.changes)
        return entries

    def write(self, changes: Sequence[Change]) -> None:
        """
        These changes are durable now.
        """
        self.tables.apply(changes)
        self._watcher.committed(self, changes)
