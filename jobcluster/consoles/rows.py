"""
Jobs as rows of an answer: each shown, or the error that kept it from being shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobcluster.core.client_words import Shown
from jobcluster.core.commands import COMMAND
from jobcluster.core.functions import FUNCTION, Function, pack_function, unpack_function
from jobcluster.core.views import JobView
from jobcluster.errors import JobclusterError, PeerError
from jobcluster.interfaces import IClusterView
from jobcluster.wire.commands import code_of

__all__ = ["SHOWN_AT_ONCE", "ask_ended", "brief", "explain", "show_all", "size_of"]

SHOWN_AT_ONCE: Final = 4 * 2**20
"""Bytes of results in one box: a client need not take larger ones."""

_ASKED_AT_ONCE: Final = 64
"""Jobs that are read together, each with up to 64 KiB of either output."""

_HEAD_LIMIT: Final = 4096
"""Bytes of a payload that are shown: what is to be run, without its standard input."""

_NAME: Final = 200
"""Characters of a function's name that are shown in any case."""

_ROW: Final = 400
"""About how many bytes a row has without what a job has put out."""

_LOG: Final = Logger(namespace="jobcluster.client")


def brief(view: JobView) -> JobView:
    """
    The same job, of whose payload is left only what says what is to be run.
    """
    payload = view.payload
    if view.kind in (COMMAND, FUNCTION):
        payload = payload.partition(b"\n")[0]
    if len(payload) > _HEAD_LIMIT:
        payload = _shortest(view.kind, payload)
    return view if payload == view.payload else attrs.evolve(view, payload=payload)


def _shortest(kind: str, head: bytes) -> bytes:
    """Of a function what says how its value is to be read, without what is long."""
    if kind != FUNCTION:
        return b""
    try:
        function = unpack_function(head)
    except ValueError:
        return b""
    return pack_function(Function(function.name[:_NAME], pickled=function.pickled)).rstrip(b"\n")


def ended(view: JobView) -> JobView:
    """
    The same job with nothing of its payload, for who waits for it knows what it was; but of a
    function what says how its value is to be read.
    """
    return brief(view) if view.kind == FUNCTION else attrs.evolve(view, payload=b"")


def explain(failure: Failure) -> tuple[str, str]:
    """
    The name of the error that a client is to have, and its message.
    """
    error = failure.value
    if not isinstance(error, JobclusterError):
        _LOG.failure("A client's request failed.", failure)
        error = PeerError("Something is wrong in this node; its log says what.")
    return code_of(error).decode("ascii"), str(error)


def size_of(row: Shown) -> int:
    """
    About how many bytes a row takes.
    """
    size = _ROW
    if row.view is not None:
        size += len(row.view.payload)
        if row.view.outcome is not None:
            outcome = row.view.outcome
            size += len(outcome.out) + len(outcome.err) + len(outcome.value)
    return size


def ask_ended(view: IClusterView, ticket: str) -> Deferred[Shown]:
    """
    Fires with a job once it has ended, or with why it cannot be waited for; may be cancelled.
    """

    def excuse(failure: Failure) -> Shown:
        if failure.check(CancelledError):
            failure.raiseException()
        return Shown(ticket, None, *explain(failure))

    asking = maybeDeferred(view.wait, ticket)
    return asking.addCallbacks(lambda job: Shown(ticket, ended(job)), excuse)


async def show_all(view: IClusterView, tickets: Sequence[str]) -> list[Shown]:
    """
    Return how these jobs are, in order; only the first ones, where all would be too much.
    """
    rows: list[Shown] = []
    size = 0
    for start in range(0, len(tickets), _ASKED_AT_ONCE):
        asked = [_ask(view, ticket) for ticket in tickets[start : start + _ASKED_AT_ONCE]]
        for row in await gatherResults(asked):
            size += size_of(row)
            if rows and size > SHOWN_AT_ONCE:
                return rows
            rows.append(row)
    return rows


def _ask(view: IClusterView, ticket: str) -> Deferred[Shown]:
    asking = maybeDeferred(view.view, ticket)
    return asking.addCallbacks(
        lambda job: Shown(ticket, brief(job)),
        lambda failure: Shown(ticket, None, *explain(failure)),
    )
