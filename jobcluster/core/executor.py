"""
The offers that this node runs, for itself and for others.

It starts what it is given as far as it has slots, keeps each outcome until its origin has it on
disk, and holds nothing that it does not say in its inventory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from jobcluster.core.actions import DropRuns, FetchPayload, StopRuns
from jobcluster.core.events import RunEnded
from jobcluster.core.executions import Execution, OwnJobs
from jobcluster.core.out import Out
from jobcluster.core.records import Deadline, Identity
from jobcluster.core.retelling import Retelling
from jobcluster.core.values import (
    SLEEP,
    Adopted,
    Cause,
    Held,
    Now,
    Outcome,
    Ref,
    RunState,
    Status,
)
from jobcluster.core.words import Ended, Finished, Named, Start, StartedAt

__all__ = ["Executor"]


class Executor:
    """
    A node as the one who runs jobs.
    """

    def __init__(self, identity: Identity, slots: int, own: OwnJobs) -> None:
        """Begin with nothing."""
        self._name = identity.name
        self._boot = identity.boot
        self._owner = (identity.name, identity.store)
        self._slots = slots
        self._own = own
        self._queue: deque[Execution] = deque()
        self._busy = 0
        self.retelling = Retelling()
        self.executions: dict[Ref, Execution] = {}
        self.draining = self.stopping = False
        """No new starts; stopping, what runs is being ended."""
        self.old_news = 0
        """Words about offers that are not held, counted."""

    # -- taking up what is there -------------------------------------------------------------------

    def adopt(
        self, deadlines: Iterable[Deadline], adopted: Iterable[Adopted], out: Out, now: Now
    ) -> None:
        """
        Take up what an earlier process of this node started.
        """
        for row in deadlines:
            execution = self._add(Execution.of_deadline(row))
            if row.boot == self._boot:
                self._resume(execution, out)
            elif row.once:
                # It may have been started, and that is all that is known: its intent says so.
                outcome = Outcome(
                    Status.LOST, None, Cause.REBOOTED, row.started, row.ends, self._name
                )
                self._ended(execution, outcome, out, now)
            else:
                self._forget(execution, out)
        for run in adopted:
            execution = self._add(Execution.of_adopted(run))
            if run.outcome is not None:
                self._ended(execution, run.outcome, out, now)
            else:
                self._resume(execution, out)
                execution.state = run.held.state

    def _add(self, execution: Execution) -> Execution:
        self.executions[execution.ref] = execution
        execution.own = execution.ref[:2] == self._owner
        return execution

    def _resume(self, execution: Execution, out: Out) -> None:
        execution.state = RunState.RUNNING
        self._busy += 1
        out.runs.append(execution.run(adopted=True))

    # -- from the balancer -------------------------------------------------------------------------

    def start(self, rows: Iterable[Start], out: Out, now: Now) -> None:
        """
        Offers that this node is given.
        """
        for row in rows:
            if row.ref in self.executions:
                self.old_news += 1
                continue
            own = row.ref[:2] == self._owner
            payload = self._own.payload_of(row.job, row.ref[2:]) if own else row.payload
            if payload is None or self.stopping or self.draining:
                out.early.add("refused", Named(*row.ref))
                continue
            execution = self._add(Execution(row.ref, row.job, row.kind))
            execution.payload = payload
            execution.attempt = row.attempt
            execution.once = row.once
            execution.suspect = row.suspect
            execution.missing = row.size
            self._queue.append(execution)
        self._begin(out, now)

    def cancel(self, refs: Iterable[Ref], out: Out, now: Now) -> None:
        """
        Offers that are to end, and to tell how.
        """
        running = []
        for ref in refs:
            execution = self.executions.get(ref)
            if execution is None or execution.cancelled:
                self.old_news += 1
            elif execution.state == RunState.WAITING:
                execution.cancelled = True
                self._stop_fetching(execution)
                self._ended(
                    execution, execution.outcome_as(Status.CANCELLED, self._name, now), out, now
                )
            elif execution.state != RunState.ENDED:
                execution.cancelled = True
                running.append(ref)
        if running:
            out.after(StopRuns(tuple(running)))
        self._begin(out, now)

    def drop(self, refs: Iterable[Ref], out: Out, now: Now) -> None:
        """
        Offers that are to end and to be forgotten; *gone* says that they are.
        """
        running = []
        for ref in refs:
            execution = self.executions.get(ref)
            if execution is None:
                out.late.add("gone", Named(*ref))
            elif execution.dropped:
                self.old_news += 1
            elif execution.state in (RunState.WAITING, RunState.ENDED):
                self._gone(execution, out)
            else:
                execution.dropped = True
                running.append(ref)
        if running:
            out.after(DropRuns(tuple(running)))
        self._begin(out, now)

    def acknowledge(self, refs: Iterable[Ref], out: Out) -> None:
        """
        Offers whose outcome is on their origin's disk.
        """
        for ref in refs:
            execution = self.executions.get(ref)
            if execution is None or execution.state != RunState.ENDED:
                self.old_news += 1
            else:
                self._forget(execution, out)

    def payload_came(self, ref: Ref, payload: bytes | None, out: Out, now: Now) -> None:
        """
        An origin has said what is to be run, or could not.
        """
        execution = self.executions.get(ref)
        if execution is None or not execution.fetching:
            return
        self._stop_fetching(execution)
        if payload is None:
            out.early.add("refused", Named(*ref))
            self._forget(execution, out)
        else:
            execution.missing = 0
            execution.payload = payload
            self._queue.appendleft(execution)
        self._begin(out, now)

    # -- from the runner ---------------------------------------------------------------------------

    def started(self, refs: Iterable[Ref], at: int, out: Out, now: Now) -> None:
        """
        Offers run now.
        """
        for ref in refs:
            execution = self.executions.get(ref)
            if execution is None or execution.state != RunState.HANDED:
                continue
            execution.state = RunState.RUNNING
            execution.started = at
            out.early.add("started", StartedAt(*ref, at))
            if execution.own:
                self._own.own_started(execution.job, execution.offer, at, out, now)

    def refused(self, refs: Iterable[Ref], out: Out, now: Now) -> None:
        """
        Offers were not started, for the lease was over.
        """
        for ref in refs:
            execution = self.executions.get(ref)
            if execution is None or execution.state != RunState.HANDED:
                continue
            self._busy -= 1
            # A refusal after the intent first voids it.
            words = out.late if execution.recorded else out.early
            words.add("gone" if execution.dropped else "refused", Named(*ref))
            self._forget(execution, out)
        self._begin(out, now)

    def ended(self, runs: Iterable[RunEnded], out: Out, now: Now) -> None:
        """
        Offers have ended, or are lost.
        """
        for run in runs:
            execution = self.executions.get(run.ref)
            if execution is None or execution.state == RunState.ENDED:
                self.old_news += 1
                continue
            self._busy -= 1
            outcome = run.outcome
            if self.stopping and not execution.cancelled and outcome.status == Status.CANCELLED:
                outcome = outcome._replace(status=Status.LOST, detail=Cause.NODE_STOPPED)
            if execution.dropped:
                self._gone(execution, out)
                continue
            if execution.recorded and not execution.once and outcome.status != Status.SUCCEEDED:
                # It was stopped: the next process of this node must not take it up again.
                execution.recorded = False
                out.cleared(execution.ref)
            self._ended(execution, outcome, out, now)
        self._begin(out, now)

    def dropped(self, refs: Iterable[Ref], out: Out, now: Now) -> None:
        """
        Nothing is left of what was dropped.
        """
        for ref in refs:
            execution = self.executions.get(ref)
            if execution is not None and execution.dropped:
                self._busy -= 1
                self._gone(execution, out)
        self._begin(out, now)

    # -- for the node ------------------------------------------------------------------------------

    def inventory(self) -> list[Held]:
        """
        Everything that this node holds.
        """
        return [execution.held for execution in self.executions.values()]

    def tell_all(self, out: Out, now: Now) -> None:
        """
        Tell every outcome that nobody has acknowledged: the join was accepted.
        """
        for execution in self.retelling.all():
            self._tell(execution, out, now)

    def tick(self, out: Out, now: Now) -> None:
        """
        Tell again what nobody has acknowledged for a while.
        """
        for execution in self.retelling.due(now):
            if self.retelling.is_hopeless(execution, now):
                self._gone(execution, out)
            else:
                self._tell(execution, out, now)

    def wake(self, now: Now) -> float | None:
        """
        In how many seconds L{tick} has something to do.
        """
        return self.retelling.wake(now)

    def stop(self, out: Out) -> None:
        """
        Start nothing any more, hand back what waits, and end what runs.
        """
        self.stopping = True
        self.give_back(out)
        ended = RunState.ENDED
        running = tuple(row.ref for row in self.executions.values() if row.state != ended)
        if running:
            out.after(StopRuns(running))

    def give_back(self, out: Out) -> None:
        """
        Refuse what waits; while the lease is over, it may have been given to somebody else.
        """
        for execution in list(self.executions.values()):
            if execution.state == RunState.WAITING:
                out.late.add("refused", Named(*execution.ref))
                self._forget(execution, out)
        self._queue.clear()

    @property
    def busy(self) -> int:
        """How many offers are handed to the runner or run."""
        return self._busy

    @property
    def unacknowledged(self) -> int:
        """How many outcomes are not on their origins' disks, as far as is known."""
        return len(self.retelling)

    @property
    def waiting(self) -> int:
        """How many offers wait for a slot."""
        return len(self._queue)

    def running_of(self, job: int) -> list[Ref]:
        """
        The offers of a job of this node that it holds itself.
        """
        return [e.ref for e in self.executions.values() if e.own and e.job == job]

    # -- inside ------------------------------------------------------------------------------------

    def _begin(self, out: Out, now: Now) -> None:
        """Start what waits, as far as there are slots."""
        while self._queue and self._busy < self._slots and not self.stopping:
            execution = self._queue.popleft()
            if execution.state != RunState.WAITING or execution.ref not in self.executions:
                continue
            if execution.kind == SLEEP and not execution.set_deadline(now):
                outcome = execution.outcome_as(
                    Status.FAILED, self._name, now, "not a number of milliseconds"
                )
                self._ended(execution, outcome, out, now)
                continue
            self._busy += 1
            if execution.missing:
                execution.fetching = True
                out.after(FetchPayload(execution.ref, execution.job, execution.missing))
                continue
            execution.state = RunState.HANDED
            run = execution.run(adopted=False)
            if execution.recorded:
                out.deadline(execution.deadline_row(self._boot, now))
                out.runs_late.append(run)
            else:
                out.runs.append(run)

    def _ended(self, execution: Execution, outcome: Outcome, out: Out, now: Now) -> None:
        execution.state = RunState.ENDED
        execution.outcome = outcome if outcome.node else outcome._replace(node=self._name)
        execution.started = execution.started or outcome.started
        self._tell(execution, out, now)

    def _tell(self, execution: Execution, out: Out, now: Now) -> None:
        outcome = execution.outcome
        if outcome is None:
            return
        self.retelling.told(execution, now)
        if not execution.own:
            out.early.add("finished", Finished(*execution.ref, execution.job, outcome))
            return
        out.early.add("finished", Finished(*execution.ref, execution.job, None))

        def done(out: Out, _: Now) -> None:
            if self.executions.get(execution.ref) is execution:
                self._forget(execution, out)

        self._own.own_ended(Ended(execution.job, *execution.offer, outcome), done, out, now)

    def _stop_fetching(self, execution: Execution) -> None:
        if execution.fetching:
            execution.fetching = False
            self._busy -= 1

    def _gone(self, execution: Execution, out: Out) -> None:
        out.late.add("gone", Named(*execution.ref))
        self._forget(execution, out)

    def _forget(self, execution: Execution, out: Out) -> None:
        self.executions.pop(execution.ref, None)
        self.retelling.forget(execution.ref)
        self._stop_fetching(execution)
        if execution.recorded:
            out.cleared(execution.ref)
        if execution.state == RunState.ENDED and execution.kind != SLEEP:
            # Its outcome outlives this process, and so does what keeps it.
            out.forget(execution.ref)
