"""
Functions, called by the workers of a keeper: what they get, and what they return.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from _thread import allocate_lock

import cloudpickle

from jobcluster.core.functions import Function, named
from tests.keeper.client import below
from tests.keeper.function_cases import FunctionCase


class CallTests(FunctionCase):
    """
    What functions get, and what they return.
    """

    def test_by_name(self) -> None:
        """
        A function that can be imported gets its arguments and returns, all of it in JSON.
        """
        call = named("some:echo", [1, "ä", None], {"a": {"b": [0.5]}})
        outcome, out, err, value = self.n.call(call._replace(directory=bytes(self.state)))
        self.assertEqual(
            ("succeeded", None, ""), (outcome["status"], outcome["code"], out.decode())
        )
        self.assertEqual([[1, "ä", None], {"a": {"b": [0.5]}}], json.loads(value))
        self.assertEqual("ä", value.decode()[5])
        self.assertEqual(b"", err)
        self.assertEqual(b"true", self.n.call(named("os.path:isabs", ["/"]))[3])

    def test_warm(self) -> None:
        """
        One worker calls one function after the other, and its directory is fresh each time.
        """
        self.assertEqual(self.value("pid"), self.value("pid"))
        found = {self.n.call(named("os:getcwd"))[3] for _ in range(3)}
        self.assertEqual(3, len(found))
        self.assertEqual([], self.names("work"))
        self.n.say("ping")
        self.n.expect("pong")

    def test_at_once(self) -> None:
        """
        There are as many workers as functions are called at once, and none is shared.
        """
        calls = [self.linger() for _ in range(3)]
        self.assertEqual({pid for _, pid in calls}, below(self.k.process.pid))
        self.n.say("stop", refs=[ref for ref, _ in calls])
        for ref, _ in calls:
            self.assertEqual("cancelled", self.n.end_of(ref)[0]["status"])
        self.assertEqual(set(), below(self.k.process.pid))

    def test_environment(self) -> None:
        """
        A function has the environment of a command, its own variables and the directory it names;
        a worker of another environment is replaced.
        """
        variables = ["JOBCLUSTER_TICKET", "JOBCLUSTER_ATTEMPT", "JOBCLUSTER_NODE", "PATH"]
        for ticket in ("a.1", "a.2"):
            call = named("os:environ.copy")
            _, _, _, value = self.n.call(call, ticket=ticket, attempt=3)
            found = json.loads(value)
            self.assertEqual([ticket, "3", self.name], [found[name] for name in variables[:3]])
            self.assertEqual({*variables, "JOBCLUSTER_WORKER"}, {*found} - {"LC_CTYPE"})
        path, x, _, modules = self.value("here", environment=((b"X", b"1"),))
        self.assertEqual((str(self.state), "1", [str(self.state)]), (path, x, modules))
        self.assertEqual(1, len(below(self.k.process.pid)))

    def test_module_path(self) -> None:
        """
        PYTHONPATH says where modules are, as to any Python.
        """
        call = named("some:pid")._replace(environment=((b"PYTHONPATH", bytes(self.state)),))
        self.assertEqual("succeeded", self.n.call(call)[0]["status"])
        self.assertIn("ModuleNotFoundError", self.n.call(named("some:pid"))[0]["detail"])

    def test_streams(self) -> None:
        """
        All that is put out is captured, by whatever means, and for each call apart.
        """
        _, _, _, out, err, _ = self.call("streams", "printed")
        self.assertEqual(
            ["child", "from C", "printed", "written"], sorted(out.decode().split("\n"))[1:]
        )
        self.assertEqual(b"complaint\nerror", err)
        self.assertEqual((b"", b""), self.call("pid")[3:5])
        self.assertEqual("", self.value("tail"))

    def test_exception(self) -> None:
        """
        An exception is a line of the outcome, and its traceback stands behind what was put out.
        """
        err = self.assertFailed("ValueError: two lines", "fail", "two\nlines")
        self.assertTrue(err.startswith(b"before\nTraceback (most recent call last):\n"), err)
        self.assertIn(b'some.py", line', err)
        self.assertNotIn(b"jobcluster", err)
        self.assertFailed("Unspeakable", "unspeakable")
        self.assertFailed("SystemExit", "sys.exit", 3)

    def test_not_called(self) -> None:
        """
        What cannot be called fails with a line that says why.
        """
        self.assertFailed("there is no some:nothing", "nothing")
        self.assertFailed("is a module and cannot be called", "os")
        self.assertFailed("TypeError", "pid", 1)
        for call, detail in (
            (named("nowhere_at_all:f"), "No module named 'nowhere_at_all'"),
            (Function("os:getpid", b"{"), "its arguments"),
            (Function("os:getpid", b"[]"), "its arguments"),
            (named("os:getpid")._replace(directory=b"/nowhere"), "directory does not exist"),
            (
                named("os:getpid")._replace(environment=((b"PYTHONHOME", b"/nowhere"),)),
                "its worker process cannot begin",
            ),
        ):
            outcome, *_ = self.n.call(call)
            self.assertEqual("failed", outcome["status"])
            self.assertIn(detail, outcome["detail"])
        ref = self.n.start_payload(b"{}\n", kind="function")
        self.assertIn("not a function", self.n.end_of(ref)[0]["detail"])
        ref = self.n.start_payload(b"{}\n", kind="poem")
        self.assertIn("no jobs of that kind", self.n.end_of(ref)[0]["detail"])

    def test_results(self) -> None:
        """
        A result may be as long as 64 KiB of JSON, and fails if it is longer or no JSON.
        """
        for size in (10, 2000, 65_534):
            self.assertEqual(size, len(self.value("text", size)))
        self.assertFailed("65537 bytes, and 65536 is the most", "text", 65_535)
        self.assertFailed("cannot be said in JSON: TypeError", "obj")
        outcome, *_ = self.n.call(named("builtins:float", ["nan"]))
        self.assertIn("cannot be said in JSON", outcome["detail"])

    def test_kept(self) -> None:
        """
        Results are told to another node and by another keeper, until they are dropped.
        """
        sizes = (10, 2000)
        refs = [self.n.begin(self.function("text", size)) for size in sizes]
        bodies = [self.n.end_of(ref)[1] for ref in refs]
        self.assertEqual([12, 2002], [*map(len, bodies)])
        self.k.kill()
        another = self.keeper()
        node = self.node(another)
        self.assertEqual(bodies, [held.body for held in node.held])
        self.assertEqual(["function"] * 2, [held.head["kind"] for held in node.held])
        node.say("drop", refs=refs)
        node.expect("dropped")
        self.assertEqual([], self.names("runs"))


class PickleTests(FunctionCase):
    """
    Functions that come as a pickle.
    """

    settings = {"allow_pickle": True}

    def pickled(self, function: object, *args: object, **kwargs: object) -> Function:
        """
        A call of this.
        """
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return Function("it", pickle.dumps((function, args, kwargs)), True, version)

    def test_value(self) -> None:
        """
        What it returns is a pickle, and so is its exception.
        """
        outcome, _, _, value = self.n.call(self.pickled(complex, 1, imag=2))
        self.assertEqual(("succeeded", 1 + 2j), (outcome["status"], pickle.loads(value)))  # noqa: S301
        outcome, _, err, value = self.n.call(self.pickled(int, "x"))
        self.assertEqual("failed", outcome["status"])
        self.assertIsInstance(pickle.loads(value), ValueError)  # noqa: S301
        self.assertTrue(err.startswith(b"ValueError"))

    def test_by_value(self) -> None:
        """
        What cannot be imported by a name travels there and back by cloudpickle.
        """
        data = cloudpickle.dumps((lambda x: lambda y: x + y, (1,), {}))
        outcome, _, _, value = self.n.call(Function("<lambda>", data, pickled=True))
        self.assertEqual(("succeeded", ""), (outcome["status"], outcome["detail"]))
        self.assertEqual(3, pickle.loads(value)(2))  # noqa: S301

    def test_no_pickle(self) -> None:
        """
        What cannot be unpickled here, or not be pickled there, fails with a line.
        """
        for call, detail in (
            (Function("it", b"nonsense", True), "it cannot be unpickled"),
            (self.pickled(int)._replace(python="2.7"), "pickled by Python 2.7"),
            (self.pickled(allocate_lock), "its result cannot be pickled: TypeError"),
            (self.pickled(bytes, 70_000), "65536 is the most"),
        ):
            outcome, *_ = self.n.call(call)
            self.assertEqual("failed", outcome["status"])
            self.assertIn(detail, outcome["detail"])

    def test_not_allowed(self) -> None:
        """
        A node that does not allow it has it refused, by a line that names the option.
        """
        node = self.node(self.k)
        outcome, *_ = node.call(self.pickled(os.getpid))
        self.assertEqual(("failed", None), (outcome["status"], outcome["code"]))
        self.assertIn("--allow-pickle", outcome["detail"])
        self.assertEqual("succeeded", node.call(named("os:getpid"))[0]["status"])
