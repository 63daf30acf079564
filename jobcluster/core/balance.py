"""
Whether the balancer keeps its promise: how evenly the running jobs are spread.
"""

from __future__ import annotations

from jobcluster.core.views import BalanceView

__all__ = ["BalanceMeter"]


class BalanceMeter:
    """
    max - min of the running jobs per node, and how that was over the time in which jobs waited.

    A histogram is kept, so that a change costs the same with ten nodes and with a thousand.
    """

    def __init__(self, seconds: float) -> None:
        """
        Begin to measure.

        @param seconds: the present time, on the clock of all later calls.
        """
        self._running: dict[str, int] = {}
        self._nodes: dict[int, int] = {}
        self._waiting = False
        self._since = seconds
        self._measured = 0.0
        self._weighted = 0.0
        self._within = 0.0
        self._worst = 0

    @property
    def difference(self) -> int:
        """Max - min now."""
        return max(self._nodes) - min(self._nodes) if self._nodes else 0

    def node(self, seconds: float, name: str, running: int | None) -> None:
        """
        A node runs so many jobs now; C{None}: it does not take part.
        """
        before = self._running.get(name)
        if before == running:
            return
        self._account(seconds)
        if before is not None:
            self._nodes[before] -= 1
            if not self._nodes[before]:
                del self._nodes[before]
            del self._running[name]
        if running is not None:
            self._running[name] = running
            self._nodes[running] = self._nodes.get(running, 0) + 1

    def waiting(self, seconds: float, *, waiting: bool) -> None:
        """
        Whether placeable jobs wait from now on; only such time is measured.
        """
        if waiting != self._waiting:
            self._account(seconds)
            self._waiting = waiting

    def view(self, seconds: float, waiting: int) -> BalanceView:
        """
        What was measured so far.
        """
        self._account(seconds)
        measured = self._measured
        return BalanceView(
            difference=self.difference,
            average=self._weighted / measured if measured else 0.0,
            within_one=self._within / measured if measured else 1.0,
            worst=self._worst,
            measured=measured,
            waiting=waiting,
        )

    def _account(self, seconds: float) -> None:
        passed = seconds - self._since
        self._since = seconds
        if not self._waiting or passed <= 0:
            return
        difference = self.difference
        self._measured += passed
        self._weighted += passed * difference
        if difference <= 1:
            self._within += passed
        self._worst = max(self._worst, difference)
