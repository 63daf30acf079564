"""
What is to be done, in the imperative: the only thing that a core says.

A shell carries out the actions of a node in their order, one queue for all of them: what follows a
L{Persist} waits until it is committed.
If that commit fails, what waited is forgotten, and the core with it.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from jobcluster.core.records import Change
from jobcluster.core.values import Offer, Outcome, Ref, Terms
from jobcluster.core.views import JobView
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.errors import JobclusterError

__all__ = [
    "Accept",
    "Answer",
    "BalancerAction",
    "CloseConnection",
    "CollectOutput",
    "DropRuns",
    "ExtendLease",
    "FetchPayload",
    "Leave",
    "LoadJobs",
    "LoadKeys",
    "LoadPage",
    "NodeAction",
    "Note",
    "Outcomes",
    "Persist",
    "Probe",
    "Rebuild",
    "Refuse",
    "Run",
    "SendDispatch",
    "SendJoin",
    "SendReport",
    "StartRuns",
    "StopRuns",
    "Stopped",
    "WantRound",
]


@attrs.frozen
class Note:
    """Tell the operator."""

    level: str
    """C{"info"} or C{"warn"}; C{"verbose"} for what only C{VERBOSE=1} shows."""
    event: str
    """What happened, in a few fixed words."""
    detail: dict[str, object] = attrs.field(factory=dict[str, object])


@attrs.frozen
class CloseConnection:
    """End this connection, without reading what is still in it."""

    connection: int
    reason: str


# -- of a node -------------------------------------------------------------------------------------


@attrs.frozen
class Persist:
    """Commit these changes, all or none."""

    changes: tuple[Change, ...]


@attrs.frozen
class Answer:
    """Answer a client's request."""

    request: int
    value: tuple[int | JobclusterError, ...] | tuple[str, ...]
    """
    The ids of jobs that were submitted, or why one was not taken; or, for each job that was to be
    cancelled, what became of the wish.
    """


@attrs.frozen
class Outcomes:
    """Tell those who wait for them that these jobs of this node have ended."""

    jobs: tuple[JobView, ...]


@attrs.frozen
class LoadJobs:
    """Read these jobs; answered by L{jobcluster.core.events.JobsLoaded}."""

    jobs: tuple[int, ...]


@attrs.frozen
class LoadPage:
    """
    Read waiting jobs, the best first (greater priority, then smaller id).

    Answered by L{jobcluster.core.events.PageLoaded}.
    """

    requires: str
    after: tuple[int, int]
    """(priority, id) of the last job that is known."""
    limit: int


@attrs.frozen
class LoadKeys:
    """Read which jobs have these keys; answered by L{jobcluster.core.events.KeysLoaded}."""

    keys: tuple[str, ...]


@attrs.frozen
class CollectOutput:
    """
    Bring the output of a job of this node to its disk, durably.

    Answered by L{jobcluster.core.events.OutputCollected} or C{OutputMissed}.
    """

    job: int
    offer: Offer
    node: str
    """Who has it; perhaps this one."""
    outcome: Outcome
    """Says how much it is."""


@attrs.frozen
class FetchPayload:
    """
    Ask an offer's origin for what is to be run; answered by L{jobcluster.core.events.PayloadCame}.
    """

    ref: Ref
    job: int
    size: int
    """Bytes."""


@attrs.frozen
class SendJoin:
    """Say these parts of one join, in order, before anything else on this connection."""

    connection: int
    parts: tuple[JoinPart, ...]


@attrs.frozen
class SendReport:
    """Say this to the balancer; it may be merged with what else waits to be said."""

    connection: int
    report: Report


@attrs.frozen
class Leave:
    """Tell the balancer that this node ends, after everything that was said before."""

    connection: int
    keep: bool


@attrs.frozen
class Rebuild:
    """Begin anew from the store, with a new incarnation, before the next join."""


@attrs.frozen
class Stopped:
    """The node has nothing more to say: the process may end."""


class Run(NamedTuple):
    """What is to be run under an offer."""

    origin: str
    store: str
    incarnation: int
    serial: int
    job: int
    kind: str
    payload: bytes
    attempt: int
    once: bool
    deadline: float
    """Of a sleep: when it ends, in seconds of the boot-time clock; else 0."""
    adopted: bool
    """It was started by an earlier process of this node, so no lease is asked for."""
    started: int = 0
    """Of one that is adopted: milliseconds since the epoch."""
    suspect: bool = False
    """Two crashes are counted against its job."""

    @property
    def ref(self) -> Ref:
        """The offer's name over the whole cluster."""
        return (self.origin, self.store, self.incarnation, self.serial)


@attrs.frozen
class StartRuns:
    """
    Start these, each unless the lease is over by then.

    Answered by L{jobcluster.core.events.RunsStarted} or L{jobcluster.core.events.RunsRefused} for
    each that is not adopted, and in the end by L{jobcluster.core.events.RunsEnded}.
    """

    runs: tuple[Run, ...]


@attrs.frozen
class StopRuns:
    """End these as cancelled; answered by L{jobcluster.core.events.RunsEnded}."""

    refs: tuple[Ref, ...]


@attrs.frozen
class DropRuns:
    """
    End these and forget them, outcome and all.

    Answered by L{jobcluster.core.events.RunsDropped} for those that were not forgotten yet, when
    nothing of them is left.
    """

    refs: tuple[Ref, ...]


@attrs.frozen
class ExtendLease:
    """No offer is started later than this, in seconds of the boot-time clock."""

    until: float


NodeAction = (
    Note
    | CloseConnection
    | Persist
    | Answer
    | Outcomes
    | LoadJobs
    | LoadPage
    | LoadKeys
    | CollectOutput
    | FetchPayload
    | SendJoin
    | SendReport
    | Leave
    | Rebuild
    | Stopped
    | StartRuns
    | StopRuns
    | DropRuns
    | ExtendLease
)


# -- of the balancer -------------------------------------------------------------------------------


@attrs.frozen
class Accept:
    """Answer the last part of a join."""

    connection: int
    serial: int
    terms: Terms


@attrs.frozen
class Refuse:
    """Answer a join with an error, and end the connection."""

    connection: int
    serial: int
    reason: str
    superseded: bool = False
    """A newer process with the same store has joined before."""


@attrs.frozen
class Probe:
    """
    Ask whether anybody is there, for a second.

    Answered by L{jobcluster.core.events.PeerProbed}.
    """

    connection: int


@attrs.frozen
class SendDispatch:
    """Say this to a node; it may be merged with what else waits to be said."""

    connection: int
    dispatch: Dispatch


@attrs.frozen
class WantRound:
    """Make a round of placement when everything that came in this turn has been handled."""


BalancerAction = Note | CloseConnection | Accept | Refuse | Probe | SendDispatch | WantRound
