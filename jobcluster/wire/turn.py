"""
The end of a turn of the reactor: when everything was read, first decide, then speak.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["TurnEnd"]

_Call = Callable[[], None]


class TurnEnd:
    """
    Calls that are made once what can be read now was read.

    What decides is called before what speaks, so that all that was decided leaves in one box.
    """

    def __init__(self, clock: IReactorTime) -> None:
        """
        With nothing to call.
        """
        self._clock = clock
        self._deciding: deque[_Call] = deque()
        self._speaking: deque[_Call] = deque()
        self._timer: IDelayedCall | None = None
        self._running = False

    def decide(self, call: _Call) -> None:
        """
        Call this at the end of this turn, or now if that has come.
        """
        self._deciding.append(call)
        self._schedule()

    def speak(self, call: _Call) -> None:
        """
        Call this after all that decides.
        """
        self._speaking.append(call)
        self._schedule()

    def forget(self, call: _Call) -> None:
        """
        Do not call this, if it is to be called.
        """
        for calls in (self._deciding, self._speaking):
            while call in calls:
                calls.remove(call)
        if self._timer is not None and not self._deciding and not self._speaking:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._timer is None and not self._running:
            self._timer = self._clock.callLater(0, self._run)

    def _run(self) -> None:
        self._timer = None
        self._running = True
        try:
            while self._deciding or self._speaking:
                (self._deciding or self._speaking).popleft()()
        finally:
            # One that fails is the reactor's to log; the others are called all the same.
            self._running = False
            if self._deciding or self._speaking:
                self._schedule()
