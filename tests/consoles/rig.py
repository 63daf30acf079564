"""
A cluster in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from jobcluster.core.commands import COMMAND
from jobcluster.core.values import Outcome, Spec, Status, format_ticket, parse_ticket
from jobcluster.core.views import BalanceView, ClusterView, Filter, JobView, NodeView, Piece
from jobcluster.errors import (
    BalancerAwayError,
    JobclusterError,
    KeyTakenError,
    MalformedTicketError,
    NodeAwayError,
    OutputMissingError,
    UnknownTicketError,
    UserError,
)
from jobcluster.interfaces import IClusterView
from tests.consoles.speech import Speech

T = TypeVar("T")

TICK = 1 / 16
"""Seconds, exact in binary."""

MOST = 256 * 1024
"""Bytes of output that a L{FakeCluster} gives at once."""

FIRST_JOB = 1 << 60
"""The id of the first job of a L{FakeCluster}."""


def ticket(number: int, origin: str = "alpha") -> str:
    """
    The ticket of the so-many-th job, from 0.
    """
    return format_ticket(origin, FIRST_JOB + number)


@implementer(IClusterView)
class FakeCluster:
    """
    A cluster of one node that runs everything at once, and does all else after some time.

    A command runs until L{end} is called.
    An answer that takes no time is there before the call returns.
    """

    def __init__(self, clock: Clock, delay: float = 0.0) -> None:
        """
        Begin without jobs.

        @param delay: seconds that each call takes.
        """
        self.name = "alpha"
        self.store = "store-of-alpha"
        self.is_open = True
        self.clock = clock
        self.delay = delay
        self.table: dict[int, JobView] = {}
        self.keys: dict[str, tuple[Spec, str]] = {}
        """The jobs that were submitted with a key, and their tickets."""
        self.batches: list[int] = []
        """How many jobs each call of L{submit} had."""
        self.asked: list[str] = []
        """The calls in their order, and what they were about."""
        self.waits: dict[int, list[Deferred[JobView]]] = {}
        self.ended_waits = 0
        self.why = ""
        """What L{joined} answers."""
        self.failure: BaseException | None = None
        """What every call fails with."""
        self.balancer_away = False
        self.remark = ""
        self.files: dict[tuple[str, str], Callable[[int, int], bytes]] = {}
        """Of tickets and streams whose output is long: gives the bytes at an offset, at most so
        many; may raise."""
        self.pieces: list[tuple[str, int, int]] = []
        """The calls of L{output}: stream, offset and limit."""
        self.speech = Speech(clock, MOST)
        self.timers: list[IDelayedCall] = []

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[str | JobclusterError, ...]]:
        """
        See L{IClusterView.submit}.
        """
        self.batches.append(len(specs))
        self.asked.append(f"submit {len(specs)}")
        return self._after(lambda: tuple(self._submitted(spec) for spec in specs))

    def view(self, ticket: str) -> Deferred[JobView]:
        """
        See L{IClusterView.view}.
        """
        self.asked.append(f"view {ticket}")
        return self._after(lambda: self._find(ticket))

    def wait(self, ticket: str) -> Deferred[JobView]:
        """
        See L{IClusterView.wait}.
        """
        self.asked.append(f"wait {ticket}")
        return self._after(lambda: self._find(ticket)).addCallback(self._wait_for)

    def cancel(self, ticket: str) -> Deferred[str]:
        """
        See L{IClusterView.cancel}.
        """
        self.asked.append(f"cancel {ticket}")
        return self._after(lambda: self._cancel(self._find(ticket)))

    def output(self, ticket: str, stream: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        See L{IClusterView.output}.
        """
        self.asked.append(f"output {ticket}")
        self.pieces.append((stream, offset, limit))

        def piece() -> bytes:
            outcome = self._find(ticket).outcome
            if outcome is None:
                raise OutputMissingError
            if (ticket, stream) in self.files:
                return self.files[ticket, stream](offset, min(limit, MOST))
            whole = outcome.out if stream == "out" else outcome.err
            return whole[offset : offset + min(limit, MOST)]

        return self._after(piece)

    def live(
        self, ticket: str, stream: str, offset: int, limit: int, patience: float, attempt: int = 0
    ) -> Deferred[Piece]:
        """
        See L{IClusterView.live}.
        """
        self.speech.asked.append((stream, offset, attempt))
        look = partial(self.speech.look, self._find, ticket, (stream, offset, limit), attempt)
        heard = self._after(look)
        return heard.addCallback(lambda piece: piece or self.speech.listen(look, patience, attempt))

    def jobs(self, wanted: Filter, after: int, limit: int) -> Deferred[tuple[JobView, ...]]:
        """
        See L{IClusterView.jobs}.
        """
        self.asked.append(f"jobs {wanted.state}")

        def page() -> tuple[JobView, ...]:
            later = range(max(after + 1, FIRST_JOB), FIRST_JOB + len(self.table))
            found = (self.table[job] for job in later if fits(self.table[job], wanted))
            return tuple(islice(found, limit))

        return self._after(page)

    def cluster(self) -> Deferred[ClusterView]:
        """
        See L{IClusterView.cluster}.
        """
        self.asked.append("cluster")
        return self._after(self._cluster)

    def joined(self) -> str:
        """
        See L{IClusterView.joined}.
        """
        return self.why

    def stop(self) -> None:
        """
        Forget what was to happen later.
        """
        for timer in self.timers:
            if timer.active():
                timer.cancel()

    def end(self, job: int, outcome: Outcome) -> None:
        """
        End a job, unless it has ended.
        """
        if self.table[job].outcome is None:
            self.table[job] = attrs.evolve(
                self.table[job], state="ended", node=outcome.node, outcome=outcome
            )
            for waiting in self.waits.pop(job, []):
                waiting.callback(self.table[job])
            self.speech.tell()

    def _after(self, answer: Callable[[], T]) -> Deferred[T]:
        """Call C{answer} when the time has come, for what the Deferred fires or fails with."""
        if self.failure is not None:
            return fail(self.failure)
        if not self.delay:
            try:
                return succeed(answer())
            except JobclusterError:
                return fail()
        return deferLater(self.clock, self.delay, answer)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append(self.clock.callLater(seconds, call))

    def _submitted(self, spec: Spec) -> str | UserError:
        if not spec.key:
            return self._take(spec)
        known = self.keys.get(spec.key)
        if known is None:
            known = self.keys[spec.key] = (spec, self._take(spec))
        return known[1] if known[0] == spec else KeyTakenError()

    def _take(self, spec: Spec) -> str:
        job = FIRST_JOB + len(self.table)
        self.table[job] = JobView(
            job,
            spec.kind,
            spec.payload,
            "running",
            submitted=0,
            attempts=1,
            node="beta",
            name=spec.name,
            tags=tuple(sorted(spec.tags)),
        )
        if spec.kind == COMMAND:
            return format_ticket(self.name, job)
        milliseconds = int(spec.payload)
        slept = b"slept %d ms" % milliseconds
        outcome = Outcome(Status.SUCCEEDED, started=0, ended=milliseconds, node="beta", value=slept)
        if milliseconds:
            self._later(milliseconds / 1000, lambda: self.end(job, outcome))
        else:
            self.end(job, outcome)
        return format_ticket(self.name, job)

    def _find(self, ticket: str) -> JobView:
        named = parse_ticket(ticket)
        if named is None:
            raise MalformedTicketError
        if named[0] == "away":
            raise NodeAwayError
        if named[0] != self.name or named[1] not in self.table:
            raise UnknownTicketError
        return self.table[named[1]]

    def _wait_for(self, found: JobView) -> JobView | Deferred[JobView]:
        if found.outcome is not None:
            return found

        def ended(waiting: Deferred[JobView]) -> None:
            self.ended_waits += 1
            self.waits[found.job].remove(waiting)

        waiting = Deferred[JobView](ended)
        self.waits.setdefault(found.job, []).append(waiting)
        return waiting

    def _cancel(self, found: JobView) -> str:
        if found.outcome is not None:
            return "ended"
        self.end(found.job, Outcome(Status.CANCELLED))
        return "cancelled"

    def _cluster(self) -> ClusterView:
        if self.balancer_away:
            raise BalancerAwayError
        running = sum(job.outcome is None for job in self.table.values())
        completed = len(self.table) - running
        node = NodeView("beta", "joined", 2, running, running, completed, 0, self.remark)
        return ClusterView((node,), BalanceView(1, 0.25, 0.995, 2, 12.34, 7), "eager")


def fits(job: JobView, wanted: Filter) -> bool:
    """
    Whether a job is one of those that are asked for, as L{IClusterView.jobs} means it.
    """
    if wanted.name not in {"", job.name} or not set(wanted.tags) <= set(job.tags):
        return False
    state = wanted.state
    if state == "open":
        return job.outcome is None
    return state in {"", job.state, job.outcome.status if job.outcome is not None else ""}
