"""
What waits to be said.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.words import Load, Named, Report
from jobcluster.wire.batches import ROOM, Room, weigh
from jobcluster.wire.outbox import UNANSWERED, Outbox
from tests.wire.samples import anything, sleeps
from tests.wire.test_batches import reading


def gone(*serials: int) -> Report:
    """
    A report of offers.
    """
    return Report(gone=tuple(Named("a", "s", 1, serial) for serial in serials))


class OutboxTests(SynchronousTestCase):
    """When what leaves."""

    def setUp(self) -> None:
        """An outbox that is open."""
        self.sent: list[Report | str] = []
        self.make()
        self.outbox.open(1.0)

    def make(self, room: Room = ROOM) -> None:
        """
        Another one, shut.
        """
        self.clock = Clock()
        self.outbox = Outbox(self.clock, Report(), self.sent.append, room)
        self.addCleanup(self.shut, self.clock, self.outbox)

    def shut(self, clock: Clock, outbox: Outbox[Report]) -> None:
        """
        Nothing is left of it.
        """
        outbox.close()
        self.assertEqual(clock.getDelayedCalls(), [])

    def take(self, *expected: Report | str) -> None:
        """
        What has left since this was called last.
        """
        self.clock.advance(0)
        sent, self.sent[:] = list(self.sent), []
        self.assertEqual(sent, list(expected))

    def test_oneTurn(self) -> None:
        """What is said in one turn leaves in one box, at the end of that turn."""
        self.outbox.say(gone(1))
        self.outbox.say(gone(2, 3))
        self.assertEqual(self.sent, [])
        self.take(gone(1, 2, 3))

    def test_nextTurn(self) -> None:
        """What is said in the next turn leaves in another."""
        self.outbox.say(gone(1))
        self.take(gone(1))
        self.outbox.say(gone(2))
        self.take(gone(2))

    def test_twoUnanswered(self) -> None:
        """With two boxes unanswered the rest waits and merges, until one is answered."""
        for serial in range(5):
            self.outbox.say(gone(serial))
            self.clock.advance(0)
        self.take(gone(0), gone(1))
        self.assertEqual(self.outbox.unanswered, UNANSWERED)
        self.assertEqual(self.outbox.waiting.rows, 3)
        self.outbox.answered()
        self.outbox.say(gone(5))
        self.take(gone(2, 3, 4, 5))
        self.outbox.answered()
        self.take()
        self.outbox.answered()
        self.assertEqual(self.outbox.unanswered, 0)
        self.assertEqual(self.outbox.waiting, Room(0, 0))

    def test_load(self) -> None:
        """Of several loads the last one leaves."""
        loads = [Load(running, 0, 0, False, False) for running in range(3)]
        for load in loads:
            self.outbox.say(Report(load=load))
        self.take(Report(load=loads[2]))

    def test_room(self) -> None:
        """What is more than a box carries leaves in the next ones, in order."""
        self.make(Room(4, 10_000))
        self.outbox.open(1.0)
        self.outbox.say(gone(1, 2, 3))
        self.outbox.say(gone(*range(4, 10)))
        self.outbox.say(gone(10))
        self.take(gone(1, 2, 3, 4), gone(5, 6, 7, 8))
        self.outbox.answered()
        self.take(gone(9, 10))

    def test_roomForPayloads(self) -> None:
        """Payloads count, and one that is larger than a box leaves alone."""
        self.make(Room(1000, 10_000))
        self.outbox.open(1.0)
        self.outbox.say(Report(offered=sleeps(6, b"x" * 3000)))
        self.outbox.say(Report(offered=sleeps(1, b"x" * 50_000, first=6)))
        self.outbox.say(Report(offered=sleeps(1, first=7)))
        self.clock.advance(0)
        self.outbox.answered()
        self.outbox.answered()
        self.clock.advance(0)
        counts = [len(report.offered) for report in self.sent if isinstance(report, Report)]
        self.assertEqual(counts, [3, 3, 1, 1])

    @given(
        st.lists(st.one_of(anything(Report), st.none()), max_size=8),
        st.integers(1, 5),
        st.integers(1, 2000),
    )
    def test_nothingIsLost(self, script: list[Report | None], most: int, size: int) -> None:
        """
        Whatever is said and whenever it is answered, all of it leaves, in order and in bounds.

        (A box may have its rows in another order than they were said in, but no earlier than they
        would have left, and within a field never.)
        """
        self.sent.clear()
        room = Room(most, size)
        self.make(room)
        self.outbox.open(1.0)
        said = []
        for batch in script:
            if batch is not None:
                said.append(Report(gone=batch.gone, offered=batch.offered))
                self.outbox.say(said[-1])
            elif self.outbox.unanswered:
                self.outbox.answered()
            self.clock.advance(0)
        while self.outbox.unanswered:
            self.outbox.answered()
            self.clock.advance(0)
        boxes = [report for report in self.sent if isinstance(report, Report)]
        for box in boxes:
            self.assertTrue(room.holds(weigh(box)) or weigh(box).rows == 1)
        for name in ("gone", "offered"):
            self.assertEqual(
                [row for field, row in reading(boxes) if field == name],
                [row for field, row in reading(said) if field == name],
            )
        self.sent.clear()

    def test_shut(self) -> None:
        """Before it is opened everything waits, and merges."""
        self.make()
        self.outbox.say(gone(1))
        self.clock.advance(5.0)
        self.outbox.say(gone(2))
        self.take()
        self.outbox.open(1.0)
        self.take(gone(1, 2))

    def test_idle(self) -> None:
        """An empty box leaves when nothing else has left for a second, and no earlier."""
        self.clock.advance(0.9)
        self.take()
        self.clock.advance(0.1)
        self.take(Report())
        self.clock.advance(0.5)
        self.outbox.say(gone(1))
        self.take(gone(1))
        self.outbox.answered()
        self.clock.advance(0.9)
        self.take()
        self.clock.advance(0.1)
        self.take(Report())

    def test_idleWithoutAnswers(self) -> None:
        """Empty boxes are boxes: no third one leaves unanswered."""
        for _ in range(45):
            self.clock.advance(0.1)
        self.take(Report(), Report())
        self.outbox.answered()
        self.clock.advance(1.0)
        self.take(Report())

    def test_idleInTheSameTurn(self) -> None:
        """An empty box does not come before what was said in the turn in which it is due."""
        self.clock.callLater(0.5, self.outbox.say, gone(1))
        self.clock.advance(1.0)
        self.take(gone(1))

    def test_idleTimes(self) -> None:
        """Every second one, however the steps of the clock add up."""
        for _ in range(300):
            self.clock.advance(0.0333333)
            while self.outbox.unanswered:
                self.outbox.answered()
        self.assertEqual(len(self.sent), 9)
        self.sent.clear()

    def test_after(self) -> None:
        """A place in the queue is reached when all before it has left, and nothing after it."""
        self.outbox.say(gone(1))
        self.outbox.after(lambda: self.sent.append("here"))
        self.outbox.say(gone(2))
        self.take(gone(1), "here", gone(2))
        self.outbox.say(gone(3))
        self.outbox.after(lambda: self.sent.append("there"))
        self.take()
        self.outbox.answered()
        self.take(gone(3), "there")

    def test_afterNothing(self) -> None:
        """In an empty queue it is reached at the end of the turn."""
        self.outbox.after(lambda: self.sent.append("here"))
        self.assertEqual(self.sent, [])
        self.take("here")

    def test_closed(self) -> None:
        """After it was closed nothing leaves, though answers and words come late."""
        self.outbox.say(gone(1))
        self.take(gone(1))
        self.outbox.say(gone(2))
        self.outbox.close()
        self.outbox.say(gone(3))
        self.outbox.answered()
        self.clock.advance(10.0)
        self.take()
        self.assertEqual(self.outbox.waiting, Room(0, 0))

    def test_closedWhileSending(self) -> None:
        """Sending may find out that the connection has ended."""
        self.make(Room(1, 1000))
        outbox = Outbox(self.clock, Report(), lambda _: outbox.close(), Room(1, 1000))
        outbox.open(1.0)
        outbox.say(gone(1, 2, 3))
        self.clock.advance(5.0)
        self.assertEqual(outbox.unanswered, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
