"""
A node as the balancer sees it: here, away for a moment, or gone.
"""

from __future__ import annotations

import enum
from typing import Protocol

from automat import TypeMachineBuilder

from jobcluster.core.ledger import Holding
from jobcluster.core.values import Ref, memory_of
from jobcluster.core.words import JoinPart

__all__ = ["Effect", "NodeRecord", "Presence", "presence"]


class Effect(enum.Enum):
    """What a change of presence asks the cluster to do."""

    AWAIT = "await"
    """Give it the grace time to come back."""
    AWAIT_LONG = "await-long"
    """Give it the time it asked for when it left."""
    LOSE = "lose"
    """Give up what it holds."""


class NodeRecord:
    """
    What the balancer remembers of a node: who it is, what it holds, how much that is.
    """

    __slots__ = (
        "away_until",
        "beyond",
        "boot",
        "completed",
        "connection",
        "draining",
        "given",
        "holdings",
        "identity",
        "keeper",
        "labels",
        "name",
        "presence",
        "remark",
        "running",
        "serial",
        "slots",
        "stopping",
        "store",
        "suspects",
    )

    def __init__(self, name: str) -> None:
        """
        A node that has not joined yet.
        """
        self.name = name
        self.store = ""
        self.identity = (0, 0)
        """(incarnation, its random part) of the last accepted join."""
        self.serial = 0
        """Of the last accepted join."""
        self.boot = ""
        self.keeper = ""
        self.slots = 0
        self.labels: frozenset[str] = frozenset()
        self.remark = ""
        self.draining = False
        self.stopping = False
        self.beyond = 0
        self.connection: int | None = None
        self.away_until = 0.0
        """While it is away: until when it may come back, in observed seconds."""
        self.holdings: dict[Ref, Holding] = {}
        self.given = 0
        self.running = 0
        self.completed = 0
        self.suspects = 0
        self.presence: Presence = presence(self)

    @property
    def open(self) -> bool:
        """Whether it may be given anything at all."""
        return self.connection is not None and not self.draining and not self.stopping

    @property
    def memory(self) -> str:
        """
        What it remembers of its runs: its store, and which memory that has.

        Only who has the memory of when it was given an offer may deny it (rule 6).
        """
        return f"{self.store}~{memory_of(self.identity[0])}"

    @property
    def seated(self) -> bool:
        """Whether it takes one of C{MAX_NUM_NODES} seats."""
        return self.presence.describe() != "gone"

    def take(self, part: JoinPart, connection: int) -> None:
        """
        Be the node that this accepted join speaks of.
        """
        self.store = part.store
        self.identity = (part.incarnation, part.random)
        self.serial = part.serial
        self.boot = part.boot
        self.keeper = part.keeper
        self.slots = part.slots
        self.labels = frozenset(part.labels)
        self.remark = part.remark
        self.draining = part.draining
        self.stopping = part.stopping
        self.beyond = part.beyond
        self.connection = connection


class Presence(Protocol):
    """
    Where a node is.
    """

    def accepted(self) -> tuple[Effect, ...]:
        """Its join was accepted."""

    def paused(self) -> tuple[Effect, ...]:
        """It said that it ends in order, and that what runs there goes on."""

    def retired(self) -> tuple[Effect, ...]:
        """It said that it ends in order, and that nothing runs there any more."""

    def ended(self) -> tuple[Effect, ...]:
        """Its connection ended."""

    def overdue(self) -> tuple[Effect, ...]:
        """The time to come back is over."""

    def describe(self) -> str:
        """The state's name, for people."""


_builder = TypeMachineBuilder(Presence, NodeRecord)
_gone = _builder.state("gone")
_joined = _builder.state("joined")
_pausing = _builder.state("pausing")
_retiring = _builder.state("retiring")
_away = _builder.state("away")

# What comes late or twice is a row like any other.
for _state, _word, _target, _effects in (
    (_gone, Presence.accepted, _joined, ()),
    (_gone, Presence.paused, _gone, ()),
    (_gone, Presence.retired, _gone, ()),
    (_gone, Presence.ended, _gone, ()),
    (_gone, Presence.overdue, _gone, ()),
    (_joined, Presence.accepted, _joined, ()),
    (_joined, Presence.paused, _pausing, ()),
    (_joined, Presence.retired, _retiring, ()),
    (_joined, Presence.ended, _away, (Effect.AWAIT,)),
    (_joined, Presence.overdue, _joined, ()),
    (_pausing, Presence.accepted, _joined, ()),
    (_pausing, Presence.paused, _pausing, ()),
    (_pausing, Presence.retired, _retiring, ()),
    (_pausing, Presence.ended, _away, (Effect.AWAIT_LONG,)),
    (_pausing, Presence.overdue, _pausing, ()),
    (_retiring, Presence.accepted, _joined, ()),
    (_retiring, Presence.paused, _retiring, ()),
    (_retiring, Presence.retired, _retiring, ()),
    (_retiring, Presence.ended, _gone, (Effect.LOSE,)),
    (_retiring, Presence.overdue, _retiring, ()),
    (_away, Presence.accepted, _joined, ()),
    (_away, Presence.paused, _away, ()),
    (_away, Presence.retired, _away, ()),
    (_away, Presence.ended, _away, ()),
    (_away, Presence.overdue, _gone, (Effect.LOSE,)),
):
    _state.upon(_word).to(_target).returns(_effects)

for _state, _name in (
    (_gone, "gone"),
    (_joined, "joined"),
    (_pausing, "pausing"),
    (_retiring, "retiring"),
    (_away, "away"),
):
    _state.upon(Presence.describe).loop().returns(_name)

presence = _builder.build()
