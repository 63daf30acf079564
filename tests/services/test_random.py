"""
Clusters to which anything may happen at any time.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.values import OnNodeLoss, Outcome, Spec
from jobcluster.core.views import JobView
from jobcluster.errors import JobclusterError
from jobcluster.testing.clusters import MemoryCluster
from jobcluster.testing.processes import Process
from tests.services.cases import ServiceCase
from tests.services.rig import sleep

STEPS = 60
SEEDS = range(12)


class Story:
    """
    A cluster, what happens to it, and what its clients were told.
    """

    def __init__(self, cluster: MemoryCluster, seed: int) -> None:
        """
        Nothing has happened.
        """
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.tickets: list[str] = []
        """Those that were given out."""
        self.outcomes: dict[str, Outcome] = {}
        """What anybody was told of them."""
        self.waits: list[tuple[Process, Deferred[None]]] = []
        """Those who wait, and the process that they have asked."""
        self.history: list[str] = []
        self.balancer = True
        self.deeds: dict[str, tuple[int, Callable[[], None]]] = {
            "time": (12, self.let_time_pass),
            "submit": (5, self.submit),
            "wait": (3, self.wait),
            "cancel": (2, self.cancel),
            "kill": (2, self.kill),
            "restart": (3, self.restart),
            "stop": (1, self.stop),
            "cut": (2, self.cut),
            "balancer": (1, self.change_balancer),
            "disk": (2, self.change_disk),
        }

    def go_on(self) -> None:
        """
        Let something happen.
        """
        names = list(self.deeds)
        [name] = self.rng.choices(names, [self.deeds[name][0] for name in names])
        self.history.append(f"{self.cluster.clock.seconds():.3f} {name}")
        self.deeds[name][1]()

    def some_node(self) -> str:
        """
        Any of the nodes.
        """
        name = self.rng.choice(list(self.cluster.nodes))
        self.history.append(name)
        return name

    def living_node(self) -> str:
        """
        One of the nodes that run, if any does.
        """
        alive = [name for name, node in self.cluster.nodes.items() if node.process.alive]
        name = self.rng.choice(alive) if alive else ""
        self.history.append(name)
        return name

    # -- what may happen ---------------------------------------------------------------------------

    def let_time_pass(self) -> None:
        """Time passes."""
        self.cluster.advance(self.rng.choice((0.0, 0.002, 0.1, 0.1, 0.7, 3.0)))

    def submit(self) -> None:
        """Somebody hands jobs in."""
        name = self.living_node()
        if name:
            specs = [self._spec() for _ in range(self.rng.randint(1, 6))]
            self.cluster.client(name).submit(specs).addCallbacks(self.tickets.extend, forgive)

    def _spec(self) -> Spec:
        spec = sleep(self.rng.choice((0, 5, 100, 500, 1500, 4000)), self.rng.randint(0, 2))
        once = self.rng.random() < 0.3
        return attrs.evolve(spec, on_node_loss=OnNodeLoss.FAIL) if once else spec

    def wait(self) -> None:
        """Somebody waits for a job, perhaps not for long."""
        name = self.living_node()
        if name and self.tickets:
            ticket = self.rng.choice(self.tickets)
            waiting = self.cluster.client(name).wait(ticket).addCallback(self.heard, ticket)
            process = self.cluster.nodes[name].process
            self.waits.append((process, waiting.addErrback(forgive)))
            if self.rng.random() < 0.3:
                self.cluster.advance(self.rng.choice((0.0, 0.01, 1.0)))
                waiting.cancel()

    def heard(self, view: JobView, ticket: str) -> None:
        """Somebody was told of a job; whatever was told before must agree."""
        if view.outcome is not None:
            before = self.outcomes.setdefault(ticket, view.outcome)
            if before != view.outcome:
                raise AssertionError(f"{ticket}: first {before}, then {view.outcome}")

    def cancel(self) -> None:
        """Somebody wants a job cancelled."""
        name = self.living_node()
        if name and self.tickets:
            ticket = self.rng.choice(self.tickets)
            self.cluster.client(name).cancel(ticket).addErrback(forgive)

    def kill(self) -> None:
        """A node is killed."""
        self.cluster.kill(self.some_node())

    def restart(self) -> None:
        """A node is started, or killed and started."""
        self.cluster.restart(self.some_node())

    def stop(self) -> None:
        """A node stops in order."""
        name = self.living_node()
        if name and self.cluster.nodes[name].service.running:
            self.cluster.stop(name)

    def cut(self) -> None:
        """A connection is cut."""
        self.cluster.cut(self.some_node())

    def change_balancer(self) -> None:
        """The balancer dies, or another is started."""
        self.balancer = not self.balancer
        if self.balancer:
            self.cluster.start_balancer()
        else:
            self.cluster.kill_balancer()

    def change_disk(self) -> None:
        """A disk gets sick, well, slow or fast."""
        disk = self.cluster.nodes[self.some_node()].disk
        disk.sick = self.rng.random() < 0.4
        disk.delay = 0.0

    # -- the end -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """
        Let all faults end, and everybody hear what became of their jobs.
        """
        if not self.balancer:
            self.cluster.start_balancer()
        for node in self.cluster.nodes.values():
            node.disk.sick = False
        self.cluster.advance(0)
        for node in self.cluster.nodes.values():
            if not node.process.alive or not node.service.running:
                node.start()
        self.cluster.until(self.cluster.all_joined, within=20)
        for ticket in self.tickets:
            self.heard(self.cluster.wait(ticket, within=600), ticket)
        self.cluster.advance(10)
        if any(process.alive and not waiting.called for process, waiting in self.waits):
            raise AssertionError("somebody waits for ever")

    def end(self) -> None:
        """
        Let nobody wait any more for what nodes would have said that were killed.
        """
        for _, waiting in self.waits:
            waiting.cancel()


def forgive(failure: Failure) -> None:
    """
    Clients hear of faults.
    """
    failure.trap(JobclusterError, CancelledError)


class RandomTests(ServiceCase):
    """
    Each story is decided by its seed.
    """

    def test_stories(self) -> None:
        """
        Each ticket that was given out gets one outcome once the faults are over, and all that
        anybody was told of it agrees (C1, C2).
        """
        for seed in SEEDS:
            hop = (0.0, 0.002)[seed % 2]
            cluster = self.cluster(nodes=3, slots=2, settings=ClusterSettings(), hop=hop)
            story = Story(cluster, seed)
            try:
                for _ in range(STEPS):
                    story.go_on()
                story.settle()
            except BaseException as error:
                raise AssertionError(f"seed {seed}: {error!r} after {story.history}") from error
            finally:
                story.end()
            self.assertEqual(set(story.tickets), set(story.outcomes))
