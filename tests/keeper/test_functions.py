"""
Functions, called by the workers of a keeper.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import time
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any

import cloudpickle

from jobcluster.core.functions import Function, named
from jobcluster.keeper.frames import pack_frame
from tests.keeper.cases import KeeperCase
from tests.keeper.client import Keeper, Node, below, eventually, held_by, runs_now

MODULE = """
import ctypes, os, signal, subprocess, sys, threading, time

def echo(*args, **kwargs):
    return [args, kwargs]

def pid():
    return os.getpid()

def here():
    return [os.getcwd(), os.environ.get("X"), os.umask(0o22), sys.path[:1]]

def streams(text):
    print(text)
    os.write(1, b"written\\n")
    subprocess.run(["sh", "-c", "echo child; echo complaint >&2"], check=True)
    ctypes.CDLL(None).puts(b"from C")
    print("error", file=sys.stderr, end="")

def tail():
    return sys.stdin.read()

def fail(text):
    print("before", file=sys.stderr)
    raise ValueError(text)

def unspeakable():
    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError
    raise Unspeakable

def leave():
    os.chdir("/tmp")
    os.environ["X"] = "left"
    os.environ.pop("PATH")
    os.umask(0)
    sys.path.insert(0, "/nowhere")

def close(*numbers):
    for number in numbers:
        os.close(number)
    return "closed"

def reopen(number):
    os.close(number)
    assert os.open("/dev/null", os.O_RDWR) == number

def nonsense():
    os.write(3, bytes([255]) * 100)
    time.sleep(1000)

def unwritten():
    sys.stdout.reconfigure(line_buffering=False)
    os.close(1)
    print("left over")

def thread():
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return os.getpid()

def background():
    subprocess.Popen(["sleep", "1000"])
    return os.getpid()

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(1000)
    os.wait()
    return os.getpid()

def copy():
    return os.getpid() if os.fork() else "the copy"

def handler():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.alarm(1000)
    return os.getpid()

def stubborn(path):
    signal.signal(signal.SIGTERM, lambda *_: None)
    open(path, "w").close()
    while True:
        time.sleep(1)

def linger(path):
    with open(path + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".new", path)
    time.sleep(1000)

def flood(size):
    sys.stdout.write("x" * size)

def text(size):
    return "x" * size

def obj():
    return object()
