"""
What is shown to people: a job, a node, the cluster; and the questions that get these shown.
"""

from __future__ import annotations

import attrs

from jobcluster.core.values import Outcome

__all__ = ["Ask", "BalanceView", "ClusterView", "JobView", "NodeView", "Reply"]


@attrs.frozen
class JobView:
    """A job as its origin's store shows it to a client."""

    job: int
    kind: str
    payload: bytes
    state: str
    """C{"waiting"}, C{"running"}, C{"cancelling"}, C{"ended"} or C{"expired"}."""
    submitted: int
    """Milliseconds since the epoch."""
    attempts: int = 0
    node: str = ""
    """Where it runs or ran."""
    outcome: Outcome | None = None


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
class Ask:
    """A question to another node about a job of it, or to the balancer about the cluster."""

    node: str
    """Whom to ask; empty for the balancer itself."""
    verb: str
    """C{"view"}, C{"wait"} (answered with the view when the job ends, or after C{patience}),
    C{"cancel"} or C{"cluster"}."""
    job: int = 0
    patience: float = 0.0
    """Seconds."""


@attrs.frozen
class Reply:
    """The answer to an L{Ask}."""

    view: JobView | None = None
    cluster: ClusterView | None = None
    text: str = ""
    """What became of the wish to cancel."""
