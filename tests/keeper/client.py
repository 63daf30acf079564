"""
A node, as far as a keeper can tell: a real keeper process, and plain blocking sockets to it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jobcluster.core.commands import Command, pack_command
from jobcluster.core.functions import Function, pack_function
from jobcluster.keeper.facts import environment_of, process, processes
from jobcluster.keeper.frames import VERSION, Frame, FrameReader, pack_frame

__all__ = [
    "LIMIT",
    "Keeper",
    "Node",
    "below",
    "end_child",
    "eventually",
    "held_by",
    "kill",
    "of_node",
    "runs_now",
]

LIMIT: Final = 10.0
"""Seconds that anything may take."""

_LOOK_EVERY: Final = 0.01

PATH: Final = os.environ.get("PATH", os.defpath)


def eventually(look: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """
    Look again and again until it is so.

    @param what: what is wrong as long as it is not.
    @raise AssertionError: after so many seconds.
    """
    end = time.monotonic() + limit
    while not look():
        if time.monotonic() > end:
            raise AssertionError(f"after {limit:g} s: {what}")
        time.sleep(_LOOK_EVERY)


def runs_now(pid: int) -> bool:
    """
    Whether there is such a process, and it is no zombie.
    """
    found = process(pid)
    return found is not None and found.state != "Z"


def of_node(name: str) -> list[int]:
    """
    The processes of the runs of a node, by their environment.
    """
    mark = f"JOBCLUSTER_NODE={name}".encode()
    return [one.pid for one in processes() if mark in environment_of(one.pid) and one.state != "Z"]


def below(pid: int) -> set[int]:
    """
    All processes below one.
    """
    everything = list(processes())
    found = {pid}
    grown = 0
    while grown != len(found):
        grown = len(found)
        found |= {one.pid for one in everything if one.parent in found}
    return found - {pid}


def kill(pids: Iterable[int]) -> None:
    """
    SIGKILL to each.
    """
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Keeper:
    """
    A keeper process.
    """

    def __init__(
        self, state: Path, name: str, *options: str, environment: dict[str, str] | None = None
    ) -> None:
        """
        Start it.

        @param name: of the node, so that its runs can be told from all others.
        @param environment: variables beside those that are there.
        """
        self.state = state
        self.directory = state / "keeper"
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = name
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("JOBCLUSTER_")}
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobcluster.keeper", *options, str(state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env={**inherited, **(environment or {})},
            )

    @property
    def log(self) -> str:
        """
        What it has written into its log, and those before it.
        """
        return (self.directory / "log").read_text("utf-8")

    def lock(self) -> dict[str, Any]:
        """
        What stands in its lock; empty while nothing does.
        """
        try:
            said = json.loads((self.directory / "lock").read_bytes())
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) and said["pid"] == self.process.pid else {}

    def connect(self, limit: float = LIMIT) -> socket.socket:
        """
        A socket to it, as soon as it listens.
        """
        end = time.monotonic() + limit
        while True:
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connected.settimeout(limit)
            try:
                connected.connect(self.lock().get("socket", ""))
            except OSError:
                connected.close()
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"no keeper listens; its log:\n{self.log}") from None
                time.sleep(_LOOK_EVERY)
            else:
                return connected

    def node(self, **settings: Any) -> Node:  # noqa: ANN401 - what is said in hello
        """
        A node that has heard the inventory.
        """
        node = Node(self.connect())
        node.hello(**{"node": self.name, **settings})
        return node

    def kill(self) -> None:
        """
        SIGKILL, and it is gone.
        """
        self.process.kill()
        self.process.wait(LIMIT)

    def freeze(self) -> None:
        """
        SIGSTOP, and it stands still.
        """
        self.process.send_signal(signal.SIGSTOP)

        def stands_still() -> bool:
            found = process(self.process.pid)
            return found is not None and found.state == "T"

        eventually(stands_still, "the keeper is not stopped")

    def thaw(self) -> None:
        """
        SIGCONT.
        """
        self.process.send_signal(signal.SIGCONT)

    def wait(self, limit: float = LIMIT) -> int:
        """
        Its exit code, when it has ended.
        """
        return self.process.wait(limit)

    def clean_up(self) -> None:
        """
        Leave nothing behind, whatever has happened.
        """
        if self.process.poll() is None:
            # Below a stopped process nothing is reaped, so that nothing of it can get lost.
            self.process.send_signal(signal.SIGSTOP)
            kill(below(self.process.pid))
            self.kill()
        kill(of_node(self.name))


class Node:
    """
    A connection to a keeper.
    """

    def __init__(self, connected: socket.socket) -> None:
        """
        Nothing was said.
        """
        self.socket = connected
        self.frames: list[Frame] = []
        """What was heard and not taken yet."""
        self.greeting: dict[str, Any] = {}
        self.held: list[Frame] = []
        """What the inventory said."""
        self._reader = FrameReader()
        self._serial = 0

    def say(self, word: str, body: bytes = b"", **head: object) -> None:
        """
        Say a word.
        """
        self.socket.sendall(pack_frame(word, head, body))

    def hear(self, limit: float = LIMIT) -> Frame:
        """
        The next frame.

        @raise EOFError: if the connection has ended.
        @raise TimeoutError: if there is none for so many seconds.
        """
        end = time.monotonic() + limit
        while not self.frames:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self.frames += self._reader.feed(data)
        return self.frames.pop(0)

    def expect(self, word: str, limit: float = LIMIT) -> Frame:
        """
        The next frame, which has this word.
        """
        frame = self.hear(limit)
        if frame.word != word:
            raise AssertionError(f"{word!r} was to be heard, and not {frame[:2]!r}")
        return frame

    def hello(self, **settings: Any) -> None:  # noqa: ANN401 - what is said in hello
        """
        Say hello, and hear the inventory.
        """
        said = {"speaks": [VERSION], "environment": {"PATH": PATH}, **settings}
        self.say("hello", **said)
        self.greeting = self.expect("hello").head
        while (frame := self.hear()).word == "holds":
            self.held.append(frame)
        if frame.word != "complete":
            raise AssertionError(f"{frame.word!r} stands in an inventory")

    def ref(self) -> list[object]:
        """
        A fresh ref.
        """
        self._serial += 1
        return ["origin", "store", os.getpid(), time.time_ns() + self._serial]

    def start(self, *argv: str | bytes, **more: Any) -> list[object]:  # noqa: ANN401 - see below
        """
        Start a command.

        @param more: C{environment}, C{directory}, C{stdin} and C{limit} of the command; the rest is
            of the word.
        @return: the ref.
        """
        command = Command(
            tuple(os.fsencode(argument) for argument in argv),
            tuple(more.pop("environment", {}).items()),
            more.pop("directory", None),
            more.pop("stdin", b""),
            more.pop("limit", 0.0),
        )
        return self.start_payload(pack_command(command), **more)

    def call(
        self,
        function: Function,
        **more: Any,  # noqa: ANN401 - of the word
    ) -> tuple[dict[str, Any], bytes, bytes, bytes]:
        """
        Call a function to its end: its outcome, standard output and error, and its value.
        """
        outcome, body = self.end_of(self.begin(function, **more))
        self.frames.clear()
        value = len(body) - outcome.get("value", 0)
        return outcome, body[: outcome["out"]], body[outcome["out"] : value], body[value:]

    def begin(self, function: Function, **more: Any) -> list[object]:  # noqa: ANN401 - of the word
        """
        Start a call; return the ref.
        """
        return self.start_payload(pack_function(function), kind="function", **more)

    def start_payload(self, payload: bytes, **more: object) -> list[object]:
        """
        Start whatever that is; return the ref.
        """
        head = self.head(**more)
        self.say("start", payload, **head)
        ref = head["ref"]
        if not isinstance(ref, list):
            raise TypeError("a ref is a list")
        return ref

    def head(self, **more: object) -> dict[str, object]:
        """
        What is said beside the word of a start.
        """
        ref = self.ref()
        return {
            "ref": ref,
            "job": 7,
            "ticket": f"origin-{ref[3]}",
            "attempt": 1,
            "once": False,
            "suspect": False,
            "until": time.clock_gettime(time.CLOCK_BOOTTIME) + 60,
            **more,
        }

    def end_of(self, ref: object, limit: float = LIMIT) -> tuple[dict[str, Any], bytes]:
        """
        The outcome of a run, and what came with it; other frames stay where they are.
        """
        end = time.monotonic() + limit
        others: list[Frame] = []
        while True:
            frame = self.hear(max(0.0, end - time.monotonic()))
            if frame.word == "ended" and frame.head["ref"] == ref:
                self.frames = [*others, *self.frames]
                outcome = frame.head["outcome"]
                if not isinstance(outcome, dict):
                    raise AssertionError("an outcome is a dict")
                return outcome, frame.body
            others.append(frame)

    def run(self, *argv: str | bytes, **more: Any) -> tuple[dict[str, Any], bytes, bytes]:  # noqa: ANN401
        """
        Run a command to its end: its outcome, standard output and standard error.
        """
        ref = self.start(*argv, **more)
        outcome, body = self.end_of(ref)
        self.frames = [frame for frame in self.frames if frame.head.get("refs") != [ref]]
        return outcome, body[: outcome["out"]], body[outcome["out"] :]

    def close(self) -> None:
        """
        End the connection.
        """
        self.socket.close()


def held_by(node: Node) -> list[tuple[object, str, str]]:
    """
    Refs of an inventory, with status and detail of their outcomes.
    """
    return [
        (held.head["ref"], held.head["outcome"]["status"], held.head["outcome"]["detail"])
        for held in node.held
    ]


def end_child(child: subprocess.Popen[bytes]) -> None:
    """
    Kill a process that a test has started itself, and wait for it.
    """
    child.kill()
    child.wait()