"""


class FunctionCase(KeeperCase):
    """
    A keeper, and a module of functions in the directory of all calls.
    """

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        """
        Start a keeper.
        """
        super().setUp()
        (self.state / "some.py").write_text(MODULE)
        self.k: Keeper = self.keeper()
        self.n: Node = self.node(self.k, kill_after=0.2, **self.settings)

    def function(self, name: str, *args: object, **more: Any) -> Function:  # noqa: ANN401
        """
        A call of a function of the module.
        """
        return named(f"some:{name}", args)._replace(directory=bytes(self.state), **more)

    def call(self, name: str, *args: object, **more: Any) -> tuple[Any, ...]:  # noqa: ANN401
        """
        Call it to its end; status, code and detail, standard output and error, value.
        """
        outcome, out, err, value = self.n.call(self.function(name, *args, **more))
        result = json.loads(value) if value else None
        return outcome["status"], outcome["code"], outcome["detail"], out, err, result

    def value(self, name: str, *args: object, **more: Any) -> Any:  # noqa: ANN401
        """
        What it returns.
        """
        status, code, detail, *_, value = self.call(name, *args, **more)
        self.assertEqual(("succeeded", None, ""), (status, code, detail))
        return value

    def linger(self, **more: Any) -> tuple[list[object], int]:  # noqa: ANN401 - of the word
        """
        Begin a call that does not end; its ref, and the pid of its worker.
        """
        said = self.state / f"pid-{time.monotonic_ns()}"
        ref = self.n.begin(self.function("linger", str(said)), **more)
        eventually(said.exists, "it does not begin")
        return ref, int(said.read_text())

    def assertFailed(self, detail: str, *call: object, code: int | None = None) -> bytes:
        """
        That it fails with such a line; what it has complained of.
        """
        name, *args = call
        status, found, said, _, err, value = self.call(str(name), *args)
        self.assertEqual(("failed", code, None), (status, found, value))
        self.assertIn(detail, said)
        self.assertNotIn("\n", said)
        return bytes(err)

    def assertIsReplaced(self, leave: Callable[[], Any]) -> None:
        """
        That the worker which does this calls no other function, and nothing is left of it.
        """
        before = self.value("pid")
        leave()
        self.assertFalse(runs_now(before))
        after = self.value("pid")
        self.assertNotEqual(before, after)
        self.assertEqual({after}, below(self.k.process.pid))


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


class LeftBehindTests(FunctionCase):
    """
    The next function is not affected by what the one before it has done to its worker.
    """

    def test_restored(self) -> None:
        """
        Directory, environment, umask and search path are as they were, in the same worker.
        """
        before = self.value("pid"), self.value("here")
        self.value("leave")
        self.assertEqual(before, (self.value("pid"), self.value("here")))

    def test_streams(self) -> None:
        """
        A function that closes its streams has closed its own alone.
        """
        for numbers in ((1,), (2,), (1, 2)):
            self.assertEqual("closed", self.value("close", *numbers))
            self.assertEqual(b"again\n", self.n.call(named("builtins:print", ["again"]))[1])
        self.value("close", 0)
        self.assertEqual("", self.value("tail"))
        self.value("unwritten")
        self.assertEqual((b"", b""), self.call("pid")[3:5])

    def test_threads(self) -> None:
        """
        A thread that is left ends, with its worker, before the end is told.
        """
        self.assertIsReplaced(lambda: self.value("thread"))

    def test_children(self) -> None:
        """
        A child that is left ends, be it in the background or a daemon.
        """
        self.assertIsReplaced(lambda: self.value("background"))
        self.assertIsReplaced(lambda: self.value("daemon"))

    def test_copy(self) -> None:
        """
        A copy of the worker that returns from the function, too, says nothing.
        """
        before = self.value("pid")
        self.assertEqual(before, self.value("copy"))
        eventually(lambda: len(below(self.k.process.pid)) < 2, "the copy is left")
        self.assertIsInstance(self.value("pid"), int)

    def test_signals(self) -> None:
        """
        Handlers and alarms that are left end with the worker.
        """
        self.assertIsReplaced(lambda: self.value("handler"))

    def test_channel(self) -> None:
        """
        A function that takes the worker's own socket away has failed.
        """
        for name in ("close", "reopen"):
            self.assertFailed("ended before the function had returned", name, 3, code=70)
            self.assertIsInstance(self.value("pid"), int)

    def test_nonsense(self) -> None:
        """
        A function that writes into the worker's own socket ends with its worker, and the keeper's
        log has a line about it.
        """
        self.assertFailed("ended before the function had returned", "nonsense", code=-9)
        self.assertIn("is killed, for what it has said: a frame is too long", self.k.log)
        self.assertIsInstance(self.value("pid"), int)

    def test_exit(self) -> None:
        """
        A function that ends its process, by itself or by a signal, has failed.
        """
        ended = "its process ended before the function had returned"
        self.assertIsReplaced(lambda: self.assertFailed(ended, "os._exit", 0, code=0))
        self.assertIsReplaced(lambda: self.assertFailed(ended, "os._exit", 7, code=7))
        self.assertIsReplaced(lambda: self.assertFailed(ended, "signal.raise_signal", 9, code=-9))

    def test_many(self) -> None:
        """
        A worker is replaced after a thousand functions.
        """
        before = self.value("pid")
        for _ in range(1000):
            self.n.begin(named("os:getpid")._replace(directory=bytes(self.state)))
            while self.n.hear().word != "ended":
                pass
        self.assertNotEqual(before, self.value("pid"))
        self.assertEqual(1, len(below(self.k.process.pid)))


class EndingTests(FunctionCase):
    """
    Functions that are to end.
    """

    settings = {"max_output": 1_000_000}

    def test_time_limit(self) -> None:
        """
        A function that takes longer than it may is ended, its worker and all, however stubborn.
        """
        said = self.state / "said"
        for name in ("linger", "stubborn"):
            status, _, detail, *_ = self.call(name, str(said), limit=0.5)
            self.assertEqual("timed-out", status)
            self.assertIn("its limit of 0.5 s", detail)
        self.assertEqual(set(), below(self.k.process.pid))
        self.assertIsInstance(self.value("pid", limit=5), int)

    def test_cancelled(self) -> None:
        """
        A cancelled function ends with its worker; so does one that is dropped.
        """
        ref, pid = self.linger()
        self.n.say("stop", refs=[ref])
        self.assertEqual("cancelled", self.n.end_of(ref)[0]["status"])
        self.assertFalse(runs_now(pid))
        ref, pid = self.linger()
        self.n.say("drop", refs=[ref])
        while (frame := self.n.hear()).word != "dropped":
            self.assertNotEqual("ended", frame.word)
        self.assertEqual([ref], frame.head["refs"])
        self.assertFalse(runs_now(pid))

    def test_too_much_output(self) -> None:
        """
        A function that puts out more than it may has failed, and the next one is not affected.
        """
        status, _, detail, out, *_ = self.call("flood", 3_000_000)
        self.assertEqual(("failed", b""), (status, out))
        self.assertIn("its output was over the limit", detail)
        self.assertIsInstance(self.value("pid"), int)

    def test_killed(self) -> None:
        """
        A worker that somebody kills is replaced, busy or idle; only what it was calling fails.
        """
        ref, pid = self.linger()
        os.kill(pid, signal.SIGKILL)
        outcome, _ = self.n.end_of(ref)
        self.assertEqual(("failed", -9), (outcome["status"], outcome["code"]))
        self.n.frames.clear()
        for _ in range(5):
            pid = self.value("pid")
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: not runs_now(pid), "it does not end")  # type: ignore[misc]

    def test_another_node(self) -> None:
        """
        Another node finds a function running, and hears what it returns.
        """
        ref, pid = self.linger()
        other = self.node(self.k, kill_after=0.2)
        self.assertEqual([(ref, "running")], [(h.head["ref"], h.head["state"]) for h in other.held])
        self.assertTrue(runs_now(pid))
        other.say("stop", refs=[ref])
        self.assertEqual("cancelled", other.end_of(ref)[0]["status"])

    def test_lease(self) -> None:
        """
        A function whose lease is over is refused.
        """
        ref = self.n.begin(self.function("pid"), until=0.0)
        self.assertEqual([ref], self.n.expect("refused").head["refs"])

    def test_keeper_killed(self) -> None:
        """
        What an earlier keeper had called is ended and lost; its idle workers end by themselves.
        """
        idle = self.value("pid")
        once, once_pid = self.linger(once=True)
        self.assertEqual(idle, once_pid)
        ref, pid = self.linger()
        spare, spare_pid = self.linger()
        self.n.say("stop", refs=[spare])
        self.n.end_of(spare)
        self.k.kill()
        node = self.node(self.keeper())
        self.assertEqual(
            [(once, "lost", "keeper-died"), (ref, "lost", "keeper-died")], held_by(node)[1:3]
        )
        eventually(lambda: not any(map(runs_now, (idle, pid, spare_pid))), "a worker is left")

    def test_keeper_killed_early(self) -> None:
        """
        A worker is known by its environment to whom nothing else tells what it does.
        """
        _, pid = self.linger()
        self.k.kill()
        spool = self.directory / "spool"
        lines = spool.read_bytes().splitlines(keepends=True)
        spool.write_bytes(b"".join(line for line in lines if b'"running"' not in line))
        self.node(self.keeper())
        self.assertFalse(runs_now(pid))

    def test_end(self) -> None:
        """
        A keeper that ends takes its workers with it, with a function or without.
        """
        idle = self.value("pid")
        self.n.say("end")
        self.n.close()
        self.assertEqual(0, self.k.wait())
        eventually(lambda: not runs_now(idle), "a worker is left")

    def test_large_arguments(self) -> None:
        """
        Arguments of any size get there, and the keeper goes on meanwhile.
        """
        text = "x" * 20_000_000
        call = named("builtins:len", [text])
        self.n.socket.sendall(pack_frame("ping") + pack_frame("ping"))
        ref = self.n.begin(call)
        self.assertEqual(b"20000000", self.n.end_of(ref)[1])
