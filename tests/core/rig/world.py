"""
A simulated cluster: one balancer, some nodes, their clients, and what can be done to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from jobcluster.core.actions import Answer, CollectOutput, FetchPayload
from jobcluster.core.events import (
    CancelRequested,
    DrainRequested,
    JobsRequested,
    NodeEvent,
    StopRequested,
)
from jobcluster.core.node import NodeSettings
from jobcluster.core.values import Spec
from jobcluster.testing import FakeKeeper, FakeRunner
from tests.core.rig.balancer import BalancerProcess
from tests.core.rig.disks import Disk
from tests.core.rig.errands import Errands
from tests.core.rig.ground import Ground
from tests.core.rig.keepers import KeeperProcess
from tests.core.rig.links import End, Link, LinkWatcher
from tests.core.rig.machines import Machine
from tests.core.rig.node import NodeProcess, NodeWorld
from tests.core.rig.shapes import Kit, Shape, Site
from tests.core.rig.sightings import Sighting
from tests.core.rig.truth import Truth

__all__ = ["World"]

_NAMES: Final = "abcdefgh"

_UPSTARTS: Final = (0.02, 0.5, 3.0)
"""Seconds that a keeper takes to start, at most."""


class World(NodeWorld, LinkWatcher):
    """
    The whole of it.
    """

    def __init__(
        self,
        seed: int | Random,
        shape: Shape | None = None,
        kit: Kit | None = None,
        lines: int = 400,
    ) -> None:
        """
        Start the balancer and all nodes.

        @param lines: how much history is kept.
        """
        self.rng = rng = seed if isinstance(seed, Random) else Random(seed)
        self.ground = Ground(rng, lines)
        self.clock = self.ground.clock
        self.kit = kit or Kit()
        self.ground.merging = self.kit.merging
        self.shape = shape or Shape.draw(rng)
        self.truth = Truth(self.ground, self.shape.cluster.grace)
        self.links: dict[Link, None] = {}
        self.tickets: list[tuple[Site, int, Spec]] = []
        """Of every job that was acknowledged."""
        self._requests: dict[int, tuple[Site, Sequence[Spec] | Sequence[int] | None]] = {}
        self._last_request = 0
        self._balancers = 0
        self._processes = 0
        self._balancer_machine = Machine(self.ground, "balancer")
        self.balancer: BalancerProcess | None = None
        self.start_balancer()
        self.sites: list[Site] = []
        self._errands = Errands(self.ground, self.truth, self._nodes, lambda: self.balancer)
        for index, slots in enumerate(self.shape.slots):
            labels = self.shape.labels[index] if index < len(self.shape.labels) else ()
            self.add_site(_NAMES[index], NodeSettings(slots, labels))
        for site in self.sites:
            self.boot(site)

    # -- time --------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """
        Let time pass.
        """
        clock = self.clock
        end = clock.seconds() + seconds
        count = 0
        upcoming = clock.next_time()
        while upcoming is not None and upcoming <= end:
            self.ground.step()
            count += 1
            upcoming = clock.next_time()
        clock.advance(max(0.0, end - clock.seconds()))
        self.ground.counts["events"] += count

    def step(self, events: int) -> None:
        """
        Let the next few things happen.
        """
        for _ in range(events):
            self.ground.step()
        self.ground.counts["events"] += events

    def until(self, holds: Callable[[], bool], limit: float = 60.0) -> float:
        """
        Let time pass until something holds.

        @return: how many seconds that took.
        @raise TimeoutError: when it has taken too long.
        """
        began = self.clock.seconds()
        while not holds():
            if self.clock.seconds() - began > limit:
                raise TimeoutError(f"not within {limit} s: {holds}")
            self.step(1)
        return self.clock.seconds() - began

    # -- making things -----------------------------------------------------------------------------

    def add_site(self, name: str, settings: NodeSettings, disk: Disk | None = None) -> Site:
        """
        Set a machine up; with a new state directory, unless there is one.
        """
        if disk is None:
            store = f"store-{self.rng.getrandbits(48):012x}"
            disk = self.kit.disk(self.ground, name, store, self.truth)
        self._processes += 1
        site = Site(Machine(self.ground, f"{name}-{self._processes}"), disk, settings)
        self.sites.append(site)
        return site

    def start_balancer(self) -> None:
        """
        Start a balancer, unless one runs.
        """
        if self.balancer is None or not self.balancer.alive:
            self._balancers += 1
            self.balancer = self.kit.balancer(
                self.ground,
                self._balancer_machine,
                self.shape.cluster,
                self.truth,
                self._balancers,
            )

    def boot(self, site: Site) -> None:
        """
        Start a node's process, unless one runs, and its keeper.
        """
        if site.gone or (site.process is not None and site.process.alive):
            return
        if self.shape.keepers and site.keeper is None:
            self.start_keeper(site)
        self._processes += 1
        name = f"{site.name}.{self._processes}"
        site.process = self.kit.node(
            self, self.ground, site.machine, site.disk, site.settings, self.truth, name
        )

    def start_keeper(self, site: Site, *, rebooted: bool = False) -> None:
        """
        Start the process that runs commands.
        """
        self._processes += 1
        ident = f"keeper-{self._processes}"
        site.keeper_due = None
        site.keeper_process = process = KeeperProcess(self.ground, site.machine, ident)
        process.note("KEEPER STARTED", site.name)
        if site.keeper is None:
            sighting = self._sighting(site, ident)
            site.keeper = self.kit.keeper(process, site.machine.now, ident, sighting)
        else:
            site.keeper = site.keeper.succeed(ident, rebooted=rebooted, time=process)
            # Only now has all ended that the one before it had started.
            self.truth.keeper_lost(site.disk)

    # -- what nodes ask of the world ---------------------------------------------------------------

    def site_of(self, process: NodeProcess) -> Site:
        """
        Where a process runs.
        """
        return next(site for site in self.sites if site.process is process)

    def connect(self, process: NodeProcess, connected: Callable[[End], None]) -> None:
        """
        See L{NodeWorld.connect}.
        """
        process.callLater(self.ground.latency(), self._reach, process, connected)

    def _reach(self, process: NodeProcess, connected: Callable[[End], None]) -> None:
        balancer = self.balancer
        if balancer is None or not balancer.alive or self.site_of(process).cut_off:
            return
        end = End(self.ground, process, 0)
        self.links[Link(end, balancer.accept(), self)] = None
        if len(self.links) > 4 * len(self.sites):
            self.links = {link: None for link in self.links if link.open}
        connected(end)

    def link_changed(self, link: Link, *, joined: bool) -> None:
        """
        See L{LinkWatcher.link_changed}.
        """
        process = link.node.owner
        if isinstance(process, NodeProcess):
            owner = (process.disk.name, process.disk.store)
            self.truth.joined(owner, 1 if joined else -1)

    def keeper_of(self, site: Site) -> FakeKeeper | None:
        """
        The keeper on a machine; if there is none it is started, and up in a while.
        """
        keeper, now = site.keeper, self.clock.seconds()
        if keeper is not None and keeper.alive:
            return keeper
        if site.keeper_due is None:
            site.keeper_due = now + self.rng.random() * self.rng.choice(_UPSTARTS)
        elif site.keeper_due <= now:
            self.start_keeper(site)
            return site.keeper
        return None

    def make_runner(self, process: NodeProcess) -> FakeRunner:
        """
        See L{NodeWorld.make_runner}.
        """
        site = self.site_of(process)
        sighting = self._sighting(site, process.name)
        hop = self.ground.hop
        return self.kit.runner(
            process, process.now, site.keeper, hop, sighting, lambda: self.keeper_of(site)
        )

    def send_for(
        self,
        process: NodeProcess,
        action: CollectOutput | FetchPayload,
        came: Callable[[NodeEvent], None],
    ) -> None:
        """
        See L{NodeWorld.send_for}.
        """
        if isinstance(action, CollectOutput):
            self._errands.collect(process, action, came)
        else:
            self._errands.fetch(process, action, came)

    def _nodes(self) -> list[NodeProcess]:
        return [site.process for site in self.sites if site.process is not None]

    def _sighting(self, site: Site, where: str) -> Sighting:
        return Sighting(self.truth, self.ground, site.disk, where)

    def ended(self, process: NodeProcess) -> None:
        """
        See L{NodeWorld.ended}.
        """
        if process.alive:
            site = self.site_of(process)
            if not process.keeps:
                self.truth.process_ended(site.disk)
                if process.runner is not None:
                    process.runner.finish()
            self.kill(site, keeps=process.keeps)

    # -- clients -----------------------------------------------------------------------------------

    def _next_request(self) -> int:
        self._last_request += 1
        return self._last_request

    def submit(self, site: Site, *specs: Spec) -> int | None:
        """
        Ask a node to run jobs.

        @return: the request, or C{None} if nobody is there to take it.
        """
        process = site.process
        if process is None or not process.ready or site.disk.failing:
            return None
        request = self._next_request()
        self._requests[request] = (site, specs)
        process.feed(JobsRequested(request, specs))
        return request

    def cancel(self, site: Site, *jobs: int) -> int | None:
        """
        Ask a node to cancel jobs of its own.
        """
        process = site.process
        if process is None or not process.ready:
            return None
        request = self._next_request()
        self._requests[request] = (site, jobs)
        self.truth.wished.update((site.disk.name, site.disk.store, job) for job in jobs)
        process.feed(CancelRequested(request, jobs))
        return request

    def drain(self, site: Site, *, draining: bool) -> None:
        """
        Ask a node to take no more offers, or to take some again.
        """
        process = site.process
        if process is not None and process.ready:
            request = self._next_request()
            self._requests[request] = (site, None)
            process.feed(DrainRequested(request, draining))

    def stop(self, site: Site, *, keep: bool) -> None:
        """
        SIGTERM.
        """
        process = site.running
        if process is not None:
            if process.ready:
                process.stopping = True
                process.keeps = keep
                process.feed(StopRequested(keep))
            elif not process.stopping:
                self.kill(site)

    def answered(self, process: NodeProcess, answer: Answer) -> None:
        """
        See L{NodeWorld.answered}.
        """
        site, asked = self._requests.pop(answer.request)
        if asked is None:
            return
        for wish, value in zip(asked, answer.value, strict=True):
            if isinstance(wish, Spec) and isinstance(value, int):
                self.truth.acknowledged(site.disk, (value,))
                self.tickets.append((site, value, wish))
            elif isinstance(wish, int) and isinstance(value, str):
                self.truth.told_cancelled(site.disk, wish, value)

    # -- what goes wrong ---------------------------------------------------------------------------

    def kill(self, site: Site, *, keeps: bool = True) -> None:
        """
        SIGKILL for a node's process; its keeper goes on.

        @param keeps: whether what outlives the process is bound to be taken up again.
        """
        process = site.process
        if process is not None and process.alive:
            process.die()
            self.truth.process_lost(site.disk, site.machine.boot_time(), keeps=keeps)

    def kill_balancer(self) -> None:
        """
        SIGKILL for the balancer.
        """
        if self.balancer is not None and self.balancer.alive:
            self.balancer.die()

    def kill_keeper(self, site: Site) -> None:
        """
        SIGKILL for a keeper alone; its node, if there is one, starts another.
        """
        if site.keeper is not None and site.keeper_process is not None:
            site.keeper_process.die()
            site.keeper.die()

    def reboot(self, site: Site, *, quiet: bool) -> None:
        """
        A machine loses power: nothing of what ran there is left.

        @param quiet: whether those whom it was connected to see nothing of it.
        """
        process = site.process
        if process is not None and process.alive:
            if quiet:
                for link in self.links_of(site):
                    link.sever(None, None)
            process.die()
        self.truth.process_lost(site.disk, site.machine.boot_time(), keeps=False)
        site.machine.reboot()
        if site.keeper is not None:
            self.kill_keeper(site)
            self.start_keeper(site, rebooted=True)

    def links_of(self, site: Site) -> list[Link]:
        """
        The connections of a node that are open.
        """
        return [link for link in self.links if link.open and link.node.owner is site.process]
