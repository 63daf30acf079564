"""
Which of its waiting jobs an origin has in memory and before the balancer; the rest stays on disk.

There is a window for each set of requirements, so that jobs which no node suits hide no others.
"""

from __future__ import annotations

from typing import Final

from jobcluster.core.actions import LoadPage
from jobcluster.core.values import Job

__all__ = ["WINDOW_BYTES", "LaneWindow", "Window"]

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""The most bytes of payload in one window (part 3 of the design)."""

_MOST: Final = 4
"""How many times its limit a window has at most, when better jobs came and then still better."""

_Key = tuple[int, int]
"""(-priority, id): sorts the best job first."""

_FIRST: Final[_Key] = (-(1 << 62), 0)
_LAST: Final[_Key] = (1 << 62, 0)


def key_of(job: Job) -> _Key:
    """
    Where a job stands in its window's order.
    """
    return (-job.priority, job.id)


class LaneWindow:
    """
    The window of one set of requirements.
    """

    __slots__ = (
        "asked",
        "asked_after",
        "beyond",
        "bytes",
        "cursor",
        "floor",
        "inside",
        "loading",
        "priorities",
        "requires",
        "rewound",
    )

    def __init__(self, requires: str, beyond: int) -> None:
        """
        A window in which nothing is yet.

        @param beyond: how many jobs wait in the store.
        """
        self.requires = requires
        self.beyond = beyond
        """Jobs that wait in the store and are not in memory."""
        self.inside = 0
        """Jobs in memory that wait, offered or not."""
        self.bytes = 0
        """Of their payloads."""
        self.priorities: dict[int, int] = {}
        """How many jobs of each priority these are."""
        self.cursor: _Key = _FIRST
        """No job up to here waits in the store only."""
        self.rewound = False
        """Whether jobs behind the cursor may be in memory already."""
        self.loading = False
        self.asked = 0
        """While loading: what was beyond when that was asked for."""
        self.asked_after: _Key = _FIRST
        """While loading: where the cursor was then."""
        self.floor: _Key = _LAST
        """While loading: the cursor may not pass this, for what came meanwhile is behind it."""

    def admits(self, job: Job, limit: int) -> bool:
        """
        Whether a new job goes into memory; else it waits behind the window.
        """
        key = key_of(job)
        room = self.inside < limit and self.bytes < WINDOW_BYTES
        if room and not self.loading and (not self.beyond or key <= self.cursor):
            self.cursor = max(self.cursor, key)
            return True
        self.beyond += 1
        before = (key[0], key[1] - 1)
        self.floor = min(self.floor, before)
        if before < self.cursor:
            self.cursor = before
            self.rewound = True
        return False

    def entered(self, job: Job) -> None:
        """
        A job in memory waits.
        """
        self.inside += 1
        self.bytes += len(job.payload)
        self.priorities[job.priority] = self.priorities.get(job.priority, 0) + 1

    def left(self, job: Job) -> None:
        """
        A job in memory waits no longer.
        """
        self.inside -= 1
        self.bytes -= len(job.payload)
        self.priorities[job.priority] -= 1
        if not self.priorities[job.priority]:
            del self.priorities[job.priority]

    def page(self, limit: int) -> int:
        """
        How many jobs to read now; 0 if there is no need yet.
        """
        if self.loading or not self.beyond:
            return 0
        half = limit // 2
        if self.inside <= half and self.bytes < WINDOW_BYTES:
            room = limit - self.inside
            # What is in memory already is read again, and passed over.
            return room + self.inside if self.rewound else room
        if self.inside >= _MOST * limit or self.bytes >= _MOST * WINDOW_BYTES:
            return 0
        # It is full of jobs that go behind those which wait in the store: they must not wait for
        # them.
        ahead = sum(count for rank, count in self.priorities.items() if rank >= -self.cursor[0])
        return max(half, 1) if ahead <= half and ahead < self.inside else 0


class Window:
    """
    All windows of an origin.
    """

    def __init__(self, lanes: dict[str, int], limit: int) -> None:
        """
        Windows in which nothing is yet.

        @param lanes: for each set of requirements, how many jobs wait in the store.
        @param limit: the most jobs in one window.
        """
        self.limit = limit
        self._lanes = {requires: LaneWindow(requires, n) for requires, n in lanes.items()}

    @property
    def beyond(self) -> int:
        """How many jobs wait behind the windows."""
        return sum(lane.beyond for lane in self._lanes.values())

    def lane(self, requires: str) -> LaneWindow:
        """
        The window of these requirements, made if need be.
        """
        lane = self._lanes.get(requires)
        if lane is None:
            lane = self._lanes[requires] = LaneWindow(requires, 0)
        return lane

    def admits(self, job: Job) -> bool:
        """
        Whether a new job goes into memory; else it waits behind the window.
        """
        return self.lane(job.requires).admits(job, self.limit)

    def entered(self, job: Job) -> None:
        """
        A job in memory waits.
        """
        self.lane(job.requires).entered(job)

    def left(self, job: Job) -> None:
        """
        A job in memory waits no longer.
        """
        self.lane(job.requires).left(job)

    def loads(self) -> list[LoadPage]:
        """
        What to read from the store now.
        """
        pages = []
        for lane in self._lanes.values():
            limit = lane.page(self.limit)
            if limit:
                lane.loading = True
                lane.asked, lane.asked_after, lane.floor = lane.beyond, lane.cursor, _LAST
                after = (-lane.cursor[0], lane.cursor[1])
                pages.append(LoadPage(lane.requires, after, limit))
        return pages

    def loaded(self, requires: str, jobs: tuple[Job, ...]) -> None:
        """
        A page has come; L{found} is to be called for those of it that were not in memory.
        """
        lane = self.lane(requires)
        lane.loading = False
        if not jobs:
            # What was counted by then is in memory already; what came since may not be committed.
            lane.beyond = max(0, lane.beyond - lane.asked)
        if lane.cursor != lane.asked_after:
            # Better jobs came meanwhile, so that the cursor was moved back.
            return
        if jobs:
            last = key_of(jobs[-1])
            lane.cursor = min(last, lane.floor)
            lane.rewound = lane.rewound or lane.floor < last
        else:
            lane.rewound = False

    def found(self, job: Job) -> None:
        """
        A job that waited in the store only is in memory now.
        """
        lane = self.lane(job.requires)
        lane.beyond = max(0, lane.beyond - 1)
