"""
Flow control: two boxes may be unanswered; what else is to be said waits, for one box.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from jobcluster.core.values import Now
from jobcluster.core.words import Dispatch, Report
from jobcluster.wire.batches import merge
from tests.core.rig.links import Dispatches, End, Leaving, Reports

__all__ = ["CALL_LIMIT", "Speaker"]

CALL_LIMIT = 11.0
"""Seconds after which a call that was not answered ends the connection."""

_UNANSWERED = 2

WordT = TypeVar("WordT", Report, Dispatch)


class Speaker(Generic[WordT]):
    """
    What one end of a connection says, a few boxes at a time.
    """

    __slots__ = ("_box", "_end", "_leaving", "_merging", "_unanswered", "_waiting", "said_at")

    def __init__(
        self, end: End, box: Callable[[tuple[WordT, ...]], Reports | Dispatches], now: Now
    ) -> None:
        """
        Nothing was said.

        @param box: makes a box of words.
        """
        self._end = end
        self._box: Callable[[tuple[WordT, ...]], Reports | Dispatches] = box
        self._merging = end.owner.ground.merging
        self._waiting: list[WordT] = []
        self._unanswered: deque[Now] = deque()
        self._leaving: Leaving | None = None
        self.said_at = now.mono

    @property
    def idle(self) -> bool:
        """Whether everything was said and answered."""
        return not self._waiting and not self._unanswered and self._leaving is None

    @property
    def free(self) -> bool:
        """Whether a word would be said at once."""
        return not self._waiting and len(self._unanswered) < _UNANSWERED

    def add(self, word: WordT) -> None:
        """
        Say this with the next L{flush}.
        """
        self._waiting.append(word)

    def leave(self, *, keep: bool) -> None:
        """
        Say this after everything else.
        """
        self._leaving = Leaving(keep)

    def flush(self, now: Now) -> None:
        """
        Say as much as may be said.
        """
        if self._waiting and len(self._unanswered) < _UNANSWERED:
            words, self._waiting = self._waiting, []
            self._end.say(self._box((merge(words),) if self._merging else tuple(words)))
            self._called(now)
        if self._leaving is not None and not self._waiting:
            leaving, self._leaving = self._leaving, None
            self._end.say(leaving)
            self._called(now)

    def answered(self, now: Now) -> Now | None:
        """
        The eldest word was taken.

        @return: when it was said.
        """
        if not self._unanswered:
            return None
        sent = self._unanswered.popleft()
        self.flush(now)
        return sent

    def overdue(self, mono: float) -> bool:
        """
        Whether an answer has been missing for too long.
        """
        return bool(self._unanswered) and self._unanswered[0].mono + CALL_LIMIT <= mono

    def _called(self, now: Now) -> None:
        self._unanswered.append(now)
        self.said_at = now.mono
