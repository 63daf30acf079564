"""
What can go wrong at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobcluster.core.node import NodeSettings
from tests.core.rig.chaos import Chaos, Fault
from tests.core.rig.shapes import Site

__all__ = ["FAULTS"]


def _at_some_site(fault: Callable[[Chaos, Site], bool | None]) -> Fault:
    """
    Do this to some node whose process runs.
    """

    def somewhere(chaos: Chaos) -> bool:
        site = chaos.some_site()
        return site is not None and fault(chaos, site) is not False

    return somewhere


def _kill_node(chaos: Chaos, site: Site) -> None:
    chaos.kill(site)


def _kill_for_good(chaos: Chaos, site: Site) -> bool:
    """One node at most never comes back, and never the first, which can run everything."""
    world = chaos.world
    if site is world.sites[0] or any(other.gone for other in world.sites):
        return False
    world.kill(site)
    site.gone = True
    return True


def _kill_balancer(chaos: Chaos) -> bool:
    chaos.kill_balancer()
    return True


def _kill_both(chaos: Chaos, site: Site) -> None:
    """The balancer and an origin at once."""
    chaos.kill_balancer()
    chaos.kill(site)


def _kill_all(chaos: Chaos) -> bool:
    chaos.kill_balancer()
    for site in chaos.world.sites:
        if site.process is not None and site.process.alive:
            chaos.kill(site)
    return True


def _freeze_node(chaos: Chaos, site: Site) -> None:
    rng = chaos.rng
    chaos.freeze(site, rng.choice((rng.random(), rng.random() * 4, rng.random() * 20)))


def _suspend_machine(chaos: Chaos, site: Site) -> bool:
    process = site.running
    if process is None:
        return False
    seconds = chaos.rng.random() * 10
    processes = [process] if site.keeper_process is None else [process, site.keeper_process]
    for stopped in processes:
        stopped.freeze()

    def resume() -> None:
        site.machine.suspended(seconds)
        for stopped in processes:
            stopped.thaw()

    chaos.later(seconds, resume)
    return True


def _freeze_balancer(chaos: Chaos) -> bool:
    balancer, rng = chaos.world.balancer, chaos.rng
    if balancer is None or not balancer.alive or balancer.frozen:
        return False
    balancer.freeze()
    chaos.later(rng.choice((rng.random() * 2, rng.random() * 6, rng.random() * 25)), balancer.thaw)
    return True


def _cut(chaos: Chaos, site: Site) -> None:
    for link in chaos.world.links_of(site):
        link.sever(chaos.sees(), chaos.sees())


def _blip(chaos: Chaos, site: Site) -> None:
    """A cut that both ends see at once."""
    for link in chaos.world.links_of(site):
        link.sever(0.0, 0.0)


def _cut_off(chaos: Chaos, site: Site) -> None:
    """The network is away for some time."""
    _cut(chaos, site)
    site.cut_off = True
    chaos.later(chaos.rng.random() * 15, setattr, site, "cut_off", False)


def _stall(chaos: Chaos, site: Site) -> None:
    """Nothing arrives in one direction for some time."""
    for link in chaos.world.links_of(site):
        end = chaos.rng.choice((link.node, link.balancer))
        end.stall()
        chaos.later(chaos.rng.random() * chaos.rng.choice((1, 4, 12)), end.release)


def _slow_commit(chaos: Chaos, site: Site) -> None:
    site.disk.slow = chaos.rng.uniform(0.5, 6.0)


def _failing_disk(chaos: Chaos, site: Site) -> None:
    site.disk.failing = True
    chaos.later(chaos.rng.choice((0.01, 1.0, 5.0)) * chaos.rng.random(), _mend, site)


def _mend(site: Site) -> None:
    site.disk.failing = False


def _reboot(chaos: Chaos, site: Site) -> None:
    chaos.world.reboot(site, quiet=chaos.rng.random() < 0.5)
    chaos.later(chaos.delay(), chaos.world.boot, site)


def _stop_end(chaos: Chaos, site: Site) -> None:
    chaos.world.stop(site, keep=False)
    chaos.later(0.5 + chaos.delay(), _start_stopped, chaos, site)


def _stop_killed(chaos: Chaos, site: Site) -> None:
    """A node ends what it runs, and is killed before it has said so."""
    chaos.world.stop(site, keep=False)
    chaos.later(chaos.rng.random() * 0.3, chaos.kill, site)


def _stop_keep(chaos: Chaos, site: Site) -> None:
    chaos.world.stop(site, keep=True)
    chaos.later(0.5 + chaos.delay(), _start_stopped, chaos, site)


def _start_stopped(chaos: Chaos, site: Site) -> None:
    """Who has not ended by now is killed, as init would."""
    process = site.process
    if process is not None and process.alive and process.stopping:
        chaos.world.kill(site)
    chaos.world.boot(site)


def _drain(chaos: Chaos, site: Site) -> None:
    chaos.world.drain(site, draining=True)
    chaos.later(chaos.rng.random() * 10, _undrain, chaos, site)


def _undrain(chaos: Chaos, site: Site) -> None:
    process = site.process
    if process is not None and process.ready:
        chaos.world.drain(site, draining=False)
    elif not site.gone:
        chaos.later(1.0, _undrain, chaos, site)


def _clone(chaos: Chaos, site: Site) -> bool:
    """A copy of a node's disk is started elsewhere, for some time."""
    if any(other.foreign for other in chaos.world.sites):
        return False
    _visit(chaos, chaos.world.add_site(site.name, site.settings, site.disk.copy()))
    return True


