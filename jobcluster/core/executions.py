"""
An offer that a node holds, from the start that it is told to the outcome that is acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from jobcluster.core.actions import Run
from jobcluster.core.out import Out
from jobcluster.core.records import Deadline
from jobcluster.core.values import SLEEP, Adopted, Held, Now, Offer, Outcome, Ref, RunState
from jobcluster.core.words import Ended

__all__ = ["Execution", "OwnJobs"]

_SHORT: Final = 1.0
"""Seconds: what sleeps no longer than that may start anew, so no deadline is written (part 3)."""


class Execution:
    """
    An offer that this node holds.
    """

    __slots__ = (
        "attempt",
        "cancelled",
        "deadline",
        "dropped",
        "fetching",
        "job",
        "kind",
        "missing",
        "once",
        "outcome",
        "own",
        "payload",
        "recorded",
        "ref",
        "started",
        "state",
        "suspect",
        "told",
    )

    def __init__(self, ref: Ref, job: int, kind: str) -> None:
        """
        An offer that waits for a slot.
        """
        self.ref = ref
        self.job = job
        self.kind = kind
        self.payload = b""
        self.missing = 0
        """Bytes of payload that its origin has still to be asked for."""
        self.fetching = False
        """Whether it is being asked; it has a slot and waits."""
        self.attempt = 1
        self.own = False
        self.once = False
        self.suspect = False
        self.state = RunState.WAITING
        self.started = 0
        """Milliseconds since the epoch, 0 if it was not started."""
        self.deadline = 0.0
        """Of a sleep: when it ends, in seconds of the boot-time clock."""
        self.recorded = False
        """Whether the deadline is, or is about to be, in the store."""
        self.outcome: Outcome | None = None
        self.told = 0.0
        """When the outcome was last told, in seconds of the monotonic clock."""
        self.cancelled = False
        self.dropped = False

    @classmethod
    def of_deadline(cls, row: Deadline) -> Execution:
        """
        A sleep that an earlier process of this node has started.
        """
        execution = cls(row.ref, row.job, SLEEP)
        execution.recorded = True
        execution.once = row.once
        execution.started = row.started
        execution.deadline = row.deadline
        execution.payload = str(row.ends - row.started).encode()
        return execution

    @classmethod
    def of_adopted(cls, run: Adopted) -> Execution:
        """
        What a runner holds from before.
        """
        execution = cls(run.held.ref, run.held.job, run.kind)
        execution.started = run.held.started
        execution.suspect = run.held.suspect
        execution.once = run.once
        return execution

    @property
    def offer(self) -> Offer:
        """The offer alone."""
        return self.ref[2:]

    @property
    def held(self) -> Held:
        """Its row in the inventory."""
        return Held(*self.ref[:2], self.job, *self.offer, self.state, self.started, self.suspect)

    def set_deadline(self, now: Now) -> bool:
        """
        Let a sleep begin now.

        @return: whether its payload is a number of milliseconds.
        """
        if not self.payload.isdigit():
            return False
        seconds = int(self.payload) / 1000
        self.deadline = now.boot + seconds
        self.recorded = self.once or seconds > _SHORT
        return True

    def deadline_row(self, boot: str, now: Now) -> Deadline:
        """
        What is to be known of a sleep that begins now by the next process of this node.

        @param boot: the id of this boot of the machine.
        """
        begins = int(now.wall * 1000)
        ends = begins + int(self.payload)
        return Deadline(*self.ref, self.job, boot, self.deadline, begins, ends, self.once)

    def run(self, *, adopted: bool) -> Run:
        """
        What the runner is to be given.

        @param adopted: whether an earlier process of this node has started it.
        """
        return Run(
            *self.ref,
            self.job,
            self.kind,
            self.payload,
            self.attempt,
            self.once,
            self.deadline,
            adopted,
            self.started,
            self.suspect,
        )

    def outcome_as(self, status: str, node: str, now: Now, detail: str = "") -> Outcome:
        """
        An outcome that no runner tells.
        """
        return Outcome(status, None, detail, self.started, int(now.wall * 1000), node)


class OwnJobs(Protocol):
    """What an executor needs of the origin in the same node."""

    def payload_of(self, id_: int, offer: Offer, /) -> bytes | None:
        """What is to be run, or C{None} if it is not to be run any more."""

    def own_started(self, id_: int, offer: Offer, at: int, out: Out, now: Now, /) -> None:
        """It was started here."""

    def own_ended(
        self, row: Ended, done: Callable[[Out, Now], None], out: Out, now: Now, /
    ) -> None:
        """It ended here; C{done} is called when that is among the changes, or not wanted."""
