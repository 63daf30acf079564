"""
Ports that are open before anything else is done, or the daemon does not start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["Listener", "SocketFile"]

_LOG = Logger(namespace="jobcluster")


class Listener(Service):
    """
    Listens while it runs; a port that is taken ends the daemon with one line.
    """

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        factory: IProtocolFactory,
        described: str,
        farewell: Callable[[], None] = lambda: None,
        *,
        is_needed: bool = True,
    ) -> None:
        """
        Listen later.

        @param described: the endpoint as the user gave it, with the option's name.
        @param farewell: called when the port is closed, for those who are connected still.
        @param is_needed: whether the daemon ends if the port is taken; otherwise it does without.
        """
        self._farewell = farewell
        self._is_needed = is_needed
        self._endpoint = endpoint
        self._factory = factory
        self._described = described
        self._port: IListeningPort | None = None
        self._does_without = False

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still open any port.
        """
        self._listen()
        Service.privilegedStartService(self)

    def startService(self) -> None:
        """
        Listen, if that was not done yet.
        """
        self._listen()
        Service.startService(self)

    def stopService(self) -> Deferred[None]:
        """
        Close the port; fires when that is done.
        """
        Service.stopService(self)
        self._farewell()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        return maybeDeferred(port.stopListening).addCallback(lambda _: None)

    @property
    def port(self) -> IListeningPort | None:
        """The open port."""
        return self._port

    def _listen(self) -> None:
        if self._port is not None or self._does_without:
            return
        failures: list[Failure] = []
        # It is known at once: an exception in a callback would be swallowed.
        self._endpoint.listen(self._factory).addCallbacks(self._listening, failures.append)
        for failure in failures:
            reason = getattr(failure.value, "socketError", failure.value)
            if self._is_needed:
                raise SystemExit(f"cannot listen on {self._described}: {reason}")
            self._does_without = True
            _LOG.info("not listening on {port}: {reason}", port=self._described, reason=reason)

    def _listening(self, port: IListeningPort) -> None:
        self._port = port


class SocketFile(Service):
    """
    A UNIX socket in a directory that is locked, once it is; a daemon does without it, if it must.
    """

    def __init__(
        self,
        path: Path,
        endpoint: IStreamServerEndpoint,
        factory: IProtocolFactory,
        farewell: Callable[[], None],
    ) -> None:
        """
        Listen later.

        @param endpoint: that of C{path}.
        @param farewell: called when the socket is closed, for those who are connected still.
        """
        self._path = path
        self._endpoint = endpoint
        self._factory = factory
        self._farewell = farewell
        self._port: IListeningPort | None = None

    def open(self) -> None:
        """
        Listen: nobody else uses the directory now, so what was left there can be removed.
        """
        if not self.running:
            return
        with suppress(OSError):
            self._path.unlink()
        self._endpoint.listen(self._factory).addCallbacks(self._listening, self._not_listening)

    def stopService(self) -> Deferred[None]:
        """
        Close the socket, and remove it; fires when that is done.
        """
        Service.stopService(self)
        self._farewell()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        return maybeDeferred(port.stopListening).addCallback(lambda _: None)

    def _listening(self, port: IListeningPort) -> None:
        self._port = port

    def _not_listening(self, failure: Failure) -> None:
        reason = getattr(failure.value, "socketError", failure.value)
        _LOG.info("not listening on {path}: {reason}", path=self._path, reason=reason)
