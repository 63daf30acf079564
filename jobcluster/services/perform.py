"""
Persist, then speak: how the actions of a node's core are carried out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobcluster.core.actions import CloseConnection, ExtendLease, NodeAction, Note, Persist
from jobcluster.core.records import Change

__all__ = ["Performer"]

# They say nothing that a commit could prove wrong, so a slow disk does not hold them back.
_NEVER_WAITS = (Note, CloseConnection, ExtendLease)


class _Gate:
    """A commit under way; what stands behind it in the queue waits for it."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = False


class Performer:
    """
    Carries out actions in their order, those behind a L{Persist} when it is committed.

    Commits are begun at once, so that the store can group them; only what follows one waits for it.
    After a failed commit nothing more is done: whoever owns this makes a new one, and a new core.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Change]], Deferred[None]],
        do: Callable[[NodeAction], None],
        failed: Callable[[Failure], None],
    ) -> None:
        """
        Begin with nothing to do.

        @param commit: see L{jobcluster.interfaces.IStore.commit}.
        @param do: carries out one action; what this leads to may call L{perform} again.
        @param failed: called once, with why a commit failed.
        """
        self._commit = commit
        self._do = do
        self._failed = failed
        self._queue: deque[NodeAction | _Gate] = deque()
        self._busy = False
        self._dead = False

    @property
    def waiting(self) -> int:
        """How many actions and commits are in the queue."""
        return len(self._queue)

    def perform(self, actions: Iterable[NodeAction]) -> None:
        """
        Carry out these actions after all earlier ones.
        """
        for action in actions:
            if self._dead:
                return
            if isinstance(action, Persist):
                self._begin(action.changes)
            elif isinstance(action, _NEVER_WAITS):
                self._do(action)
            else:
                self._queue.append(action)
        self._drain()

    def abandon(self) -> None:
        """
        Do nothing any more, and forget what waits.
        """
        self._dead = True
        self._queue.clear()

    def _begin(self, changes: Sequence[Change]) -> None:
        gate = _Gate()
        self._queue.append(gate)
        self._commit(changes).addCallbacks(self._committed, self._broken, callbackArgs=(gate,))

    def _committed(self, _: None, gate: _Gate) -> None:
        gate.open = True
        self._drain()

    def _broken(self, failure: Failure) -> None:
        if not self._dead:
            self.abandon()
            self._failed(failure)

    def _drain(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            while self._queue:
                action = self._queue[0]
                if isinstance(action, _Gate):
                    if not action.open:
                        return
                    self._queue.popleft()
                else:
                    self._queue.popleft()
                    self._do(action)
        finally:
            self._busy = False
