"""
What is done at the end of a turn of the reactor.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.wire.turn import TurnEnd


class TurnEndTests(SynchronousTestCase):
    """When what is called."""

    def setUp(self) -> None:
        """With nothing to call."""
        self.clock = Clock()
        self.turn = TurnEnd(self.clock)
        self.called: list[str] = []

    def call(self, name: str) -> None:
        """Be called."""
        self.called.append(name)

    def test_decidesFirst(self) -> None:
        """What speaks is called last, though it was there first; and all that in one turn."""
        self.turn.speak(lambda: self.call("speak"))
        self.turn.decide(lambda: self.call("decide"))
        self.assertEqual(self.called, [])
        self.clock.advance(0)
        self.assertEqual(self.called, ["decide", "speak"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_inTheSameTurn(self) -> None:
        """What comes of a call is called in the same turn."""

        def decide() -> None:
            self.turn.speak(lambda: self.call("speak"))
            self.turn.decide(lambda: self.call("decide"))

        self.turn.decide(decide)
        self.clock.advance(0)
        self.assertEqual(self.called, ["decide", "speak"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_forget(self) -> None:
        """What was forgotten is not called; the rest is."""

        def gone() -> None:
            self.call("gone")

        self.turn.speak(gone)
        self.turn.forget(gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.turn.decide(lambda: self.call("stays"))
        self.turn.speak(gone)
        self.turn.forget(gone)
        self.clock.advance(0)
        self.assertEqual(self.called, ["stays"])

    def test_fails(self) -> None:
        """One that fails keeps no other from being called."""

        def fail() -> None:
            raise ZeroDivisionError

        self.turn.decide(fail)
        self.turn.speak(lambda: self.call("speak"))
        self.assertRaises(ZeroDivisionError, self.clock.advance, 0)
        self.clock.advance(0)
        self.assertEqual(self.called, ["speak"])
