"""
Ports that are open before anything else is done, or the daemon does not start.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure

__all__ = ["Listener"]


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
    ) -> None:
        """
        Listen later.

        @param described: the endpoint as the user gave it, with the option's name.
        @param farewell: called when the port is closed, for those who are connected still.
        """
        self._farewell = farewell
        self._endpoint = endpoint
        self._factory = factory
        self._described = described
        self._port: IListeningPort | None = None

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
        if self._port is not None:
            return
        failures: list[Failure] = []
        # It is known at once: an exception in a callback would be swallowed.
        self._endpoint.listen(self._factory).addCallbacks(self._listening, failures.append)
        for failure in failures:
            reason = getattr(failure.value, "socketError", failure.value)
            raise SystemExit(f"cannot listen on {self._described}: {reason}")

    def _listening(self, port: IListeningPort) -> None:
        self._port = port
