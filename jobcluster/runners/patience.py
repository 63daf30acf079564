"""
How long a keeper has been waited for.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Patience"]

_PERIOD: Final = 0.5
"""Seconds between two looks."""

_SLACK: Final = 1.0
"""Seconds a look may come late; if it is later, this process did not run (design, part 3)."""

# Sums of floats: closer than this is there.
_NEAR: Final = 1e-3


class Patience:
    """
    Time spent waiting, without that in which this process itself did not run.
    """

    def __init__(self, limit: float, now: float) -> None:
        """
        Begin to wait.

        @param limit: seconds of waiting that are too much.
        @param now: by the reactor's clock, like all times here.
        """
        self.limit = limit
        self._waited = 0.0
        self._mark = now

    @property
    def pause(self) -> float:
        """Seconds until the next look is to be taken."""
        return max(min(_PERIOD, self.limit - self._waited), _NEAR)

    def begin(self, now: float) -> None:
        """
        Begin anew: there was a sign of life.
        """
        self._waited = 0.0
        self._mark = now

    def look(self, now: float, due: float) -> bool:
        """
        Whether it has been too long.

        @param due: when this look was to be taken.
        """
        until = now if now - due <= _SLACK else due
        self._waited += max(0.0, until - self._mark)
        self._mark = now
        return self.limit - self._waited < _NEAR
