"""
Lines and telnet commands, out of bytes.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.lines import LINE_LIMIT, Item, LineFilter, Mark

END, FOREIGN, UNREADABLE = Mark.END, Mark.FOREIGN, Mark.UNREADABLE
IAC_IP, IAC_EOF, IAC_SB, IAC_SE = b"\xff\xf4", b"\xff\xec", b"\xff\xfa", b"\xff\xf0"
WILL_ECHO, WONT_ECHO, DO_ECHO, DONT_ECHO = (bytes((255, code, 1)) for code in range(251, 255))


def read(*pieces: bytes) -> list[Item]:
    """
    Feed these to a filter, and return all that it found.
    """
    lines = LineFilter()
    return [item for piece in pieces for item in lines.feed(piece)]


def read_to_end(pieces: Sequence[bytes]) -> tuple[list[Item], bytes]:
    """
    The same to the end of the input, with what the peer was answered.
    """
    lines = LineFilter()
    found = [item for piece in pieces for item in lines.feed(piece)]
    return found + lines.end(), lines.take_refusals()


class LineTests(SynchronousTestCase):
    """
    Where lines end, and which of them can be read.
    """

    def test_endings(self) -> None:
        """
        Each of the line endings ends one line, in any mixture.
        """
        self.assertEqual(
            ["a", "b", "c", "d", "", "e", "", "f"],
            read(b"a\nb\r\nc\r\0d\r\re\n\nf\r"),
        )

    def test_lone_return_ends_at_once(self) -> None:
        """
        A carriage return does not wait for what may follow.
        """
        lines = LineFilter()
        self.assertEqual(["a"], lines.feed(b"a\r"))
        self.assertEqual([], lines.feed(b"\n"))
        self.assertEqual(["b"], lines.feed(b"b\n"))

    def test_unreadable(self) -> None:
        """
        A line with control characters, or not in UTF-8, is known as such, and only that line.
        """
        for junk in (b"\0", b"\x1b[A", b"\x7f", b"\x80", b"\xc3", b"\xc2\x85", b"\xe2\x80\xa8"):
            self.assertEqual(
                ["before", UNREADABLE, "after"], read(b"before\nx" + junk + b"\nafter\n")
            )

    def test_text(self) -> None:
        """
        Tabs and letters of any script can be read, even where a piece ends within a letter.
        """
        typed = "\tdéjà vu\u00a0私\n".encode()
        for cut in range(len(typed)):
            self.assertEqual(["\tdéjà vu\u00a0私"], read(typed[:cut], typed[cut:]))

    def test_commands(self) -> None:
        """
        A line that begins with C{run} has the bytes that were typed, but for ASCII's controls.
        """
        for word in (b"\x80", b"\xc3", b"\xc2\x85", b"\xe2\x80\xa8", b"\xfe", b"\xed\xb2\x80"):
            for verb in (b"run ", b" \tRun\t"):
                [line] = read(b"0\n" + verb + word + b"\n")[1:]
                if not isinstance(line, str):
                    self.fail(f"{word!r} cannot be read")
                self.assertEqual(verb + word, line.encode("utf-8", "surrogateescape"))
        for junk in (b"run \0", b"run \x1b[A", b"run\x80", b"runs \x80", b"x run \x80"):
            self.assertEqual([UNREADABLE, "after"], read(junk + b"\nafter\n"))

    def test_commands_after_junk(self) -> None:
        """
        A byte 0xFF in it is sent twice; once it damages the line.
        """
        self.assertEqual(["run \udcff"], read(b"run \xff\xff\n"))
        self.assertEqual([UNREADABLE], read(b"run \xff1\n"))

    def test_commands_do_not_hide_telnet(self) -> None:
        """
        Whoever typed such a command may negotiate later: it was no junk.
        """
        items = read(b"run \x80\n" + WILL_ECHO)
        self.assertEqual(["run \udc80", Mark.NEGOTIATED], items)

    def test_limit(self) -> None:
        """
        A line may be as long as the limit, and not longer, with an end or without.
        """
        line = "x" * LINE_LIMIT
        self.assertEqual([line, "y"], read(line.encode() + b"\ny\n"))
        for end in (b"", b"\ny\n"):
            self.assertEqual(["z", Mark.TOO_LONG], read(b"z\n" + line.encode() + b"x" + end))

    def test_unfinished(self) -> None:
        """
        A last line without an end is told from none.
        """
        self.assertEqual(["a", END], read_to_end([b"a\n"])[0])
        self.assertEqual(["a", Mark.UNFINISHED, END], read_to_end([b"a\nb"])[0])
        self.assertEqual(["a", Mark.UNFINISHED, END], read_to_end([b"a\n" + IAC_SB])[0])

    def test_nothing_after_the_end(self) -> None:
        """
        After the end there is nothing.
        """
        lines = LineFilter()
        self.assertEqual([END], lines.end())
        self.assertEqual([], lines.feed(b"a\n\xff\xfb\x01b\n"))
        self.assertEqual([], lines.end())


class ForeignTests(SynchronousTestCase):
    """
    Peers of other protocols.
    """

    def test_first_line(self) -> None:
        """
        What another protocol begins with ends the session, whatever comes in the same piece.
        """
        for greeting in (
            b"GET / HTTP/1.1\r\n",
            b"POST /x HTTP/1.0\r\n",
            b"OPTIONS * HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n",
            b"sleep /x HTTP/1.1\r\n",
            b"x-my-method /a b HTTP/3\n",
            b"POST /\xff\xfa HTTP/1.1\r\n",
            b"DELETE /index.html\r\n",
            b"GET /\x01\x80 HTTP/1.1\r",
            b"\r\n\r\nPOST / HTTP/1.1\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x16\x03\x01\x02\x00\x01\n100\n",
        ):
            found = read(greeting + b"Host: x\r\n\r\n100\nexit\n")
            self.assertEqual([FOREIGN], [item for item in found if item != ""], greeting)
            self.assertEqual(found, read(*(bytes((byte,)) for byte in greeting)))

    def test_before_the_line_ends(self) -> None:
        """
        A TLS handshake is known by its first bytes: it may have no line for long.
        """
        self.assertEqual([FOREIGN], read(b"\x16", b"\x03"))

    def test_lines_that_are_not(self) -> None:
        """
        Lines that have something of HTTP are lines, and so is everything after the first one.
        """
        for line in (
            "run grep 'GET / HTTP/1.1' log",
            "getall HTTP",
            "HTTP/1.1",
            "POST",
        ):
            self.assertEqual([line], read(line.encode() + b"\n"))
        self.assertEqual(["100", "GET / HTTP/1.1"], read(b"100\nGET / HTTP/1.1\n"))


class TelnetTests(SynchronousTestCase):
    """
    Telnet's commands.
    """

    def test_refused(self) -> None:
        """
        Each request for an option is refused, and nothing else is answered.
        """
        requests = WILL_ECHO + DO_ECHO + WONT_ECHO + DONT_ECHO
        items, refusals = read_to_end([b"10" + requests + b"0\n"])
        self.assertEqual([Mark.NEGOTIATED, "100", END], items)
        self.assertEqual(DONT_ECHO + WONT_ECHO, refusals)

    def test_junk_does_not_negotiate(self) -> None:
        """
        What looks like a request among junk is refused, and taken for no more than junk.
        """
        items, refusals = read_to_end([b"\x01\n" + WILL_ECHO + b"100\n"])
        self.assertEqual([UNREADABLE, "100", END], items)
        self.assertEqual(DONT_ECHO, refusals)

    def test_refusals_are_taken_once(self) -> None:
        """
        A refusal is answered once.
        """
        lines = LineFilter()
        lines.feed(DO_ECHO)
        self.assertEqual(WONT_ECHO, lines.take_refusals())
        self.assertEqual(b"", lines.take_refusals())

    def test_two_of_us(self) -> None:
        """
        Two that refuse everything have nothing more to say to each other.
        """
        _, refusals = read_to_end([WILL_ECHO + DO_ECHO])
        self.assertEqual(b"", read_to_end([refusals])[1])

    def test_timing_mark(self) -> None:
        """
        A timing mark, which comes with Ctrl-C, is answered, and is no negotiation.
        """
        items, refusals = read_to_end([IAC_IP + b"\xff\xfd\x06"])
        self.assertEqual([Mark.INTERRUPT, END], items)
        self.assertEqual(b"\xff\xfc\x06", refusals)

    def test_ignored(self) -> None:
        """
        Commands that mean nothing here vanish, within an ending too.
        """
        self.assertEqual(["100", "200"], read(b"1\xff\xf100\r\xff\xf9\n\xff\xf2200\n"))

    def test_doubled(self) -> None:
        """
        A doubled 0xFF is that byte, which is not UTF-8.
        """
        self.assertEqual([UNREADABLE, "a"], read(b"1\xff\xff\na\n"))

    def test_subnegotiation(self) -> None:
        """
        A subnegotiation vanishes, with what is in it.
        """
        terminal = IAC_SB + b"\x18\x00xterm\xff\xff" + IAC_SE
        self.assertEqual(["100"], read(b"10" + terminal + b"0\n"))

    def test_subnegotiation_without_end(self) -> None:
        """
        One that never ends costs the line that it is in, and no other; it is not taken for ever.
        """
        self.assertEqual([UNREADABLE, "200"], read(b"100" + IAC_SB + b"abc\n200\n"))
        self.assertEqual([UNREADABLE, "200"], read(IAC_SB + b"a" * 5000 + b"\n200\n"))
        self.assertEqual([Mark.TOO_LONG], read(IAC_SB + b"a" * 2 * LINE_LIMIT))

    def test_unknown_command(self) -> None:
        """
        0xFF before what is no command costs its line.
        """
        self.assertEqual([UNREADABLE, UNREADABLE, "200"], read(b"a\xffb\nc\xff\n200\n"))

    def test_interrupt(self) -> None:
        """
        Ctrl-C drops the line that has begun; in junk it is nothing.
        """
        self.assertEqual([Mark.INTERRUPT, "200"], read(b"100" + IAC_IP + b"200\n"))
        self.assertEqual([UNREADABLE, "200"], read(b"\x01\n" + IAC_IP + b"200\n"))

    def test_end_of_file_key(self) -> None:
        """
        Ctrl-D alone in its line is seen, whether typed as a letter or as telnet's command for it.
        """
        for key in (b"\x04", IAC_EOF):
            lines = LineFilter()
            lines.feed(b"100\n" + key)
            self.assertTrue(lines.ending)
            self.assertEqual([END], lines.end())
            self.assertFalse(lines.ending)
            lines = LineFilter()
            lines.feed(key + b"x")
            self.assertFalse(lines.ending)


PIECES = st.lists(
    st.binary(max_size=20)
    | st.sampled_from(
        [
            b"\r",
            b"\n",
            b"\0",
            b"100\r\n",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            WILL_ECHO,
            DONT_ECHO,
            IAC_IP,
            IAC_EOF,
            IAC_SB,
            IAC_SE,
            b"\xff",
            b"x" * LINE_LIMIT,
        ]
    ),
    max_size=12,
)


class AnyBytesTests(SynchronousTestCase):
    """
    Whatever comes, however it is cut.
    """

    @given(PIECES, st.lists(st.integers(min_value=1, max_value=300), max_size=8))
    def test_cuts(self, pieces: list[bytes], cuts: list[int]) -> None:
        """
        No bytes raise anything, and where they are cut makes no difference.
        """
        whole = b"".join(pieces)
        parts, at = [], 0
        for cut in cuts:
            parts.append(whole[at : at + cut])
            at += cut
        self.assertEqual(read_to_end([whole]), read_to_end([*parts, whole[at:]]))

    @given(st.binary(max_size=200))
    def test_single_bytes(self, whole: bytes) -> None:
        """
        The same holds for one byte at a time.
        """
        single = [bytes((byte,)) for byte in whole]
        self.assertEqual(read_to_end([whole]), read_to_end(single))

    @given(st.lists(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"])), max_size=5))
    def test_text_comes_through(self, lines: list[str]) -> None:
        """
        What was typed is what is read.
        """
        typed = "".join(f"{line}\r\n" for line in ["help", *lines]).encode()
        self.assertEqual(["help", *lines], read(typed))

    @given(st.binary(max_size=200))
    def test_after_junk(self, junk: bytes) -> None:
        """
        After any junk, but for what ends a session, a line is read.
        """
        found = read(b"0\n" + junk + b"\n\nhelp\n")
        self.assertEqual("help", found[-1])
