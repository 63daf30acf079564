"""
What a world is made of: nodes of some size, places where they run, and parts that can be exchanged.
"""

from __future__ import annotations

from random import Random
from typing import Final

import attrs

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.node import NodeSettings
from jobcluster.core.values import SLEEP, OnNodeLoss, Spec
from jobcluster.store.tables import Tables
from jobcluster.testing import FakeKeeper, FakeRunner
from tests.core.rig.balancer import BalancerProcess
from tests.core.rig.disks import Disk
from tests.core.rig.keepers import KeeperProcess
from tests.core.rig.ledgers import Ledger
from tests.core.rig.machines import Machine
from tests.core.rig.node import NodeProcess

__all__ = ["COMMAND", "Backup", "Kit", "Shape", "Site", "command", "sleep"]

COMMAND: Final = "command"
"""A kind of job that a keeper runs; the payload of its double is milliseconds, too."""


def sleep(ms: int, requires: str = "", priority: int = 0, *, once: bool = False) -> Spec:
    """
    A sleep.
    """
    return Spec(
        kind=SLEEP,
        payload=str(ms).encode(),
        priority=priority,
        requires=requires,
        on_node_loss=OnNodeLoss.FAIL if once else OnNodeLoss.AGAIN,
    )


def command(ms: int, *, once: bool = False, talks: bool = False, size: int = 0) -> Spec:
    """
    A job that outlives its node's process.

    @param talks: whether it says more than an outcome has room for.
    @param size: of its payload in bytes, at least.
    """
    payload = str(ms).encode().ljust(size) + b"\n" * talks
    return attrs.evolve(sleep(ms, once=once), kind=COMMAND, payload=payload)


@attrs.frozen
class Shape:
    """
    What a world consists of.
    """

    slots: tuple[int, ...] = (2, 2, 2)
    """Of each node, and so how many nodes there are."""
    labels: tuple[tuple[str, ...], ...] = ()
    """Of each node; none where this is shorter."""
    cluster: ClusterSettings = attrs.field(factory=ClusterSettings)
    keepers: bool = True

    @classmethod
    def draw(cls, rng: Random) -> Shape:
        """
        Some shape or other.
        """
        count = rng.choice((2, 2, 3, 3, 3, 4))
        slots = [rng.choice((1, 1, 2, 2, 3)) for _ in range(count)]
        if rng.random() < 0.2:
            slots[rng.randrange(1, count)] = 0
        settings = ClusterSettings(
            grace=rng.choice((3.0, 3.0, 3.0, 1.0)),
            periodic=rng.random() < 0.1,
            dispatch_period=rng.choice((1.0, 5.0)),
            max_jobs_dispatch=rng.choice((1, 2, 30)),
            max_nodes=rng.choice((10, 10, 10, count, count - 1)),
            window=rng.choice((4000, 4000, 1, 3)),
        )
        labels = tuple(rng.choice(((), ("gpu",))) for _ in range(count))
        return cls(tuple(slots), labels, settings, keepers=rng.random() < 0.6)


@attrs.frozen
class Backup:
    """A state directory as it was at some time, and what is known of it."""

    tables: Tables
    ledger: Ledger


class Site:
    """
    A place where a node runs: a machine, and a state directory on it.
    """

    __slots__ = (
        "backup",
        "cut_off",
        "disk",
        "foreign",
        "gone",
        "keeper",
        "keeper_due",
        "keeper_process",
        "machine",
        "process",
        "settings",
    )

    def __init__(self, machine: Machine, disk: Disk, settings: NodeSettings) -> None:
        """
        A place where nothing runs yet.
        """
        self.machine = machine
        self.disk = disk
        self.settings = settings
        self.keeper: FakeKeeper | None = None
        self.keeper_process: KeeperProcess | None = None
        self.keeper_due: float | None = None
        """When a keeper will be up that is being started."""
        self.process: NodeProcess | None = None
        self.gone = False
        """It will never run again."""
        self.foreign = False
        """A clone, or another store under a name that is taken: it may stay refused."""
        self.cut_off = False
        """Nobody can connect from here."""
        self.backup: Backup | None = None

    @property
    def name(self) -> str:
        """What the node is called."""
        return self.disk.name

    @property
    def running(self) -> NodeProcess | None:
        """The process, if it is alive and not stopped."""
        process = self.process
        return process if process is not None and process.alive and not process.frozen else None


@attrs.frozen
class Kit:
    """
    What a world is built from; mutants put other parts in.
    """

    balancer: type[BalancerProcess] = BalancerProcess
    node: type[NodeProcess] = NodeProcess
    disk: type[Disk] = Disk
    runner: type[FakeRunner] = FakeRunner
    keeper: type[FakeKeeper] = FakeKeeper
    merging: bool = False
    """Whether shells merge what waits to be said."""
