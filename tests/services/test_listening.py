"""
Ports that are open, or the daemon does not start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.services.listening import Listener, SocketFile


class TakenReactor(MemoryReactorClock):
    """
    A reactor whose ports are all taken.
    """

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See L{IReactorTCP}."""
        raise CannotListenError(interface, port, OSError(98, "Address already in use"))

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,  # noqa: FBT001, FBT002 - the interface's
    ) -> IListeningPort:
        """See L{IReactorUNIX}."""
        raise CannotListenError(None, address, OSError(36, "File name too long"))


class SlowPort:
    """
    A port that takes its time to close.
    """

    def __init__(self) -> None:
        """
        Open.
        """
        self.closed: Deferred[None] = Deferred()

    def stopListening(self) -> Deferred[None]:
        """See L{IListeningPort}."""
        return self.closed


class SlowEndpoint:
    """
    An endpoint whose port takes its time to close.
    """

    def __init__(self) -> None:
        """
        Nobody listens.
        """
        self.port = SlowPort()

    def listen(self, factory: IProtocolFactory) -> Deferred[Any]:
        """See L{IStreamServerEndpoint}."""
        listening: Deferred[Any] = Deferred()
        listening.callback(self.port)
        return listening


class ListenerTests(SynchronousTestCase):
    """
    L{Listener}.
    """

    def setUp(self) -> None:
        """
        One that does not listen yet.
        """
        self.reactor = MemoryReactorClock()
        self.said: list[str] = []
        self.listener = self.listener_on(self.reactor)

    def listener_on(self, reactor: MemoryReactorClock) -> Listener:
        """
        A listener on that reactor.
        """
        text = "tcp:7000:interface=127.0.0.1"
        return Listener(
            serverFromString(reactor, text),
            Factory(),
            f"--listen {text}",
            lambda: self.said.append("good-bye"),
        )

    def test_before_the_rest(self) -> None:
        """
        It listens when the process may still open any port, and no second time.
        """
        self.assertIsNone(self.listener.port)
        self.listener.privilegedStartService()
        self.assertEqual([("127.0.0.1", 7000)], self._ports())
        self.listener.startService()
        self.assertEqual(1, len(self._ports()))
        self.assertIsNotNone(self.listener.port)

    def test_without_privileges(self) -> None:
        """
        Where nobody calls it before, it listens when it is started.
        """
        self.listener.startService()
        self.assertEqual(1, len(self._ports()))

    def _ports(self) -> list[tuple[str, int]]:
        return [(server[3], server[0]) for server in self.reactor.tcpServers]

    def test_taken(self) -> None:
        """
        A port that is taken ends the daemon with one line that says which and why.
        """
        for start in ("privilegedStartService", "startService"):
            listener = self.listener_on(TakenReactor())
            error = self.assertRaises(SystemExit, getattr(listener, start))
            self.assertEqual(
                "cannot listen on --listen tcp:7000:interface=127.0.0.1:"
                " [Errno 98] Address already in use",
                str(error),
            )

    def test_any_failure(self) -> None:
        """
        So does whatever else goes wrong.
        """

        class Broken(MemoryReactorClock):
            def listenTCP(self, *_: object, **__: object) -> IListeningPort:
                raise PermissionError(13, "Permission denied")

        error = self.assertRaises(SystemExit, self.listener_on(Broken()).startService)
        self.assertIn("Permission denied", str(error))

    def test_not_needed(self) -> None:
        """
        A port that is not needed may be taken: the daemon does without it.
        """
        endpoint = serverFromString(TakenReactor(), "tcp:7000")
        listener = Listener(endpoint, Factory(), "--client tcp:7000", is_needed=False)
        listener.startService()
        self.assertIsNone(listener.port)
        self.successResultOf(listener.stopService())

    def test_stop(self) -> None:
        """
        When it stops, those who are connected hear it, and then the port is closed.
        """
        endpoint = SlowEndpoint()
        listener = Listener(
            endpoint,  # type: ignore[arg-type]
            Factory(),
            "--listen x",
            lambda: self.said.append("good-bye"),
        )
        listener.startService()
        stopped = listener.stopService()
        self.assertEqual(["good-bye"], self.said)
        self.assertNoResult(stopped)
        endpoint.port.closed.callback(None)
        self.successResultOf(stopped)
        self.assertIsNone(listener.port)

    def test_stop_before_the_start(self) -> None:
        """
        One that never listened has nothing to close.
        """
        self.successResultOf(self.listener.stopService())


class SocketFileTests(SynchronousTestCase):
    """
    L{SocketFile}.
    """

    def setUp(self) -> None:
        """
        One that does not listen yet.
        """
        self.said: list[str] = []
        self.endpoint = SlowEndpoint()
        self.path = Path(self.mktemp())
        self.socket = SocketFile(
            self.path,
            self.endpoint,  # type: ignore[arg-type]
            Factory(),
            lambda: self.said.append("good-bye"),
        )

    def test_opened(self) -> None:
        """
        It listens once it is told to, in place of what was left there, and is closed in order.
        """
        self.path.write_bytes(b"")
        self.socket.startService()
        self.assertTrue(self.path.exists())
        self.socket.open()
        self.assertFalse(self.path.exists())
        stopped = self.socket.stopService()
        self.assertEqual(["good-bye"], self.said)
        self.assertNoResult(stopped)
        self.endpoint.port.closed.callback(None)
        self.successResultOf(stopped)

    def test_stopped_before(self) -> None:
        """
        What was stopped does not listen any more, and touches nothing.
        """
        self.path.write_bytes(b"")
        self.socket.startService()
        self.successResultOf(self.socket.stopService())
        self.socket.open()
        self.assertTrue(self.path.exists())

    def test_impossible(self) -> None:
        """
        Where it cannot be, the daemon does without it.
        """
        place = Path(self.mktemp())
        endpoint = UNIXServerEndpoint(TakenReactor(), str(place))
        socket = SocketFile(place, endpoint, Factory(), lambda: None)
        socket.startService()
        socket.open()
        self.successResultOf(socket.stopService())
