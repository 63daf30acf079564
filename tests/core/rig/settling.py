"""
What must hold when the faults have stopped: every job reaches its outcome, nothing is left over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Final

from jobcluster.core.values import Ref
from jobcluster.core.words import JoinPart
from tests.core.rig.ground import BrokenPromiseError
from tests.core.rig.links import Box, End
from tests.core.rig.shapes import Site
from tests.core.rig.world import World

__all__ = ["LIMIT", "settle"]

LIMIT: Final = 45.0
"""
Seconds until every job has its outcome, with nothing else to do: a connection that is silently dead
(11 s), its grace (3 s), another node's join under way (11 s), and joining itself; then runs.
"""

_LONG_GRACE: Final = 60.0
"""Seconds for which a node that stopped with I{keep} and never came back is waited for."""

_SLOWEST: Final = 8.0

_REST: Final = 15.0
"""Seconds after which nothing is to be told any more."""


def settle(world: World) -> float:
    """
    Stop all faults, wait, and look.

    @return: how many seconds it took until every job had its outcome.
    """
    world.ground.traps.clear()
    _mend(world)
    seconds = _wait(world)
    with contextlib.suppress(TimeoutError):
        # One that has gone for good may keep its seat for so long.
        world.until(lambda: not _absent(world), limit=_LONG_GRACE)
    world.run(_REST)
    _look_at_balancer(world)
    _look_at_nodes(world)
    return seconds


def _mend(world: World) -> None:
    """Undo what the faults have done."""
    if world.balancer is not None:
        world.balancer.thaw()
    for site in world.sites:
        site.cut_off = False
        site.disk.failing = False
        site.disk.slow = 0.0
        _thaw(site)
    seats = world.shape.cluster.max_nodes
    for place, site in enumerate(world.sites):
        if site.foreign or place >= seats:
            world.kill(site)
            site.gone = True
    for link in world.links:
        if link.open:
            link.node.release()
            link.balancer.release()
    world.start_balancer()
    for site in world.sites:
        _restart(world, site)


def _thaw(site: Site) -> None:
    """Let all that is stopped here go on."""
    if site.keeper_process is not None:
        site.keeper_process.thaw()
    if site.process is not None:
        site.process.thaw()
        if site.process.keeper_connection is not None:
            site.process.keeper_connection.attend()


def _restart(world: World, site: Site) -> None:
    """See that a node runs that is not about to end."""
    if site.process is not None and site.process.stopping:
        world.kill(site)
    world.boot(site)


def _sites(world: World) -> list[Site]:
    return [site for site in world.sites if not site.gone]


def _wait(world: World) -> float:
    """Let time pass until all is done; what nobody can run is cancelled."""
    sites = _sites(world)
    world.until(lambda: all(s.process is not None and s.process.ready for s in sites), limit=45.0)
    # Slow commits of what was asked for before come to their end.
    world.run(_SLOWEST)
    can = {label for site in sites if site.settings.slots for label in site.settings.labels}
    for site in sites:
        world.drain(site, draining=False)
        ledger = world.truth.ledger(site.disk)
        for job in sorted(ledger.open_jobs):
            requires = ledger.jobs[job].requires
            if requires and requires not in can:
                world.cancel(site, job)
    limit = LIMIT + _work(world)
    if len(sites) < len(world.sites):
        limit += _LONG_GRACE
    disks = [world.truth.ledger(site.disk) for site in sites]
    try:
        return world.until(lambda: not any(ledger.open_jobs for ledger in disks), limit)
    except TimeoutError:
        left = {
            site.name: [world.truth.ledger(site.disk).jobs[job] for job in sorted(jobs)]
            for site in sites
            if (jobs := world.truth.ledger(site.disk).open_jobs)
        }
        raise BrokenPromiseError(
            "C5", f"after {limit:.0f} s there is no outcome of {left}"
        ) from None


def _work(world: World) -> float:
    """Seconds that what is to be done takes if it is done one by one."""
    seconds = 0.0
    for site in _sites(world):
        ledger = world.truth.ledger(site.disk)
        seconds += sum(int(ledger.jobs[job].payload) for job in ledger.open_jobs) / 1000
    settings = world.shape.cluster
    if settings.periodic:
        jobs = sum(len(world.truth.ledger(site.disk).open_jobs) for site in _sites(world))
        seconds += jobs * settings.dispatch_period
    return 2 * seconds


def _absent(world: World) -> list[str]:
    """The nodes that should have joined and have not."""
    if world.balancer is None:
        return []
    nodes = world.balancer.cluster.books().nodes
    names = [site.name for site in _sites(world)]
    return [name for name in names if name not in nodes or nodes[name].connection is None]


def _left(world: World, refs: Iterable[Ref]) -> list[Ref]:
    """
    Those offers that nobody should hold any more: of origins that will never come back, outcomes
    are kept.
    """
    here = {(site.disk.name, site.disk.store) for site in _sites(world)}
    return [ref for ref in refs if ref[:2] in here]


def _look_at_balancer(world: World) -> None:
    """Nothing is given to anybody, and nothing is known of any job."""
    if world.balancer is None:
        return
    books = world.balancer.cluster.books()
    absent = _absent(world)
    if absent:
        raise BrokenPromiseError("C5", f"{', '.join(absent)} did not join")
    sites = {site.name for site in _sites(world)}
    for node in books.nodes.values():
        if node.name not in sites:
            # It is away, and may be waited for.
            continue
        left = _left(world, node.holdings)
        if left or (not node.holdings and (node.given or node.running or node.suspects)):
            raise BrokenPromiseError("leak", f"{node.name} holds {node.given} {left}")
    if books.ready.count:
        raise BrokenPromiseError("leak", f"{books.ready.count} offers are queued")
    for book in books.owners.values():
        for entry in book.entries.values():
            away = entry.holdings and all(held.node not in sites for held in entry.holdings)
            if not away and _left(world, [(*book.owner, 0, 0)]):
                raise BrokenPromiseError("leak", f"{book.owner} job {entry.job} is still known")


def _look_at_nodes(world: World) -> None:
    """The next join of each has nothing to say, and no store anything of what ran."""
    said: list[JoinPart] = []

    def trap(_: End, box: Box) -> bool:
        if isinstance(box, JoinPart):
            said.append(box)
        return False

    world.ground.set_trap("said", trap)
    for site in _sites(world):
        for link in world.links_of(site):
            link.sever(0.0, 0.0)
    world.run(5.0)
    for part in said:
        held = _left(world, (row.ref for row in part.inventory))
        if held or part.offered or part.questions or part.beyond:
            raise BrokenPromiseError("leak", f"{part.name} has still to say {part}")
    joined = {part.name for part in said}
    for site in _sites(world):
        if site.name not in joined:
            raise BrokenPromiseError("leak", f"{site.name} has not joined anew")
        _look_at_disk(world, site)


def _look_at_disk(world: World, site: Site) -> None:
    """Nothing of what ran is left behind."""
    deadlines = _left(world, (row.ref for row in site.disk.tables.recover().deadlines))
    if deadlines:
        raise BrokenPromiseError("leak", f"{site.name} keeps {deadlines}")
    kept = _left(world, site.keeper.spool) if site.keeper is not None else ()
    if kept:
        raise BrokenPromiseError("leak", f"the keeper of {site.name} keeps {kept}")
