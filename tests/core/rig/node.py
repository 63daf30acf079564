"""
A node's process: what its service does, done by simulated means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobcluster.core.actions import (
    Answer,
    CollectOutput,
    DropRuns,
    ExtendLease,
    FetchPayload,
    LoadJobs,
    LoadKeys,
    LoadPage,
    NodeAction,
    Note,
    Outcomes,
    Rebuild,
    SendJoin,
    SendReport,
    StartRuns,
    Stopped,
    StopRuns,
)
from jobcluster.core.events import (
    JobsLoaded,
    KeysLoaded,
    NodeEvent,
    PageLoaded,
    Ticked,
)
from jobcluster.core.node import Node, NodeSettings
from jobcluster.core.records import Change, Identity, Recovered
from jobcluster.core.values import Adopted
from jobcluster.services.perform import Performer
from jobcluster.testing import FakeRunner
from jobcluster.testing.connections import KeeperConnection
from tests.core.rig.disks import Disk
from tests.core.rig.ground import Ground
from tests.core.rig.links import Box, End, Peer
from tests.core.rig.machines import Machine, Sleep
from tests.core.rig.truth import Truth
from tests.core.rig.uplinks import Uplink, Wiring

__all__ = ["NodeProcess", "NodeWorld"]

_FAREWELL = 2.0
_READ = 0.01
_REOPEN = 1.0


class NodeWorld:
    """
    What a node's process needs of the world around it.
    """

    def connect(self, process: NodeProcess, connected: Callable[[End], None]) -> None:
        """
        Try to connect to the balancer; nothing comes of it where that is impossible.
        """
        raise NotImplementedError

    def answered(self, process: NodeProcess, answer: Answer) -> None:
        """
        A client is given its answer.
        """
        raise NotImplementedError

    def ended(self, process: NodeProcess) -> None:
        """
        A process has ended in order.
        """
        raise NotImplementedError

    def make_runner(self, process: NodeProcess) -> FakeRunner:
        """
        What runs jobs at this node.
        """
        raise NotImplementedError

    def send_for(
        self,
        process: NodeProcess,
        action: CollectOutput | FetchPayload,
        came: Callable[[NodeEvent], None],
    ) -> None:
        """
        Have something fetched from another node.
        """
        raise NotImplementedError


class NodeProcess(Peer):
    """
    A node: of what its core knows, what it committed outlives it.
    """

    def __init__(
        self,
        world: NodeWorld,
        ground: Ground,
        machine: Machine,
        disk: Disk,
        settings: NodeSettings,
        truth: Truth,
        name: str,
    ) -> None:
        """
        Begin by opening the store.
        """
        super().__init__(ground, machine, name)
        self.world = world
        self.disk = disk
        self.settings = settings
        self.truth = truth
        self.core: Node | None = None
        self.runner: FakeRunner | None = None
        self.uplink = Uplink(
            self,
            Wiring(
                dial=lambda connected: self.world.connect(self, connected),
                feed=self.feed,
                wanted=lambda: self.core is not None and not self.stopping,
            ),
        )
        self.stopping = False
        self.keeps = True
        """Whether what it runs goes on when it ends."""
        self._performer = self._make_performer()
        self._builds = 0
        self._sleep = Sleep()
        self._open()

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self.alive and not self.frozen and self.core is not None and not self.stopping

    @property
    def keeper_connection(self) -> KeeperConnection | None:
        """What joins it to its keeper."""
        hands = None if self.runner is None else self.runner.hands
        return None if hands is None else hands.connection

    # -- building the core -------------------------------------------------------------------------

    def make_core(
        self,
        identity: Identity,
        recovered: Recovered,
        keeper: str,
        adopted: tuple[Adopted, ...],
    ) -> Node:
        """
        The core of this process; mutants make another.
        """
        return Node(identity, recovered, self.settings, keeper, adopted, self.now())

    def _make_performer(self) -> Performer:
        return Performer(self._commit, self._do, self._commit_failed)

    def _open(self) -> None:
        self._builds += 1
        random = self.ground.rng.getrandbits(32)
        self.disk.open(self, partial(self._opened, self._builds), random)

    def _opened(self, build: int, identity: Identity, recovered: Recovered) -> None:
        if build != self._builds:
            return
        self.note("OPENED", identity, recovered)
        self.runner = runner = self.world.make_runner(self)
        found = runner.inventory()
        found.addCallback(self._found, identity, recovered, self._builds)
        found.addErrback(self.ground.caught)

    def _found(
        self,
        inventory: tuple[str, tuple[Adopted, ...]],
        identity: Identity,
        recovered: Recovered,
        build: int,
    ) -> None:
        if build != self._builds or self.runner is None:
            return
        keeper, adopted = inventory
        self.note("ADOPTED", keeper, adopted)
        self.runner.told = self.feed
        self._performer = self._make_performer()
        self.core = core = self.make_core(identity, recovered, keeper, adopted)
        self._perform(core.begin(self.now()))
        self.uplink.connect()

    def rebuild(self) -> None:
        """
        Do what is done at a start, in the same process.
        """
        self.note("REBUILD")
        self._performer.abandon()
        self.core = None
        self.truth.process_lost(self.disk, self.machine.boot_time(), keeps=False)
        if self.runner is not None:
            self.runner.close()
            self.runner = None
        self.uplink.drop()
        self._open()

    def _rebuild_now(self, build: int) -> None:
        if build == self._builds and not self.stopping:
            self.rebuild()

    def _commit_failed(self, _: Failure) -> None:
        if self.stopping:
            self.world.ended(self)
        else:
            self.rebuild()

    def die(self) -> None:
        """
        See L{Process.die<tests.core.rig.machines.Process.die>}.
        """
        super().die()
        self._performer.abandon()
        self.disk.lose_process()
        self.uplink.vanish()

    # -- the core ----------------------------------------------------------------------------------

    def feed(self, event: NodeEvent) -> None:
        """
        Let the core react.
        """
        if self.core is not None:
            self.note("event", event)
            self._perform(self.core.handle(event, self.now()))

    def _perform(self, actions: Sequence[NodeAction]) -> None:
        self._performer.perform(actions)
        self._turned()

    def _turned(self) -> None:
        """A turn of the reactor is over."""
        self.uplink.flush()
        if self.core is not None:
            seconds = self.core.wake(self.now())
            if seconds is not None:
                self._sleep.until(self, seconds, self._tick)

    def _tick(self) -> None:
        if self.core is not None:
            self._perform(self.core.handle(Ticked(), self.now()))

    def _commit(self, changes: Sequence[Change]) -> Deferred[None]:
        self.note("commit", *changes)
        done: Deferred[None] = Deferred()
        begun = self.disk.commit(self, changes)
        begun.addCallbacks(self._committed, done.errback, (done, changes))
        begun.addErrback(self.ground.caught)
        return done

    def _committed(self, _: None, done: Deferred[None], changes: Sequence[Change]) -> None:
        self.note("committed", len(changes))
        done.callback(None)
        done.addErrback(self.ground.caught)
        self._turned()

    def _do(self, action: NodeAction) -> None:
        """Carry out one action."""
        if not self.alive or self.core is None:
            return
        self.note("action", action)
        number = getattr(action, "connection", None)
        if number is not None:
            self._check(action)
            self.uplink.say(number, action)
        elif isinstance(action, Note):
            return
        elif not self._run(action):
            self._tell(action)

    def _check(self, action: NodeAction) -> None:
        """Hold what is said to the balancer against what is on the disk."""
        if isinstance(action, SendReport):
            # What was offered while the join was under way is said with what made it void.
            void = {told.job for told in action.report.keep}
            void.update(question.job for question in action.report.withdrawn)
            offered = (row for row in action.report.offered if row.job not in void)
            self.truth.offered(self.disk, offered)
            for told in action.report.acknowledge:
                self.truth.told_acknowledged(self.disk, told.job, told.offer)
        elif isinstance(action, SendJoin):
            for part in action.parts:
                self.truth.offered(self.disk, part.offered)

    def _run(self, action: NodeAction) -> bool:
        runner = self.runner
        if runner is None:
            return True
        if isinstance(action, StartRuns):
            if "starting" in self.ground.traps:
                self.ground.spring("starting", self, action)
            runner.start(action.runs)
        elif isinstance(action, StopRuns):
            runner.stop(action.refs)
        elif isinstance(action, DropRuns):
            runner.drop(action.refs)
        elif isinstance(action, ExtendLease):
            runner.lease(action.until)
        else:
            return False
        return True

    def _tell(self, action: NodeAction) -> None:
        if isinstance(action, Answer):
            self.world.answered(self, action)
        elif isinstance(action, Outcomes):
            self.truth.told_outcomes(self.disk, action.jobs)
        elif isinstance(action, (LoadJobs, LoadPage, LoadKeys)):
            self.callLater(self.ground.rng.random() * _READ, self._read, action, self._builds)
        elif isinstance(action, (CollectOutput, FetchPayload)):
            build = self._builds
            self.world.send_for(self, action, lambda event: self._loaded(event, build))
        elif isinstance(action, Rebuild):
            self.callLater(_REOPEN, self._rebuild_now, self._builds)
        elif isinstance(action, Stopped):
            self.stopping = True
            self.callLater(0, self._farewell, self.seconds() + _FAREWELL)

    def _read(self, action: LoadJobs | LoadPage | LoadKeys, build: int) -> None:
        tables = self.disk.tables
        event: NodeEvent
        if isinstance(action, LoadJobs):
            event = JobsLoaded(action.jobs, tables.load(action.jobs))
        elif isinstance(action, LoadKeys):
            event = KeysLoaded(tables.keys(action.keys))
        else:
            found = tables.page(action.requires, action.after, action.limit)
            event = PageLoaded(action.requires, found)
        self.callLater(self.ground.rng.random() * _READ, self._loaded, event, build)

    def _loaded(self, event: NodeEvent, build: int) -> None:
        if build == self._builds:
            self.feed(event)

    def _farewell(self, until: float) -> None:
        """End when everything was said, or when that takes too long."""
        if self.uplink.idle or self.seconds() >= until:
            self.world.ended(self)
        else:
            self.callLater(0.05, self._farewell, until)

    def receive(self, end: End, box: Box) -> None:
        """
        See L{Peer.receive}.
        """
        self.uplink.receive(end, box)
