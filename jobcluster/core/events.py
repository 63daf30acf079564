"""
What happened, in the past tense: the only thing that a core reacts to.

Events carry batches: one event for a hundred finished jobs.
"""

from __future__ import annotations

import attrs

from jobcluster.core.values import Job, Keyed, Offer, Outcome, Ref, Spec, Terms
from jobcluster.core.words import Dispatch, JoinPart, Report

__all__ = [
    "BalancerConnected",
    "BalancerDisconnected",
    "BalancerEvent",
    "CancelRequested",
    "ConnectionEnded",
    "DispatchReceived",
    "DrainRequested",
    "JobsLoaded",
    "JobsRequested",
    "JoinAccepted",
    "JoinReceived",
    "JoinRefused",
    "KeeperReplaced",
    "KeysLoaded",
    "NodeEvent",
    "NodeLeft",
    "OutputCollected",
    "OutputMissed",
    "PageLoaded",
    "PayloadCame",
    "PeerProbed",
    "ReportAnswered",
    "ReportReceived",
    "RoundDue",
    "RunEnded",
    "RunnerEvent",
    "RunsDropped",
    "RunsEnded",
    "RunsRefused",
    "RunsStarted",
    "StopRequested",
    "Ticked",
]


@attrs.frozen
class Ticked:
    """The time that the core asked to be woken at has come (or another)."""


# -- at a node: from its clients -------------------------------------------------------------------


@attrs.frozen
class JobsRequested:
    """
    A client wants jobs run; answered, once they are committed, with their ids, and for those that
    are not taken with the reason.
    """

    request: int
    """Chosen by the shell: the L{jobcluster.core.actions.Answer} quotes it."""
    specs: tuple[Spec, ...]
    room: bool = True
    """Whether there is room for new ones; those that turn out to be known need none."""


@attrs.frozen
class CancelRequested:
    """A client wants jobs of this node cancelled; answered once the wish is committed."""

    request: int
    jobs: tuple[int, ...]


@attrs.frozen
class DrainRequested:
    """Somebody wants this node to be given nothing more, or to be given jobs again."""

    request: int
    draining: bool


@attrs.frozen
class StopRequested:
    """This node is to end in order."""

    keep: bool
    """Whether what runs goes on without the node process."""


# -- at a node: from its store ---------------------------------------------------------------------


@attrs.frozen
class JobsLoaded:
    """The answer to L{jobcluster.core.actions.LoadJobs}."""

    wanted: tuple[int, ...]
    found: tuple[Job, ...]
    """Those of C{wanted} that are unfinished; the others have ended or are unknown."""


@attrs.frozen
class PageLoaded:
    """The answer to L{jobcluster.core.actions.LoadPage}."""

    requires: str
    jobs: tuple[Job, ...]


@attrs.frozen
class KeysLoaded:
    """The answer to L{jobcluster.core.actions.LoadKeys}."""

    found: tuple[Keyed, ...]


# -- at a node: from other nodes -------------------------------------------------------------------


@attrs.frozen
class OutputCollected:
    """The output of a job of this node is on its disk."""

    job: int
    offer: Offer
    trouble: str = ""
    """Why it is not, and never will be, in words for the user; empty if it is."""


@attrs.frozen
class OutputMissed:
    """The output of a job of this node could not be fetched this time."""

    job: int
    offer: Offer


@attrs.frozen
class PayloadCame:
    """What an offer is to run is here."""

    ref: Ref
    payload: bytes | None
    """C{None} if its origin did not give it."""


# -- at a node: from its runner --------------------------------------------------------------------


@attrs.frozen
class RunsStarted:
    """Offers were started."""

    refs: tuple[Ref, ...]
    at: int
    """Milliseconds since the epoch."""


@attrs.frozen
class RunsRefused:
    """Offers were not started, and will not be: the lease was over."""

    refs: tuple[Ref, ...]


@attrs.frozen
class RunEnded:
    """One offer ended."""

    ref: Ref
    outcome: Outcome


@attrs.frozen
class RunsEnded:
    """Offers ended, or are lost (their outcome's status is then lost)."""

    runs: tuple[RunEnded, ...]


@attrs.frozen
class RunsDropped:
    """What was dropped has ended, and nothing is left of it."""

    refs: tuple[Ref, ...]


@attrs.frozen
class KeeperReplaced:
    """Another process runs the jobs from now on."""

    keeper: str
    """Its id."""


# -- at a node: from its balancer ------------------------------------------------------------------


@attrs.frozen
class BalancerConnected:
    """There is a connection to a balancer."""

    connection: int


@attrs.frozen
class BalancerDisconnected:
    """A connection to the balancer ended."""

    connection: int


@attrs.frozen
class JoinAccepted:
    """The balancer has accepted the join of this serial."""

    connection: int
    serial: int
    sent: float
    """When the join's last part was sent, in seconds of the boot-time clock."""
    terms: Terms


@attrs.frozen
class JoinRefused:
    """The balancer has refused the join of this serial."""

    connection: int
    serial: int
    reason: str
    superseded: bool = False
    """A newer process with the same store has joined before."""


@attrs.frozen
class ReportAnswered:
    """The balancer has taken a report."""

    connection: int
    sent: float
    """When it was sent, in seconds of the boot-time clock: the lease counts from there."""


@attrs.frozen
class DispatchReceived:
    """The balancer said something."""

    connection: int
    dispatch: Dispatch


# -- at the balancer -------------------------------------------------------------------------------


@attrs.frozen
class JoinReceived:
    """A part of a join came."""

    connection: int
    part: JoinPart


@attrs.frozen
class ReportReceived:
    """A node said something."""

    connection: int
    report: Report


@attrs.frozen
class NodeLeft:
    """A node is about to end in order."""

    connection: int
    keep: bool
    """Whether what runs there goes on, to be found by its next process."""


@attrs.frozen
class PeerProbed:
    """The answer to L{jobcluster.core.actions.Probe}."""

    connection: int
    alive: bool


@attrs.frozen
class ConnectionEnded:
    """A node's connection ended, or was ended because it was silent."""

    connection: int


@attrs.frozen
class RoundDue:
    """The round of placement that was asked for is to be made."""


RunnerEvent = RunsStarted | RunsRefused | RunsEnded | RunsDropped | KeeperReplaced
"""What a runner tells."""

NodeEvent = (
    Ticked
    | JobsRequested
    | CancelRequested
    | DrainRequested
    | StopRequested
    | JobsLoaded
    | PageLoaded
    | KeysLoaded
    | OutputCollected
    | OutputMissed
    | PayloadCame
    | RunsStarted
    | RunsRefused
    | RunsEnded
    | RunsDropped
    | KeeperReplaced
    | BalancerConnected
    | BalancerDisconnected
    | JoinAccepted
    | JoinRefused
    | ReportAnswered
    | DispatchReceived
)

BalancerEvent = (
    Ticked | JoinReceived | ReportReceived | NodeLeft | PeerProbed | ConnectionEnded | RoundDue
)
