"""
Group commit: what is to be committed while a commit is under way goes into the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from jobcluster.core.records import Change
from jobcluster.errors import StoreError, StoreFailedError

__all__ = ["GroupCommit"]

# A commit that was asked for, and who waits for it.
_Asked = tuple[Sequence[Change], Deferred[None]]


class GroupCommit:
    """
    Makes one transaction of many commits.

    What is alone is committed at once and waits for nobody; what comes in crowds costs few
    transactions, however slow the disk is. After a failure everything is refused.

    @ivar refusal: why everything is refused, if it is.
    """

    def __init__(self, write: Callable[[Sequence[Change]], Deferred[None]]) -> None:
        """
        With nothing to do.

        @param write: writes a transaction, and fires when it is on the disk; it is not called again
            before that.
        """
        self._write = write
        self.refusal: StoreError | None = None
        self._waiting: list[_Asked] = []
        self._writing = False
        self._idle: list[Deferred[None]] = []

    def commit(self, changes: Sequence[Change]) -> Deferred[None]:
        """
        Commit these changes after all earlier ones.

        Fires when they are on the disk; fails with the reason if nobody knows.
        """
        if self.refusal is not None:
            return fail(self.refusal)
        done: Deferred[None] = Deferred()
        self._waiting.append((changes, done))
        if not self._writing:
            self._begin()
        return done

    def refuse(self, error: StoreError) -> None:
        """
        Write nothing any more but what is being written; what waits fails.
        """
        self.refusal = error
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done.errback(error)

    def idle(self) -> Deferred[None]:
        """
        Fires when nothing is being written and nothing waits for it.
        """
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        self._tell_idle()
        return idle

    def _begin(self) -> None:
        group, self._waiting = self._waiting, []
        self._writing = True
        written = self._write(list(chain.from_iterable(changes for changes, _ in group)))
        written.addCallbacks(self._end, self._fail, callbackArgs=(group,), errbackArgs=(group,))

    def _end(self, _: None, group: list[_Asked]) -> None:
        # First the disk, then those who have waited: it works while they do.
        if self._waiting:
            self._begin()
        else:
            self._writing = False
        for _changes, done in group:
            done.callback(None)
        self._tell_idle()

    def _fail(self, failure: Failure, group: list[_Asked]) -> None:
        error = failure.value
        if not isinstance(error, StoreError):
            error = StoreFailedError(str(error))
        self._writing = False
        self._waiting[:0] = group
        self.refuse(error)
        self._tell_idle()

    def _tell_idle(self) -> None:
        if not self._writing:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)
