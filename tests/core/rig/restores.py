"""
State directories that are replaced by backups: what was acknowledged since is gone, and yet nothing
that may run at most once runs twice.

These faults are apart from the others, for a seed is to mean what it meant before there were any.
"""

from __future__ import annotations

from typing import Final

from tests.core.rig.chaos import Chaos, Fault
from tests.core.rig.shapes import Backup, Site
from tests.core.rig.world import World

__all__ = ["RESTORES"]


def _some_backed_up(chaos: Chaos, *, only: bool) -> Site | None:
    sites = [site for site in chaos.world.sites if not site.foreign and not site.gone]
    found = [site for site in sites if site.backup is not None or not only]
    return chaos.rng.choice(found) if found else None


def _back_up(chaos: Chaos) -> bool:
    """Instead of the backup that there was, if there was one."""
    site = _some_backed_up(chaos, only=False)
    if site is None:
        return False
    ledger = chaos.world.truth.ledger(site.disk)
    site.backup = Backup(site.disk.tables.copy(), ledger.copy())
    return True


def _restore(chaos: Chaos) -> bool:
    """Its node and keeper are killed; the balancer may be, too."""
    site = _some_backed_up(chaos, only=True)
    if site is None or site.backup is None:
        return False
    if chaos.rng.random() < 0.3:
        chaos.kill_balancer()
    _replace(chaos.world, site, site.backup)
    chaos.later(chaos.delay(), chaos.world.boot, site)
    return True


def _replace(world: World, site: Site, backup: Backup) -> None:
    truth, disk = world.truth, site.disk
    world.kill(site)
    world.kill_keeper(site)
    # Whatever was promised to go on when an earlier process was killed.
    truth.process_lost(disk, site.machine.boot_time(), keeps=False)
    truth.keeper_lost(disk)
    # The spool is gone, too: another keeper knows nothing of this one.
    site.keeper = site.keeper_process = site.keeper_due = None
    disk.restore(backup.tables, int(site.machine.now().wall))
    truth.restored(disk, backup.ledger)
    known = truth.ledger(disk).jobs
    world.tickets = [row for row in world.tickets if row[0] is not site or row[1] in known]


RESTORES: Final[dict[str, Fault]] = {
    "back-up": _back_up,
    "back-up again": _back_up,
    "restore": _restore,
}
"""By their names."""
