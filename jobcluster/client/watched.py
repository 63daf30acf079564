"""
Jobs that are waited for, over connections that come and go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from jobcluster.client.connection import error_of
from jobcluster.core.client_words import Shown
from jobcluster.core.views import JobView
from jobcluster.errors import StoreFailedError, StoreOpeningError

__all__ = ["Watched"]

_PING: Final = 4.0
"""Seconds between two looks whether the node is still there, while jobs are waited for."""

_RETRY: Final = 0.2
"""Seconds until a node that begins anew is asked again."""

_OPENING: Final = (StoreOpeningError.__name__, StoreFailedError.__name__)
"""What is told of a job by a node that begins anew, and will tell more of it then."""


class Watched:
    """
    What one client waits for.
    """

    def __init__(
        self,
        clock: IReactorTime,
        patience: float,
        watch: Callable[[str], Deferred[None]],
        unwatch: Callable[[str], None],
        ping: Callable[[], None],
    ) -> None:
        """
        Wait for nothing yet.

        @param patience: seconds for which a node that begins anew is waited for.
        @param watch: has the node watch a job, over whatever connection there is.
        @param unwatch: has it watch one no more.
        @param ping: asks the node whether it is there; a connection where it is not ends by that.
        """
        self._clock = clock
        self._patience = patience
        self._watch = watch
        self._unwatch = unwatch
        self._ping = ping
        self._waits: dict[str, list[Deferred[JobView]]] = {}
        self._again: list[str] = []
        """What is to be watched again, soon."""
        self._again_timer: IDelayedCall | None = None
        self._ping_timer: IDelayedCall | None = None
        self._opening_since: float | None = None
        """Since when what is watched cannot be, for the node begins anew."""

    def wait(self, ticket: str) -> Deferred[JobView]:
        """
        Have a job watched.

        Fires with it once it has ended; may be cancelled.
        Fails with a L{JobclusterError} if it cannot be waited for.
        """
        wait: Deferred[JobView] = Deferred(partial(self._forget, ticket))
        waits = self._waits.setdefault(ticket, [])
        waits.append(wait)
        if len(waits) == 1:
            self._begin(ticket)
        self._keep_pinging()
        return wait

    def note(self, ticket: str, wait: Deferred[JobView]) -> None:
        """
        Somebody waits for a job that the node watches already.
        """
        self._waits.setdefault(ticket, []).append(wait)
        self._keep_pinging()

    def changed(self, rows: tuple[Shown, ...]) -> None:
        """
        The node has told of some.
        """
        for row in rows:
            if row.error in _OPENING and self._may_wait():
                self._later(row.ticket)
                continue
            for wait in self._waits.pop(row.ticket, ()):
                if row.view is None:
                    wait.errback(Failure(error_of(row.error, row.text)))
                else:
                    wait.callback(row.view)
        if not self._waits:
            self._stop_pinging()

    def lost(self) -> None:
        """
        The connection has ended: all are to be watched over the next one too.
        """
        for ticket in tuple(self._waits):
            self._begin(ticket)

    def close(self, error: Exception) -> None:
        """
        Wait for nothing any more: whoever does is told this.
        """
        self._stop_pinging()
        if self._again_timer is not None:
            self._again_timer.cancel()
            self._again_timer = None
        waits, self._waits = self._waits, {}
        for each in waits.values():
            for wait in each:
                wait.errback(Failure(error))

    def _forget(self, ticket: str, wait: Deferred[JobView]) -> None:
        waits = self._waits.get(ticket, [])
        if wait in waits:
            waits.remove(wait)
        if not waits and self._waits.pop(ticket, None) is not None:
            self._unwatch(ticket)

    def _begin(self, ticket: str) -> None:
        self._watch(ticket).addErrback(self._unwatchable, ticket)

    def _unwatchable(self, failure: Failure, ticket: str) -> None:
        for wait in self._waits.pop(ticket, ()):
            wait.errback(failure)

    # -- nodes that begin anew ---------------------------------------------------------------------

    def _may_wait(self) -> bool:
        now = self._clock.seconds()
        if self._opening_since is None or now - self._opening_since > 2 * self._patience:
            self._opening_since = now
        return now - self._opening_since <= self._patience

    def _later(self, ticket: str) -> None:
        self._again.append(ticket)
        if self._again_timer is None:
            self._again_timer = self._clock.callLater(_RETRY, self._begin_again)

    def _begin_again(self) -> None:
        self._again_timer = None
        again, self._again = self._again, []
        for ticket in again:
            if ticket in self._waits:
                self._begin(ticket)

    # -- nodes that are silent ---------------------------------------------------------------------

    def _keep_pinging(self) -> None:
        if self._ping_timer is None:
            self._ping_timer = self._clock.callLater(_PING, self._look)

    def _stop_pinging(self) -> None:
        if self._ping_timer is not None:
            self._ping_timer.cancel()
            self._ping_timer = None

    def _look(self) -> None:
        self._ping_timer = None
        if self._waits:
            self._ping()
            self._keep_pinging()
