"""
Deliberate faults: the checker of the rig finds each of them in a bounded number of seeds.
"""

from __future__ import annotations

from typing import Final

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.core import without
from tests.core.faults_of_ours import KITS, with_cluster
from tests.core.rig.drive import ALL_FAULTS, WITH_RESTORES, drive
from tests.core.rig.shapes import Kit

_PROMISES: Final = ("C1:", "C2:", "C5:", "C6:", "leak:", "rule 8:")


@attrs.frozen
class _Hunt:
    """Where a fault of ours is looked for."""

    faults: tuple[str, ...] = ()
    """What goes wrong in these worlds; everything if empty."""
    steps: int = 60
    seeds: int = 120
    """In so many it is surely met."""


class FaultTests(SynchronousTestCase):
    """
    The rig with one rule of the core taken out.
    """

    def hunt(self, name: str, hunt: _Hunt, kit: Kit | None = None) -> None:
        """
        Some seed finds the fault, and finds nothing without it.
        """
        kit = kit or KITS[name]
        faults = {fault: WITH_RESTORES[fault] for fault in hunt.faults or ALL_FAULTS}
        for seed in range(hunt.seeds):
            found = drive(seed, hunt.steps, faults, kit).violation
            if found:
                self.assertTrue(found.startswith(_PROMISES), found)
                clean = drive(seed, hunt.steps, faults, lines=60)
                self.assertEqual("", clean.violation, clean.history)
                return
        self.fail(f"{name}: not found in {hunt.seeds} seeds")

    def test_send_before_commit(self) -> None:
        """
        What follows a commit is said before it.
        """
        self.hunt("send before commit", _Hunt(seeds=10))

    def test_no_grace(self) -> None:
        """
        A node whose connection ended is lost at once, and a new balancer waits for nobody.
        """
        self.hunt("no grace", _Hunt(("kill-balancer",)))

    def test_a_backup_believed(self) -> None:
        """
        A node that was restored from a backup denies what it was given since.
        """
        kit = with_cluster(without.BACKUPS.cluster)
        self.hunt("a backup believed", _Hunt(("back-up", "restore"), 100), kit)

    def test_an_offer_id_used_twice(self) -> None:
        """
        A job is offered again under the id of its first offer.
        """
        self.hunt("an offer id used twice", _Hunt(("kill-keeper", "reboot", "cut-off")))

    def test_no_incarnation_check(self) -> None:
        """
        Any join is accepted, however old.
        """
        self.hunt("no incarnation check", _Hunt(("late-join", "kill-node"), 100))

    def test_a_second_outcome_accepted(self) -> None:
        """
        An outcome is recorded though there is one.
        """
        faults = ("cut", "kill-node", "freeze-node")
        self.hunt("a second outcome accepted", _Hunt(faults, 100))

    def test_an_incomplete_inventory_believed(self) -> None:
        """
        The last part of an inventory is taken for all of it.
        """
        self.hunt("an incomplete inventory believed", _Hunt(("blip",)))

    def test_no_lease_at_the_executor(self) -> None:
        """
        What lay unread is started however late it is.
        """
        faults = ("unread-start", "kill-balancer")
        self.hunt("no lease at the executor", _Hunt(faults, 100, 200))

    def test_cancel_forgotten_at_a_restart(self) -> None:
        """
        A job that is cancelling is not taken up when its origin starts.
        """
        self.hunt("cancel forgotten at a restart", _Hunt(("cancel-and-kill",)))

    def test_an_old_connection_obeyed(self) -> None:
        """
        A keeper reads what was said on older connections when it has given an inventory.
        """
        self.hunt("an old connection obeyed", _Hunt(("unread-request",)))

    def test_no_lease_at_the_keeper(self) -> None:
        """
        What lay unread in a keeper is started however late it is.
        """
        self.hunt("no lease at the keeper", _Hunt(("late-spawn", "kill-balancer"), 100))

    def test_handed_over_not_held(self) -> None:
        """
        What was handed to a keeper is denied until that has said that it runs.
        """
        self.hunt("handed over not held", _Hunt(("handed-blip",)))

    def test_output_acknowledged_early(self) -> None:
        """
        An outcome is acknowledged whose output is still to be collected.
        """
        self.hunt("output acknowledged early", _Hunt(("kill-node",)))

    def test_output_not_collected(self) -> None:
        """
        An outcome is recorded without its output.
        """
        self.hunt("output not collected", _Hunt(("kill-node",)))

    def test_a_stop_taken_for_a_wish(self) -> None:
        """
        What was ended with its node, which died before it had said so, is recorded as cancelled.
        """
        self.hunt("a stop taken for a wish", _Hunt(("stop-killed",)))
