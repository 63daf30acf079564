"""
Functions as jobs: how a call is sent, and what comes back of it.
"""

from __future__ import annotations

import json
import math
import operator
import pickle
import sys
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.client.calls import function_of
from jobcluster.client.results import result_of
from jobcluster.consoles.rows import brief
from jobcluster.core.functions import FUNCTION, Function, pack_function
from jobcluster.core.values import Outcome, Status
from jobcluster.core.views import JobView
from jobcluster.errors import JobFailedError, UserError


class Unpicklable:
    """
    What cannot be pickled.
    """

    def __reduce__(self) -> str:
        """
        Refuse it.
        """
        raise ValueError("never")


class SendingTests(SynchronousTestCase):
    """
    L{function_of}.
    """

    def test_by_name(self) -> None:
        """
        What can be imported goes by its name, with arguments that are JSON as they are.
        """
        for function, args, name in (
            (pow, (2, 10), "builtins:pow"),
            (math.sqrt, (2.0,), "math:sqrt"),
            (json.dumps, ([1, {"a": None}],), "json:dumps"),
            ("any.module:name", (), "any.module:name"),
        ):
            call = function_of(function, args, {})
            self.assertEqual((name, False), (call.name, call.pickled))
        call = function_of(int, ("ff",), {"base": 16})
        self.assertEqual([["ff"], {"base": 16}], json.loads(call.arguments))

    def test_pickled(self) -> None:
        """
        What JSON would change, and what has no name, goes as a pickle for the same Python.
        """
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        for function, args in (
            (len, ((1, 2),)),
            (len, ({1: 2},)),
            (abs, (math.nan,)),
            (lambda: 1, ()),
            (operator.itemgetter(0), ([1],)),
            (self.test_by_name.__func__, (None,)),  # type: ignore[attr-defined]
        ):
            call = function_of(function, args, {})
            if not call.pickled:
                self.assertEqual(self.test_by_name.__func__, function)  # type: ignore[attr-defined]
                continue
            self.assertEqual(here, call.python)
            sent, sent_args, kwargs = pickle.loads(call.arguments)  # noqa: S301 - of this test
            self.assertTrue(callable(sent))
            self.assertEqual((len(args), {}), (len(sent_args), kwargs))

    def test_refused(self) -> None:
        """
        What can be sent in neither way is refused in one line.
        """
        for function, args in (
            ("no name", ()),
            ("math:pow", (object(),)),
            ("math:pow", (math.inf,)),
            (lambda: 1, (Unpicklable(),)),
        ):
            with self.assertRaises(UserError) as caught:
                function_of(function, args, {})
            self.assertNotIn("\n", str(caught.exception))


class ResultTests(SynchronousTestCase):
    """
    What comes back.
    """

    def result(self, value: bytes, *, pickled: bool, **said: Any) -> object:  # noqa: ANN401
        """
        The result of a call, as a program gets it.
        """
        allow = said.pop("allow_pickle", True)
        environment = said.pop("environment", ())
        function = Function("m:f", b"arguments", pickled=pickled, environment=environment)
        outcome = Outcome(Status.SUCCEEDED, value=value)._replace(**said)
        view = JobView(1, FUNCTION, pack_function(function), "ended", 0, 1, "n", outcome)
        return result_of("n.1", brief(view), lambda *_: b"", allow_pickle=allow)

    def test_json(self) -> None:
        """
        A named function has returned JSON.
        """
        self.assertEqual([1, "é"], self.result('[1,"é"]'.encode(), pickled=False))

    def test_long_head(self) -> None:
        """
        However much was said of the call, it is known how the result is to be read.
        """
        environment = ((b"BIG", b"x" * 100_000),)
        self.assertEqual(5, self.result(b"5", pickled=False, environment=environment))
        value = pickle.dumps({1, 2})
        self.assertEqual({1, 2}, self.result(value, pickled=True, environment=environment))

    def test_pickle(self) -> None:
        """
        A pickle is opened only where that was allowed.
        """
        value = pickle.dumps({1, 2})
        self.assertEqual({1, 2}, self.result(value, pickled=True))
        with self.assertRaisesRegex(UserError, "allow_pickle=True"):
            self.result(value, pickled=True, allow_pickle=False)
        with self.assertRaisesRegex(UserError, "cannot be unpickled"):
            self.result(b"nonsense", pickled=True)

    def test_raised(self) -> None:
        """
        What a pickled function has raised is raised here, and is caused by what says where; of a
        named one there are words.
        """
        failed = {"status": Status.FAILED, "detail": "ValueError: no", "err": b"Traceback\n"}
        with self.assertRaises(ValueError) as raised:
            self.result(pickle.dumps(ValueError("no")), pickled=True, **failed)
        cause = raised.exception.__cause__
        self.assertIsInstance(cause, JobFailedError)
        for value, pickled in ((b"", False), (b"nonsense", True), (pickle.dumps(5), True)):
            with self.assertRaises(JobFailedError) as told:
                self.result(value, pickled=pickled, **failed)
            self.assertEqual("n.1: failed: ValueError: no", str(told.exception))
            self.assertEqual("Traceback\n", told.exception.traceback)

    def test_others(self) -> None:
        """
        Without an outcome there is no result.
        """
        view = attrs.evolve(JobView(1, "sleep", b"5", "expired", 0))
        with self.assertRaisesRegex(Exception, "n.1: expired"):
            result_of("n.1", view, lambda *_: b"", allow_pickle=False)
