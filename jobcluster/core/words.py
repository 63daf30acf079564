"""
What nodes and balancer say to each other: rows, and the batches that carry them.

A batch is read in the order of its fields, which is the order of an offer's life; so two words
about one offer mean the same whether they leave in one batch or in two.
A node's words as origin are about its own jobs: the connection says whose they are.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from jobcluster.core.values import Held, Offer, Outcome, Ref

__all__ = [
    "Bind",
    "Dispatch",
    "Ended",
    "Finished",
    "HeldBy",
    "JoinPart",
    "Kept",
    "Load",
    "LostBy",
    "Named",
    "Nobody",
    "Offered",
    "Placed",
    "Question",
    "Report",
    "Start",
    "StartedAt",
    "StartedBy",
    "Told",
]


class Named(NamedTuple):
    """An offer, named over the whole cluster."""

    origin: str
    store: str
    incarnation: int
    serial: int

    @property
    def ref(self) -> Ref:
        """The plain tuple, as tables have it for a key."""
        return (self.origin, self.store, self.incarnation, self.serial)


class Told(NamedTuple):
    """An offer of the origin at this connection's end: cancel, drop, acknowledge."""

    job: int
    incarnation: int
    serial: int

    @property
    def offer(self) -> Offer:
        """The offer alone."""
        return (self.incarnation, self.serial)


class Kept(NamedTuple):
    """An offer that is to go on, in place of the one that waits."""

    job: int
    incarnation: int
    serial: int
    instead: int
    """Serial of the offer, of the origin's present incarnation, that is void now; 0 if none is."""

    @property
    def offer(self) -> Offer:
        """The offer alone."""
        return (self.incarnation, self.serial)


Bind = Told
"""An offer that its origin has committed as bound."""


# -- node to balancer ------------------------------------------------------------------------------


class Load(NamedTuple):
    """A node's own figures; the balancer decides by its own books and shows these."""

    running: int
    waiting: int
    beyond: int
    """Jobs of this origin that wait behind its window."""
    draining: bool
    stopping: bool


class StartedAt(NamedTuple):
    """An offer was started."""

    origin: str
    store: str
    incarnation: int
    serial: int
    at: int
    """Milliseconds since the epoch."""


class Finished(NamedTuple):
    """An offer ended."""

    origin: str
    store: str
    incarnation: int
    serial: int
    job: int
    outcome: Outcome | None
    """C{None} where the executor is the origin, which keeps the outcome itself."""


class Offered(NamedTuple):
    """A job put before the balancer."""

    job: int
    incarnation: int
    serial: int
    kind: str
    payload: bytes
    priority: int
    requires: str
    attempt: int
    """The number of this attempt, from 1."""
    fresh: bool
    """Never put before any balancer (rule 3)."""
    suspect: bool
    """Two crashes are counted against it: one such job at a time and node."""
    once: bool
    """To be bound before it is started (rule 6)."""
    size: int = 0
    """Bytes of a payload that is too long to be said, so that C{payload} is empty; else 0."""

    @property
    def offer(self) -> Offer:
        """The offer alone."""
        return (self.incarnation, self.serial)


class Question(NamedTuple):
    """A job that must not be placed but may be held (rules 1 and 7)."""

    job: int
    incarnation: int
    """Of the offer that was withdrawn or bound; 0 where none is known."""
    serial: int
    node: str = ""
    """Where it is bound to; empty if it is not bound."""
    memory: str = ""
    """Of that node, at the time; empty if nobody may deny it."""

    @property
    def offer(self) -> Offer:
        """The offer alone."""
        return (self.incarnation, self.serial)


@attrs.frozen
class JoinPart:
    """One numbered part of a join; the inventory is complete with the last part."""

    version: int
    name: str
    store: str
    incarnation: int
    random: int
    """Drawn with each incarnation: tells clones apart."""
    serial: int
    """Counts the joins of one incarnation."""
    part: int
    """From 0."""
    last: bool
    boot: str
    """Id of the machine's boot."""
    keeper: str
    """Id of the process that runs the jobs; empty where it is the node itself."""
    slots: int
    labels: tuple[str, ...] = ()
    draining: bool = False
    stopping: bool = False
    beyond: int = 0
    remark: str = ""
    """A note for people, for instance that this node trusts its network."""
    inventory: tuple[Held, ...] = ()
    offered: tuple[Offered, ...] = ()
    questions: tuple[Question, ...] = ()


@attrs.frozen
class Report:
    """What a node says to its balancer."""

    load: Load | None = None
    offered: tuple[Offered, ...] = ()
    bound: tuple[Bind, ...] = ()
    withdrawn: tuple[Question, ...] = ()
    started: tuple[StartedAt, ...] = ()
    refused: tuple[Named, ...] = ()
    finished: tuple[Finished, ...] = ()
    gone: tuple[Named, ...] = ()
    keep: tuple[Kept, ...] = ()
    cancel: tuple[Told, ...] = ()
    drop: tuple[Told, ...] = ()
    acknowledge: tuple[Told, ...] = ()


# -- balancer to node ------------------------------------------------------------------------------


class Start(NamedTuple):
    """An executor is given an offer."""

    origin: str
    store: str
    job: int
    incarnation: int
    serial: int
    kind: str
    payload: bytes
    """Empty where the executor is the origin."""
    attempt: int
    once: bool
    suspect: bool = False
    size: int = 0
    """Bytes of payload that are to be fetched from the origin; 0 if there are none."""

    @property
    def ref(self) -> Ref:
        """The offer's name over the whole cluster."""
        return (self.origin, self.store, self.incarnation, self.serial)


class Placed(NamedTuple):
    """An offer was given to a node; one that is to be bound waits for its origin's word."""

    job: int
    incarnation: int
    serial: int
    node: str
    memory: str
    keeper: str


class StartedBy(NamedTuple):
    """An offer was started."""

    job: int
    incarnation: int
    serial: int
    at: int


class HeldBy(NamedTuple):
    """A joined node holds this offer: to be answered with keep, cancel or drop (rule 2)."""

    job: int
    incarnation: int
    serial: int
    node: str
    keeper: str
    state: str
    started: int


class Nobody(NamedTuple):
    """Nobody holds this offer, or (as the answer to a question) any offer of this job."""

    job: int
    incarnation: int
    serial: int
    gone: bool = False
    """Of a bound job: its node cannot be asked any more, so nothing is denied."""


class LostBy(NamedTuple):
    """The executor of this offer is lost."""

    job: int
    incarnation: int
    serial: int
    node: str
    keeper: str
    cause: str
    started: int
    """Milliseconds since the epoch, 0 if it was not started as far as is known."""


class Ended(NamedTuple):
    """This offer ended; to be acknowledged once it is on the origin's disk."""

    job: int
    incarnation: int
    serial: int
    outcome: Outcome


@attrs.frozen
class Dispatch:
    """What a balancer says to a node."""

    start: tuple[Start, ...] = ()
    cancel: tuple[Named, ...] = ()
    drop: tuple[Named, ...] = ()
    acknowledge: tuple[Named, ...] = ()
    placed: tuple[Placed, ...] = ()
    held: tuple[HeldBy, ...] = ()
    started: tuple[StartedBy, ...] = ()
    nobody: tuple[Nobody, ...] = ()
    lost: tuple[LostBy, ...] = ()
    outcome: tuple[Ended, ...] = ()
