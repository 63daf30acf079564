"""
Faults between a node and its keeper, at the very moment at which something is handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobcluster.core.actions import StartRuns
from jobcluster.core.values import SLEEP
from jobcluster.testing.connections import KeeperConnection
from tests.core.rig.chaos import Chaos, Fault
from tests.core.rig.node import NodeProcess
from tests.core.rig.shapes import Site

__all__ = ["BETWEEN"]


def _at_handing(chaos: Chaos, harm: Callable[[Site, KeeperConnection], None]) -> bool:
    """
    Do harm when a node is about to hand something over to its keeper.
    """

    def trap(process: NodeProcess, action: StartRuns) -> bool:
        connection = process.keeper_connection
        if connection is None or all(run.adopted or run.kind == SLEEP for run in action.runs):
            return False
        harm(chaos.world.site_of(process), connection)
        return True

    chaos.world.ground.set_trap("starting", trap)
    return True


def _unread_request(chaos: Chaos) -> bool:
    """
    A start is handed to a keeper that is busy, the node is killed, the next one joins; and then the
    keeper reads.
    """

    def harm(site: Site, connection: KeeperConnection) -> None:
        rng = chaos.rng
        connection.neglect()
        killed = rng.choice((0.0, rng.random() * 0.3))
        chaos.later(killed, chaos.world.kill, site)
        chaos.later(killed + rng.choice((0.0, rng.random() * 0.3)), chaos.world.boot, site)
        chaos.later(rng.uniform(0.0, 3.0), connection.attend)

    return _at_handing(chaos, harm)


def _handed_blip(chaos: Chaos) -> bool:
    """A start is handed to a keeper that is busy, and the node joins anew before it is read."""

    def harm(site: Site, connection: KeeperConnection) -> None:
        connection.neglect()
        chaos.later(chaos.rng.random() * 2.6, connection.attend)
        for link in chaos.world.links_of(site):
            link.sever(0.0, 0.0)

    return _at_handing(chaos, harm)


def _late_spawn(chaos: Chaos) -> bool:
    """
    A start is handed to a keeper that is stopped; meanwhile its node is away, or the balancer
    restarts.
    """

    def harm(site: Site, _: KeeperConnection) -> None:
        rng = chaos.rng
        chaos.freeze_keeper(site, rng.uniform(0.5, 9.0))
        soon = rng.random()
        kind = rng.randrange(3)
        if kind == 0:
            chaos.later(soon, chaos.kill_balancer)
        elif kind == 1:
            chaos.later(soon, chaos.freeze, site, rng.uniform(1.0, 9.0))
        site.cut_off = kind == 2
        for link in chaos.world.links_of(site):
            link.sever(0.0 if kind == 2 else chaos.sees(), 0.0)
        chaos.later(rng.uniform(3.0, 9.0), setattr, site, "cut_off", False)

    return _at_handing(chaos, harm)


def _keeper_dies_at_start(chaos: Chaos) -> bool:
    """A keeper, and perhaps its node too, dies of what it is given."""

    def harm(site: Site, _: KeeperConnection) -> None:
        soon = chaos.rng.random() * 0.1
        chaos.later(soon, chaos.world.kill_keeper, site)
        if chaos.rng.random() < 0.5:
            chaos.later(soon, chaos.kill, site)

    return _at_handing(chaos, harm)


BETWEEN: Final[dict[str, Fault]] = {
    "unread-request": _unread_request,
    "handed-blip": _handed_blip,
    "late-spawn": _late_spawn,
    "keeper-dies-at-start": _keeper_dies_at_start,
}
"""By their names."""
