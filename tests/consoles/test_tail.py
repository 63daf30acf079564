"""
What jobs put out while they run, as it comes to whoever types C{tail}.
"""

from __future__ import annotations

from jobcluster.errors import NodeAwayError
from tests.consoles.outputs import PATTERN, OutputCase
from tests.consoles.rig import FIRST_JOB, MOST, TICK, ticket
from tests.consoles.typist import Typist

CTRL_C = b"\xff\xf4\xff\xfd\x06"
"""What telnet sends for it."""

TIMING_MARK = b"\xff\xfc\x06"
"""What telnet waits for, after that."""

RESULT = b"Result: exit code 0, output %d bytes, errors %d bytes"


class TailCase(OutputCase):
    """
    A cluster in which the first job is a command that runs, and somebody who follows it.
    """

    def say(self, data: bytes, stream: str = "out") -> None:
        """
        Have it put out something.
        """
        self.cluster.speech.say(FIRST_JOB, stream, data)

    def begin(self, options: str = "", more: str = "") -> None:
        """
        Follow it, and submit another job behind that.
        """
        self.typist.type(f"tail {options}{ticket(0)}{more}\n0\n")
        self.assertEqual(b"", self.heard(1))


class PlainTests(TailCase):
    """
    For people.
    """

    def test_both(self) -> None:
        """
        All bytes come as they are, and then the result; what stands behind it waits for that.
        """
        self.begin()
        self.say(b"one\ntw")
        self.assertEqual(b"one\ntw", self.heard())
        self.say(b"bad \xff\x00\n", "err")
        self.assertEqual(b"bad \xff\x00\n", self.heard())
        self.say(b"o\n")
        self.assertEqual(b"o\n", self.heard(4 * TICK))
        self.assertEqual([1], self.cluster.batches)
        self.end(b"one\ntwo\n", b"bad")
        said = RESULT % (8, 3) + b": one \xe2\x80\xa6\n" + f"Ticket ID: {ticket(1)}\n".encode()
        self.assertEqual(said, self.heard(1))

    def test_unfinished_line(self) -> None:
        """
        The result is on a line of its own.
        """
        self.begin()
        self.say(b"no end")
        self.end(b"no end")
        self.assertTrue(self.heard(1).startswith(b"no end\nResult: exit code 0"))

    def test_ended(self) -> None:
        """
        Of a job that has ended all comes at once, and of one that put out nothing its result.
        """
        self.end(b"out\n", b"")
        self.typist.type(f"tail {ticket(0)}\n")
        self.assertEqual(b"out\n" + RESULT % (4, 0) + b": out\n", self.heard(1))
        self.typist.type(f"tail {ticket(0)} err\n")
        self.assertEqual(RESULT % (4, 0) + b": out\n", self.heard(1))

    def test_one_stream(self) -> None:
        """
        One stream alone, from an offset on.
        """
        self.say(b"0123456789")
        self.say(b"bad", "err")
        self.typist.type(f"tail {ticket(0)} out 7\n")
        self.assertEqual(b"789", self.heard(1))
        self.say(b"!\n")
        self.assertEqual(b"!\n", self.heard(4 * TICK))

    def test_begun_anew(self) -> None:
        """
        Of another attempt a line tells, and all it puts out follows.
        """
        self.begin()
        self.say(b"on")
        self.assertEqual(b"on", self.heard())
        self.begin_anew()
        self.say(b"one\n")
        said = b"\nIt was started again: this is attempt 2.\none\n"
        self.assertEqual(said, self.heard(1))

    def test_prompt(self) -> None:
        """
        In telnet the byte 0xFF is doubled, and the prompt comes behind the result alone.
        """
        self.typist.type(b"\xff\xfd\x03" + f"tail {ticket(0)}\n".encode())
        self.heard(1)
        self.say(b"a\xffb\n")
        self.assertEqual(b"a\xff\xffb\n", self.heard(4 * TICK))
        self.end()
        self.assertEqual(RESULT % (0, 0) + b"\r\nalpha> ", self.heard(1))


