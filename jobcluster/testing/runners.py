"""
What runs jobs at a node, without a process: sleeps, and with a keeper what outlives the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
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
from jobcluster.testing.hands import KeeperHands
from jobcluster.testing.keepers import FakeKeeper, Silent, Witness

__all__ = ["FakeRunner"]

_BLINK: Final = 0.0001
"""Seconds: no sleep is shorter, lest rounding make one that is never over."""


class _Sleep:
    """A sleep of this process."""

    __slots__ = ("call", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.call: DelayedCall | None = None


@implementer(IRunner)
class FakeRunner:
    """
    Sleeps end with this process; everything else is handed to the keeper.

    A sleep is over at its deadline; of what the keeper runs, the payload says for how many
    milliseconds.
    """

    deals: type[KeeperHands] = KeeperHands
    """With the keeper; mutants deal otherwise."""

    def __init__(
        self,
        time: IReactorTime,
        now: Callable[[], Now],
        keeper: FakeKeeper | None = None,
        hop: Callable[[], float] = lambda: 0.0,
        witness: Witness | None = None,
        find: Callable[[], FakeKeeper | None] | None = None,
    ) -> None:
        """
        Begin without a lease, and so with nothing that may be started.

        @param time: the reactor.
        @param now: the clocks of this machine.
        @param keeper: what runs all that is no sleep; without one, that fails.
        @param hop: says how many seconds the next word to or from the keeper takes.
        @param witness: sees the sleeps; the keeper has its own for what it runs.
        @param find: finds the present keeper, or starts another; C{None} while there is none.
        """
        self.told: Callable[[RunnerEvent], None] = _nobody_listens
        self._time = time
        self._now = now
        self._witness = Silent() if witness is None else witness
        self._until = float("-inf")
        self._sleeps: dict[Ref, _Sleep] = {}
        self.hands = (
            None
            if keeper is None
            else self.deals(time, now, find or (lambda: _living(keeper)), hop, self._tell)
        )
        """What deals with the keeper."""
        self._closed = False

    def inventory(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """
        See L{IRunner.inventory}.
        """
        if self.hands is not None:
            return self.hands.meet()
        found: Deferred[tuple[str, tuple[Adopted, ...]]] = Deferred()
        self._time.callLater(0, found.callback, ("", ()))
        return found

    def start(self, runs: Sequence[Run]) -> None:
        """
        See L{IRunner.start}.
        """
        now = self._now()
        started: list[Ref] = []
        refused: list[Ref] = []
        others: list[Run] = []
        for run in runs:
            if run.kind != SLEEP:
                others.append(run)
            elif run.adopted:
                self._witness.run_adopted(run)
                self._sleep(run, now)
            elif self.permits(now):
                self._witness.run_started(run, "")
                self._sleep(run, now)
                started.append(run.ref)
            else:
                refused.append(run.ref)
        if started:
            self._say(RunsStarted(tuple(started), int(now.wall * 1000)))
        if refused:
            self._say(RunsRefused(tuple(refused)))
        if others:
            self._hand(others)

    def stop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.stop}.
        """
        for ref in refs:
            sleep = self._sleeps.get(ref)
            if sleep is not None:
                self._finish(sleep, Status.CANCELLED)
        if self.hands is not None:
            self.hands.stop(refs)

    def drop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.drop}.
        """
        dropped = []
        for ref in refs:
            sleep = self._sleeps.pop(ref, None)
            if sleep is not None:
                self._forget(sleep)
                dropped.append(ref)
        if dropped:
            self._say(RunsDropped(tuple(dropped)))
        if self.hands is not None:
            self.hands.drop(refs)

    def lease(self, until: float) -> None:
        """
        See L{IRunner.lease}.
        """
        self._until = until
        if self.hands is not None:
            self.hands.lease(until)

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.output}: zeros; sleeps say nothing.
        """
        if self.hands is None:
            raise OutputMissingError
        return self.hands.output(ref, stream, offset, limit)

    def live(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.live}: jobs say all they have to say when they end.
        """
        if self.hands is None:
            raise OutputMissingError
        return self.hands.output(ref, stream, offset, limit)

    def finish(self) -> Deferred[None]:
        """
        See L{IRunner.finish}.
        """
        self._until = float("-inf")
        self.stop(tuple(self._sleeps))
        if self.hands is not None:
            return self.hands.finish()
        finished: Deferred[None] = Deferred()
        self._time.callLater(0, finished.callback, None)
        return finished

    def close(self) -> None:
        """
        See L{IRunner.close}.
        """
        self._closed = True
        if self.hands is not None:
            self.hands.close()
        sleeps, self._sleeps = self._sleeps, {}
        for sleep in sleeps.values():
            self._forget(sleep)

    def permits(self, now: Now) -> bool:
        """
        Whether a sleep may be started now.
        """
        return now.boot <= self._until

    # -- sleeps ------------------------------------------------------------------------------------

    def _sleep(self, run: Run, now: Now) -> None:
        sleep = self._sleeps[run.ref] = _Sleep(run)
        self._watch(sleep, now)

    def _watch(self, sleep: _Sleep, now: Now) -> None:
        left = max(_BLINK, sleep.run.deadline - now.boot)
        sleep.call = self._time.callLater(left, self._due, sleep)  # type: ignore[assignment]

    def _due(self, sleep: _Sleep) -> None:
        sleep.call = None
        now = self._now()
        if self._sleeps.get(sleep.run.ref) is not sleep:
            return
        if now.boot < sleep.run.deadline:
            self._watch(sleep, now)
        else:
            self._finish(sleep, Status.SUCCEEDED)

    def _finish(self, sleep: _Sleep, status: str) -> None:
        run = sleep.run
        del self._sleeps[run.ref]
        self._forget(sleep)
        ended = int(self._now().wall * 1000)
        started = run.started or ended - int(run.payload)
        outcome = Outcome(status, started=started, ended=ended)
        self._say(RunsEnded((RunEnded(run.ref, outcome),)))

    def _forget(self, sleep: _Sleep) -> None:
        self._witness.run_over(sleep.run.ref, "")
        if sleep.call is not None:
            if sleep.call.active():
                sleep.call.cancel()
            sleep.call = None

    # -- the keeper --------------------------------------------------------------------------------

    def _hand(self, runs: Sequence[Run]) -> None:
        if self.hands is not None:
            self.hands.start(runs)
            return
        for run in runs:
            outcome = Outcome(Status.FAILED, detail=f"this node cannot run a {run.kind}")
            self._say(RunsEnded((RunEnded(run.ref, outcome),)))

    # -- telling -----------------------------------------------------------------------------------

    def _say(self, event: RunnerEvent) -> None:
        self._time.callLater(0, self._tell, event)

    def _tell(self, event: RunnerEvent) -> None:
        if not self._closed:
            self.told(event)


def _living(keeper: FakeKeeper) -> FakeKeeper | None:
    return keeper if keeper.alive else None


def _nobody_listens(_: RunnerEvent) -> None:
    """Nothing was started, so nothing happens."""
