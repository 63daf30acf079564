"""
Clients who wait: for the answer to a request, or for the outcome of a job.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobcluster.core.actions import Answer
from jobcluster.core.views import JobView
from jobcluster.interfaces import IStore

__all__ = ["Requests", "Waiters"]


class Requests:
    """
    Requests that the core has not answered yet.
    """

    def __init__(self) -> None:
        """
        Nobody waits.
        """
        self._last = 0
        self._open: dict[int, Deferred[Any]] = {}

    def ask(self, put: Callable[[int], None]) -> Deferred[Any]:
        """
        Fires with the value of the core's answer.

        @param put: puts the request with this number to the core.
        """
        self._last += 1
        request: Deferred[Any] = Deferred()
        self._open[self._last] = request
        put(self._last)
        return request

    def answer(self, action: Answer) -> None:
        """
        The core has answered.
        """
        request = self._open.pop(action.request, None)
        if request is not None:
            request.callback(action.value)

    def fail_all(self, why: Callable[[], Exception]) -> None:
        """
        None of them will be answered.
        """
        requests, self._open = self._open, {}
        for request in requests.values():
            request.errback(why())


class Waiters:
    """
    Those who wait for the outcomes of jobs, which outlive the core.
    """

    def __init__(self) -> None:
        """
        Nobody waits.
        """
        self._waiting: dict[int, list[Deferred[JobView]]] = {}

    def add(self, job: int) -> Deferred[JobView]:
        """
        Fires with a job when it has ended; may be cancelled.
        """
        waiter: Deferred[JobView] = Deferred(partial(self._forget, job))
        self._waiting.setdefault(job, []).append(waiter)
        return waiter

    def _forget(self, job: int, waiter: Deferred[JobView]) -> None:
        waiters = self._waiting.get(job, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiting.pop(job, None)

    def tell(self, view: JobView) -> None:
        """
        A job has ended.
        """
        for waiter in self._waiting.pop(view.job, ()):
            waiter.callback(view)

    def fail(self, job: int, waiter: Deferred[JobView], failure: Failure) -> None:
        """
        This one cannot wait for that job.
        """
        if not waiter.called:
            self._forget(job, waiter)
            waiter.errback(failure)

    async def look(self, store: IStore) -> None:
        """
        See whether the store knows outcomes that nobody will tell again.

        One whose commit seemed to fail may be on the disk all the same.
        """
        for job in tuple(self._waiting):
            view = await store.view(job)
            if view is not None and view.outcome is not None:
                self.tell(view)
