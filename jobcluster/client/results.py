"""
What has become of a job, for a program: its result, or the error that it raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobcluster.client.calls import exception_of_call, value_of_call
from jobcluster.core.commands import COMMAND
from jobcluster.core.functions import FUNCTION
from jobcluster.core.values import Outcome, Status
from jobcluster.core.views import JobView
from jobcluster.errors import (
    JobError,
    JobFailedError,
    JobLostError,
    JobQuarantinedError,
    JobSkippedError,
    JobTimedOutError,
)

__all__ = ["CommandResult", "Read", "error_of_job", "result_of"]

Read = Callable[[str, str, int], bytes]
"""Reads all of a job's output: takes its ticket, the stream, and its size."""

_ERRORS: Final[dict[str, type[JobError]]] = {
    Status.FAILED: JobFailedError,
    Status.TIMED_OUT: JobTimedOutError,
    Status.LOST: JobLostError,
    Status.SKIPPED: JobSkippedError,
    Status.QUARANTINED: JobQuarantinedError,
}

_EXCERPT: Final = 200
"""Characters of the last line of standard error that an error shows."""


class CommandResult:
    """
    How a command has ended, and what it has put out.
    """

    __slots__ = ("_err", "_out", "_read", "attempts", "code", "ended", "node", "started", "ticket")

    def __init__(self, ticket: str, view: JobView, outcome: Outcome, read: Read) -> None:
        """
        Keep what is known.

        @param read: reads output that is kept in files.
        """
        self.ticket = ticket
        self.code = outcome.code
        """The exit code, negative for a signal; C{None} if it was not started."""
        self.node = outcome.node
        """Where it ran."""
        self.attempts = view.attempts
        """How often it was started."""
        self.started = outcome.started / 1000
        self.ended = outcome.ended / 1000
        """Seconds since the epoch."""
        self._read = read
        self._out: bytes | int = outcome.out_size if outcome.is_large else outcome.out
        self._err: bytes | int = outcome.err_size if outcome.is_large else outcome.err

    @property
    def out(self) -> bytes:
        """Its standard output; what is long is fetched when it is asked for first."""
        if isinstance(self._out, int):
            self._out = self._read(self.ticket, "out", self._out)
        return self._out

    @property
    def err(self) -> bytes:
        """Its standard error, likewise."""
        if isinstance(self._err, int):
            self._err = self._read(self.ticket, "err", self._err)
        return self._err

    def __repr__(self) -> str:
        return f"<CommandResult {self.ticket}: exit code {self.code} on {self.node}>"


def result_of(ticket: str, view: JobView, read: Read, *, allow_pickle: bool) -> object:
    """
    The result of a job that has succeeded: of a command a L{CommandResult}, of a function what it
    has returned, of a sleep a text.

    @param allow_pickle: whether a pickle may be opened, and so run what it likes.
    @raise JobError: if it has not; or the exception of a pickled function itself, caused by that.
    @raise UserError: if it is a pickle that may not be opened, or cannot.
    """
    outcome = view.outcome
    if outcome is None or outcome.status != Status.SUCCEEDED:
        error = error_of_job(ticket, view, read)
        if outcome is not None and view.kind == FUNCTION and allow_pickle:
            raised = exception_of_call(view, outcome)
            if raised is not None:
                raise raised from error
        raise error
    if view.kind == COMMAND:
        return CommandResult(ticket, view, outcome, read)
    if view.kind == FUNCTION:
        return value_of_call(view, outcome.value, allow_pickle=allow_pickle)
    return outcome.value.decode("utf-8", "replace")


def error_of_job(ticket: str, view: JobView, read: Read) -> JobError:
    """
    The error of a job that has not succeeded.
    """
    outcome = view.outcome or Outcome(view.state)
    parts = [outcome.status]
    if outcome.code is not None:
        parts[0] += (
            f" with exit code {outcome.code}"
            if outcome.code >= 0
            else f" by signal {-outcome.code}"
        )
    if outcome.detail:
        parts.append(outcome.detail)
    line = outcome.err.decode("utf-8", "replace").strip().rpartition("\n")[2][:_EXCERPT]
    # What a function has raised is in the detail already.
    if line and view.kind != FUNCTION:
        parts.append(line)
    error = _ERRORS.get(outcome.status, JobError)(f"{ticket}: {': '.join(parts)}")
    error.ticket = ticket
    error.status = outcome.status
    if view.kind == FUNCTION:
        error.traceback = outcome.err.decode("utf-8", "replace")
    if view.kind == COMMAND:
        error.result = CommandResult(ticket, view, outcome, read)
    return error
