"""
A job as a C{concurrent.futures.Future}.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any, TypeVar

from jobcluster.client.callbacks import call_back
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
        self._opened: list[Any] = []
        """The result, or the error that is one, once somebody has asked for it."""

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

    @property
    def has_ticket(self) -> bool:
        """Whether its ticket is known already."""
        return bool(self._ticket)

    def wait_acknowledged(self, timeout: float) -> bool:
        """
        Wait until the job is on the disk of its node, or was refused; whether it is so by then.
        """
        return self._acknowledged.wait(timeout)

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
        self.settle_cancelled()
        # Where its end has come just now, that is what it is.
        wait_for([self])
        return self.cancelled()

    def result(self, timeout: float | None = None) -> T:
        """
        The result; a pickle is opened here, and not before.
        """
        view: Any = super().result(timeout)
        value, error = self._open(view)
        if error is not None:
            raise error
        result: T = value
        return result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """
        What L{result} raises, if anything.
        """
        error = super().exception(timeout)
        if error is not None:
            return error
        view: Any = super().result(0)
        return self._open(view)[1]

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """
        Have this called when the job has ended; in a thread that is there for that, so that it may
        take its time, and may ask the cluster.
        """
        super().add_done_callback(lambda future: call_back(fn, future))

    def _open(self, view: JobView) -> tuple[Any, BaseException | None]:
        with self._lock:
            if not self._opened:
                try:
                    value = result_of(
                        self._ticket, view, self._read, allow_pickle=self._allow_pickle
                    )
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is the job's
                    self._opened = [None, error]
                else:
                    self._opened = [value, None]
            return self._opened[0], self._opened[1]

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
            self.settle_cancelled()
        elif self._claim() and self.set_running_or_notify_cancel():
            self.set_result(view)  # type: ignore[arg-type]

    def settle_cancelled(self) -> None:
        """
        It has been cancelled.
        """
        if self._claim():
            super().cancel()
            self.set_running_or_notify_cancel()

    def fail(self, error: BaseException) -> None:
        """
        Its result cannot be had.
        """
        if self._claim() and self.set_running_or_notify_cancel():
            self.set_exception(error)
        self._acknowledged.set()

    def _claim(self) -> bool:
        """Whether it is this call that ends it: it may come from either thread."""
        with self._lock:
            is_first, self._is_claimed = not self._is_claimed, True
            return is_first
