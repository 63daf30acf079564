"""
Test cases whose keeper calls functions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from jobcluster.core.functions import Function, named
from tests.keeper.cases import KeeperCase
from tests.keeper.client import Keeper, Node, below, eventually, runs_now

__all__ = ["FunctionCase"]


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
