"""
What commands have put out, where that is much.
"""

from hashlib import sha256

from jobcluster.errors import NodeAwayError, OutputMissingError, StoreFailedError
from tests.consoles.outputs import PATTERN, OutputCase, pattern
from tests.consoles.rig import MOST, TICK, ticket
from tests.consoles.typist import Typist

WILL_ECHO, DONT_ECHO = b"\xff\xfb\x01", b"\xff\xfe\x01"


class LargeTests(OutputCase):
    """
    Output that is asked for in pieces.
    """

    def test_pieces(self) -> None:
        """
        It is asked for in pieces, stream after stream, and put together without a seam.
        """
        out_size, err_size = 2 * MOST + 5, 70_000
        self.end_large(out_size, err_size)
        self.typist.type(f"output {ticket(0)}\n")
        said = self.heard(1)
        line, _, data = said.partition(b"\n")
        self.assertEqual(f"Output: {out_size} bytes, {err_size} bytes".encode(), line)
        whole = PATTERN[: 2 * MOST + 5 - 2 * MOST]
        self.assertEqual(PATTERN[:MOST] * 2 + whole + PATTERN[:err_size], data)
        self.assertEqual(
            [("out", 0, MOST), ("out", MOST, MOST), ("out", 2 * MOST, 5), ("err", 0, err_size)],
            self.cluster.pieces,
        )

    def test_one_stream(self) -> None:
        """
        Of an empty stream nothing is asked, nor beyond the end of one that ends with a piece.
        """
        self.end_large(0, 2 * MOST)
        self.typist.type(f"output {ticket(0)}\n0\n")
        self.assertTrue(self.heard(1).endswith(f"\xffTicket ID: {ticket(1)}\n".encode("latin-1")))
        self.assertEqual([("err", 0, MOST), ("err", MOST, MOST)], self.cluster.pieces)

    def test_short_pieces(self) -> None:
        """
        Pieces that are shorter than was asked for are put together as well.
        """
        self.end_large(100_000, 0)
        self.cluster.files[ticket(0), "out"] = lambda offset, limit: pattern(
            offset, min(limit, 30_000), 100_000
        )
        self.typist.type(f"output {ticket(0)}\n")
        self.assertTrue(self.heard(1).endswith(b"\n" + PATTERN[:100_000]))

    def test_slow_reader(self) -> None:
        """
        However much it is, no more of it is asked for than the peer takes, and nothing is lost.
        """
        size = 64 * 1024 * 1024 + 12_345
        self.end_large(size, 0)
        self.cluster.delay = 0
        self.typist.connection.buffer_size = 65_536
        self.typist.type(f"output {ticket(0)}\n0\n")
        taken, count = sha256(), 0
        while said := self.typist.read_bytes():
            self.assertTrue(len(said) <= 2 * MOST)
            if not count:
                said = said.removeprefix(f"Output: {size} bytes, 0 bytes\n".encode())
            if count + len(said) > size:
                self.assertEqual(f"Ticket ID: {ticket(1)}\n".encode(), said[size - count :])
                said = said[: size - count]
            taken.update(said)
            count += len(said)
            # What was asked for, and is not taken: one piece that is on its way, one that is here.
            _, offset, limit = self.cluster.pieces[-1]
            self.assertTrue(offset + limit - count <= 2 * MOST)
        wanted = sha256()
        for offset in range(0, size, MOST):
            wanted.update(pattern(offset, MOST, size))
        self.assertEqual(wanted.hexdigest(), taken.hexdigest())

    def test_no_reader(self) -> None:
        """
        For a peer that takes nothing one piece is asked for, and lines behind it are not begun.
        """
        self.end_large(100 * MOST, 0)
        self.typist.connection.buffer_size = 65_536
        self.typist.type(f"output {ticket(0)}\n0\n")
        self.typist.advance(10)
        self.assertEqual([("out", 0, MOST)], self.cluster.pieces)
        self.assertEqual([1], self.cluster.batches)

    def test_many_pieces_at_once(self) -> None:
        """
        Pieces that are there at once do not pile up.
        """
        self.end_large(3000, 0)
        self.cluster.files[ticket(0), "out"] = lambda offset, _: PATTERN[offset % 256 :][:1]
        self.cluster.delay = 0
        self.typist.type(f"output {ticket(0)}\n")
        self.assertTrue(self.typist.read_bytes().endswith(b"\n" + PATTERN[:3000]))

    def test_telnet(self) -> None:
        """
        What is negotiated meanwhile is answered behind the bytes, and counts for what follows.
        """
        self.end_large(3 * MOST, 0)
        self.typist.type(f"output {ticket(0)}\n")
        said = self.heard(4 * TICK)
        self.typist.type(WILL_ECHO * 5000 + f"output {ticket(0)}\n".encode())
        said += self.heard(6 * TICK)
        self.typist.advance(2)
        said += self.typist.read_bytes()
        head = f"Output: {3 * MOST} bytes, 0 bytes".encode()
        first = head + b"\n" + PATTERN[:MOST] * 3
        self.assertTrue(said.startswith(first + DONT_ECHO))
        refusals, _, second = said[len(first) :].partition(b"alpha> ")
        # Of a flood of them some are.
        self.assertTrue(len(refusals) <= 2 * 768)
        self.assertEqual(b"", refusals.replace(DONT_ECHO, b""))
        doubled = (PATTERN[:MOST] * 3).replace(b"\xff", b"\xff\xff")
        self.assertEqual(head + b"\r\n" + doubled + b"alpha> ", second)


