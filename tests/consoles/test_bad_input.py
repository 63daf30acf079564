"""
What nobody should send, and what speaks another protocol.
"""

from jobcluster.consoles.lines import LINE_LIMIT
from tests.consoles.cases import ConsoleCase
from tests.consoles.rig import ticket

WILL_ECHO = b"\xff\xfb\x01"
TICKET = f"Ticket ID: {ticket(0)}"


class BadInputTests(ConsoleCase):
    """
    What nobody should send.
    """

    def test_one_line_each(self) -> None:
        """
        Each bad line has one line of error, and the session goes on.
        """
        bad = [
            b"",
            b" ",
            b"\0",
            b"\x00\x01\x02",
            b"\x80\x81",
            b"-1",
            b"9" * 30,
            b"9" * 100_000,
            "\u0663\u0664".encode(),
            b"1.5",
            b"frobnicate",
            b"status",
            b"status x",
            b"r12",
            f"r{ticket(5)}".encode(),
            b"list x",
            b"x" * LINE_LIMIT,
        ]
        typist = self.connect()
        typist.type(b"0\n" + b"\n".join(bad) + b"\n0\n")
        lines = self.heard(typist, 1).decode().splitlines()
        self.assertEqual(len(bad) + 2, len(lines))
        self.assertTrue(all(line.startswith("Error: ") for line in lines[1:-1]))
        self.assertTrue(lines[-1].startswith("Ticket ID"))
        self.assertTrue(all(len(line) < 250 for line in lines))

    def test_endless_line(self) -> None:
        """
        A line without an end is answered and ends the session; what was before it is answered.
        """
        typist = self.connect()
        typist.type(b"0\n" + b"x" * 1_000_000)
        self.assertTrue(typist.is_read)
        first, second = self.heard(typist).decode().splitlines()
        self.assertEqual(TICKET, first)
        self.assertIn("more than 262144 bytes", second)
        self.assertFalse(typist.is_closed)
        typist.finish()
        self.assertTrue(typist.is_closed)

    def test_foreign(self) -> None:
        """
        What speaks another protocol runs nothing, however it comes, and is told so.
        """
        body = b"Host: localhost\r\nContent-Length: 20\r\n\r\n100\r\n200\r\nexit\r\n"
        for greeting in (
            b"POST / HTTP/1.1\r\n",
            b"100 / HTTP/1.1\r\n",
            b"\r\nexit / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\x00\n100\n",
        ):
            for size in (1, 7, 1000):
                typist = self.connect()
                whole = greeting + body
                for at in range(0, len(whole), size):
                    typist.type(whole[at : at + size])
                lines = [line for line in self.heard(typist).splitlines() if b"empty" not in line]
                self.assertEqual(1, len(lines), lines)
                self.assertIn(b"nothing was run", lines[0])
                self.assertEqual([], typist.cluster.asked)
                typist.advance(2)
                self.assertTrue(typist.is_closed)

    def test_flood_of_requests(self) -> None:
        """
        Whoever only negotiates, and does not read, is not heard for ever.
        """
        typist = self.connect()
        typist.connection.buffer_size = 10_000
        typist.type(WILL_ECHO * 1000 + b"0\n" * 200_000)
        typist.advance(2)
        self.assertFalse(typist.is_read)
