"""
The offers that may be placed, in the order in which they are to be.

There is a lane for each set of requirements, so that jobs which no node suits hide no others.
In a lane greater priorities go first; of equal priority origins take turns, and each is served in
the order of its submissions.
"""

from __future__ import annotations

import bisect
import heapq
from collections import OrderedDict

from jobcluster.core.ledger import Waiting

__all__ = ["Lane", "LaneKey", "ReadyQueue"]

LaneKey = tuple[str, bool]
"""(requirements, whether two crashes are counted against its jobs)."""

_Heap = list[tuple[int, int, Waiting]]


class _Turn:
    """The queue of one origin at one priority: what is fresh, and what was put before (rule 3)."""

    __slots__ = ("again", "fresh")

    def __init__(self) -> None:
        self.fresh: _Heap = []
        self.again: _Heap = []

    def head(self, *, again: bool) -> _Heap | None:
        """The heap whose first is next, rid of what was withdrawn."""
        best: _Heap | None = None
        for heap in (self.fresh, self.again) if again else (self.fresh,):
            while heap and heap[0][2].place != heap[0][1]:
                heapq.heappop(heap)
            if heap and (best is None or heap[0] < best[0]):
                best = heap
        return best

    @property
    def empty(self) -> bool:
        return not self.fresh and not self.again


class Lane:
    """
    The offers of one set of requirements.
    """

    __slots__ = ("_order", "_priorities", "_serial", "key")

    def __init__(self, key: LaneKey) -> None:
        """
        An empty lane.
        """
        self.key = key
        self._priorities: dict[int, OrderedDict[str, _Turn]] = {}
        self._order: list[int] = []
        """The priorities, negative and sorted."""
        self._serial = 0

    @property
    def empty(self) -> bool:
        """Whether nothing at all is left in it."""
        return not self._priorities

    def add(self, waiting: Waiting) -> None:
        """
        Queue an offer.
        """
        row = waiting.row
        turns = self._priorities.get(row.priority)
        if turns is None:
            turns = self._priorities[row.priority] = OrderedDict()
            bisect.insort(self._order, -row.priority)
        origin = waiting.entry.book.name
        turn = turns.get(origin)
        if turn is None:
            turn = turns[origin] = _Turn()
        self._serial += 1
        waiting.place = self._serial
        heapq.heappush(turn.fresh if row.fresh else turn.again, (row.job, self._serial, waiting))

    def pop(self, *, again: bool) -> Waiting | None:
        """
        Take the next offer out; its origin goes to the end of the turn.

        @param again: whether those that were put before may be placed now.
        """
        for priority in self._order:
            turns = self._priorities[-priority]
            found = self._first(turns, again=again)
            if found is not None:
                origin, heap = found
                waiting = heapq.heappop(heap)[2]
                waiting.place = 0
                turns.move_to_end(origin)
                return waiting
        for priority in [priority for priority in self._order if not self._priorities[-priority]]:
            self._order.remove(priority)
            del self._priorities[-priority]
        return None

    def forget(self, origin: str) -> None:
        """
        Let go of what an origin had here; none of it is queued any more.
        """
        for turns in self._priorities.values():
            turns.pop(origin, None)

    @staticmethod
    def _first(turns: OrderedDict[str, _Turn], *, again: bool) -> tuple[str, _Heap] | None:
        found = None
        exhausted = []
        for origin, turn in turns.items():
            heap = turn.head(again=again)
            if heap is not None:
                found = (origin, heap)
                break
            if turn.empty:
                exhausted.append(origin)
        for origin in exhausted:
            del turns[origin]
        return found


class ReadyQueue:
    """
    All lanes.
    """

    def __init__(self) -> None:
        """
        Nothing waits.
        """
        self._lanes: dict[LaneKey, Lane] = {}
        self.count = 0
        """How many offers are queued."""

    def add(self, waiting: Waiting) -> None:
        """
        Queue an offer that is not queued.
        """
        self.count += 1
        lane = self._lanes.get(waiting.lane)
        if lane is None:
            lane = self._lanes[waiting.lane] = Lane(waiting.lane)
        lane.add(waiting)

    def remove(self, waiting: Waiting) -> None:
        """
        Take an offer out that is queued; the lane forgets it when it comes by.
        """
        waiting.place = 0
        self.count -= 1

    def pop(self, lane: Lane, *, again: bool) -> Waiting | None:
        """
        Take the next offer of a lane out.
        """
        waiting = lane.pop(again=again)
        if waiting is not None:
            self.count -= 1
        return waiting

    def forget(self, origin: str) -> None:
        """
        Let go of what an origin had here; none of it is queued any more.
        """
        for lane in self._lanes.values():
            lane.forget(origin)

    def lanes(self) -> list[Lane]:
        """
        The lanes that are not empty.
        """
        for key in [key for key, lane in self._lanes.items() if lane.empty]:
            del self._lanes[key]
        return list(self._lanes.values())
