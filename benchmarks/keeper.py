"""
Commands a second: a keeper, beside the bare thing.

    python benchmarks/keeper.py [RUNS]

C{/bin/true}, two at a time, one started as soon as one has ended: by a loop around
C{os.posix_spawn} and C{os.waitpid}, which is the most that any Python can do, and by a keeper that
is spoken to over its socket, the outcome of each heard and dropped.
Both are measured in turn several times, and the medians are compared: the ratio says more than the
figures.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jobcluster.core.commands import Command, pack_command
from jobcluster.keeper.frames import VERSION, FrameReader, pack_frame

AT_A_TIME = 2
ROUNDS = 5
PROGRAM = b"/bin/true"


def bare(runs: int) -> float:
    """
    Runs a second of the bare loop.
    """
    environment = {b"PATH": b"/usr/bin:/bin"}
    begin = time.perf_counter()
    for number in range(runs):
        if number >= AT_A_TIME:
            os.waitpid(-1, 0)
        os.posix_spawn(PROGRAM, [PROGRAM], environment)
    for _ in range(AT_A_TIME):
        os.waitpid(-1, 0)
    return runs / (time.perf_counter() - begin)


class Node:
    """
    As little of a node as there can be.
    """

    def __init__(self, path: str) -> None:
        """Say hello, and hear the inventory."""
        self.reader = FrameReader()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.serial = 0
        self.payload = pack_command(Command((PROGRAM,)))
        hello = {"speaks": [VERSION], "node": "n", "environment": {"PATH": "/usr/bin:/bin"}}
        self.socket.sendall(pack_frame("hello", hello))
        while not any(frame.word == "complete" for frame in self.hear()):
            pass

    def hear(self) -> list:  # type: ignore[type-arg]
        """The next frames."""
        data = self.socket.recv(65536)
        assert data, "the keeper has ended"
        return self.reader.feed(data)

    def start(self) -> bytes:
        """What starts another run."""
        self.serial += 1
        head = {
            "ref": ["a", "0123456789abcdef", 1, self.serial],
            "job": self.serial,
            "ticket": f"a-{self.serial:020}",
            "attempt": 1,
            "once": False,
            "suspect": False,
            "until": time.clock_gettime(time.CLOCK_BOOTTIME) + 60,
        }
        return pack_frame("start", head, self.payload)

    def rate(self, runs: int) -> float:
        """Runs a second."""
        begin = time.perf_counter()
        to_start, to_hear = runs - AT_A_TIME, runs
        self.socket.sendall(b"".join(self.start() for _ in range(AT_A_TIME)))
        while to_hear:
            answer, drop = b"", []
            for frame in self.hear():
                if frame.word == "ended":
                    assert frame.head["outcome"]["status"] == "succeeded"
                    drop.append(frame.head["ref"])
                    to_hear -= 1
                    if to_start:
                        to_start -= 1
                        answer += self.start()
            if drop:
                self.socket.sendall(answer + pack_frame("drop", {"refs": drop}))
        return runs / (time.perf_counter() - begin)


def compare(node: Node, runs: int) -> None:
    """
    Measure both, and print.
    """
    rates: dict[str, list[float]] = {"bare": [], "keeper": []}
    for _ in range(ROUNDS):
        rates["bare"].append(bare(runs))
        rates["keeper"].append(node.rate(runs))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, median in medians.items():
        low, high = min(rates[name]), max(rates[name])
        print(f"{name:8}{median:8,.0f} runs/s  ({low:,.0f} to {high:,.0f})")
    print(f"ratio   {medians['keeper'] / medians['bare']:8.2f}")


def main() -> None:
    """
    Start a keeper, and measure.
    """
    runs = int(sys.argv[1]) if sys.argv[1:] else 2000
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "jobcluster.keeper", state]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as keeper:
            try:
                lock = Path(state, "keeper", "lock")
                until = time.monotonic() + 10
                while not (lock.exists() and lock.with_name("socket").exists()):
                    assert time.monotonic() < until, "the keeper does not start"
                    time.sleep(0.01)
                compare(Node(json.loads(lock.read_bytes())["socket"]), runs)
            finally:
                keeper.terminate()


if __name__ == "__main__":
    main()