def _namesake(chaos: Chaos, site: Site) -> bool:
    """Another node of the same name, with a store of its own, is started for some time."""
    if any(other.foreign for other in chaos.world.sites):
        return False
    _visit(chaos, chaos.world.add_site(site.name, NodeSettings(slots=1)))
    return True


def _visit(chaos: Chaos, site: Site) -> None:
    site.foreign = True
    chaos.world.boot(site)
    chaos.later(chaos.rng.random() * 20, _end_visit, chaos, site)


def _end_visit(chaos: Chaos, site: Site) -> None:
    chaos.world.kill(site)
    site.gone = True


def _kill_keeper(chaos: Chaos, site: Site) -> bool:
    if site.keeper is None or not site.keeper.alive:
        return False
    chaos.world.kill_keeper(site)
    return True


def _kill_pair(chaos: Chaos, site: Site) -> bool:
    """A node and its keeper at once."""
    if not _kill_keeper(chaos, site):
        return False
    chaos.kill(site)
    return True


def _freeze_keeper(chaos: Chaos, site: Site) -> bool:
    """For a short time, or until its node has had enough."""
    if site.keeper is None or not site.keeper.alive:
        return False
    rng = chaos.rng
    seconds = rng.choice((rng.random(), rng.random() * 6, rng.random() * 12, 600.0))
    chaos.freeze_keeper(site, seconds)
    return True


def _freeze_pair(chaos: Chaos, site: Site) -> bool:
    """A node and its keeper, each for a time of its own."""
    if not _freeze_keeper(chaos, site):
        return False
    _freeze_node(chaos, site)
    return True


FAULTS: Final[dict[str, Fault]] = {
    "kill-node": _at_some_site(_kill_node),
    "kill-for-good": _at_some_site(_kill_for_good),
    "kill-balancer": _kill_balancer,
    "kill-both": _at_some_site(_kill_both),
    "kill-all": _kill_all,
    "freeze-node": _at_some_site(_freeze_node),
    "suspend-machine": _at_some_site(_suspend_machine),
    "freeze-balancer": _freeze_balancer,
    "cut": _at_some_site(_cut),
    "blip": _at_some_site(_blip),
    "cut-off": _at_some_site(_cut_off),
    "stall": _at_some_site(_stall),
    "slow-commit": _at_some_site(_slow_commit),
    "failing-disk": _at_some_site(_failing_disk),
    "reboot": _at_some_site(_reboot),
    "stop-end": _at_some_site(_stop_end),
    "stop-killed": _at_some_site(_stop_killed),
    "stop-keep": _at_some_site(_stop_keep),
    "drain": _at_some_site(_drain),
    "clone": _at_some_site(_clone),
    "namesake": _at_some_site(_namesake),
    "kill-keeper": _at_some_site(_kill_keeper),
    "kill-pair": _at_some_site(_kill_pair),
    "freeze-keeper": _at_some_site(_freeze_keeper),
    "freeze-pair": _at_some_site(_freeze_pair),
}
"""By their names."""
