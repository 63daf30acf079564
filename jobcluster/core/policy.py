"""
Which node is given the next job.

A policy sees nodes through how much they were given; it says who has room, and who is next.
"""

from __future__ import annotations

from typing import Protocol

from jobcluster.core.nodes import NodeRecord
from jobcluster.core.ready import LaneKey

__all__ = ["EqualCounts", "Policy"]


class Policy(Protocol):
    """
    Where jobs are placed.
    """

    def update(self, node: NodeRecord) -> None:
        """
        Something about this node has changed: what it was given, whether it is open, its labels.
        """

    def room(self, lane: LaneKey) -> bool:
        """
        Whether some node can be given an offer of this lane now.
        """

    def choose(self, lane: LaneKey, home: NodeRecord | None) -> NodeRecord:
        """
        The node for an offer of this lane; to be called only where there is room.

        @param home: the offer's origin, which wins a tie, for its payload is there already.
        """


class _Loads:
    """The open nodes that suit one lane, in buckets by what they were given."""

    __slots__ = ("_buckets", "_least", "_where")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[str, NodeRecord]] = {}
        self._where: dict[str, int] = {}
        self._least = 0

    def __bool__(self) -> bool:
        return bool(self._where)

    def put(self, node: NodeRecord) -> None:
        self.remove(node)
        given = node.given
        self._where[node.name] = given
        # At the end of its bucket: nodes with the same load take turns.
        self._buckets.setdefault(given, {})[node.name] = node
        if given < self._least or len(self._where) == 1:
            self._least = given

    def remove(self, node: NodeRecord) -> None:
        given = self._where.pop(node.name, None)
        if given is not None:
            bucket = self._buckets[given]
            del bucket[node.name]
            if not bucket:
                del self._buckets[given]

    def first(self, home: NodeRecord | None) -> NodeRecord:
        while self._least not in self._buckets:
            self._least += 1
        bucket = self._buckets[self._least]
        if home is not None and home.name in bucket:
            return home
        return next(iter(bucket.values()))


class EqualCounts:
    """
    The same number for every node (C{--balance equal}): the one that was given least is next.
    """

    def __init__(self, *, unlimited: bool) -> None:
        """
        A cluster without nodes.

        @param unlimited: whether nodes are given more than they have slots (the periodic mode).
        """
        self._unlimited = unlimited
        self._nodes: dict[str, NodeRecord] = {}
        self._lanes: dict[LaneKey, _Loads] = {}

    def update(self, node: NodeRecord) -> None:
        """
        See L{Policy.update}.
        """
        if node.open:
            self._nodes[node.name] = node
        else:
            self._nodes.pop(node.name, None)
        for lane, loads in self._lanes.items():
            if self._suits(lane, node):
                loads.put(node)
            else:
                loads.remove(node)

    def room(self, lane: LaneKey) -> bool:
        """
        See L{Policy.room}.
        """
        return bool(self._loads(lane))

    def choose(self, lane: LaneKey, home: NodeRecord | None) -> NodeRecord:
        """
        See L{Policy.choose}.
        """
        return self._loads(lane).first(home)

    def capacity(self, node: NodeRecord) -> int | None:
        """
        How much a node may be given; C{None} for no limit.
        """
        return None if self._unlimited and node.slots else node.slots

    def _loads(self, lane: LaneKey) -> _Loads:
        loads = self._lanes.get(lane)
        if loads is None:
            loads = self._lanes[lane] = _Loads()
            for node in self._nodes.values():
                if self._suits(lane, node):
                    loads.put(node)
        return loads

    def _suits(self, lane: LaneKey, node: NodeRecord) -> bool:
        requires, suspect = lane
        capacity = self.capacity(node)
        return (
            node.open
            and (capacity is None or node.given < capacity)
            and not (suspect and node.suspects)
            and (not requires or node.labels.issuperset(requires.split(",")))
        )
