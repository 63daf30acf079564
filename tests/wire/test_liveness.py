"""
Silence, as far as it was observed.
"""

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.wire.liveness import PERIOD, SLACK, Patience


class Watch:
    """Looks at a silent peer whenever it is time to."""

    def __init__(self, limit: float, slack: float = SLACK) -> None:
        self.now = 100.0
        self.patience = Patience(limit, self.now, slack)
        self.due = self.now + self.patience.wait

    def until_over(self, late: float = 0.0) -> float:
        """
        Seconds until it is over, if each look comes so late.
        """
        begin = self.now
        while True:
            self.now = self.due + late
            if self.patience.tick(self.now, self.due):
                return self.now - begin
            self.due = self.now + self.patience.wait

    def stall(self, seconds: float) -> bool:
        """
        Take the next look that much too late.
        """
        self.now = self.due + seconds
        over = self.patience.tick(self.now, self.due)
        self.due = self.now + self.patience.wait
        return over


class PatienceTests(SynchronousTestCase):
    """What counts as silence."""

    def assertAbout(self, seconds: float, expected: float, by: float = 0.01) -> None:
        """
        As many seconds, more or less.
        """
        self.assertTrue(abs(seconds - expected) <= by, f"{seconds} is not about {expected}")

    @given(st.floats(0.1, 100))
    def test_limit(self, limit: float) -> None:
        """It is over at the limit, not at the next look after it."""
        self.assertAbout(Watch(limit).until_over(), limit)

    def test_heard(self) -> None:
        """A byte begins it anew."""
        watch = Watch(2.0)
        watch.stall(0)
        watch.patience.heard(watch.now + 0.4)
        self.assertAbout(watch.until_over(), 2.4)

    def test_looksInTime(self) -> None:
        """A look a little late counts in full."""
        self.assertAbout(Watch(11.0).until_over(late=0.9), 11.0, by=PERIOD + 0.9)

    def test_stalledObserver(self) -> None:
        """Time in which nobody looked does not count, however often that happens."""
        watch = Watch(11.0)
        for _ in range(10):
            self.assertFalse(watch.stall(30.0))
        self.assertAbout(watch.until_over(), 11.0 - 10 * PERIOD)

    def test_heardAfterAStall(self) -> None:
        """What was read between a pause and the late look after it counts as life."""
        watch = Watch(2.0)
        watch.patience.heard(watch.due + 29.0)
        self.assertFalse(watch.stall(30.0))
        self.assertAbout(watch.until_over(), 2.0)

    def test_withoutSlack(self) -> None:
        """Where pauses of the observer count, one that is long enough is enough."""
        watch = Watch(8.0, slack=math.inf)
        self.assertFalse(watch.stall(6.0))
        watch.patience.heard(watch.now)
        self.assertTrue(watch.stall(8.0))

    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=50))
    def test_neverTooEarly(self, looks: list[tuple[float, bool]]) -> None:
        """It is never over before the limit has passed since the last byte."""
        watch = Watch(3.0)
        heard = watch.now
        for late, spoke in looks:
            if spoke:
                heard = watch.now
                watch.patience.heard(heard)
            self.assertEqual(watch.stall(late), watch.now - heard >= 3.0 - 0.001)
