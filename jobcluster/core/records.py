"""
What a node writes down: the changes that a core asks its store to commit, and what it reads back.

All changes of one L{jobcluster.core.actions.Persist} are one transaction.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from jobcluster.core.values import Attempt, Job, Keyed, Outcome, Ref

__all__ = [
    "AttemptsRecorded",
    "Bound",
    "BoundJob",
    "Cancelling",
    "Change",
    "Deadline",
    "DeadlinesCleared",
    "DeadlinesSet",
    "Draining",
    "EndedJob",
    "Identity",
    "JobsEnded",
    "JobsSubmitted",
    "KeysTaken",
    "Lane",
    "NodeSettings",
    "Recovered",
    "Unbound",
]


class Deadline(NamedTuple):
    """A sleep that outlives the node process; of a job that runs at most once, its intent."""

    origin: str
    store: str
    incarnation: int
    serial: int
    job: int
    boot: str
    """Id of the machine's boot: of another one, the sleep is lost."""
    deadline: float
    """When it ends, in seconds of the boot-time clock."""
    started: int
    """Milliseconds since the epoch."""
    ends: int
    """Milliseconds since the epoch, for the record."""
    once: bool

    @property
    def ref(self) -> Ref:
        """The offer's name over the whole cluster."""
        return (self.origin, self.store, self.incarnation, self.serial)


class EndedJob(NamedTuple):
    """A job and its one outcome."""

    job: int
    outcome: Outcome
    attempts: int
    """How often it was started or lost."""


class BoundJob(NamedTuple):
    """The one offer of a job that may run."""

    job: int
    incarnation: int
    serial: int
    node: str
    memory: str
    """That node's: only with this it may deny the offer."""


@attrs.frozen
class JobsSubmitted:
    """New jobs, waiting."""

    jobs: tuple[Job, ...]


@attrs.frozen
class KeysTaken:
    """Keys of new jobs, which are submitted in the same commit."""

    keys: tuple[Keyed, ...]


@attrs.frozen
class JobsEnded:
    """Outcomes; a job that has one already keeps it."""

    jobs: tuple[EndedJob, ...]


@attrs.frozen
class Cancelling:
    """The wish that these jobs be cancelled."""

    jobs: tuple[int, ...]


@attrs.frozen
class Bound:
    """Jobs that may run under one offer only."""

    jobs: tuple[BoundJob, ...]


@attrs.frozen
class Unbound:
    """Jobs whose bound offer was denied; they wait again."""

    jobs: tuple[int, ...]


@attrs.frozen
class AttemptsRecorded:
    """Attempts that were started, lost, or are no longer counted; the later word replaces."""

    attempts: tuple[Attempt, ...]


@attrs.frozen
class DeadlinesSet:
    """Sleeps that were started here."""

    deadlines: tuple[Deadline, ...]


@attrs.frozen
class DeadlinesCleared:
    """Sleeps of which nothing needs to be known any more."""

    refs: tuple[Ref, ...]


@attrs.frozen
class Draining:
    """Whether this node is to be given nothing."""

    draining: bool


Change = (
    JobsSubmitted
    | KeysTaken
    | JobsEnded
    | Cancelling
    | Bound
    | Unbound
    | AttemptsRecorded
    | DeadlinesSet
    | DeadlinesCleared
    | Draining
)


@attrs.frozen
class Identity:
    """Who a node is, in this incarnation of it."""

    name: str
    store: str
    incarnation: int
    """Counted up and committed at each start."""
    random: int
    boot: str
    """Id of the machine's boot."""


@attrs.frozen
class NodeSettings:
    """What a node is told when it is started."""

    slots: int
    labels: tuple[str, ...] = ()
    version: int = 1
    """Of the protocol; a balancer of another one refuses the join."""
    remark: str = ""
    """A note for people, shown beside the node."""


class Lane(NamedTuple):
    """How many jobs of one set of requirements wait in the store."""

    requires: str
    waiting: int


@attrs.frozen
class Recovered:
    """What a store knows when it is opened."""

    last_job: int
    """The greatest job id ever given out, 0 if none."""
    lanes: tuple[Lane, ...] = ()
    """Waiting jobs (neither cancelling, bound nor ended), counted."""
    questions: tuple[Job, ...] = ()
    """Unfinished jobs that are cancelling or bound."""
    deadlines: tuple[Deadline, ...] = ()
    draining: bool = False
