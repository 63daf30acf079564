"""
How long the other side has been silent.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PERIOD", "SLACK", "Patience"]

PERIOD: Final = 0.5
"""Seconds between two looks at a silent peer."""

SLACK: Final = 1.0
"""Seconds a look may come late; if it is later, the observer did not run (design, part 3)."""

# Sums of floats: closer than this is there.
_NEAR: Final = 1e-3


class Patience:
    """
    The silence of a peer, as far as it was observed.

    Time in which the observer itself did not run, known by a look that came more than C{slack}
    late, is not counted.
    """

    def __init__(self, limit: float, now: float, slack: float = SLACK) -> None:
        """
        Begin to watch.

        @param limit: seconds of silence that are too much.
        @param slack: infinite where a pause of the observer counts like any other silence.
        """
        self.limit = limit
        self._slack = slack
        self._silence = 0.0
        self._mark = now

    @property
    def wait(self) -> float:
        """Seconds until the next look is to be taken."""
        return max(min(PERIOD, self.limit - self._silence), _NEAR)

    def heard(self, now: float) -> None:
        """
        Bytes were received.
        """
        self._silence = 0.0
        self._mark = now

    def tick(self, now: float, due: float) -> bool:
        """
        Look; true if the peer has been silent for too long.

        @param due: when this look was to be taken.
        """
        until = now if now - due <= self._slack else due
        self._silence += max(0.0, until - self._mark)
        self._mark = now
        return self.limit - self._silence < _NEAR
