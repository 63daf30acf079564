"""
The client's end of a connection to a node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.protocols import amp

from jobcluster import errors
from jobcluster.core.client_words import CLIENT_VERSION, Greeting, Shown
from jobcluster.errors import JobclusterError, NodeUnreachableError
from jobcluster.wire import client_commands as commands
from jobcluster.wire.box import BoundedAMP
from jobcluster.wire.calls import CALL_LIMIT, Calls

__all__ = ["ConnectionEndedError", "NodeConnection", "error_of"]

_ERRORS: Final[dict[str, type[JobclusterError]]] = {
    name: getattr(errors, name) for name in errors.__all__
}


class ConnectionEndedError(NodeUnreachableError):
    """The connection to the node ended before it had answered."""


class NodeConnection(BoundedAMP):
    """
    A node, as a client talks to it.
    """

    def __init__(
        self,
        clock: IReactorTime,
        changed: Callable[[tuple[Shown, ...]], None],
        lost: Callable[[NodeConnection], None],
    ) -> None:
        """
        Wait for a connection.

        @param changed: called with watched jobs that have ended.
        @param lost: called when the connection has ended.
        """
        super().__init__()
        self._changed = changed
        self._lost = lost
        self._calls = Calls(clock, self.callRemote, self._give_up, ConnectionEndedError)
        self.responders[commands.Changed] = self._hear_of_changes

    def hello(self) -> Deferred[Greeting]:
        """
        Say hello.

        Fails with a L{JobclusterError}.
        """
        said = self.call(commands.Hello, {"version": CLIENT_VERSION})
        return said.addCallback(lambda answer: answer["greeting"])

    def call(
        self,
        command: type[amp.Command],
        arguments: dict[str, object],
        limit: float = CALL_LIMIT,
    ) -> Deferred[dict[str, Any]]:
        """
        Call the node; see L{Calls.call}.
        """
        return self._calls.call(command, arguments, limit)

    def ended(self, reason: str) -> None:
        """
        Tell those who wait.
        """
        # First it is no connection any more, lest what fails by this is said over it again.
        self._lost(self)
        self._calls.close()

    def _give_up(self, reason: str) -> None:
        self.end(reason, quietly=True)

    def _hear_of_changes(self, rows: tuple[Shown, ...]) -> dict[str, object]:
        self._changed(rows)
        return {}


def error_of(name: str, text: str) -> JobclusterError:
    """
    The error of a row.

    @param name: of its class; one that this version does not know is a L{JobclusterError}.
    """
    return _ERRORS.get(name, JobclusterError)(text)