class EndTests(OutputCase):
    """
    What comes to an end in the middle.
    """

    def begin(self) -> bytes:
        """
        Ask for three pieces, and take the first.
        """
        self.end_large(3 * MOST, 0)
        self.typist.type(f"output {ticket(0)}\n0\n")
        return self.heard(4 * TICK)

    def test_half_closed(self) -> None:
        """
        Whoever says no more gets all of it, and the answers behind it, before the end.
        """
        said = self.begin()
        self.assertTrue(len(said) < 2 * MOST)
        self.typist.finish()
        self.assertFalse(self.typist.is_closed)
        said += self.heard(1)
        self.assertTrue(self.typist.is_closed)
        self.assertTrue(
            said.endswith(PATTERN[:MOST] * 3 + f"Ticket ID: {ticket(1)}\n".encode()), said[-50:]
        )

    def test_half_closed_and_slow(self) -> None:
        """
        The same where the peer reads slowly.
        """
        self.typist.connection.buffer_size = 65_536
        said = self.begin()
        self.typist.finish()
        for _ in range(10):
            said += self.heard()
        self.assertTrue(self.typist.is_closed)
        self.assertTrue(said.endswith(f"\xffTicket ID: {ticket(1)}\n".encode("latin-1")))

    def test_hung_up(self) -> None:
        """
        For a peer that has gone nothing more is asked, whether a piece is on its way or waits.
        """
        for buffer_size in (float("inf"), 65_536):
            typist = Typist(self.cluster)
            typist.connection.buffer_size = buffer_size
            if not self.cluster.files:
                self.end_large(100 * MOST, 0)
            typist.type(f"output {ticket(0)}\n0\n")
            typist.advance(4 * TICK)
            asked, writes = list(self.cluster.asked), typist.connection.writes
            self.assertIn(f"output {ticket(0)}", asked)
            typist.hang_up()
            typist.advance(1)
            self.assertEqual(asked, self.cluster.asked)
            self.assertEqual(writes, typist.connection.writes)
            self.assertEqual([], typist.leave_nothing())

    def test_hung_up_early(self) -> None:
        """
        The same before the first piece has come: nothing is said then.
        """
        self.end_large(3 * MOST, 0)
        typist = Typist(self.cluster)
        typist.type(f"output {ticket(0)}\n")
        typist.advance(3 * TICK)
        self.assertEqual([("out", 0, MOST)], self.cluster.pieces)
        typist.hang_up()
        typist.advance(1)
        self.assertEqual(b"", typist.read_bytes())
        self.assertEqual([("out", 0, MOST)], self.cluster.pieces)
        self.assertEqual([], typist.leave_nothing())

    def test_broken_off(self) -> None:
        """
        Where some of the promised bytes cannot be had the connection ends, without a word: it
        would be taken for output.
        """
        for failure in (NodeAwayError(), StoreFailedError(), ZeroDivisionError()):
            typist = Typist(self.cluster, "on")
            if not self.cluster.files:
                self.end_large(3 * MOST, 0)
            typist.type(f"output {ticket(0)}\n")
            typist.advance(4 * TICK)
            self.cluster.failure = failure
            typist.advance(1)
            self.cluster.failure = None
            self.assertTrue(typist.is_closed)
            said = typist.read_bytes()
            head = b"alpha> " + f"Output: {3 * MOST} bytes, 0 bytes\n".encode()
            self.assertEqual(head + PATTERN[:MOST] * ((len(said) - len(head)) // MOST), said)
            self.assertTrue(MOST < len(said) < 3 * MOST)
            self.assertEqual([], typist.leave_nothing())
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_broken_off_at_once(self) -> None:
        """
        The same where everything is known at once: no prompt and no refusal is among the bytes.
        """
        self.end_large(3 * MOST, 0)

        def missing(offset: int, limit: int) -> bytes:
            if offset:
                raise OutputMissingError
            return pattern(offset, limit, MOST)

        self.cluster.files[ticket(0), "out"] = missing
        self.cluster.delay = 0
        typist = Typist(self.cluster, "on")
        typist.type(f"output {ticket(0)}\n")
        head = f"alpha> Output: {3 * MOST} bytes, 0 bytes\n".encode()
        self.assertEqual(head + PATTERN[:MOST], typist.read_bytes())
        self.assertTrue(typist.is_closed)
        self.assertEqual([], typist.leave_nothing())

    def test_broken_off_with_lines_behind(self) -> None:
        """
        What stands behind it is not run then.
        """
        self.begin()
        self.cluster.files[ticket(0), "out"] = lambda offset, limit: b""
        self.heard(1)
        self.typist.finish()
        self.assertTrue(self.typist.is_closed)
        self.assertEqual([1], self.cluster.batches)

    def test_too_much(self) -> None:
        """
        More bytes than were asked for break the promise as well.
        """
        self.begin()
        self.cluster.files[ticket(0), "out"] = lambda offset, limit: PATTERN[: limit + 1]
        said = self.heard(1)
        self.assertEqual(said, PATTERN[:MOST] * (len(said) // MOST))
        self.typist.finish()
        self.assertTrue(self.typist.is_closed)

    def test_missing_from_the_start(self) -> None:
        """
        Where not even the first piece can be had that is said, and the session goes on.
        """
        self.end_large(3 * MOST, 0)

        def missing(offset: int, limit: int) -> bytes:
            raise OutputMissingError

        self.cluster.files[ticket(0), "out"] = missing
        self.typist.type(f"output {ticket(0)}\n0\n")
        self.assertEqual(
            [f"Error: {OutputMissingError()}", f"Ticket ID: {ticket(1)}"],
            self.heard(1).decode().splitlines(),
        )

    def test_node_ends(self) -> None:
        """
        A node that ends has no last word among the bytes.
        """
        said = self.begin()
        self.typist.factory.leave("The node is stopped.")
        said += self.heard(1)
        self.assertNotIn(b"stopped", said)
        self.typist.finish()
        self.assertTrue(self.typist.is_closed)
        self.assertEqual([1], self.cluster.batches)

    def test_interrupted(self) -> None:
        """
        Ctrl-C does not end it: the bytes were promised.
        """
        said = self.begin()
        self.typist.type(b"\xff\xf4\xff\xfd\x06")
        said += self.heard(1)
        tail = b"\xff\xfc\x06" + f"Ticket ID: {ticket(1)}\n".encode()
        self.assertTrue(said.endswith(PATTERN[:MOST] * 3 + tail), said[-50:])