class FramesTests(TailCase):
    """
    For programs.
    """

    def test_frames(self) -> None:
        """
        Ahead of each piece is a line that says what it is, and nothing is added.
        """
        self.begin("--frames ")
        self.say(b"one\ntw")
        self.assertEqual(b"Output: 6 bytes at 0 of attempt 1\none\ntw", self.heard())
        self.say(b"\xff", "err")
        self.assertEqual(b"Errors: 1 bytes at 0 of attempt 1\n\xff", self.heard())
        self.say(b"o")
        self.assertEqual(b"Output: 1 bytes at 6 of attempt 1\no", self.heard(4 * TICK))
        self.begin_anew()
        self.say(b"1")
        self.assertEqual(b"Output: 1 bytes at 0 of attempt 2\n1", self.heard(1))
        self.end(b"1")
        self.assertTrue(self.heard(1).startswith(b"Result: exit code 0"))

    def test_resumed(self) -> None:
        """
        A program goes on where it was; if another attempt runs by then, from its beginning.
        """
        self.say(b"0123456789")
        self.begin_anew()
        self.say(b"abc")
        for attempt, head, data in ((0, b"1 bytes at 2", b"c"), (1, b"3 bytes at 0", b"abc")):
            typist = Typist(self.cluster)
            typist.type(f"tail --frames {ticket(0)} out 2 {attempt}\n")
            typist.advance(1)
            self.assertEqual(b"Output: " + head + b" of attempt 2\n" + data, typist.read_bytes())
            self.assertEqual([], typist.leave_nothing())

    def test_long(self) -> None:
        """
        However much it is, no more of it is asked for than the peer takes, and nothing is lost.
        """
        size = 40 * MOST + 5
        self.say(PATTERN[:MOST] * 40 + PATTERN[:5])
        self.cluster.delay = 0
        self.typist.connection.buffer_size = 65_536
        self.typist.type(f"tail --frames {ticket(0)} out\n")
        taken = 0
        while said := self.typist.read_bytes():
            head, _, data = said.partition(b"\n")
            length = min(MOST, size - taken)
            self.assertEqual(f"Output: {length} bytes at {taken} of attempt 1".encode(), head)
            self.assertEqual(PATTERN[:length], data)
            taken += length
            _, offset, _ = self.cluster.speech.asked[-1]
            self.assertTrue(offset <= taken + MOST)
        self.assertEqual(size, taken)


class EndTests(TailCase):
    """
    What comes to an end in the middle.
    """

    def test_interrupted(self) -> None:
        """
        Ctrl-C ends it, on a line of its own, and nobody listens any more; the job goes on.
        """
        self.begin()
        self.say(b"one")
        said = self.heard()
        self.typist.type(CTRL_C)
        said += self.heard(1)
        self.assertEqual(
            [
                b"one",
                b"Interrupted: not waited for any longer; the job goes on.",
                f"Ticket ID: {ticket(1)}".encode(),
            ],
            said.replace(TIMING_MARK, b"").splitlines(),
        )
        self.assertEqual([], self.cluster.speech.listeners)
        self.assertIsNone(self.cluster.table[FIRST_JOB].outcome)

    def test_interrupted_while_nothing_is_read(self) -> None:
        """
        So it does where the peer does not take what was said.
        """
        self.typist.connection.buffer_size = 1000
        self.begin()
        self.say(b"x" * 2000 + b"\n")
        self.typist.advance(1)
        self.typist.type(CTRL_C)
        said = self.heard(1) + self.heard(1)
        self.assertIn(b"x\n", said)
        self.assertIn(b"Interrupted", said)
        self.assertTrue(said.endswith(f"Ticket ID: {ticket(1)}\n".encode()), said[-100:])

    def test_hung_up(self) -> None:
        """
        For a peer that has gone nothing more is asked.
        """
        self.begin()
        self.say(b"one\n")
        self.heard()
        self.typist.hang_up()
        asked = len(self.cluster.speech.asked)
        self.say(b"two\n")
        self.typist.advance(10)
        self.assertEqual(asked, len(self.cluster.speech.asked))

    def test_half_closed(self) -> None:
        """
        Whoever says no more gets all of it, before the end.
        """
        self.begin()
        self.typist.finish()
        self.say(b"one\n")
        self.assertEqual(b"one\n", self.heard(4 * TICK))
        self.assertFalse(self.typist.is_closed)
        self.end(b"one\n")
        self.assertTrue(self.heard(1).endswith(f"Ticket ID: {ticket(1)}\n".encode()))
        self.assertTrue(self.typist.is_closed)

    def test_failure(self) -> None:
        """
        Where no more of it can be had that is said on a line of its own, and the session goes on.
        """
        self.begin()
        self.say(b"one")
        said = self.heard()
        self.cluster.failure = NodeAwayError()
        said += self.heard(6)
        self.cluster.failure = None
        self.typist.type("0\n")
        said += self.heard(1)
        self.assertTrue(said.startswith(f"one\nError: {NodeAwayError()}\n".encode()), said)
        self.assertIn(b"Ticket ID: ", said)

    def test_unknown(self) -> None:
        """
        What is wrong with the ticket is said at once.
        """
        self.typist.type(f"tail {ticket(7)}\ntail {ticket(0, 'away')}\n")
        [first, second] = self.heard(8 * TICK).decode().splitlines()
        self.assertTrue(first.startswith("Error: This cluster does not know"))
        self.assertEqual(f"Error: {NodeAwayError()}", second)

    def test_node_ends(self) -> None:
        """
        A node that ends says so.
        """
        self.begin()
        self.say(b"one\n")
        self.heard()
        self.typist.factory.leave("The node is stopped.")
        self.assertIn(b"stopped", self.heard(1))
        self.typist.finish()
        self.assertTrue(self.typist.is_closed)
