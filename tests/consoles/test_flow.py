"""
Floods, slow readers, crowds, and whatever else may be typed.
"""

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.consoles.cases import SessionCase
from tests.consoles.rig import TICK, FakeCluster, ticket
from tests.consoles.typist import Typist

LINES = st.lists(
    st.sampled_from(
        [
            b"0",
            b"sleep 3600000",
            b"-1",
            b"",
            b"\x01",
            b"getall",
            b"list",
            b"nodes",
            b"help exit",
            b"run true \x80",
            b"run 'true",
            b"prompt on",
            b"prompt off",
            b"\xff\xfb\x01",
            *(
                f"{verb}{ticket(n)}".encode()
                for verb in ("r", "status ", "cancel ", "output ")
                for n in range(3)
            ),
            f"wait {ticket(0)}".encode(),
        ]
    )
    # Other numbers would be jobs that end sooner or later than another line is answered.
    | st.binary(max_size=10).filter(lambda junk: not re.search(rb"[\xff0-9]", junk)),
    max_size=20,
)


class FlowTests(SessionCase):
    """
    A session takes no more than it can answer.
    """

    def test_flood(self) -> None:
        """
        Of a flood of lines only some are read before they are answered.
        """
        self.typist.type("0\n" * 200_000)
        self.assertFalse(self.typist.is_read)
        self.typist.advance(2 * TICK * 220)
        self.assertTrue(self.typist.is_read)
        self.assertEqual(200_000, len(self.lines(1)))
        # Each piece read may end a batch early, but not more often.
        self.assertTrue(len(self.cluster.batches) < 220)

    def test_long_lines(self) -> None:
        """
        A few long lines are as many short ones.
        """
        self.typist.type(f"wait {ticket(0, 'away')}\ngetall\n" + ("x" * 200_000 + "\n") * 10)
        self.assertFalse(self.typist.is_read)
        self.assertEqual(12, len(self.lines(1)))
        self.assertTrue(self.typist.is_read)

    def test_answers_not_read(self) -> None:
        """
        Whoever does not read the answers is not asked for more lines.
        """
        self.typist.connection.buffer_size = 100_000
        self.typist.type("help\n" * 20_000)
        self.assertFalse(self.typist.is_read)
        self.assertTrue(len(self.typist.connection.value()) < 300_000)
        self.assertEqual([], self.cluster.asked)
        answers = 0
        while said := self.typist.read():
            answers += said.count("One request a line")
        self.assertEqual(20_000, answers)
        self.assertTrue(self.typist.is_read)

    def test_hung_up(self) -> None:
        """
        Whoever hangs up waits no more, and what was not begun is not.
        """
        self.typist.type(f"50000\nwait {ticket(0)}\n0\n")
        self.lines(0.5)
        self.typist.hang_up()
        self.assertEqual(1, self.cluster.ended_waits)
        self.typist.advance(1)
        self.assertEqual([1], self.cluster.batches)


class ManyTests(SynchronousTestCase):
    """
    Many sessions at once.
    """

    def test_several_hundred(self) -> None:
        """
        Hundreds of sessions have their own answers, and leave nothing.
        """
        cluster = FakeCluster(Clock(), delay=TICK)
        typists = [Typist(cluster) for _ in range(500)]
        for typist in typists:
            typist.type("0\n")
        cluster.clock.advance(TICK)
        for number, typist in enumerate(typists):
            typist.type(f"wait {ticket(number)}\nexit\n")
        cluster.clock.advance(TICK)
        for number, typist in enumerate(typists):
            self.assertEqual(
                f"Ticket ID: {ticket(number)}\nResult: slept 0 ms\nGood-bye.\n", typist.read()
            )
            self.assertTrue(typist.is_closed)
            self.assertEqual([], typist.leave_nothing())


class AnyLinesTests(SynchronousTestCase):
    """
    Whatever is typed, however it is cut.
    """

    def said(self, typed: bytes, cuts: list[int], delay: float) -> str:
        """
        What is answered to this, cut like that, until the node closes.
        """
        typist = Typist(FakeCluster(Clock(), delay))
        at = 0
        for cut in cuts:
            typist.type(typed[at : at + cut])
            at += cut
        typist.type(typed[at:])
        typist.finish()
        typist.advance(10)
        self.assertTrue(typist.is_closed)
        said: bytes = typist.connection.value()
        self.assertEqual([], typist.leave_nothing())
        return said.replace(b"\xff\xfe\x01", b"").decode()

    @given(LINES, st.lists(st.integers(min_value=1, max_value=50), max_size=10))
    def test_cuts(self, lines: list[bytes], cuts: list[int]) -> None:
        """
        Where it is cut makes no difference to the answers, nor does how long they take.
        """
        typed = b"0\n" + b"\n".join(lines) + b"\n"
        together = self.said(typed, [], TICK)
        self.assertEqual(together, self.said(typed, cuts, TICK))
        self.assertEqual(together.count("Ticket ID"), self.said(typed, cuts, 0).count("Ticket ID"))

    @given(st.binary(max_size=300), st.sampled_from([0.0, TICK]))
    def test_anything(self, typed: bytes, delay: float) -> None:
        """
        No bytes raise anything, and the session ends when they do.
        """
        self.said(typed.replace(b"\xff", b"\xff\xff"), [1] * len(typed), delay)
