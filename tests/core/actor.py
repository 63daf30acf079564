"""
Actors for a stage: a node's real core, with a store whose commits can be held up, and a runner that
looks at the lease when a job is to start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
from twisted.internet.defer import Deferred, succeed

from jobcluster.core.actions import (
    Accept,
    DropRuns,
    ExtendLease,
    LoadJobs,
    LoadKeys,
    LoadPage,
    NodeAction,
    Refuse,
    Run,
    SendJoin,
    SendReport,
    StartRuns,
    StopRuns,
)
from jobcluster.core.cluster import Cluster, ClusterSettings
from jobcluster.core.events import (
    BalancerConnected,
    BalancerDisconnected,
    CancelRequested,
    JobsLoaded,
    JobsRequested,
    KeysLoaded,
    NodeEvent,
    PageLoaded,
    RunEnded,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
    Ticked,
)
from jobcluster.core.node import Node, NodeSettings
from jobcluster.core.records import Change
from jobcluster.core.values import SLEEP, Now, OnNodeLoss, Outcome, Ref, Spec, Status
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.services.perform import Performer
from jobcluster.store.tables import Tables

__all__ = ["Actor", "Okay", "Parts", "Scenery", "Wire", "sleep"]

_EPOCH: Final = 1_700_000_000.0


def sleep(ms: int, *, once: bool = False) -> Spec:
    """
    A job.
    """
    loss = OnNodeLoss.FAIL if once else OnNodeLoss.AGAIN
    return Spec(SLEEP, str(ms).encode(), on_node_loss=loss)


@attrs.frozen
class Parts:
    """What a stage is made of; a scene fails with a part that lacks its rule."""

    cluster: type[Cluster] = Cluster
    settings: ClusterSettings = attrs.field(factory=ClusterSettings)
    node: type[Node] = Node


@attrs.frozen
class Okay:
    """The answer to a report that was sent then."""

    sent: float


class Scenery:
    """
    What an actor needs of the stage.
    """

    def __init__(self, parts: Parts) -> None:
        """
        Nothing was started.
        """
        self.parts = parts
        self.seconds = 100.0
        self.starts: list[tuple[int, str]] = []
        """(job, node) of every start that really was one."""
        self.seen: set[Ref] = set()

    @property
    def now(self) -> Now:
        """The three clocks."""
        return Now(self.seconds, self.seconds, _EPOCH + self.seconds)

    def new_wire(self, actor: Actor) -> Wire:
        """
        A connection to the balancer.
        """
        raise NotImplementedError

    def hang_up(self, wire: Wire) -> None:
        """
        The balancer sees a connection end, and whatever is unread there is lost.
        """
        raise NotImplementedError

    def flow(self) -> None:
        """
        Let everything be read that is not held up.
        """
        raise NotImplementedError


class Wire:
    """
    A connection, with what was said on it and not read yet.
    """

    def __init__(self, actor: Actor, number: int) -> None:
        """
        Nothing was said.
        """
        self.actor = actor
        self.number = number
        self.up: deque[tuple[JoinPart | Report, float]] = deque()
        self.down: deque[Dispatch | Accept | Refuse | Okay | None] = deque()
        """C{None} is its end."""
        self.up_held = self.down_held = False
        """Whether what is on its way stays there."""
        self.read_by_balancer = True
        self.joined_at = 0.0


class Actor:
    """
    A node on the stage.
    """

    def __init__(self, scenery: Scenery, name: str, slots: int) -> None:
        """
        A node whose process does not run.
        """
        self._scenery = scenery
        self.name = name
        self.tables = Tables()
        self.frozen = False
        self.slow = False
        """Whether commits wait for L{commit}."""
        self.holds_drops = False
        """Whether what is to be dropped waits for L{drop_now}."""
        self._held_drops: list[Ref] = []
        self.wire: Wire | None = None
        self.core: Node | None = None
        self._settings = NodeSettings(slots)
        self._pending: list[tuple[Sequence[Change], Deferred[None]]] = []
        self._runs: dict[Ref, Run] = {}
        self._until = float("-inf")
        self._performer = Performer(self._commit, self._do, _no_failure)

    # -- its process -------------------------------------------------------------------------------

    def start(self) -> None:
        """
        Start its process and connect.
        """
        boot = f"boot-{self.name}"
        identity, recovered = self.tables.open(self.name, boot, f"store-{self.name}", 7, 0)
        self._performer = Performer(self._commit, self._do, _no_failure)
        now = self._scenery.now
        self.core = self._scenery.parts.node(identity, recovered, self._settings, "", (), now)
        self._performer.perform(self.core.begin(now))
        self.connect()

    def kill(self) -> None:
        """
        SIGKILL: what is committed stays, the balancer sees the end of the connection.
        """
        wire, self.wire, self.core = self.wire, None, None
        self._performer.abandon()
        self._pending.clear()
        self._runs.clear()
        self._until = float("-inf")
        if wire is not None:
            self._scenery.hang_up(wire)

    def restore(self, tables: Tables) -> None:
        """
        SIGKILL, and its state directory is replaced by a backup.
        """
        self.kill()
        self.tables = tables.copy()
        self.tables.restore(int(self._scenery.now.wall), 7)

    def feed(self, event: NodeEvent) -> None:
        """
        Let its core react.
        """
        if self.core is not None:
            self._performer.perform(self.core.handle(event, self._scenery.now))

    def beat(self) -> None:
        """
        Time has passed.
        """
        if self.frozen or self.core is None:
            return
        now = self._scenery.now
        due = [run for run in self._runs.values() if run.deadline <= now.boot]
        for run in due:
            self._over(run.ref, Status.SUCCEEDED)
        self.feed(Ticked())
        if self.wire is not None and self.core.is_joined:
            self.wire.up.append((Report(), now.boot))

    # -- its connection ----------------------------------------------------------------------------

    def connect(self, *, up_held: bool = False, down_held: bool = False) -> Wire:
        """
        Connect, and so join, in an empty part and others; what is said on the connection may be
        held up from the beginning.
        """
        self.wire = wire = self._scenery.new_wire(self)
        wire.up_held, wire.down_held = up_held, down_held
        self.feed(BalancerConnected(wire.number))
        self._scenery.flow()
        return wire

    def give_up(self) -> Wire:
        """
        See the connection end; what was said on it may still be read at the other end.
        """
        wire = self.joined_wire
        self.wire = None
        self.feed(BalancerDisconnected(wire.number))
        return wire

    def blip(self) -> Wire:
        """
        Lose the connection, seen by both, and connect anew.
        """
        self._scenery.hang_up(self.give_up())
        return self.connect()

    @property
    def joined_wire(self) -> Wire:
        """Its present connection."""
        if self.wire is None:
            raise LookupError(self.name)
        return self.wire

    # -- its clients -------------------------------------------------------------------------------

    def submit(self, spec: Spec) -> int:
        """
        Take a job.
        """
        self.feed(JobsRequested(1, (spec,)))
        self._scenery.flow()
        return self.tables.recover().last_job

    def cancel(self, job: int) -> None:
        """
        Take the wish to cancel it.
        """
        self.feed(CancelRequested(1, (job,)))
        self._scenery.flow()

    def outcome(self, job: int) -> Outcome | None:
        """
        How it ended.
        """
        view = self.tables.view(job)
        return None if view is None else view.outcome

    # -- its store ---------------------------------------------------------------------------------

    def _commit(self, changes: Sequence[Change]) -> Deferred[None]:
        if not self.slow:
            self.tables.apply(changes)
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._pending.append((changes, done))
        return done

    def commit(self) -> None:
        """
        Commit at last what waits for it.
        """
        self.slow = False
        pending, self._pending = self._pending, []
        for changes, done in pending:
            self.tables.apply(changes)
            done.callback(None)
        self._scenery.flow()

    # -- what it does ------------------------------------------------------------------------------

    def _do(self, action: NodeAction) -> None:
        """Carry an action out; what only people want to know is left out."""
        number = getattr(action, "connection", None)
        if number is None:
            self._run(action)
        elif self.wire is not None and self.wire.number == number:
            self._say(self.wire, action)

    def _say(self, wire: Wire, action: NodeAction) -> None:
        sent = self._scenery.now.boot
        if isinstance(action, SendReport):
            wire.up.append((action.report, sent))
        elif isinstance(action, SendJoin):
            wire.joined_at = sent
            first = attrs.evolve(action.parts[0], inventory=(), offered=(), questions=())
            wire.up.append((attrs.evolve(first, last=False), sent))
            for part in action.parts:
                wire.up.append((attrs.evolve(part, part=part.part + 1), sent))

    def _run(self, action: NodeAction) -> None:
        match action:
            case LoadJobs():
                self.feed(JobsLoaded(action.jobs, self.tables.load(action.jobs)))
            case LoadPage():
                found = self.tables.page(action.requires, action.after, action.limit)
                self.feed(PageLoaded(action.requires, found))
            case LoadKeys():
                self.feed(KeysLoaded(self.tables.keys(action.keys)))
            case ExtendLease():
                self._until = action.until
            case StartRuns():
                for run in action.runs:
                    self._start(run)
            case StopRuns():
                for ref in action.refs:
                    self._over(ref, Status.CANCELLED)
            case DropRuns():
                self._drop(action.refs)
            case _:
                pass

    def drop_now(self) -> None:
        """
        Have what was to be dropped end.
        """
        self.holds_drops = False
        held, self._held_drops = self._held_drops, []
        self._drop(held)

    def _start(self, run: Run) -> None:
        """Look at the lease where the job starts."""
        now = self._scenery.now
        if not run.adopted and now.boot > self._until:
            self.feed(RunsRefused((run.ref,)))
            return
        self._runs[run.ref] = run
        if run.ref not in self._scenery.seen:
            self._scenery.seen.add(run.ref)
            self._scenery.starts.append((run.job, self.name))
        if not run.started:
            self.feed(RunsStarted((run.ref,), int(now.wall * 1000)))

    def _over(self, ref: Ref, status: str) -> None:
        if self._runs.pop(ref, None) is not None:
            ended = int(self._scenery.now.wall * 1000)
            self.feed(RunsEnded((RunEnded(ref, Outcome(status, ended=ended)),)))

    def _drop(self, refs: Sequence[Ref]) -> None:
        if self.holds_drops:
            self._held_drops += refs
            return
        dropped = tuple(ref for ref in refs if self._runs.pop(ref, None) is not None)
        if dropped:
            self.feed(RunsDropped(dropped))


def _no_failure(_: object) -> None:
    """No commit fails here."""
