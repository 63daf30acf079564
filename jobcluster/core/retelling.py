"""
Outcomes that their origins have not acknowledged, and when each is to be told again.
"""

from __future__ import annotations

from typing import Final

from jobcluster.core.executions import Execution
from jobcluster.core.values import Now, Ref

__all__ = ["Retelling"]

_KEPT: Final = 7 * 86_400.0
"""Seconds for which an outcome is kept whose origin does not come back; intents have no limit."""

_AT_ONCE: Final = 1000
"""The most outcomes that are told again in one go; the others follow."""


class Retelling:
    """
    The offers of a node that have ended, until their outcomes are on their origins' disks.
    """

    def __init__(self) -> None:
        """
        Nothing has ended.
        """
        self._told: dict[Ref, Execution] = {}
        """The one that was told longest ago first."""
        self.period = 3.0
        """Seconds after which an outcome is told again; a term of the balancer's."""

    def __len__(self) -> int:
        """
        How many outcomes are not on their origins' disks, as far as is known.
        """
        return len(self._told)

    def all(self) -> list[Execution]:
        """
        All of them.
        """
        return list(self._told.values())

    def told(self, execution: Execution, now: Now) -> None:
        """
        An outcome is being told.
        """
        execution.told = now.mono
        self._told.pop(execution.ref, None)
        self._told[execution.ref] = execution

    def forget(self, ref: Ref) -> None:
        """
        It need not be told any more.
        """
        self._told.pop(ref, None)

    def due(self, now: Now) -> list[Execution]:
        """
        Those that nobody has acknowledged for a while.
        """
        due: list[Execution] = []
        for execution in self._told.values():
            if execution.told + self.period > now.mono or len(due) == _AT_ONCE:
                break
            due.append(execution)
        return due

    @staticmethod
    def is_hopeless(execution: Execution, now: Now) -> bool:
        """
        Whether it ended so long ago that its origin is not waited for any more.
        """
        outcome = execution.outcome
        if outcome is None or execution.once:
            return False
        return now.wall - outcome.ended / 1000 > _KEPT

    def wake(self, now: Now) -> float | None:
        """
        In how many seconds the first of them is due.
        """
        for execution in self._told.values():
            return max(0.0, execution.told + self.period - now.mono)
        return None
