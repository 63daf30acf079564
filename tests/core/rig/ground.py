"""
What everything in a simulated world stands on: time, chance, and a history of what happened.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable
from random import Random

import attrs
from twisted.python.failure import Failure

from jobcluster.testing import HeapClock

__all__ = ["EPOCH", "BrokenPromiseError", "Ground", "History", "Pace"]

_BLANKS = re.compile(" {30,}")

EPOCH = 1_700_000_000.0
"""Where wall clocks begin: seconds since 1970."""


class BrokenPromiseError(Exception):
    """A promise was broken."""

    def __init__(self, promise: str, text: str) -> None:
        """
        Say which promise, and how.
        """
        super().__init__(f"{promise}: {text}")
        self.promise = promise


class History:
    """
    One ordered list of what happened, of which the last part is kept.
    """

    __slots__ = ("_clock", "_rows")

    def __init__(self, clock: HeapClock, keep: int) -> None:
        """
        Nothing has happened.
        """
        self._clock = clock
        self._rows: deque[tuple[float, str, str, tuple[object, ...]]] = deque(maxlen=keep)

    def note(self, who: str, what: str, *detail: object) -> None:
        """
        Remember something; the details are turned into text only if somebody reads them.
        """
        self._rows.append((self._clock.seconds(), who, what, detail))

    def tail(self, count: int | None = None) -> str:
        """
        The last of it, a line each.
        """
        rows = list(self._rows)
        return "\n".join(
            f"{time:12.6f} {who:<12} {what} {' '.join(map(_shown, detail))}"
            for time, who, what, detail in (rows if count is None else rows[-count:])
        )


def _shown(value: object) -> str:
    """
    What is there to be seen of a value: its fields, but for the empty ones.
    """
    kind = type(value)
    if not attrs.has(kind):
        return _BLANKS.sub(" ... ", repr(value))
    fields = {field.name: getattr(value, field.name) for field in attrs.fields(kind)}
    said = ", ".join(
        f"{name}={_shown(field)}" for name, field in fields.items() if field not in (None, (), "")
    )
    return f"{type(value).__name__}({said})"


class Pace:
    """
    How long things take in one world.
    """

    __slots__ = ("commit", "hop", "latency", "tail", "tail_chance")

    def __init__(self, rng: Random) -> None:
        """
        Draw a world: a quick one, a slow one, or one that is quick most of the time.
        """
        self.latency = rng.choice((0.0005, 0.005, 0.05))
        """Seconds that a word to another process takes at most, most of the time."""
        self.tail_chance = rng.choice((0.0, 0.0, 0.01, 0.1))
        self.tail = rng.choice((0.2, 1.0))
        """Seconds that it may take otherwise."""
        self.commit = rng.choice((0.002, 0.02, 0.2))
        """Seconds that a commit takes at most, most of the time."""
        self.hop = rng.choice((0.0, 0.001, 0.02))
        """Seconds to a keeper or back."""


class Ground:
    """
    Time, chance, history, and traps: things that are to be done when something comes to pass.
    """

    __slots__ = ("broken", "clock", "counts", "history", "merging", "pace", "rng", "traps")

    def __init__(self, rng: Random, keep: int) -> None:
        """
        A moment before anything happens.

        @param keep: how many lines of history are kept.
        """
        self.rng = rng
        self.clock = HeapClock()
        self.history = History(self.clock, keep)
        self.pace = Pace(rng)
        self.traps: dict[str, list[Callable[..., bool]]] = {}
        self.counts: Counter[str] = Counter()
        self.merging = False
        """Whether what waits to be said is merged field by field, rather than said in its order."""
        self.broken: BaseException | None = None
        """What went wrong where only a Deferred heard of it."""

    def caught(self, failure: Failure) -> None:
        """
        An errback for all that nobody else expects.
        """
        self.broken = self.broken or failure.value

    def step(self) -> bool:
        """
        Let the next thing happen.

        @return: whether there was one.
        """
        stepped = self.clock.step()
        if self.broken is not None:
            raise self.broken
        return stepped

    def latency(self) -> float:
        """
        Seconds for the next word to another process.
        """
        rng, pace = self.rng, self.pace
        if pace.tail_chance and rng.random() < pace.tail_chance:
            return rng.random() * pace.tail
        return 0.0001 + rng.random() * pace.latency

    def hop(self) -> float:
        """
        Seconds for the next word to or from a keeper.
        """
        return self.rng.random() * self.pace.hop

    def set_trap(self, moment: str, trap: Callable[..., bool]) -> None:
        """
        Have C{trap} called at every such moment until it returns true.
        """
        self.traps.setdefault(moment, []).append(trap)

    def spring(self, moment: str, *args: object) -> None:
        """
        The moment has come: see which traps it concerns.
        """
        traps = self.traps.get(moment)
        if traps:
            self.traps[moment] = []
            kept = [trap for trap in traps if not trap(*args)]
            self.traps[moment] = kept + self.traps[moment]
