"""
What is shown to people: a job, a node, the cluster; and the questions that get these shown.
"""

from __future__ import annotations

from typing import Final

import attrs

from jobcluster.core.description import split_tags
from jobcluster.core.values import Job, Outcome, Status

__all__ = [
    "PAYLOAD_SHOWN",
    "STATES",
    "Ask",
    "BalanceView",
    "ClusterView",
    "Filter",
    "JobView",
    "NodeView",
    "Piece",
    "Reply",
    "ended_view",
]

PAYLOAD_SHOWN: Final = 64 * 1024
"""Bytes of payload that a view has."""


STATES: Final = (
    "open",
    "waiting",
    "running",
    "cancelling",
    Status.SUCCEEDED,
    Status.FAILED,
    Status.TIMED_OUT,
    Status.CANCELLED,
    Status.SKIPPED,
    Status.QUARANTINED,
    Status.LOST,
)
"""By which jobs are found; those without an outcome are C{"open"}."""


@attrs.frozen
class JobView:
    """A job as its origin's store shows it to a client."""

    job: int
    kind: str
    payload: bytes
    """The first L{PAYLOAD_SHOWN} bytes of it."""
    state: str
    """C{"waiting"}, C{"running"}, C{"cancelling"}, C{"ended"} or C{"expired"}."""
    submitted: int
    """Milliseconds since the epoch."""
    attempts: int = 0
    node: str = ""
    """Where it runs or ran."""
    outcome: Outcome | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    """Sorted."""


@attrs.frozen
class Filter:
    """Which jobs are asked for: those of which all is true that is said here."""

    state: str = ""
    """C{"open"} for those without an outcome, C{"waiting"}, C{"running"} or C{"cancelling"}, or an
    outcome's status."""
    name: str = ""
    tags: tuple[str, ...] = ()
    """It has all of them."""


def ended_view(job: Job, outcome: Outcome, attempts: int) -> JobView:
    """
    A job that has its outcome, as its origin's store shows it.
    """
    return JobView(
        job.id,
        job.kind,
        job.payload[:PAYLOAD_SHOWN],
        "ended",
        job.submitted,
        attempts,
        outcome.node,
        outcome,
        job.name,
        split_tags(job.tags),
    )


@attrs.frozen
class NodeView:
    """A node as the balancer sees it."""

    name: str
    state: str
    """C{"joined"}, C{"draining"}, C{"stopping"}, C{"away"}, C{"refused"}."""
    slots: int
    given: int
    running: int
    completed: int
    """Offers that ended there since the balancer was started."""
    waiting: int
    """Jobs that this node took and that wait for a slot, here or behind its window."""
    remark: str = ""
    """Why it was refused; that it trusts its network."""


@attrs.frozen
class BalanceView:
    """What the balancer measures of its promise (part 6 of the design)."""

    difference: int
    """max - min of the running jobs per node, now."""
    average: float
    """Its time-average, while jobs waited."""
    within_one: float
    """The share of that time in which it was at most 1; 1.0 if no job ever waited."""
    worst: int
    measured: float
    """Seconds for which jobs waited and it was measured."""
    waiting: int
    """Placeable jobs that wait now, behind the windows included."""


@attrs.frozen
class ClusterView:
    """The cluster as the balancer sees it."""

    nodes: tuple[NodeView, ...]
    balance: BalanceView
    mode: str
    """C{"eager"} or C{"periodic"}."""


@attrs.frozen
class Piece:
    """Some of what a job has put out by now, in one of its streams."""

    data: bytes = b""
    attempt: int = 0
    """The number of the attempt that put it out, from 1; 0 if none was started yet."""
    is_over: bool = False
    """Whether the job has its outcome, and nothing of this stream comes after these bytes."""


@attrs.frozen
class Ask:
    """A question to another node about a job of it, or to the balancer about the cluster."""

    node: str
    """Whom to ask; empty for the balancer itself."""
    verb: str
    """C{"view"}, C{"wait"} (answered with the view when the job ends, or after C{patience}),
    C{"cancel"} or C{"cluster"}; C{"output"} (a piece of a recorded output), C{"follow"} (a piece of
    an output that may still grow; if there is none, after C{patience} at the latest) and
    C{"payload"}, of the job's origin; C{"kept"} (a piece of an output that is not recorded yet) and
    C{"live"} (of one that may still grow, as for C{"follow"}), of its executor."""
    job: int = 0
    patience: float = 0.0
    """Seconds."""
    stream: str = ""
    """Which output: C{"out"} or C{"err"}."""
    offset: int = 0
    limit: int = 0
    """Bytes: where a piece begins, and how long it is at most."""
    origin: str = ""
    store: str = ""
    incarnation: int = 0
    serial: int = 0
    """The offer whose output is asked for; of one whose payload is, its origin's store."""
    attempt: int = 0
    """The number of the attempt that is followed; 0 for whichever it is."""


@attrs.frozen
class Reply:
    """The answer to an L{Ask}."""

    view: JobView | None = None
    cluster: ClusterView | None = None
    text: str = ""
    """What became of the wish to cancel."""
    data: bytes = b""
    """A piece of output or payload; shorter than was asked for at its end only, or of an output
    that may still grow."""
    piece: Piece | None = None
