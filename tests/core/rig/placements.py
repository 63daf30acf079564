"""
C4, held against every round: who was given what, and what was left waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from jobcluster.core.actions import BalancerAction, SendDispatch
from jobcluster.core.cluster import Cluster
from jobcluster.core.values import Owner
from jobcluster.core.words import JoinPart, Offered, Placed, Report
from tests.core.rig.ground import BrokenPromiseError

__all__ = ["NodeRow", "Placements", "rows_of"]

_TRIES = 20_000

_Queue = list[tuple[str, str]]
"""Requirements and node of the placements of one origin, in their order."""


class NodeRow:
    """
    A node in the books of the balancer, at one moment.
    """

    __slots__ = ("capacity", "given", "labels", "name", "open")

    def __init__(self, name: str, labels: Iterable[str]) -> None:
        """
        A node of that name.
        """
        self.name = name
        self.labels = frozenset(labels)
        self.open = False
        self.capacity: int | None = 0
        self.given = 0

    def suits(self, requires: str) -> bool:
        """
        Whether it may be given a job of these requirements, if it has room.
        """
        return self.open and (not requires or self.labels.issuperset(requires.split(",")))

    @property
    def room(self) -> bool:
        """Whether it has room."""
        return self.capacity is None or self.given < self.capacity


def rows_of(cluster: Cluster) -> dict[str, NodeRow]:
    """
    What the balancer's books say of its nodes now.
    """
    rows = {}
    for record in cluster.books().nodes.values():
        row = rows[record.name] = NodeRow(record.name, record.labels)
        row.open = record.open
        row.capacity = cluster.capacity(record)
        row.given = record.given
        if row.given < 0:
            raise BrokenPromiseError("C4", f"{row.name} has been given {row.given}")
    return rows


class Placements:
    """
    What waits at one balancer, by what the nodes have said; and a check of each round.
    """

    def __init__(self, *, eager: bool) -> None:
        """
        Nothing waits.
        """
        self._eager = eager
        self._waiting: dict[int, dict[int, Offered]] = {}
        self._owners: dict[int, Owner] = {}
        self._kept: dict[int, set[int]] = {}
        """Jobs whose waiting offer may have been replaced by one that was kept."""

    # -- what was said -----------------------------------------------------------------------------

    def accepted(self, connection: int, parts: Sequence[JoinPart]) -> None:
        """
        This join was accepted.
        """
        self._owners[connection] = (parts[0].name, parts[0].store)
        self._kept[connection] = set()
        self._waiting[connection] = {row.job: row for part in parts for row in part.offered}

    def ended(self, connection: int) -> None:
        """
        This connection was ended.
        """
        self._waiting.pop(connection, None)

    def reported(self, connection: int, report: Report) -> None:
        """
        This was said.
        """
        waiting = self._waiting.get(connection)
        if waiting is None:
            return
        for row in report.offered:
            before = waiting.get(row.job)
            if before is None or before.offer < row.offer:
                waiting[row.job] = row
                self._kept[connection].discard(row.job)
        for question in report.withdrawn:
            waiting.pop(question.job, None)
        kept = self._kept[connection]
        kept.update(told.job for told in report.keep)
        kept.update(told.job for told in report.cancel)

    # -- rounds ------------------------------------------------------------------------------------

    def check(self, before: Mapping[str, NodeRow], actions: Iterable[BalancerAction]) -> int:
        """
        Hold a round against C4 (a).

        @param before: the books before it.
        @return: how many jobs were placed.
        """
        queues = []
        for action in actions:
            if isinstance(action, SendDispatch) and action.dispatch.placed:
                waiting = self._waiting.get(action.connection, {})
                queues.append([self._row(waiting, row) for row in action.dispatch.placed])
        if not _explain(before, queues):
            books = {n: (r.given, r.capacity, r.open) for n, r in before.items()}
            raise BrokenPromiseError("C4a", f"no order explains {queues} with {books}")
        return sum(map(len, queues))

    @staticmethod
    def _row(waiting: dict[int, Offered], placed: Placed) -> tuple[str, str]:
        row = waiting.pop(placed.job, None)
        if row is None or row.offer != (placed.incarnation, placed.serial):
            raise BrokenPromiseError("C4", f"{placed} was placed, but {row} waits")
        return (row.requires, placed.node)

    def check_left(self, after: Mapping[str, NodeRow], copies: AbstractSet[Owner]) -> None:
        """
        Hold what is left waiting against C4 (b), as far as it is sure to be placeable.

        @param copies: origins of which there are clones; their jobs may have ids in common.
        """
        if not self._eager:
            return
        free = [row for row in after.values() if row.open and row.room]
        if not free:
            return
        for connection, waiting in self._waiting.items():
            if self._owners[connection] in copies:
                continue
            for row in waiting.values():
                if row.fresh and not row.suspect and row.job not in self._kept[connection]:
                    for node in free:
                        if node.suits(row.requires):
                            raise BrokenPromiseError(
                                "C4b", f"{row} waits while {node.name} has room"
                            )


def _explain(rows: Mapping[str, NodeRow], queues: Sequence[_Queue]) -> bool:
    """
    Find an order in which each placement goes to the node with least of those that it may go to.

    The order of one origin's placements is known, how those of several were mixed is not.
    """
    seen = {(0,) * len(queues)}
    stack = list(seen)
    end = tuple(map(len, queues))
    while stack:
        state = stack.pop()
        if state == end or len(seen) > _TRIES:
            return True
        given = Counter({name: row.given for name, row in rows.items()})
        for queue, taken in zip(queues, state, strict=True):
            given.update(node for _, node in queue[:taken])
        for index, queue in enumerate(queues):
            if state[index] < len(queue) and _fits(rows, given, *queue[state[index]]):
                follower = (*state[:index], state[index] + 1, *state[index + 1 :])
                if follower not in seen:
                    seen.add(follower)
                    stack.append(follower)
    return False


def _fits(rows: Mapping[str, NodeRow], given: Mapping[str, int], requires: str, name: str) -> bool:
    node = rows.get(name)
    if node is None or not node.suits(requires):
        return False
    if node.capacity is not None and given[name] >= node.capacity:
        return False
    return all(
        given[row.name] >= given[name]
        for row in rows.values()
        if row.suits(requires) and (row.capacity is None or given[row.name] < row.capacity)
    )
