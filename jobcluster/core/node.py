"""
A node without sockets, disk or processes.

It is the origin of the jobs that it took and the executor of the offers that it was given; here the
two are put together with the link to the balancer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from jobcluster.core.actions import (
    Answer,
    CloseConnection,
    ExtendLease,
    Leave,
    NodeAction,
    Note,
    Rebuild,
    SendJoin,
    Stopped,
)
from jobcluster.core.events import (
    BalancerConnected,
    BalancerDisconnected,
    CancelRequested,
    DispatchReceived,
    DrainRequested,
    JobsLoaded,
    JobsRequested,
    JoinAccepted,
    JoinRefused,
    KeeperReplaced,
    KeysLoaded,
    NodeEvent,
    OutputCollected,
    OutputMissed,
    PageLoaded,
    PayloadCame,
    ReportAnswered,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
    StopRequested,
    Ticked,
)
from jobcluster.core.executor import Executor
from jobcluster.core.link import LinkRecord
from jobcluster.core.lives import Whereabouts
from jobcluster.core.origin import Origin
from jobcluster.core.out import Out, Words
from jobcluster.core.parts import join_head, split_join
from jobcluster.core.records import Identity, NodeSettings, Recovered
from jobcluster.core.values import Adopted, Now, Ref
from jobcluster.core.words import Load

__all__ = ["Node", "NodeSettings"]

_LAST_WORDS: Final = 1.0
"""Seconds for which a node that stops waits for the acknowledgement of its outcomes."""

_WINDOW: Final = 4000
"""The most offers in a window before the balancer has said so (part 3: a few thousand)."""


class Node:
    """
    A node's core: L{handle} takes events and answers with actions.
    """

    def __init__(
        self,
        identity: Identity,
        recovered: Recovered,
        settings: NodeSettings,
        keeper: str,
        adopted: tuple[Adopted, ...],
        now: Now,
    ) -> None:
        """
        A node that is not connected; L{begin} is to be called before any event.

        @param recovered: what its store knows.
        @param keeper: the id of the process that runs its jobs; empty if that is this one.
        @param adopted: what that process holds already.
        """
        self._identity = identity
        self._settings = settings
        self._keeper = keeper
        self._recovered = recovered
        self._adopted = adopted
        self._link = LinkRecord()
        self._origin = Origin(identity, recovered, _WINDOW)
        self._executor = Executor(identity, settings.slots, self._origin)
        self._executor.draining = recovered.draining
        self._held_back = Words()
        """What is to be said when the join that is under way is accepted."""
        self._refused_for = ""
        """Why the balancer refused it last, since it was joined."""
        self._said_beyond = 0
        """How many jobs wait behind the windows, as the balancer was told last."""
        self._stop: StopRequested | None = None
        self._stop_by = 0.0
        """While stopping: when to end at the latest, in seconds of the monotonic clock."""
        self._started_at = now
        self._reactions: dict[type, Callable[[Any, Out, Now], None]] = {
            Ticked: self._ticked,
            JobsRequested: self._jobs_requested,
            CancelRequested: self._cancel_requested,
            DrainRequested: self._drain_requested,
            StopRequested: self._stop_requested,
            JobsLoaded: self._jobs_loaded,
            PageLoaded: self._page_loaded,
            KeysLoaded: self._keys_loaded,
            OutputCollected: self._output_collected,
            OutputMissed: self._output_missed,
            PayloadCame: self._payload_came,
            RunsStarted: self._runs_started,
            RunsRefused: self._runs_refused,
            RunsEnded: self._runs_ended,
            RunsDropped: self._runs_dropped,
            KeeperReplaced: self._keeper_replaced,
            BalancerConnected: self._connected,
            BalancerDisconnected: self._disconnected,
            JoinAccepted: self._accepted,
            JoinRefused: self._refused,
            ReportAnswered: self._report_answered,
            DispatchReceived: self._dispatched,
        }

    # -- the interface -----------------------------------------------------------------------------

    def begin(self, now: Now) -> list[NodeAction]:
        """
        Take up what an earlier process of this node left.
        """
        out = Out()
        self._executor.adopt(self._recovered.deadlines, self._adopted, out, now)
        return self._finish(out, now)

    def handle(self, event: NodeEvent, now: Now) -> list[NodeAction]:
        """
        Take in what happened, and say what is to be done, in order.
        """
        out = Out()
        self._reactions[type(event)](event, out, now)
        return self._finish(out, now)

    def wake(self, now: Now) -> float | None:
        """
        In how many seconds it wants to be given a L{Ticked}; C{None} if nothing is due.
        """
        due = [self._origin.wake(now)]
        if self.is_joined:
            due.append(self._executor.wake(now))
        if self._stop is not None and not self._executor.busy:
            due.append(self._stop_by - now.mono)
        times = [seconds for seconds in due if seconds is not None]
        return max(0.0, min(times)) if times else None

    @property
    def is_joined(self) -> bool:
        """Whether the balancer has accepted this node."""
        return self._link.state == "joined"

    @property
    def reason(self) -> str:
        """Why this node is not joined, in words for people; empty if it is."""
        return self._link.reason

    def whereabouts(self, job: int) -> Whereabouts | None:
        """
        Where an unfinished job is that is in memory.
        """
        return self._origin.lives.whereabouts(job)

    def running(self, job: int) -> Whereabouts | None:
        """
        The same, and without a balancer too what this node holds itself.
        """
        lives = self._origin.lives
        held = () if self.is_joined else self._executor.running_of(job)
        return lives.run_here(job, max(held)[2:]) if held else lives.whereabouts(job)

    def holds(self, ref: Ref) -> bool:
        """
        Whether this node holds an offer.
        """
        return ref in self._executor.executions

    def load(self) -> Load:
        """
        This node's own figures.
        """
        executor = self._executor
        return Load(
            executor.busy,
            executor.waiting,
            self._origin.window.beyond,
            executor.draining,
            executor.stopping or self._stop is not None,
        )

    # -- putting an answer together ----------------------------------------------------------------

    def _finish(self, out: Out, now: Now) -> list[NodeAction]:
        if self._stop is not None:
            self._leave_when_idle(out, now)
        self._origin.fill(out)
        self._origin.tick(out, now)
        if out.early or out.late:
            self._said_beyond = self._origin.window.beyond
        state = self._link.state
        if state == "joining":
            self._held_back.merge(out.early)
            self._held_back.merge(out.late)
            return out.actions(None, self.load)
        return out.actions(self._link.connection if state == "joined" else None, self.load)

    # -- clients -----------------------------------------------------------------------------------

    def _ticked(self, _: Ticked, out: Out, now: Now) -> None:
        if self.is_joined:
            self._executor.tick(out, now)

    def _jobs_requested(self, event: JobsRequested, out: Out, now: Now) -> None:
        self._origin.submissions.submit(event, out, now)

    def _cancel_requested(self, event: CancelRequested, out: Out, now: Now) -> None:
        self._origin.cancel(event.request, event.jobs, out, now)
        for job in event.jobs:
            self._executor.cancel(self._executor.running_of(job), out, now)

    def _drain_requested(self, event: DrainRequested, out: Out, _: Now) -> None:
        self._executor.draining = event.draining
        out.draining(event.draining)
        self._say_load(out)
        out.after(Answer(event.request, ()))

    def _stop_requested(self, event: StopRequested, out: Out, now: Now) -> None:
        if self._stop is None:
            self._stop = event
            self._stop_by = now.mono + (_LAST_WORDS if self.is_joined else 0.0)
            self._say_load(out)
            self._origin.stop()
            if not event.keep:
                self._executor.stop(out)

    def _say_load(self, out: Out) -> None:
        """Have something said, for the load goes with it."""
        out.late.touch()

    def _leave_when_idle(self, out: Out, now: Now) -> None:
        """
        End when nothing runs any more and the origins know; at once if what runs is to go on.
        """
        stop, executor = self._stop, self._executor
        if stop is None or (executor.busy and not stop.keep):
            return
        if executor.unacknowledged and not stop.keep and now.mono < self._stop_by:
            return
        self._stop = None
        self._executor.stopping = True
        if self._link.connection is not None and self.is_joined:
            out.after(Leave(self._link.connection, stop.keep))
        out.after(Stopped())

    # -- the store ---------------------------------------------------------------------------------

    def _jobs_loaded(self, event: JobsLoaded, out: Out, now: Now) -> None:
        self._origin.loaded(event.wanted, event.found, out, now)

    def _page_loaded(self, event: PageLoaded, out: Out, now: Now) -> None:
        self._origin.page_loaded(event.requires, event.jobs, out, now)

    def _keys_loaded(self, event: KeysLoaded, out: Out, now: Now) -> None:
        self._origin.submissions.loaded(event.found, out, now)

    # -- other nodes -------------------------------------------------------------------------------

    def _output_collected(self, event: OutputCollected, out: Out, now: Now) -> None:
        collecting = self._origin.endings.collecting
        collecting.collected(event.job, event.offer, event.trouble, out, now)

    def _output_missed(self, event: OutputMissed, _: Out, __: Now) -> None:
        self._origin.endings.collecting.missed(event.job, event.offer)

    def _payload_came(self, event: PayloadCame, out: Out, now: Now) -> None:
        self._executor.payload_came(event.ref, event.payload, out, now)

    # -- the runner --------------------------------------------------------------------------------

    def _runs_started(self, event: RunsStarted, out: Out, now: Now) -> None:
        self._executor.started(event.refs, event.at, out, now)

    def _runs_refused(self, event: RunsRefused, out: Out, now: Now) -> None:
        self._executor.refused(event.refs, out, now)

    def _runs_ended(self, event: RunsEnded, out: Out, now: Now) -> None:
        self._executor.ended(event.runs, out, now)

    def _runs_dropped(self, event: RunsDropped, out: Out, now: Now) -> None:
        self._executor.dropped(event.refs, out, now)

    def _keeper_replaced(self, event: KeeperReplaced, out: Out, now: Now) -> None:
        """Join anew, for the balancer knows which keeper runs what from the join."""
        self._keeper = event.keeper
        connection = self._link.connection
        if connection is not None:
            why = "another keeper runs its jobs"
            self._part(out, now, why)
            out.before(CloseConnection(connection, why))

    # -- the balancer ------------------------------------------------------------------------------

    def _connected(self, event: BalancerConnected, out: Out, now: Now) -> None:
        if self._link.connection is not None:
            self._part(out, now)
        self._link.machine.connected(event.connection)
        offers, questions = self._origin.joining()
        identity, settings, load = self._identity, self._settings, self.load()
        head = join_head(identity, settings, self._link.serial, self._keeper, load)
        parts = split_join(head, self._executor.inventory(), offers, questions)
        out.after(SendJoin(event.connection, parts))

    def _disconnected(self, event: BalancerDisconnected, out: Out, now: Now) -> None:
        if self._link.is_current(event.connection):
            self._part(out, now)

    def _part(self, out: Out, now: Now, why: str = "") -> None:
        was_joined = self.is_joined
        self._link.machine.disconnected()
        self._link.reason = why or self._link.reason
        self._held_back.clear()
        self._origin.parted(out, now)
        if was_joined:
            out.before(Note("info", "not joined", {"reason": self._link.reason}))

    def _accepted(self, event: JoinAccepted, out: Out, now: Now) -> None:
        link = self._link
        if not link.is_current(event.connection) or event.serial != link.serial:
            return
        if not link.machine.accepted(event.terms):
            return
        self._executor.retelling.period = event.terms.retell
        self._origin.window.limit = event.terms.window
        self._refused_for = ""
        self._renew(event.sent, out, now)
        # What has changed since the inventory was taken is said now (rule 1).
        out.early.merge(self._held_back)
        self._held_back.clear()
        self._executor.tell_all(out, now)
        out.before(Note("info", "joined", {"balancer": event.terms.balancer}))

    def _refused(self, event: JoinRefused, out: Out, _: Now) -> None:
        link = self._link
        if not link.is_current(event.connection) or event.serial != link.serial:
            return
        if link.machine.refused(event.reason):
            if event.reason != self._refused_for:
                # It is refused again and again; once is enough to read.
                self._refused_for = event.reason
                out.before(Note("warn", "the balancer refused this node", {"reason": event.reason}))
            out.before(CloseConnection(event.connection, event.reason))
            if event.superseded:
                # The newer process may be gone for good: with a greater number this one is heard,
                # and whether the other is alive is asked of it.
                out.after(Rebuild())

    def _report_answered(self, event: ReportAnswered, out: Out, now: Now) -> None:
        if self._link.is_current(event.connection):
            self._renew(event.sent, out, now)
            if self.is_joined and self._said_beyond != self._origin.window.beyond:
                self._say_load(out)

    def _renew(self, sent: float, out: Out, now: Now) -> None:
        was_over = now.boot > self._link.lease_until
        if self._link.renew(sent):
            if was_over:
                # A new lease is none for what was given before: it may be somebody else's by now.
                self._executor.give_back(out)
            out.before(ExtendLease(self._link.lease_until))

    def _dispatched(self, event: DispatchReceived, out: Out, now: Now) -> None:
        if not self._link.is_current(event.connection) or not self.is_joined:
            return
        said, origin, executor = event.dispatch, self._origin, self._executor
        executor.start(said.start, out, now)
        executor.cancel((row.ref for row in said.cancel), out, now)
        executor.drop((row.ref for row in said.drop), out, now)
        executor.acknowledge((row.ref for row in said.acknowledge), out)
        origin.placed(said.placed, out, now)
        origin.held(said.held, out, now)
        origin.started(said.started, out, now)
        # Merged boxes may say of one offer that it was placed, and that nobody has it any more.
        origin.nobody(said.nobody, out, now)
        origin.lost(said.lost, out, now)
        origin.endings.outcomes(said.outcome, out, now)
