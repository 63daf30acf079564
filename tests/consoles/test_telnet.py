"""
Sessions on their connections: how they begin, what they look like, how they end.
"""

from jobcluster.consoles.telnet import PROMPTS
from tests.consoles.cases import ConsoleCase
from tests.consoles.rig import TICK, ticket

WILL_ECHO, DONT_ECHO = b"\xff\xfb\x01", b"\xff\xfe\x01"
CTRL_C = b"\xff\xf4\xff\xfd\x06"
TICKET = f"Ticket ID: {ticket(0)}"


class PromptTests(ConsoleCase):
    """
    When there is a prompt.
    """

    def test_none_for_scripts(self) -> None:
        """
        A peer that does not negotiate gets answers alone, in lines as its system has them.
        """
        typist = self.connect()
        typist.type("0\r\n-1\r\n")
        said = self.heard(typist)
        self.assertTrue(said.startswith(f"{TICKET}\nError: '-1'".encode()))
        self.assertNotIn(b"\r", said)
        self.assertNotIn(b"> ", said)

    def test_after_negotiation(self) -> None:
        """
        Once a peer has negotiated it gets a prompt, after each answer too, and telnet's line ends.
        """
        typist = self.connect()
        typist.type(WILL_ECHO)
        self.assertEqual(DONT_ECHO + b"alpha> ", self.heard(typist))
        typist.type(b"0\r\n0\r\n")
        second = ticket(1)
        self.assertEqual(
            f"{TICKET}\r\nalpha> Ticket ID: {second}\r\nalpha> ".encode(), self.heard(typist)
        )
        typist.type(WILL_ECHO)
        self.assertEqual(DONT_ECHO, self.heard(typist))

    def test_after_ctrl_c(self) -> None:
        """
        The timing mark that comes with Ctrl-C is refused, and brings no prompt.
        """
        typist = self.connect()
        typist.type(CTRL_C)
        self.assertEqual(b"\xff\xfc\x06", self.heard(typist))

    def test_option(self) -> None:
        """
        The option has the first word.
        """
        self.assertEqual(b"alpha> ", self.heard(self.connect("on")))
        typist = self.connect("off")
        typist.type(WILL_ECHO)
        self.assertEqual(DONT_ECHO, self.heard(typist))

    def test_verb(self) -> None:
        """
        The verb has the last word, also over what is negotiated later.
        """
        for option in PROMPTS:
            typist = self.connect(option)
            self.heard(typist)
            typist.type("prompt on\n")
            self.assertEqual(b"The prompt is on.\nalpha> ", self.heard(typist))
            typist.type("prompt off\n")
            self.assertEqual(b"The prompt is off.\n", self.heard(typist))
            typist.type(WILL_ECHO)
            self.assertEqual(DONT_ECHO, self.heard(typist))

    def test_lists(self) -> None:
        """
        A list is one answer: the prompt comes after all of it.
        """
        typist = self.connect("on")
        typist.type("0\n0\ngetall\n")
        lines = self.heard(typist, 1).decode().splitlines()
        self.assertEqual(2, sum(line.startswith("alpha> Ticket") for line in lines))
        self.assertTrue(lines[2].startswith(f"alpha> {ticket(0)}"))
        self.assertTrue(lines[3].startswith(ticket(1)))
        self.assertEqual(["Jobs: 2", "alpha> "], lines[4:])


