"""
What is seen of the runs at one place.
"""

from __future__ import annotations

from jobcluster.core.actions import Run
from jobcluster.core.values import Ref
from tests.core.rig.disks import Disk
from tests.core.rig.ground import Ground
from tests.core.rig.truth import Truth

__all__ = ["Sighting"]


class Sighting:
    """
    What is seen of the runs at one place.
    """

    __slots__ = ("_disk", "_ground", "_truth", "_where")

    def __init__(self, truth: Truth, ground: Ground, disk: Disk, where: str) -> None:
        """
        Nothing runs.

        @param disk: of the node that they belong to.
        @param where: for people.
        """
        self._truth = truth
        self._ground = ground
        self._disk = disk
        self._where = where

    def run_started(self, run: Run, keeper: str) -> None:
        """
        See L{jobcluster.testing.Witness}.
        """
        self._ground.history.note(self._where, "RUN", run.ref, run.job)
        self._truth.run_started(self._disk, self._where, keeper, run)

    def run_adopted(self, run: Run) -> None:
        """
        See L{jobcluster.testing.Witness}.
        """
        self._ground.history.note(self._where, "RUN ADOPTED", run.ref, run.job)

    def run_over(self, ref: Ref, keeper: str) -> None:
        """
        See L{jobcluster.testing.Witness}.
        """
        self._truth.run_over(ref, (self._disk.name, self._disk.store))
