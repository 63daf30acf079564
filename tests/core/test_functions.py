"""
What a command or a function is, packed.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.commands import Command, pack_command, unpack_command
from jobcluster.core.functions import (
    Function,
    is_callable_name,
    named,
    pack_function,
    unpack_function,
)

_NO_LIMITS = (b"-1", b"NaN", b"Infinity", b"1e10", b"1" + b"0" * 400, b"true", b"null", b'"1"')


class CommandTests(SynchronousTestCase):
    """
    The time limit of a command.
    """

    def test_limit(self) -> None:
        """
        A time limit is packed where there is one, and read as it was.
        """
        self.assertNotIn(b"limit", pack_command(Command((b"a",))))
        limited = Command((b"a",), limit=2.5)
        self.assertEqual(limited, unpack_command(pack_command(limited)))

    def test_no_limit(self) -> None:
        """
        What limits nothing is no time limit.
        """
        for limit in _NO_LIMITS:
            payload = b'{"argv":["a"],"limit":%s}\n' % limit
            self.assertRaises(ValueError, unpack_command, payload)


class FunctionTests(SynchronousTestCase):
    """
    Functions, by their names and as pickles.
    """

    def test_round_trip(self) -> None:
        """
        A function is read as it was packed, with all that belongs to it.
        """
        for function in (
            Function("math:pi.hex"),
            named("a.b:c", [1, "\udcff"], {"x": None}),
            Function("<lambda>", b"\0\n\xff", True, "3.11"),
            Function("a:b", b"", False, "", ((b"A", b"\xff"),), b"/tmp/\xff", 1.5),
        ):
            self.assertEqual(function, unpack_function(pack_function(function)))

    def test_beginning(self) -> None:
        """
        Of a payload that is cut all but the arguments can be told.
        """
        function = named("a:b", ["x" * 1000])._replace(limit=5.0)
        cut = unpack_function(pack_function(function)[:100])
        self.assertEqual(function._replace(arguments=cut.arguments), cut)

    def test_no_function(self) -> None:
        """
        What is no function is refused.
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
        ):
            self.assertRaises(ValueError, unpack_function, payload)

    def test_names(self) -> None:
        """
        A name has a module and something in it, both of them dotted or not.
        """
        for name in ("a:b", "a.b:c.d", "_a1:B_", "ä:é"):
            self.assertTrue(is_callable_name(name), name)
        for name in (
            "",
            "a",
            "a:",
            ":a",
            "a:b:c",
            "a.:b",
            ".a:b",
            "1:b",
            "a:b()",
            "a b:c",
            "a:b\n",
        ):
            self.assertFalse(is_callable_name(name), name)

    def test_no_json(self) -> None:
        """
        Arguments that JSON does not have are refused, and so is what is no name.
        """
        for args in ([object()], [float("nan")], [{(1, 2): 3}], [{1, 2}], [b"bytes"]):
            self.assertRaises(ValueError, named, "a:b", args)
        self.assertRaises(ValueError, named, "a")
