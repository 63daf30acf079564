"""
State directories that are replaced by backups: what was acknowledged since is gone, and yet nothing
that may run at most once runs twice.

These faults are apart from the others, for a seed is to mean what it meant before there were any.
"""

from __future__ import annotations

from typing import Final

from tests.core.rig.chaos import Chaos, Fault
from tests.core.rig.shapes import Backup, Site

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
    if site is None:
        return False
    if chaos.rng.random() < 0.3:
        chaos.kill_balancer()
    chaos.world.restore(site)
    chaos.later(chaos.delay(), chaos.world.boot, site)
    return True


RESTORES: Final[dict[str, Fault]] = {
    "back-up": _back_up,
    "back-up again": _back_up,
    "restore": _restore,
}
"""By their names."""
