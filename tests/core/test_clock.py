"""
The clock and the pipe that simulated worlds run on.
"""

from __future__ import annotations

from random import Random

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from jobcluster.testing import HeapClock
from jobcluster.testing.clocks import Pipe


class HeapClockTests(SynchronousTestCase):
    """
    L{HeapClock}.
    """

    def setUp(self) -> None:
        """
        Make a clock that stands at 100 s, and a list of what was called when.
        """
        self.clock = HeapClock(100.0)
        self.called: list[tuple[str, float]] = []

    def note(self, name: str) -> None:
        """
        Remember a call.
        """
        self.called.append((name, self.clock.seconds()))

    def test_interfaces(self) -> None:
        """
        It is what a reactor is to whoever wants time, and so are its calls.
        """
        verifyObject(IReactorTime, self.clock)
        verifyObject(IDelayedCall, self.clock.callLater(1, self.note, "x"))

    def test_order(self) -> None:
        """
        Calls are made at their times, and those of one time in the order they were asked for.
        """
        for name, delay in (("c", 2.0), ("a", 0.5), ("b", 0.5), ("d", 3.0)):
            self.clock.callLater(delay, self.note, name)
        self.clock.advance(2.0)
        self.assertEqual([("a", 100.5), ("b", 100.5), ("c", 102.0)], self.called)
        self.assertEqual(102.0, self.clock.seconds())
        self.assertEqual(103.0, self.clock.next_time())

    def test_from_within(self) -> None:
        """
        What a call asks for is called within the same advance, if its time comes.
        """
        self.clock.callLater(1, lambda: self.clock.callLater(1, self.note, "inner"))
        self.clock.advance(5)
        self.assertEqual([("inner", 102.0)], self.called)

    def test_arguments(self) -> None:
        """
        Arguments are handed over, those with names too.
        """
        self.clock.callLater(0, self.note, name="named")
        self.clock.advance(0)
        self.assertEqual([("named", 100.0)], self.called)

    def test_cancel(self) -> None:
        """
        A cancelled call is not made, and cannot be cancelled again; nor can one that was made.
        """
        call = self.clock.callLater(1, self.note, "never")
        made = self.clock.callLater(2, self.note, "made")
        call.cancel()
        self.assertRaises(AlreadyCancelled, call.cancel)
        self.clock.advance(3)
        self.assertEqual([("made", 102.0)], self.called)
        self.assertRaises(AlreadyCalled, made.cancel)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_reset_earlier_and_later(self) -> None:
        """
        A call that is put off or brought forward, however often, is made once, at its last time.
        """
        call = self.clock.callLater(10, self.note, "once")
        call.reset(2)
        call.reset(20)
        call.delay(-15)
        self.assertEqual(105.0, call.getTime())
        self.assertEqual([call], self.clock.getDelayedCalls())
        self.clock.advance(30)
        self.assertEqual([("once", 105.0)], self.called)

    def test_step(self) -> None:
        """
        A step makes one call, if there is one.
        """
        self.clock.callLater(1, self.note, "a")
        self.clock.callLater(1, self.note, "b")
        self.assertTrue(self.clock.step())
        self.assertEqual([("a", 101.0)], self.called)
        self.assertTrue(self.clock.step())
        self.assertFalse(self.clock.step())
        self.assertEqual(None, self.clock.next_time())

    def test_many_cancelled(self) -> None:
        """
        Calls that were cancelled do not pile up, and the others are made all the same.
        """
        rng = Random(1)
        kept = 0
        for _ in range(1000):
            call = self.clock.callLater(rng.random(), self.note, "kept")
            if rng.random() < 0.9:
                call.cancel()
            else:
                kept += 1
        self.assertEqual(kept, len(self.clock.getDelayedCalls()))
        self.clock.advance(1)
        self.assertEqual(kept, len(self.called))
        self.assertEqual(sorted(time for _, time in self.called), [t for _, t in self.called])


class PipeTests(SynchronousTestCase):
    """
    L{Pipe}.
    """

    def test_order(self) -> None:
        """
        A word that would be faster than the one before it is read after it.
        """
        clock = HeapClock()
        read: list[tuple[str, float]] = []
        hops = iter((3.0, 1.0, 4.0))
        pipe = Pipe(clock, lambda: next(hops))
        for word in "abc":
            pipe.post(lambda word: read.append((word, clock.seconds())), word)
        clock.advance(10)
        self.assertEqual([("a", 3.0), ("b", 3.0), ("c", 4.0)], read)
        self.assertEqual([], clock.getDelayedCalls())
