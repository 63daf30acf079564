"""
C{call}: what is typed, and the job that is asked for.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.grammar import parse
from jobcluster.consoles.requests import Submit
from jobcluster.consoles.shell import quote
from jobcluster.core.functions import FUNCTION, Function, named, unpack_function
from jobcluster.core.values import OnNodeLoss
from jobcluster.errors import UserError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def asked(line: str) -> Function:
    """
    The function that a line asks for.
    """
    request = parse(line)
    if not isinstance(request, Submit):
        raise TypeError(line)
    return unpack_function(request.spec.payload)


class ReadTests(SynchronousTestCase):
    """
    Lines.
    """

    def assertRefused(self, line: str, *words: str) -> None:
        """
        That a line is refused, with these in what is said of it.
        """
        error = str(self.assertRaises(UserError, parse, line))
        for word in words:
            self.assertIn(word, error)

    def test_arguments(self) -> None:
        """
        Each argument is one JSON value, with a name ahead of it or without.
        """
        for line, wanted in (
            ("call os:getpid", named("os:getpid")),
            ("call math:pow 2 10", named("math:pow", [2, 10])),
            ("call a.b:c.d '\"x y\"' null", named("a.b:c.d", ["x y", None])),
            ("call builtins:int '\"ff\"' base=16", named("builtins:int", ["ff"], {"base": 16})),
            ("call a:b '{\"a\": [1, 2]}' x='\"=\"'", named("a:b", [{"a": [1, 2]}], {"x": "="})),
        ):
            self.assertEqual(wanted, asked(line), line)

    @given(st.lists(_JSON, max_size=3))
    def test_any_arguments(self, args: list[object]) -> None:
        """
        Whatever JSON has can be typed.
        """
        words = [quote(json.dumps(one).encode()).decode() for one in args]
        self.assertEqual(named("a:b", args), asked(" ".join(["call a:b", *words])))

    def test_options(self) -> None:
        """
        Options are those of a command, but for the standard input.
        """
        function = asked("call -e A=1 -d /tmp -t 2.5 -- os:getpid")
        self.assertEqual(named("os:getpid").arguments, function.arguments)
        self.assertEqual(
            (((b"A", b"1"),), b"/tmp", 2.5),
            (function.environment, function.directory, function.limit),
        )
        request = parse("call --once os:getpid")
        assert isinstance(request, Submit)  # noqa: S101 - for mypy
        self.assertEqual(
            (FUNCTION, OnNodeLoss.FAIL), (request.spec.kind, request.spec.on_node_loss)
        )
        self.assertRefused("call -i x os:getpid", "-i", "standard input")
        self.assertRefused("call -x os:getpid", "no option of call")

    def test_nonsense(self) -> None:
        """
        What is no function, or no argument, is told from what is.
        """
        self.assertRefused("call", "no function", "MODULE:NAME")
        self.assertRefused("call ''", "name of the function")
        for name in ("pow", "math.pow", "math:", "math:pow()", "\udcff"):
            self.assertRefused(f"call {name}", "is not MODULE:NAME")
        for word in ("text", "NaN", "'[1'", "x=", "x=text", "\udcff", "'" + "[" * 100_000 + "'"):
            self.assertRefused(f"call a:b {word}", "no JSON value")
        self.assertRefused("call a:b x=1 2", "has no name")
