"""
Sleeps, run by the node process itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from jobcluster.core.actions import Run
from jobcluster.core.events import (
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import SLEEP, Adopted, Now, Outcome, Ref, Status
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IRunner

__all__ = ["SleepRunner"]


@implementer(IRunner)
class SleepRunner:
    """
    Runs sleeps with one timer for all of them.

    A sleep ends by its deadline on the boot-time clock, so that one which an earlier process
    started goes on as if nothing had happened.
    """

    told: Callable[[RunnerEvent], None]

    def __init__(self, clock: IReactorTime, clocks: Callable[[], Now]) -> None:
        """
        Nothing runs.

        @param clock: for the timer.
        @param clocks: reads the three clocks.
        """
        self._clock = clock
        self._clocks = clocks
        self._until = 0.0
        self._runs: dict[Ref, tuple[Run, int]] = {}
        self._heap: list[tuple[float, Ref]] = []
        self._timer: IDelayedCall | None = None
        self._closed = False

    def inventory(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """
        Nothing: what outlives the process is in the node's store.
        """
        return succeed(("", ()))

    def lease(self, until: float) -> None:
        """
        See L{IRunner.lease}.
        """
        self._until = until

    def start(self, runs: Sequence[Run]) -> None:
        """
        See L{IRunner.start}.
        """
        now = self._clocks()
        at = int(now.wall * 1000)
        started, refused, unknown = [], [], []
        for run in runs:
            if run.kind != SLEEP:
                unknown.append(run.ref)
            elif not run.adopted and now.boot > self._until:
                refused.append(run.ref)
                continue
            else:
                # The commit before a start takes its time, which is no part of the sleep.
                asleep = 0.0 if run.adopted else int(run.payload) / 1000
                self._runs[run.ref] = (run, run.started or at)
                heapq.heappush(self._heap, (max(run.deadline, now.boot + asleep), run.ref))
            if not run.adopted:
                started.append(run.ref)
        if started:
            self.told(RunsStarted(tuple(started), at))
        if refused:
            self.told(RunsRefused(tuple(refused)))
        if unknown:
            outcome = Outcome(Status.FAILED, None, "this node runs no jobs of that kind", at, at)
            self.told(RunsEnded(tuple(RunEnded(ref, outcome) for ref in unknown)))
        self._end_what_is_due()

    def stop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.stop}.
        """
        at = int(self._clocks().wall * 1000)
        ended = []
        for ref in refs:
            found = self._runs.pop(ref, None)
            if found is not None:
                ended.append(RunEnded(ref, Outcome(Status.CANCELLED, started=found[1], ended=at)))
        if ended:
            self.told(RunsEnded(tuple(ended)))

    def drop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.drop}.
        """
        dropped = tuple(ref for ref in refs if self._runs.pop(ref, None) is not None)
        if dropped:
            self.told(RunsDropped(dropped))

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.output}: sleeps have none.
        """
        raise OutputMissingError

    def live(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.live}: sleeps have none.
        """
        raise OutputMissingError

    def finish(self) -> Deferred[None]:
        """
        See L{IRunner.finish}: nothing outlives this process.
        """
        self._until = float("-inf")
        self.stop(tuple(self._runs))
        return succeed(None)

    def close(self) -> None:
        """
        Forget everything; nothing is told any more.
        """
        self._closed = True
        self._runs.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    # -- inside ------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        while self._heap and self._heap[0][1] not in self._runs:
            heapq.heappop(self._heap)
        if not self._heap or self._closed:
            return
        wait = max(0.0, self._heap[0][0] - self._clocks().boot)
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + wait:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(wait, self._end_what_is_due)

    def _end_what_is_due(self) -> None:
        now = self._clocks()
        ended = []
        while self._heap and self._heap[0][0] <= now.boot:
            ref = heapq.heappop(self._heap)[1]
            found = self._runs.pop(ref, None)
            if found is not None:
                ended.append(RunEnded(ref, self._slept(*found, now)))
        if ended:
            self.told(RunsEnded(tuple(ended)))
        self._schedule()

    @staticmethod
    def _slept(run: Run, started: int, now: Now) -> Outcome:
        milliseconds = run.payload.decode("ascii", "replace") if run.payload else ""
        value = f"slept {milliseconds} ms" if milliseconds else "slept"
        return Outcome(
            Status.SUCCEEDED,
            started=started,
            ended=int(now.wall * 1000),
            value=value.encode(),
        )
