"""
A cluster of real daemons on this machine, for the benchmarks: plain sockets and subprocesses.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Cluster", "Daemon", "Session", "cluster"]

_PATIENCE = 30.0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Session:
    """
    A console session, as nc has it.
    """

    def __init__(self, port: int) -> None:
        """
        Connect.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")

    def say(self, data: bytes) -> None:
        """
        Type whole lines.
        """
        self._socket.sendall(data)

    def line(self) -> str:
        """
        The next line of the answers.
        """
        line = self._lines.readline()
        if not line:
            raise EOFError("the session was closed")
        return line.decode().rstrip()

    def ask(self, line: str) -> str:
        """
        Type a line that is answered by one.
        """
        self.say(line.encode() + b"\n")
        return self.line()

    def nodes(self) -> list[str]:
        """
        The lines of C{nodes}, the balance last.
        """
        self.say(b"nodes\n")
        lines = [self.line()]
        while not lines[-1].startswith("Balance"):
            lines.append(self.line())
        return lines

    def read(self, size: int) -> bytes:
        """
        So many bytes that are no line.
        """
        data = self._lines.read(size)
        if len(data) < size:
            raise EOFError("the session was closed")
        return data

    def output(self, ticket: str) -> tuple[bytes, bytes]:
        """
        Both outputs of a command.
        """
        said = self.ask(f"output {ticket}")
        out, err = (int(word) for word in said.split() if word.isdigit())
        return self.read(out), self.read(err)

    def close(self) -> None:
        """
        Hang up.
        """
        self._lines.close()
        self._socket.close()


class Daemon:
    """
    A twistd process.
    """

    def __init__(self, directory: Path, name: str, arguments: list[str]) -> None:
        """
        Start it.
        """
        self._command = [str(Path(sys.executable).parent / "twistd"), "-n", *arguments]
        self._directory = directory
        self._name = name
        self.start()

    def start(self) -> None:
        """
        Start it (again).
        """
        with (self._directory / f"{self._name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._directory, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """
        End it and wait until it is gone.
        """
        self._process.send_signal(number)
        self._process.wait(_PATIENCE)

    def wait(self) -> None:
        """
        Wait until it has ended.
        """
        self._process.wait(_PATIENCE)

    @property
    def cpu(self) -> float:
        """Seconds of CPU time that it took so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """MiB that it has in memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


class Cluster:
    """
    A balancer and some nodes.
    """

    def __init__(
        self, directory: Path, nodes: int, slots: int, balancer: list[str], node: list[str]
    ) -> None:
        """
        Start them and wait until all have joined.
        """
        self.directory = directory
        listen = _free_port()
        self.balancer = Daemon(
            directory,
            "balancer",
            ["jobbalancer", "--listen", f"tcp:{listen}:interface=127.0.0.1", *balancer],
        )
        self.ports = [_free_port() for _ in range(nodes)]
        self.nodes = [
            Daemon(
                directory,
                f"node-{number}",
                [
                    "jobnode",
                    *("--balancer", f"tcp:127.0.0.1:{listen}"),
                    *("--console", f"tcp:{port}:interface=127.0.0.1"),
                    *("--state", str(directory / f"state-{number}")),
                    *("--name", f"node-{number}", "--slots", str(slots)),
                    *node,
                ],
            )
            for number, port in enumerate(self.ports, 1)
        ]
        self.wait_joined()

    def session(self, number: int = 0) -> Session:
        """
        A session at one of the nodes, once it listens.
        """
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return Session(self.ports[number])
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def wait_joined(self) -> None:
        """
        Wait until every node has joined.
        """
        session = self.session()
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            answer = session.ask("nodes")
            joined = 0
            while answer.startswith(("NODE", "node-")):
                joined += " joined " in answer
                answer = session.line()
            if joined == len(self.nodes):
                session.close()
                return
            time.sleep(0.05)
        raise TimeoutError("the nodes did not join")

    def stop(self) -> None:
        """
        End everything, the nodes in order, so that their keepers end too.
        """
        for daemon in self.nodes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon.pid, signal.SIGTERM)
        for daemon in self.nodes:
            daemon.wait()
        self.balancer.kill(signal.SIGKILL)


@contextlib.contextmanager
def cluster(
    nodes: int = 2,
    slots: int = 2,
    balancer: list[str] | None = None,
    node: list[str] | None = None,
) -> Iterator[Cluster]:
    """
    A cluster for as long as the block runs.
    """
    with tempfile.TemporaryDirectory() as directory:
        made = Cluster(Path(directory), nodes, slots, balancer or [], node or [])
        try:
            yield made
        finally:
            made.stop()
