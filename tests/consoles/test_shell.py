"""
Command lines and their words.
"""

import shlex

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.shell import join, quote, split
from jobcluster.errors import UserError

LETTERS = st.sampled_from(list("ab \t'\"\\$#\u00ff\u0080;=-"))
"""Those that mean something, and some that do not."""


class SplitTests(SynchronousTestCase):
    """
    L{split}.
    """

    def test_words(self) -> None:
        """
        Blanks part words, and quotes join them.
        """
        for line, words in (
            (b"", []),
            (b" \t ", []),
            (b"ls  -l\t/tmp ", [b"ls", b"-l", b"/tmp"]),
            (b"a'b c'd", [b"ab cd"]),
            (b"'' \"\"", [b"", b""]),
            (b"'\"' \"'\" \\' \\\"", [b'"', b"'", b"'", b'"']),
            (b"a\\ b \\\\ c\\d", [b"a b", b"\\", b"cd"]),
            (b'"a\\"b\\\\c\\d"', [b'a"b\\c\\d']),
            (b"'a\\b'", [b"a\\b"]),
            (b"x\\ ", [b"x "]),
            (b"# $HOME ~ * ; |", [b"#", b"$HOME", b"~", b"*", b";", b"|"]),
            (b"\xff\xc2 \x80'\xfe \xfd'", [b"\xff\xc2", b"\x80\xfe \xfd"]),
        ):
            self.assertEqual(words, split(line), line)

    def test_unfinished(self) -> None:
        """
        What has no end is told by its mark.
        """
        for line, mark in ((b"a 'b", "'"), (b'"a\\"', '"'), (b"a '\"", "'"), (b"'a' \\", "\\")):
            error = self.assertRaises(UserError, split, line)
            self.assertIn(f"a {mark} has" if mark != "\\" else "single \\:", str(error))

    def test_long(self) -> None:
        """
        Hundreds of thousands of anything are no trouble.
        """
        for piece in (b"x", b" ", b"'' ", b"\\x", b'"\\""', b"''", b'"\\\\"'):
            split(piece * (262_144 // len(piece)))
        for start in (b"'", b'"', b'"\\', b"' \""):
            self.assertRaises(UserError, split, start + b"\\\\x" * 80_000)

    @given(st.text(alphabet=LETTERS, max_size=20))
    def test_as_shlex(self, line: str) -> None:
        """
        It is what Python's own module does to text.
        """
        try:
            words = [word.encode("latin-1") for word in shlex.split(line)]
        except ValueError:
            self.assertRaises(UserError, split, line.encode("latin-1"))
        else:
            self.assertEqual(words, split(line.encode("latin-1")))


class QuoteTests(SynchronousTestCase):
    """
    L{quote} and L{join}.
    """

    def test_as_needed(self) -> None:
        """
        What needs no quotes has none.
        """
        self.assertEqual(b"a-b_c.d/e:f=g,h@i%j+1", quote(b"a-b_c.d/e:f=g,h@i%j+1"))
        self.assertEqual(b"''", quote(b""))
        self.assertEqual(b"sh -c 'echo '\"'\"'$1'\"'\"''", join([b"sh", b"-c", b"echo '$1'"]))

    @given(st.lists(st.binary(max_size=20) | st.text(LETTERS, max_size=9).map(str.encode)))
    def test_round_trip(self, words: list[bytes]) -> None:
        """
        Any words are the same again after they were quoted and parted.
        """
        self.assertEqual(words, split(join(words)))
