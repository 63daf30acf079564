"""
Who may join, and what a join in several parts adds up to (rule 1, and who is the same node).
"""

from __future__ import annotations

import enum
from typing import Final

from jobcluster.core.nodes import NodeRecord
from jobcluster.core.values import Held
from jobcluster.core.words import JoinPart, Offered, Question

__all__ = ["UNDER_WAY_LIMIT", "Joining", "JoinsUnderWay", "Verdict", "judge"]

UNDER_WAY_LIMIT: Final = 11.0
"""Seconds for which the joins of one node hold back the placing of others' jobs (rule 3)."""


_REMEMBERED: Final = 1000
"""Names that are remembered for having begun to join; strangers could invent any number."""


class Joining:
    """
    A join of which not all parts have come.
    """

    __slots__ = ("complete", "first", "inventory", "offered", "parts", "probing", "questions")

    def __init__(self, first: JoinPart) -> None:
        """
        A join whose first part has come; L{add} takes it in.
        """
        self.first = first
        self.parts = 0
        self.complete = False
        self.probing: int | None = None
        """The older connection of the same node that was asked whether it is alive."""
        self.inventory: list[Held] = []
        self.offered: list[Offered] = []
        self.questions: list[Question] = []

    def add(self, part: JoinPart) -> bool:
        """
        Take in the next part.

        @return: whether it is the next part of this join.
        """
        expected = (self.parts, self.first.name, self.first.store, self.first.serial)
        if self.complete or (part.part, part.name, part.store, part.serial) != expected:
            return False
        self.parts += 1
        self.complete = part.last
        self.inventory.extend(part.inventory)
        self.offered.extend(part.offered)
        self.questions.extend(part.questions)
        return True


class JoinsUnderWay:
    """
    The nodes that are about to say what they hold.
    """

    def __init__(self) -> None:
        """
        Nobody joins.
        """
        self._since: dict[str, float] = {}

    def begun(self, name: str, seconds: float) -> None:
        """
        The first part of a join came; only the first since the last accepted one counts.
        """
        self._since.setdefault(name, seconds)
        if len(self._since) > _REMEMBERED:
            del self._since[next(iter(self._since))]

    def ended(self, name: str) -> None:
        """
        A join was accepted or refused.
        """
        self._since.pop(name, None)

    def until(self, seconds: float) -> float | None:
        """
        When the last of them stops to hold others back, or C{None} if none does.
        """
        latest = max(self._since.values(), default=None)
        if latest is None or latest + UNDER_WAY_LIMIT <= seconds:
            return None
        return latest + UNDER_WAY_LIMIT


class Verdict(enum.Enum):
    """Whether a join may go on."""

    WELCOME = "welcome"
    PROBE = "probe"
    """If the older connection of this node does not answer."""
    OTHER_STORE = (
        "another node is called {name}: give this one another name (--name), or wait until the"
        " other has been away for the grace time"
    )
    CLONE = (
        "a node with the state directory of {name} is in the cluster already: was the directory"
        " copied? give each node a directory of its own (--state)"
    )
    SUPERSEDED = (
        "a newer process with the state directory of {name} has joined: was the directory copied?"
        " give each node a directory of its own (--state)"
    )
    """This process may try again with a new incarnation, for the newer one may be gone."""
    OLD = "a newer join of {name} was accepted already"
    FULL = "the cluster has all the nodes that MAX_NUM_NODES allows: set it higher at the balancer"


def judge(node: NodeRecord | None, part: JoinPart, *, full: bool) -> Verdict:
    """
    Whether the join that begins so may go on, as things are now.

    @param node: what is known of the node of that name.
    @param full: whether all seats are taken.
    """
    if full and (node is None or not node.seated):
        return Verdict.FULL
    if node is None or (node.store != part.store and not node.seated):
        return Verdict.WELCOME
    if node.store != part.store:
        return Verdict.OTHER_STORE
    return _compare(node, part)


def _compare(node: NodeRecord, part: JoinPart) -> Verdict:
    """Whether this is a newer word of the same node."""
    incarnation, random = node.identity
    if part.incarnation < incarnation:
        return Verdict.SUPERSEDED
    if part.incarnation == incarnation:
        if part.random != random:
            return Verdict.SUPERSEDED
        return Verdict.WELCOME if part.serial > node.serial else Verdict.OLD
    return Verdict.PROBE if node.connection is not None else Verdict.WELCOME
