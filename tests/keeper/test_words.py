"""
What a node says, and the payload of a job.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.commands import Command, pack_command
from jobcluster.core.functions import Function, pack_function
from jobcluster.keeper.frames import Frame, FrameError, FrameReader, pack_frame
from jobcluster.keeper.payloads import read_command, read_function
from jobcluster.keeper.words import read_hello, read_refs, read_settings, read_start

_COMMANDS = st.builds(
    Command,
    st.lists(st.binary(max_size=8), min_size=1, max_size=4).map(tuple),
    st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=3).map(
        lambda found: tuple(found.items())
    ),
    st.none() | st.binary(max_size=8),
    st.binary(max_size=40),
    st.floats(0, 1e9),
)

_FUNCTIONS = st.builds(
    Function,
    st.sampled_from(["math:pow", "a.b:c.d", "ä:é"]),
    st.binary(max_size=40),
    st.booleans(),
    st.sampled_from(["", "3.11"]),
    st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=3).map(
        lambda found: tuple(found.items())
    ),
    st.none() | st.binary(max_size=8),
    st.floats(0, 1e9),
)

_NO_LIMITS = (b"-1", b"NaN", b"Infinity", b"1e10", b"1" + b"0" * 400, b"true", b"null", b'"1"')


def frame(word: str, **head: object) -> Frame:
    """
    A frame as it comes.
    """
    [found] = FrameReader().feed(pack_frame(word, head, b"body"))
    return found


class CommandTests(SynchronousTestCase):
    """
    The keeper's reading of what the rest of the package has packed.
    """

    @given(_COMMANDS)
    def test_as_packed(self, command: Command) -> None:
        """
        Whatever is packed is read as it was.
        """
        self.assertEqual(tuple(command), tuple(read_command(pack_command(command))))

    def test_no_command(self) -> None:
        """
        What is no command is refused, in one line.
        """
        for payload in (
            b"",
            b"\n",
            b"[]",
            b"{}",
            b'{"argv":[]}',
            b'{"argv":"ls"}',
            b'{"argv":[1]}',
            b'{"argv":["\\ud800"]}',
            b'{"argv":["a"],"env":[1]}',
            b'{"argv":["a"],"env":{"a":1}}',
            b'{"argv":["a"],"cwd":1}',
            *(b'{"argv":["a"],"limit":%s}' % limit for limit in _NO_LIMITS),
            b"\xff\n",
            b"[" * 100_000,
        ):
            error = self.assertRaises(ValueError, read_command, payload)
            self.assertNotIn("\n", str(error))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, payload: bytes) -> None:
        """
        Nothing else than that happens, whatever the payload is.
        """
        try:
            read_command(payload)
        except ValueError as error:
            self.assertTrue(str(error))
        else:
            self.assertTrue(json.loads(payload.split(b"\n")[0])["argv"])


class FunctionTests(SynchronousTestCase):
    """
    The same with functions.
    """

    @given(_FUNCTIONS)
    def test_round_trip(self, function: Function) -> None:
        """
        Whatever is packed is read as it was.
        """
        self.assertEqual(tuple(function), tuple(read_function(pack_function(function))))

    def test_no_function(self) -> None:
        """
        What is no function is refused, in one line.
        """
        for payload in (
            b"",
            b"[]",
            b"{}",
            b'{"argv":["a"]}',
            b'{"call":"math"}',
            b'{"call":1,"pickled":true}',
            b'{"call":"a:b","pickled":1}',
            b'{"call":"a:b","python":3.11}',
            b'{"call":"a:b","env":[1]}',
            b'{"call":"a:b","cwd":1}',
            *(b'{"call":"a:b","limit":%s}' % limit for limit in _NO_LIMITS),
            b"\xff\n",
            b"[" * 100_000,
        ):
            error = self.assertRaises(ValueError, read_function, payload)
            self.assertNotIn("\n", str(error))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, payload: bytes) -> None:
        """
        Nothing else than that happens, whatever the payload is.
        """
        try:
            read_function(payload)
        except ValueError as error:
            self.assertTrue(str(error))
        else:
            self.assertIn("call", json.loads(payload.split(b"\n")[0]))


class WordTests(SynchronousTestCase):
    """
    Heads of frames.
    """

    start = {
        "ref": ["origin", "store", 1, 2],
        "job": 7,
        "ticket": "origin-1",
        "attempt": 1,
        "once": True,
        "suspect": False,
        "until": 12.5,
    }

    def test_start(self) -> None:
        """
        A start, with what is to be run.
        """
        said = read_start(frame("start", **self.start))
        self.assertEqual(("origin", "store", 1, 2), said.ref)
        self.assertEqual((7, "origin-1", 1, True, False), said[1:6])
        self.assertEqual((12.5, b"body", "command"), said[6:])

    def test_bad_start(self) -> None:
        """
        Each of its fields has to be there, and what it should be.
        """
        for name in self.start:
            wrong: list[object] = [None, {}, "\0", float("nan"), "\ud800"]
            for value in wrong:
                head = {**self.start, name: value}
                self.assertRaises(FrameError, read_start, frame("start", **head))
            head = {key: value for key, value in self.start.items() if key != name}
            self.assertRaises(FrameError, read_start, frame("start", **head))
        self.assertRaises(FrameError, read_start, frame("start", **{**self.start, "job": True}))

    def test_refs(self) -> None:
        """
        The offers that a word is about.
        """
        self.assertEqual([("a", "b", 1, 2)], read_refs(frame("drop", refs=[["a", "b", 1, 2]])))
        for ref in (1, ["a", "b", 1], ["a", "b", 1, 2, 3], ["a", "b", 1, "2"], {"a": 1}):
            self.assertRaises(FrameError, read_refs, frame("drop", refs=[ref]))
        for refs in (None, 1, "a"):
            self.assertRaises(FrameError, read_refs, frame("drop", refs=refs))

    def test_hello(self) -> None:
        """
        A hello says what is spoken, and then the settings, which have defaults.
        """
        said = frame("hello", speaks=[1, "x", True], node="n", environment={"A": "\udcff"})
        hello = read_hello(said)
        self.assertEqual({1}, hello.speaks)
        settings = read_settings(said, hello)
        self.assertEqual("n", settings.node)
        self.assertEqual((5.0, 2**30), (settings.kill_after, settings.max_output))
        self.assertEqual(((b"A", b"\xff"),), settings.environment)

    def test_bad_hello(self) -> None:
        """
        What does not say it is no hello.
        """
        self.assertRaises(FrameError, read_hello, frame("start", speaks=[1]))
        self.assertRaises(FrameError, read_hello, frame("hello"))
        for more in (
            {},
            {"node": 1},
            {"node": "n", "kill_after": "1"},
            {"node": "n", "max_output": 1.5},
            {"node": "n", "allow_pickle": 1},
            {"node": "n", "environment": []},
            {"node": "n", "environment": {"A": None}},
        ):
            said = frame("hello", speaks=[1], **more)
            self.assertRaises(FrameError, read_settings, said, read_hello(said))
