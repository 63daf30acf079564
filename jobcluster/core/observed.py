"""
Time as the observer lived it.

After a freeze, or while the machine was too busy to run this process, everybody else seems to have
been silent: that says nothing about them, so such time counts neither towards grace nor silence.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PERIOD", "ObservedTime"]

PERIOD: Final = 0.5
"""Seconds: an observer looks at the clock at least this often."""

_LATE: Final = 1.0
"""Seconds by which a look may be late before the observer is taken to have stood still (part 3)."""


class ObservedTime:
    """
    Seconds in which the observer ran.
    """

    __slots__ = ("last", "seconds")

    def __init__(self, mono: float) -> None:
        """
        Begin at 0 now.
        """
        self.last = mono
        self.seconds = 0.0

    def advance(self, mono: float) -> float:
        """
        Look at the monotonic clock; to be called at least every L{PERIOD}.

        @return: the observed seconds so far.
        """
        passed = mono - self.last
        self.last = mono
        self.seconds += passed if passed <= PERIOD + _LATE else PERIOD
        return self.seconds
