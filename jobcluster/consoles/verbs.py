"""
What can be asked of a node: one function for each verb, whatever the protocol that it came by.

Each takes an L{IClusterView} and what was asked about, and its Deferred fires with the words to
answer, or fails with a L{jobcluster.errors.JobclusterError}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from jobcluster.consoles.words import (
    describe_cluster,
    describe_error,
    describe_result,
    describe_row,
    describe_status,
)
from jobcluster.core.commands import COMMAND
from jobcluster.core.values import Spec, Status
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import JobclusterError
from jobcluster.interfaces import IClusterView

__all__ = [
    "CANCELLED",
    "Listing",
    "cancel",
    "nodes",
    "result",
    "status",
    "submit",
    "tell_result",
    "wait",
]

# A job may have returned 64 KiB.
_PAGE: Final = 200

# Bytes that are read of an output in a file, for the one line of it that is shown.
_EXCERPT: Final = 1024

CANCELLED: Final = {
    "cancelled": "Cancelled: it will never run.",
    "cancelling": "Cancelling: it may be running, and its own end decides; see its result.",
    "ended": "Too late: it has ended; see its result.",
}


def submit(view: IClusterView, specs: Sequence[Spec]) -> Deferred[list[str]]:
    """
    Submit jobs, and answer their tickets, or why one is not taken.
    """

    def say(answers: tuple[str | JobclusterError, ...]) -> list[str]:
        why = view.joined()
        note = f" (not joined: {why.rstrip('.')}; it will run once this node is joined)"
        return [
            f"Ticket ID: {answer}{note if why else ''}"
            if isinstance(answer, str)
            else describe_error(answer)
            for answer in answers
        ]

    return view.submit(specs).addCallback(say)


def status(view: IClusterView, ticket: str) -> Deferred[str]:
    """
    Answer how far a job is.
    """
    return view.view(ticket).addCallback(describe_status)


def result(view: IClusterView, ticket: str) -> Deferred[str]:
    """
    Answer how a job ended, or that it was not executed yet.
    """
    return view.view(ticket).addCallback(tell_result, view, ticket)


def wait(view: IClusterView, ticket: str) -> Deferred[str]:
    """
    Answer how a job ended, once it has ended; may be cancelled.
    """
    return view.wait(ticket).addCallback(tell_result, view, ticket)


def cancel(view: IClusterView, ticket: str) -> Deferred[str]:
    """
    Wish a job cancelled, and answer what became of the wish.
    """
    return view.cancel(ticket).addCallback(lambda became: CANCELLED.get(became, became))


def nodes(view: IClusterView) -> Deferred[str]:
    """
    Answer the table of the nodes and the figures of the balance, or one line that says why not.
    """

    def excuse(failure: Failure) -> str:
        failure.trap(JobclusterError)
        why = view.joined()
        return describe_error(failure.value) + (f" (this node is not joined: {why})" if why else "")

    return view.cluster().addCallbacks(describe_cluster, excuse)


def tell_result(job: JobView, view: IClusterView, ticket: str) -> Deferred[str]:
    """
    Answer how a job ended, with a line of its output even where that is in a file.
    """
    outcome = job.outcome
    if job.kind != COMMAND or outcome is None or not outcome.is_large:
        return maybeDeferred(describe_result, job)
    if outcome.status == Status.SUCCEEDED:
        asking = view.output(ticket, "out", 0, _EXCERPT)
    else:
        asking = view.output(ticket, "err", max(0, outcome.err_size - _EXCERPT), _EXCERPT)

    def do_without(failure: Failure) -> bytes:
        failure.trap(JobclusterError)
        return b""

    asking.addErrback(do_without)
    return asking.addCallback(lambda excerpt: describe_result(job, excerpt))


class Listing:
    """
    The jobs of a node in the order of their submission, a page at a time.
    """

    def __init__(self, view: IClusterView, wanted: Filter) -> None:
        """
        Begin at the first job.
        """
        self._view = view
        self._wanted = wanted
        self._after = 0
        self._count = 0

    async def next_page(self) -> tuple[str, bool]:
        """
        Return some rows, or at last how many jobs there were; and whether there is more.

        @raise JobclusterError: where the jobs cannot be read.
        """
        page = await self._view.jobs(self._wanted, self._after, _PAGE)
        if not page:
            return f"Jobs: {self._count}", False
        self._after = page[-1].job
        self._count += len(page)
        return "\n".join(describe_row(self._view.name, job) for job in page), True
