"""
The runs: started, stopped, dropped, ended, and told of.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from jobcluster.keeper.facts import boot_time, milliseconds
from jobcluster.keeper.holdings import Holdings
from jobcluster.keeper.judging import judge
from jobcluster.keeper.kin import Family
from jobcluster.keeper.launch import Launch
from jobcluster.keeper.limits import Limits
from jobcluster.keeper.notes import note
from jobcluster.keeper.outputs import INLINE
from jobcluster.keeper.records import ENDED, LEAVING, RUNNING, Run
from jobcluster.keeper.spawn import NotStartedError
from jobcluster.keeper.words import Hello, Outcome, Ref, Start, Status
from jobcluster.keeper.workers import Workers

__all__ = ["Jobs", "Listener"]

_LOOK_AT_OUTPUT: Final = 0.25
"""Seconds between two looks at how much the runs have written."""

_LOOK_AGAIN: Final = 0.05
"""Seconds after which one looks again whether what was killed has gone."""

_OVERDUE: Final = 10.0
"""Seconds after which something that was killed should have gone."""

_SWEEP: Final = 0.02
"""Seconds of removing files at a time, and between two such times."""

_CROWDED: Final = 1.0
"""Seconds after which a run is refused for which there was no room."""

_NEVER: Final = float("inf")


class Listener(Protocol):
    """Whoever is to know what happens: the node."""

    def tell(self, word: str, head: dict[str, Any], body: bytes = b"") -> None:
        """Something has happened; it is heard when the spool knows it."""


class Jobs:
    """
    What is done with the runs that a keeper holds.
    """

    def __init__(self, holdings: Holdings, listener: Listener, workers: Workers) -> None:
        """
        Begin with runs that have ended.
        """
        self._holdings = holdings
        self._listener = listener
        self._outputs = holdings.outputs
        self._workers = workers
        self._launch = Launch(holdings.outputs, holdings.work, workers)
        self._family = Family()
        self._active: dict[int, Run] = {}
        """Those that have not ended, by number."""
        self._leaving: dict[int, Run] = {}
        """Those of them whose leader has ended, by number."""
        self._limits = Limits(time.monotonic)
        self._overdue: set[int] = set()
        self._settings = Hello(frozenset())
        self._look_at = self._sweep_at = 0.0
        self._crowded: deque[tuple[float, list[Ref]]] = deque()
        """Runs that there was no room for, and when that is to be told."""
        self._is_crowded = False
        """Whether there was no room for the last one."""
        self.ending = False
        """Nothing is started any more."""

    # -- what the node wants -----------------------------------------------------------------------

    def greet(self, settings: Hello) -> Iterator[bytes]:
        """
        A node that knows nothing is to be obeyed.

        @return: the frames that tell it all that is held.
        """
        self._settings = settings
        self._crowded.clear()
        self._launch.environment = dict(settings.environment)
        self._launch.allow_pickle = settings.allow_pickle
        for run in self._active.values():
            # The node that wanted it forgotten is gone: this one gets to know how it ended.
            if run.dropping:
                run.dropping, run.cancelled = False, True
        return self._holdings.inventory()

    def start(self, starts: Sequence[Start]) -> None:
        """
        Start what is not held yet, unless its lease is over.
        """
        refused: list[Ref] = []
        runs = []
        now, at = boot_time(), milliseconds()
        for wanted in starts:
            if wanted.ref in self._holdings.runs:
                continue
            if self.ending or now > wanted.until:
                refused.append(wanted.ref)
            else:
                run = self._holdings.add(wanted, self._settings.node, at)
                runs.append((run, wanted))
        if runs:
            refused += self._start(runs)
        if refused:
            self._listener.tell("refused", {"refs": refused})

    def stop(self, refs: Iterable[Ref]) -> None:
        """
        SIGTERM to these, and SIGKILL some time after it.
        """
        for ref in refs:
            run = self._holdings.runs.get(ref)
            if run is not None and run.phase == RUNNING and run.kill_at is None:
                run.cancelled = True
                self._terminate(run)

    def stop_all(self) -> None:
        """
        The same for all runs, and nothing is started any more.
        """
        self.ending = True
        self.stop([run.ref for run in self._active.values()])

    def drop(self, refs: Iterable[Ref]) -> None:
        """
        Kill and forget these.
        """
        dropped = []
        for ref in refs:
            run = self._holdings.runs.get(ref)
            if run is not None and run.phase != ENDED:
                run.dropping = True
                self._family.signal(run, signal.SIGKILL)
                continue
            if run is not None:
                self._holdings.forget(run)
            dropped.append(ref)
        if dropped:
            self._listener.tell("dropped", {"refs": dropped})

    # -- what happens ------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something of a run is there."""
        return bool(self._active)

    def reap(self) -> None:
        """
        See which processes have ended, and tell of the runs of which nothing is left.
        """
        self._take_returns()
        ends, workers = self._family.reap()
        for pid in workers:
            self._workers.forget(pid)
        for run, code in ends:
            if run.worker and not self._workers.gone(run) and code > 0:
                run.detail = "its worker process cannot begin"
            self._take_returns()
            run.phase, run.code, run.left_at = LEAVING, code, time.monotonic()
            self._limits.remove(run)
            self._leaving[run.number] = run
        if self._leaving:
            self._settle()

    def tick(self) -> None:
        """
        Do what is due by now.
        """
        now = time.monotonic()
        self._limit_time()
        self._workers.tick()
        if self._active and now >= self._look_at:
            self._look_at = now + _LOOK_AT_OUTPUT
            self._family.look()
            self._family.prune()
            self._limit_output()
            self._find_overdue(now)
            for run in self._active.values():
                if run.kill_at is not None and now >= run.kill_at:
                    self._family.signal(run, signal.SIGKILL)
        while self._crowded and now >= self._crowded[0][0]:
            self._listener.tell("refused", {"refs": self._crowded.popleft()[1]})
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP if self._holdings.work.sweep(_SWEEP) else _NEVER

    def wake(self) -> float | None:
        """
        In how many seconds L{tick} or L{reap} has something to do; C{None}: not by itself.
        """
        due = min(self._sweep_at, self._limits.next, self._workers.next)
        if self._active:
            due = min(due, self._look_at)
        if self._crowded:
            due = min(due, self._crowded[0][0])
        if due == _NEVER:
            return None
        wait = max(0.0, due - time.monotonic())
        return min(wait, _LOOK_AGAIN) if self._leaving else wait

    def close(self) -> None:
        """
        End what waits for more to do.
        """
        self._workers.close()

    def kill_everything(self, patience: float) -> None:
        """
        Kill all runs and wait until they are gone, or until patience (seconds) is over.
        """
        until = time.monotonic() + patience
        self._workers.close()
        while time.monotonic() < until:
            for run in self._active.values():
                self._family.signal(run, signal.SIGKILL)
            self._family.reap()
            if not self._family.kill_all() and not self._family.leads:
                break
            time.sleep(_LOOK_AGAIN / 10)

    # -- starting ----------------------------------------------------------------------------------

    def _start(self, runs: list[tuple[Run, Start]]) -> list[Ref]:
        """Start these, which the spool is to know first; the refs of those that were refused."""
        late, crowded, started = [], [], []
        written = self._holdings.write([run for run, _ in runs])
        at = milliseconds()
        for run, wanted in runs:
            run.at = at
            # The sync, and the starts before this one, took their time.
            if boot_time() > wanted.until:
                late.append(run)
            elif not written or not self._launched(run, wanted.payload):
                crowded.append(run)
            elif run.phase == RUNNING:
                started.append(run)
        self._launch.leave()
        if started:
            refs, numbers = [run.ref for run in started], [run.number for run in started]
            self._listener.tell("started", {"refs": refs, "at": at, "numbers": numbers})
        if crowded:
            # Told at once, they would be given to this node again and again.
            later = time.monotonic() + _CROWDED
            self._crowded.append((later, self._holdings.void(crowded)))
        return self._holdings.void(late) if late else []

    def _launched(self, run: Run, payload: bytes) -> bool:
        """Start one, or tell that it has failed to start; false if there was no room for it."""
        try:
            self._launch.start(run, payload)
        except NotStartedError as error:
            run.detail = str(error)
            self._end(run)
        except OSError as error:
            if not self._is_crowded:
                self._is_crowded = True
                note(f"runs are refused, for they can have no files here: {error.strerror}")
            return False
        else:
            self._is_crowded = False
            self._active[run.number] = run
            self._family.add(run)
            self._limits.add(run)
            self._holdings.spool.later(run.running())
        return True

    # -- ending ------------------------------------------------------------------------------------

    def _take_returns(self) -> None:
        """See which functions have come to their ends."""
        for run, said in self._workers.take_done():
            run.returned, run.detail = said.head["returned"], said.head["detail"]
            run.value = said.body
            if run.phase != RUNNING:
                continue
            is_ending = run.cancelled or run.timed_out or run.overflow or run.dropping
            if said.head["retire"] or is_ending or not self._family.rest(run):
                # What is left of it goes with its worker.
                self._family.signal(run, signal.SIGKILL)
                continue
            self._workers.rest(run)
            self._limits.remove(run)
            del self._active[run.number]
            self._family.forget(run)
            self._end(run)

    def _settle(self) -> None:
        """End those runs whose leader has ended and of which nothing is left."""
        left = self._family.left(self._leaving.values())
        dropped = []
        for run in [run for run in self._leaving.values() if run.number not in left]:
            del self._leaving[run.number], self._active[run.number]
            self._overdue.discard(run.number)
            self._family.forget(run)
            if run.dropping:
                self._holdings.forget(run)
                self._sweep_at = 0.0
                dropped.append(run.ref)
            else:
                self._end(run)
        if dropped:
            self._listener.tell("dropped", {"refs": dropped})

    def _end(self, run: Run) -> None:
        """Nothing of a run is left, or it could not be started; tell."""
        run.phase = ENDED
        out, err = self._outputs.sizes(run.number)
        if out + err > self._settings.max_output:
            run.overflow = True
            out, err = self._outputs.cut(run.number, self._settings.max_output)
        self._outputs.remove_empty(run.number, out, err)
        if run.fresh:
            run.fresh = False
            if not self._holdings.work.remove(run.number):
                self._sweep_at = time.monotonic()
                self._holdings.work.sweep(_SWEEP)
        status, code, detail = judge(run, self._settings.max_output)
        large = run.number if out + err > INLINE else None
        ended = max(run.at, milliseconds())
        size = len(run.value)
        try:
            self._holdings.keep_value(run)
        except OSError as error:
            status, detail = Status.FAILED, f"its result cannot be kept: {error.strerror}"
            size = 0
        outcome = Outcome(status, code, detail, run.at, ended, out, err, large, size)
        self._holdings.end(run, outcome)
        said, body = self._holdings.with_output(run, outcome)
        self._listener.tell("ended", {"ref": run.ref, "outcome": said}, body)

    # -- watching ----------------------------------------------------------------------------------

    def _limit_time(self) -> None:
        """End those whose time is over, but for what is ending already."""
        for run in self._limits.over():
            is_ending = run.kill_at is not None or run.dropping or run.overflow
            # What ends in this very moment is seen to end of itself.
            if run.worker and run.phase == RUNNING:
                self._workers.hear(run)
                self._take_returns()
            if run.phase == RUNNING and not is_ending and not self._family.has_ended(run):
                run.timed_out = True
                self._terminate(run)

    def _terminate(self, run: Run) -> None:
        """SIGTERM to a run, and SIGKILL some time after it."""
        run.kill_at = time.monotonic() + self._settings.kill_after
        self._family.signal(run, signal.SIGTERM)
        # A stopped process cannot end.
        self._family.signal(run, signal.SIGCONT)

    def _limit_output(self) -> None:
        for run in self._active.values():
            if sum(self._outputs.sizes(run.number)) > self._settings.max_output:
                run.overflow = True
                self._family.signal(run, signal.SIGKILL)

    def _find_overdue(self, now: float) -> None:
        for number, run in self._leaving.items():
            if now > run.left_at + _OVERDUE and number not in self._overdue:
                self._overdue.add(number)
                pids = self._family.describe(number)
                note(f"what is left of {run.ticket} does not end although it was killed: {pids}")
