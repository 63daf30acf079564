"""
A stage for scenes with keepers: a simulated world, quick and quiet, with faults set by hand.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.actions import StartRuns
from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.node import NodeSettings
from jobcluster.core.values import Outcome, Spec
from jobcluster.testing.connections import KeeperConnection
from tests.core.rig.ground import BrokenPromiseError
from tests.core.rig.machines import Process
from tests.core.rig.node import NodeProcess
from tests.core.rig.settling import settle
from tests.core.rig.shapes import Kit, Shape, Site
from tests.core.rig.world import World

__all__ = ["GRACE", "Play", "PlayTests"]

GRACE = 3.0


class Play:
    """
    A quick world with A, which runs nothing, and E; F comes when it is wanted.
    """

    def __init__(self, kit: Kit, slots: int = 1, *, periodic: bool = False) -> None:
        """
        Start the balancer, A and E, and wait until they are joined and the grace time is over.

        @param slots: of E.
        """
        settings = ClusterSettings(periodic=periodic, dispatch_period=0.5)
        self.world = world = World(1, Shape(slots=(0, slots), cluster=settings), kit)
        pace = world.ground.pace
        pace.latency, pace.tail_chance, pace.commit, pace.hop = 0.0005, 0.0, 0.002, 0.001
        self.a, self.e = world.sites
        self.dead = False
        """Whether a job has killed what ran it, and nothing was made of that yet."""
        world.run(2 * GRACE)

    def start_f(self, slots: int = 1) -> Site:
        """
        Start F.
        """
        site = self.world.add_site("f", NodeSettings(slots))
        self.world.boot(site)
        return site

    def submit(self, spec: Spec) -> int:
        """
        Give a job to A; it has a moment to go where it goes.
        """
        [job] = self.submit_all(spec)
        return job

    def submit_all(self, *specs: Spec) -> list[int]:
        """
        Give jobs to A.
        """
        count = len(self.world.tickets)
        self.world.submit(self.a, *specs)
        self.world.run(0.05)
        return [job for _, job, __ in self.world.tickets[count:]]

    def started(self, job: int) -> list[str]:
        """
        Where a job was started, each time.
        """
        facts = self.world.truth.runs.get((self.a.disk.name, self.a.disk.store, job), ())
        return [fact.seat.owner[0] for fact in facts]

    def counts(self, job: int) -> int:
        """
        How many crashes are counted against a job.
        """
        attempts = self.world.truth.ledger(self.a.disk).attempts.get(job, {})
        return sum(attempt.counted for attempt in attempts.values())

    def outcome(self, job: int) -> Outcome:
        """
        How a job ends, when all faults have stopped.
        """
        settle(self.world)
        return self.world.truth.ledger(self.a.disk).outcomes[job]

    def at_handing(self, harm: Callable[[KeeperConnection], None]) -> None:
        """
        Do harm when E is about to hand something to its keeper.
        """

        def trap(process: NodeProcess, _: StartRuns) -> bool:
            connection = process.keeper_connection
            if process is self.e.process and connection is not None:
                harm(connection)
                return True
            return False

        self.world.ground.set_trap("starting", trap)

    def kill_over(self, payload: bytes) -> None:
        """
        Let what runs at E, keeper and all, die whenever such a job runs there.
        """

        def trap(_: NodeProcess, action: StartRuns) -> bool:
            if any(run.payload == payload and not run.adopted for run in action.runs):
                self.world.clock.callLater(0.3, self._kill_pair)
            return False

        self.world.ground.set_trap("starting", trap)

    def _kill_pair(self) -> None:
        self.dead = True
        self.world.kill_keeper(self.e)
        self.world.kill(self.e)
        self.world.clock.callLater(0.5, self.world.boot, self.e)

    @staticmethod
    def process(site: Site) -> NodeProcess:
        """
        The process of a node.
        """
        if site.process is None:
            raise LookupError(site.name)
        return site.process

    @staticmethod
    def keeper(site: Site) -> Process:
        """
        The process of its keeper.
        """
        if site.keeper_process is None:
            raise LookupError(site.name)
        return site.keeper_process

    def restart(self, site: Site, seconds: float) -> None:
        """
        Kill a node's process, and start another after so many seconds.
        """
        self.world.kill(site)
        self.world.run(seconds)
        self.world.boot(site)


class PlayTests(SynchronousTestCase):
    """
    What is common to these scenes.
    """

    def check(self, scene: Callable[[Kit], None], without: Kit, fails: str) -> None:
        """
        A scene keeps its promise, but for the parts without its rule, which break it like this.
        """
        scene(Kit())
        error = self.assertRaises(BrokenPromiseError, scene, without)
        self.assertIn(fails, str(error))

    def expect(self, promise: str, *, holds: bool, what: object) -> None:
        """
        Hold what happened against what was to happen.
        """
        if not holds:
            raise BrokenPromiseError(promise, str(what))
