"""
A cluster in memory that lives in real time, with a real socket for programs that block.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.client.thread import ReactorThread
from jobcluster.consoles.amp import ClientFactory
from jobcluster.core.commands import Command
from jobcluster.testing.clusters import MemoryCluster
from jobcluster.testing.programs import Finished

T = TypeVar("T")

_EVERY = 0.002
"""Seconds between two looks at the clock."""

_LIMIT = 60.0
"""Seconds in which whatever is waited for happens, on a machine that is busy."""


def program(command: Command) -> Finished:
    """
    A program that knows a few commands: C{echo WORD…}, C{cat}, C{fail CODE MESSAGE},
    C{slow SECONDS TEXT} and C{zeros COUNT}.
    """
    name, *words = command.argv
    if name == b"echo":
        return Finished(out=b" ".join(words) + b"\n")
    if name == b"fail":
        return Finished(int(words[0]), err=words[1] + b"\n")
    if name == b"slow":
        return Finished(out=words[1], seconds=float(words[0]))
    if name == b"zeros":
        return Finished(out=bytes(int(words[0])))
    return Finished(out=command.stdin)


class LiveCluster:
    """
    Nodes a and b, and a socket of each.
    """

    def __init__(self, directory: Path) -> None:
        """
        Start it.

        @param directory: where the sockets are.
        """
        self._thread = ReactorThread.shared()
        self._directory = directory
        self._ports: dict[str, IListeningPort] = {}
        self._factories: dict[str, ClientFactory] = {}
        self._call(self._start)

    def socket(self, name: str) -> str:
        """
        Where a node is.
        """
        return str(self._directory / name)

    def kill(self, name: str) -> None:
        """
        Kill a node's process, and close its sockets.
        """

        def kill() -> Deferred[object]:
            self._cluster.kill(name)
            self._factories.pop(name).leave()
            return maybeDeferred(self._ports.pop(name).stopListening)

        self._call(kill)

    def restart(self, name: str) -> None:
        """
        Start it again.
        """

        def restart() -> Deferred[None]:
            self._cluster.restart(name)
            return self._listen(name)

        self._call(restart)

    def stop(self) -> None:
        """
        End it.
        """
        self._call(self._stop)

    def _call(self, function: Callable[[], Deferred[T]]) -> T:
        return self._thread.call(function, _LIMIT)

    async def _listen_all(self) -> None:
        for name in self._cluster.nodes:
            await self._listen(name)

    def _start(self) -> Deferred[None]:
        cluster = self._cluster = MemoryCluster(nodes=2)
        for node in cluster.nodes.values():
            node.program = program
            node.start()
        begun = time.monotonic() - cluster.clock.seconds()

        def keep_up() -> None:
            cluster.advance(max(0.0, time.monotonic() - begun - cluster.clock.seconds()))

        self._pump = LoopingCall(keep_up)
        self._pump.clock = self._thread.reactor
        self._pump.start(_EVERY)
        return Deferred.fromCoroutine(self._listen_all())

    def _listen(self, name: str) -> Deferred[None]:
        node = self._cluster.nodes[name]
        endpoint = UNIXServerEndpoint(self._thread.reactor, self.socket(name))

        def note(port: IListeningPort) -> None:
            self._ports[name] = port

        factory = self._factories[name] = ClientFactory(node.client, node.process)
        listening: Deferred[IListeningPort] = endpoint.listen(factory)
        return listening.addCallback(note)

    def _stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        for factory in self._factories.values():
            factory.leave()
        for port in self._ports.values():
            await maybeDeferred(port.stopListening)
        self._cluster.close()
        self._pump.stop()


class LiveCase(SynchronousTestCase):
    """
    A test with a live cluster.
    """

    def setUp(self) -> None:
        """
        Start one; the paths of sockets are short.
        """
        directory = TemporaryDirectory(prefix="jc")
        self.addCleanup(directory.cleanup)
        self.live = LiveCluster(Path(directory.name))
        self.addCleanup(self.live.stop)
