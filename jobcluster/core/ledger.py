"""
Who holds which offer: the rows of the balancer's books.

There are three kinds, each pointing at the others: a job of some origin, its offer that waits to be
placed, and the offers of it that executors hold.
An executor is known here by its name alone, and whether it is joined is the book-keeper's business.
"""

from __future__ import annotations

import enum

from jobcluster.core.values import Held, Offer, Owner, Ref, RunState
from jobcluster.core.words import Offered, Question

__all__ = ["Entry", "Holding", "OwnerBook", "Stage", "Waiting"]


class Stage(enum.Enum):
    """How far a held offer is, as the balancer knows it."""

    RESERVED = "reserved"
    """Placed, but not to be started before its origin has bound it (rule 6)."""
    GIVEN = "given"
    """Given, and not known to have been started."""
    RUNNING = "running"
    ENDED = "ended"
    """Its outcome is not on its origin's disk yet, as far as is known."""

    @classmethod
    def of(cls, state: str) -> Stage:
        """
        The stage that an inventory's row speaks of.
        """
        if state == RunState.RUNNING:
            return cls.RUNNING
        return cls.ENDED if state == RunState.ENDED else cls.GIVEN


class Entry:
    """
    A job that somebody offers, asks about or holds; forgotten when nobody does.
    """

    __slots__ = ("book", "holdings", "job", "question", "waiting")

    def __init__(self, book: OwnerBook, job: int) -> None:
        """
        A job of which nothing is known yet.
        """
        self.book = book
        self.job = job
        self.waiting: Waiting | None = None
        self.question: Question | None = None
        self.holdings: list[Holding] = []

    @property
    def idle(self) -> bool:
        """Whether nothing needs to be known of it any more."""
        return not self.holdings and self.waiting is None and self.question is None


class Waiting:
    """
    An offer that waits to be placed.
    """

    __slots__ = ("entry", "place", "row")

    def __init__(self, entry: Entry, row: Offered) -> None:
        """
        An offer that is not in the ready queue yet.
        """
        self.entry = entry
        self.row = row
        self.place = 0
        """Its place in the ready queue; 0 if something that is held blocks it (rule 3)."""

    @property
    def queued(self) -> bool:
        """Whether it is in the ready queue."""
        return self.place != 0

    @property
    def lane(self) -> tuple[str, bool]:
        """Those of one lane can be placed on the same nodes: (requirements, suspect)."""
        return (self.row.requires, self.row.suspect)


class Holding:
    """
    An offer that an executor holds, or may hold.
    """

    __slots__ = (
        "dropped",
        "entry",
        "keeper",
        "node",
        "offer",
        "row",
        "stage",
        "started",
        "suspect",
        "told",
    )

    def __init__(self, entry: Entry, offer: Offer, node: str, keeper: str, stage: Stage) -> None:
        """
        An offer of which its origin has not been told on its present connection.
        """
        self.entry = entry
        self.offer = offer
        self.node = node
        self.keeper = keeper
        self.stage = stage
        self.started = 0
        """Milliseconds since the epoch, 0 if it was not started as far as is known."""
        self.told = False
        """Whether its origin was told, on its present connection, that it is held."""
        self.dropped = False
        """Whether its origin has answered with *drop*: it blocks no other offer any more."""
        self.suspect = False
        self.row: Offered | None = None
        """While it is reserved: what is to be started."""

    @property
    def ref(self) -> Ref:
        """The offer's name over the whole cluster."""
        return (*self.entry.book.owner, *self.offer)

    def update(self, row: Held) -> None:
        """
        Believe an inventory.
        """
        self.stage = Stage.of(row.state)
        self.started = row.started
        self.suspect = row.suspect
        self.told = False
        self.dropped = False


class OwnerBook:
    """
    The jobs of one origin that the balancer knows of, whether the origin is joined or not.
    """

    __slots__ = ("connection", "entries", "name", "owner")

    def __init__(self, owner: Owner) -> None:
        """
        The book of an origin that is not joined.
        """
        self.owner = owner
        self.name = owner[0]
        self.connection: int | None = None
        self.entries: dict[int, Entry] = {}

    def entry(self, job: int) -> Entry:
        """
        The entry of this job, made if need be.
        """
        entry = self.entries.get(job)
        if entry is None:
            entry = self.entries[job] = Entry(self, job)
        return entry
