"""
A job as a C{concurrent.futures.Future}.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import TypeVar

from jobcluster.client.results import Read, result_of
from jobcluster.core.values import Status
from jobcluster.core.views import JobView

__all__ = ["JobFuture"]

T = TypeVar("T")


class JobFuture(Future[T]):
    """
    The result of a job, once there is one.

    C{result} raises a L{jobcluster.errors.JobError} for a job that did not succeed, and another
    L{jobcluster.errors.JobclusterError} where the result cannot be had.
    """

    def __init__(
        self, cancel: Callable[[str], str], read: Read, *, allow_pickle: bool = False
    ) -> None:
        """
        A job that is on its way.

        @param cancel: wishes the job of a ticket cancelled, and returns what becomes of it.
        @param allow_pickle: whether a result that is a pickle may be opened.
        """
        super().__init__()
        self._cancel_job = cancel
        self._read = read
        self._allow_pickle = allow_pickle
        self._ticket = ""
        self._acknowledged = threading.Event()
        self._lock = threading.Lock()
        self._is_claimed = False

    @property
    def ticket(self) -> str:
        """
        The job's ticket; whoever asks waits until the job is on the disk of its node.

        @raise JobclusterError: if it was refused, or if nobody knows whether it is there.
        """
        self._acknowledged.wait()
        if not self._ticket:
            error = self.exception()
            assert error is not None  # noqa: S101 - without a ticket there is no result
            raise error
        return self._ticket

    def cancel(self) -> bool:
        """
        Have the job not run, or end, if it has not ended.

        Whoever waits hears of it at once; what the job itself has come to is known to its ticket.

        @return: whether the wish was taken; C{False} if the job had ended.
        """
        self._acknowledged.wait()
        if self.done() or not self._ticket:
            return self.cancelled()
        if self._cancel_job(self._ticket) == "ended":
            return False
        self._end_cancelled()
        # Where its end has come just now, that is what it is.
        wait_for([self])
        return self.cancelled()

    # -- from the thread of the client -------------------------------------------------------------

    def acknowledge(self, ticket: str) -> None:
        """
        Its ticket is known.
        """
        self._ticket = ticket
        self._acknowledged.set()

    def settle(self, view: JobView) -> None:
        """
        It has ended.
        """
        if view.outcome is not None and view.outcome.status == Status.CANCELLED:
            self._end_cancelled()
            return
        try:
            result = result_of(self._ticket, view, self._read, allow_pickle=self._allow_pickle)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the job's
            self.fail(error)
            return
        if self._claim() and self.set_running_or_notify_cancel():
            self.set_result(result)  # type: ignore[arg-type]

    def fail(self, error: BaseException) -> None:
        """
        Its result cannot be had.
        """
        if self._claim() and self.set_running_or_notify_cancel():
            self.set_exception(error)
        self._acknowledged.set()

    def _end_cancelled(self) -> None:
        if self._claim():
            super().cancel()
            self.set_running_or_notify_cancel()

    def _claim(self) -> bool:
        """Whether it is this call that ends it: it may come from either thread."""
        with self._lock:
            is_first, self._is_claimed = not self._is_claimed, True
            return is_first