class EndTests(ConsoleCase):
    """
    How sessions end.
    """

    def test_exit(self) -> None:
        """
        C{exit} says good-bye after all answers before it, and closes at once.
        """
        typist = self.connect("on")
        typist.type("500\nexit\n")
        self.assertFalse(typist.is_closed)
        self.assertEqual(f"alpha> {TICKET}\nalpha> Good-bye.\n".encode(), self.heard(typist))
        self.assertTrue(typist.is_closed)

    def test_after_exit(self) -> None:
        """
        What stands behind C{exit} is not run; it is read, so that the last answers arrive.
        """
        typist = self.connect()
        typist.type("exit\n0\n")
        self.assertEqual(b"Good-bye.\n", self.heard(typist, 1))
        self.assertFalse(typist.is_closed)
        typist.type("0\n" * 100_000)
        self.assertTrue(typist.is_read)
        typist.finish()
        self.assertTrue(typist.is_closed)
        self.assertEqual([], typist.cluster.batches)

    def test_after_exit_for_ever(self) -> None:
        """
        Whoever goes on after C{exit} is not listened to for ever.
        """
        typist = self.connect()
        typist.type("exit\nx")
        for _ in range(30):
            typist.type("0\n")
            typist.advance(TICK)
        self.assertFalse(typist.is_closed)
        typist.advance(1)
        self.assertTrue(typist.is_closed)

    def test_half_closed(self) -> None:
        """
        Whoever says no more is answered all that was said, waits included, before the end.
        """
        typist = self.connect()
        typist.type(f"2000\nwait {ticket(0)}\nr{ticket(0)}\n")
        typist.finish()
        self.assertEqual(TICKET.encode() + b"\n", self.heard(typist, 1))
        self.assertFalse(typist.is_closed)
        self.assertEqual(b"Result: slept 2000 ms\n" * 2, self.heard(typist, 2))
        self.assertTrue(typist.is_closed)

    def test_half_closed_with_nothing_open(self) -> None:
        """
        Whoever says no more, and has all answers, is left at once.
        """
        typist = self.connect()
        typist.finish()
        self.assertTrue(typist.is_closed)
        typist = self.connect()
        typist.type("0\n")
        self.heard(typist)
        typist.finish()
        self.assertTrue(typist.is_closed)
        self.assertEqual(b"", self.heard(typist))

    def test_half_closed_flood(self) -> None:
        """
        That holds for more lines than are read at once, and for answers that are read slowly.
        """
        typist = self.connect()
        typist.connection.buffer_size = 10_000
        typist.type("0\n" * 50_000)
        typist.finish()
        answers = 0
        for _ in range(600):
            typist.advance(TICK)
            answers += typist.read().count("Ticket ID")
        self.assertEqual(50_000, answers)
        self.assertTrue(typist.is_closed)

    def test_half_closed_before_all_was_read(self) -> None:
        """
        A transport that has more to say than was asked for loses nothing by it.
        """
        typist = self.connect()
        typist.protocol.dataReceived(b"0\n" * 20_000)
        typist.protocol.readConnectionLost()
        self.assertEqual(20_000, self.heard(typist, 3).count(b"Ticket ID"))
        self.assertTrue(typist.is_closed)

    def test_exit_in_a_flood(self) -> None:
        """
        What stands behind C{exit} is read to its end, though reading had been paused.
        """
        typist = self.connect()
        typist.type("0\n" * 3000 + "exit\n" + "0\n" * 500_000)
        self.assertFalse(typist.is_read)
        self.assertTrue(self.heard(typist, 1).endswith(b"Good-bye.\n"))
        self.assertTrue(typist.is_read)
        self.assertEqual(3000, sum(typist.cluster.batches))

    def test_last_line_without_end(self) -> None:
        """
        A last line without an end is not run, and told so.
        """
        typist = self.connect()
        typist.type("0\n500")
        typist.finish()
        [first, second] = self.heard(typist).decode().splitlines()
        self.assertEqual(TICKET, first)
        self.assertTrue(second.startswith("Error: the last line was not run"))
        self.assertEqual([1], typist.cluster.batches)
        self.assertTrue(typist.is_closed)

    def test_hung_up(self) -> None:
        """
        Half a line and a dropped connection run nothing.
        """
        typist = self.connect()
        typist.type("500")
        typist.hang_up()
        self.assertEqual([], typist.cluster.batches)

    def test_node_ends(self) -> None:
        """
        Where the node ends, all sessions end, with a word, whatever they wait for.
        """
        typist = self.connect()
        typist.type(f"500\nwait {ticket(0)}\n0\n")
        self.heard(typist)
        typist.factory.leave("The node is stopped.")
        self.assertEqual(b"The node is stopped.\n", self.heard(typist))
        typist.finish()
        self.assertTrue(typist.is_closed)
        typist.hang_up()
        typist.factory.leave("Again.")
        self.assertEqual(b"", self.heard(typist))


class KeyTests(ConsoleCase):
    """
    The keys of a telnet client.
    """

    def test_ctrl_d(self) -> None:
        """
        Ctrl-D on an empty line, which comes alone, ends the session.
        """
        for key in (b"\x04", b"\xff\xec"):
            typist = self.connect()
            typist.type(b"0\r\n" + key)
            self.assertEqual(f"{TICKET}\nGood-bye.\n".encode(), self.heard(typist, 1))
            self.assertTrue(typist.is_closed)

    def test_ctrl_d_in_junk(self) -> None:
        """
        Where more follows it is junk, and the session goes on.
        """
        typist = self.connect()
        typist.type(b"\x04")
        typist.advance(TICK)
        typist.type(b"\x01\nhelp exit\n")
        error, answer = self.heard(typist, 1).splitlines()
        self.assertTrue(error.startswith(b"Error: the line was not run"))
        self.assertTrue(answer.startswith(b"exit:"))
        self.assertFalse(typist.is_closed)

    def test_ctrl_c(self) -> None:
        """
        Ctrl-C ends the waiting and drops what was typed.
        """
        typist = self.connect()
        typist.type(f"9000\r\nwait {ticket(0)}\r\n")
        self.heard(typist, 4 * TICK)
        typist.type(b"500" + CTRL_C + b"help exit\r\n")
        said = self.heard(typist).replace(b"\xff\xfc\x06", b"").splitlines()
        self.assertTrue(said[0].startswith(b"Interrupted"))
        self.assertTrue(said[1].startswith(b"exit:"))
        self.assertEqual([1], typist.cluster.batches)
