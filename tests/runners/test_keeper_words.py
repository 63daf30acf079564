"""
The words of a keeper, and what is none.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.actions import Run
from jobcluster.keeper.frames import Frame, FrameError, FrameReader
from jobcluster.runners.keeper_words import (
    Greeting,
    pack_hello,
    pack_start,
    read_at,
    read_ended,
    read_greeting,
    read_holds,
    read_refs,
)

OUTCOME: dict[str, Any] = {
    "status": "succeeded",
    "code": 0,
    "detail": "",
    "started": 1,
    "ended": 2,
    "out": 3,
    "err": 2,
    "run": None,
}
REF = ["a", "store", 1, 2]
HOLDS: dict[str, Any] = {
    "ref": REF,
    "job": 3,
    "attempt": 1,
    "once": True,
    "suspect": True,
    "ticket": "",
    "state": "ended",
    "started": 1,
    "outcome": OUTCOME,
}


class SaidTests(SynchronousTestCase):
    """
    What the keeper is told.
    """

    def test_start(self) -> None:
        """
        A start says all about the run, and its payload as it is.
        """
        run = Run("a", "store", 1, 2, 3, "command", b"\0payload", 4, True, 0.0, False, 0, True)
        [frame] = FrameReader().feed(pack_start(run, 12.5))
        head = {
            "ref": REF,
            "job": 3,
            "ticket": "a.0000000000003",
            "attempt": 4,
            "kind": "command",
            "once": True,
            "suspect": True,
            "until": 12.5,
        }
        self.assertEqual(Frame("start", head, b"\0payload"), frame)

    def test_environment(self) -> None:
        """
        What is not UTF-8 in the environment passes.
        """
        [frame] = FrameReader().feed(pack_hello("a", 5.0, 7, {"HOME": "/\udcff"}))
        self.assertEqual({"HOME": "/\udcff"}, frame.head["environment"])


class HeardTests(SynchronousTestCase):
    """
    What the keeper tells.
    """

    def test_held(self) -> None:
        """
        A row of the inventory has the output that comes with it, each stream apart.
        """
        kept = read_holds(Frame("holds", HOLDS, b"outer"))
        outcome = kept.adopted.outcome
        assert outcome is not None  # noqa: S101 - for mypy
        self.assertEqual((b"out", b"er", False), (outcome.out, outcome.err, outcome.is_large))
        self.assertEqual((True, True), (kept.adopted.once, kept.adopted.held.suspect))
        self.assertIsNone(kept.number)

    def test_value(self) -> None:
        """
        What a function has returned comes behind its output, and also where that is in files.
        """
        function = {**HOLDS, "kind": "function"}
        kept = read_holds(
            Frame("holds", {**function, "outcome": {**OUTCOME, "value": 4}}, b"outernull")
        )
        outcome = kept.adopted.outcome
        assert outcome is not None  # noqa: S101 - for mypy
        self.assertEqual((b"out", b"er", b"null"), (outcome.out, outcome.err, outcome.value))
        self.assertEqual("function", kept.adopted.kind)
        said = {**OUTCOME, "out": 70_000, "run": 7, "value": 4}
        _, outcome, number = read_ended(Frame("ended", {"ref": REF, "outcome": said}, b"null"))
        self.assertEqual((b"", b"", b"null", 7), (outcome.out, outcome.err, outcome.value, number))
        self.assertTrue(outcome.is_large)

    def test_greeting(self) -> None:
        """
        Of a keeper of another version, only the versions are believed.
        """
        self.assertEqual(
            Greeting("", frozenset({2, 3})),
            read_greeting(Frame("hello", {"speaks": [2, 3, "4"], "keeper": 7}, b"")),
        )

    def test_nonsense(self) -> None:
        """
        What is no such word is an error, whatever is wrong with it.
        """
        for read, head, body in (
            (read_greeting, {}, b""),
            (read_greeting, {"speaks": [1]}, b""),
            (read_refs, {}, b""),
            (read_refs, {"refs": [["a", "store", 1]]}, b""),
            (read_refs, {"refs": [["a", "store", 1, "2"]]}, b""),
            (read_at, {"at": "now"}, b""),
            (read_ended, {"ref": REF}, b""),
            (read_ended, {"ref": REF, "outcome": {**OUTCOME, "status": "odd"}}, b"outer"),
            (read_ended, {"ref": REF, "outcome": {**OUTCOME, "out": -3}}, b""),
            (read_ended, {"ref": REF, "outcome": {**OUTCOME, "code": "0"}}, b"outer"),
            (read_ended, {"ref": REF, "outcome": OUTCOME}, b"out"),
            (read_ended, {"ref": REF, "outcome": {**OUTCOME, "run": 7}}, b"outer"),
            (read_ended, {"ref": REF, "outcome": {**OUTCOME, "value": 4}}, b"outer"),
            (read_ended, {"ref": REF, "outcome": {**OUTCOME, "value": -1}}, b"oute"),
            (read_holds, {**HOLDS, "state": "odd"}, b"outer"),
            (read_holds, {**HOLDS, "job": None}, b"outer"),
            (read_holds, {**HOLDS, "outcome": None}, b""),
        ):
            with self.assertRaises(FrameError, msg=str(head)):
                read(Frame("word", head, body))
