"""
What commands have put out, where that is little; and their results.
"""

from functools import partial

from jobcluster.core.values import Outcome, Status
from jobcluster.errors import OutputMissingError
from tests.consoles.outputs import OutputCase
from tests.consoles.rig import FIRST_JOB, TICK, ticket

BINARY = b"a\r\n\x00\xff\xff\n\x80 \xff"
WILL_ECHO = b"\xff\xfb\x01"


def cut(whole: bytes, offset: int, limit: int) -> bytes:
    """
    A piece of this.
    """
    return whole[offset : offset + limit]


class SmallTests(OutputCase):
    """
    Output that comes with the outcome.
    """

    def test_both_streams(self) -> None:
        """
        A line has both sizes, and both streams follow as they are; nothing more is asked.
        """
        self.end(BINARY, b"error\xff")
        self.typist.type(f"output {ticket(0)}\n")
        self.assertEqual(b"Output: 10 bytes, 6 bytes\n" + BINARY + b"error\xff", self.heard())
        self.assertEqual([f"view {ticket(0)}"], self.cluster.asked)
        self.assertEqual(1, self.typist.connection.writes)

    def test_none(self) -> None:
        """
        A command that was silent, and a sleep, have no bytes.
        """
        self.end()
        self.typist.type("0\n")
        self.heard()
        for number in (0, 1):
            self.typist.type(f"output {ticket(number)}\n")
            self.assertEqual(b"Output: 0 bytes, 0 bytes\n", self.heard())
        self.assertEqual([], self.cluster.pieces)

    def test_not_ended(self) -> None:
        """
        A job that has not ended is said not to have, as C{result} says it.
        """
        self.typist.type(f"output {ticket(0)}\nresult {ticket(0)}\n")
        first, second = self.heard(4 * TICK).splitlines()
        self.assertEqual(b"The job was not executed yet: it is running on beta (attempt 1).", first)
        self.assertEqual(first, second)

    def test_unknown(self) -> None:
        """
        Tickets of nobody and of a node that is away have their line of error.
        """
        self.typist.type(f"output {ticket(7)}\noutput {ticket(0, 'away')}\n")
        first, second = self.heard(4 * TICK).splitlines()
        self.assertTrue(first.startswith(b"Error: This cluster does not know"))
        self.assertTrue(second.startswith(b"Error: The node that this ticket came from is away"))

    def test_order(self) -> None:
        """
        It is answered in its turn, and what is behind it is begun after it.
        """
        self.typist.type(
            f"wait {ticket(0)}\noutput {ticket(0)}\nhelp exit\nx\nwait {ticket(0)}\n0\n"
        )
        self.assertEqual(b"", self.heard(1))
        self.end(BINARY)
        self.typist.advance(1)
        said = self.typist.read_bytes()
        first, rest = said.split(b"\n", 1)
        self.assertTrue(first.startswith(b"Result: exit code 0"))
        head = b"Output: 10 bytes, 0 bytes\n" + BINARY
        self.assertTrue(rest.startswith(head), rest)
        lines = rest[len(head) :].decode().splitlines()
        self.assertEqual(
            ["exit:", "Error:", "Result:", "Ticket"], [line.split()[0] for line in lines]
        )

    def test_slow_view(self) -> None:
        """
        Errors that are known at once wait for their turn behind it.
        """
        self.end(b"out")
        self.typist.type(f"output {ticket(0)}\nx\n")
        self.assertEqual(b"", self.heard(TICK))
        self.assertTrue(self.heard(TICK).startswith(b"Output: 3 bytes, 0 bytes\noutError: 'x'"))

    def test_prompt(self) -> None:
        """
        A prompt comes behind all of it, and nowhere else.
        """
        self.end(b"out", b"err")
        self.typist.type("prompt on\n")
        self.heard()
        self.typist.type(f"output {ticket(0)}\n")
        self.assertEqual(b"Output: 3 bytes, 3 bytes\nouterralpha> ", self.heard())
        self.typist.type(f"output {ticket(1)}\n")
        self.assertTrue(self.heard().endswith(b"that ticket.\nalpha> "))

    def test_telnet(self) -> None:
        """
        Once telnet was negotiated 0xFF is doubled, and no other byte is changed.
        """
        self.end(BINARY, b"\xff\n")
        self.typist.type(b"prompt off\n" + WILL_ECHO)
        self.heard()
        self.typist.type(f"output {ticket(0)}\n")
        self.assertEqual(
            b"Output: 10 bytes, 2 bytes\r\n" + (BINARY + b"\xff\n").replace(b"\xff", b"\xff\xff"),
            self.heard(),
        )


class ResultTests(OutputCase):
    """
    Results of commands with much output.
    """

    def results(self, out: bytes, err: bytes, outcome: Outcome) -> list[str]:
        """
        What C{result} and C{wait} answer for output that is in files.
        """
        for stream, whole in (("out", out), ("err", err)):
            self.cluster.files[ticket(0), stream] = partial(cut, whole)
        self.cluster.end(FIRST_JOB, outcome._replace(out_size=len(out), err_size=len(err)))
        self.typist.type(f"result {ticket(0)}\nwait {ticket(0)}\n")
        return self.heard(1).decode().splitlines()

    def test_succeeded(self) -> None:
        """
        The first line of standard output is asked for, and no more than is needed for it.
        """
        answer = "Result: exit code 0, output 100004 bytes, errors 3 bytes: one …"
        said = self.results(b"one\n" + b"x" * 100_000, b"abc", Outcome(Status.SUCCEEDED, 0))
        self.assertEqual([answer] * 2, said)
        self.assertEqual([("out", 0, 1024)] * 2, self.cluster.pieces)

    def test_failed(self) -> None:
        """
        The last line of standard error is, wherever that ends.
        """
        answer = "Result: failed (exit code 1), output 0 bytes, errors 100005 bytes: last"
        said = self.results(b"", b"x" * 100_000 + b"\nlast", Outcome(Status.FAILED, 1))
        self.assertEqual([answer] * 2, said)
        self.assertEqual([("err", 98_981, 1024)] * 2, self.cluster.pieces)

    def test_short_error(self) -> None:
        """
        Also if that is short, and the other stream is not.
        """
        answer = "Result: failed (exit code 1), output 100000 bytes, errors 4 bytes: last"
        said = self.results(b"x" * 100_000, b"last", Outcome(Status.FAILED, 1))
        self.assertEqual([answer] * 2, said)

    def test_missing(self) -> None:
        """
        A result is one without it.
        """
        self.end_large(100_000, 0)

        def missing(offset: int, limit: int) -> bytes:
            raise OutputMissingError

        self.cluster.files[ticket(0), "out"] = missing
        self.typist.type(f"result {ticket(0)}\n")
        self.assertEqual(
            b"Result: exit code 0, output 100000 bytes, errors 0 bytes\n", self.heard(1)
        )
