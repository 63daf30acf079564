"""
The daemons of the demonstration, each a twistd process of its own.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from jobcluster.config import BALANCER, NODE

__all__ = ["Daemon", "DemoFailedError", "kill", "reserve_ports"]

_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
"""The program twistd of this very Python, wherever pip may have put the file."""

_LOG_TAIL: Final = 10
"""Lines of a daemon's log that are shown when it should not have ended."""


class DemoFailedError(Exception):
    """
    Something was not as it should be; says what, in words for the user.
    """


def reserve_ports(count: int, until: ExitStack) -> list[int]:
    """
    Have the kernel choose free ports of the loopback interface.

    They are held, so that nobody else is given one, by sockets that are bound and do not listen:
    with C{SO_REUSEADDR}, which Twisted sets too, that keeps no daemon from listening there.

    @param until: when this is closed, they are held no longer.
    """
    ports = []
    for _ in range(count):
        holder = until.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports.append(holder.getsockname()[1])
    return ports


def _environment() -> dict[str, str]:
    """This process's environment without settings of jobcluster's: the command line has them."""
    settings = (*BALANCER, *NODE)
    ours = {setting.variable for setting in settings} | {setting.bare for setting in settings}
    return {name: value for name, value in os.environ.items() if name not in ours}


class _Life(ProcessProtocol):
    """One process of a daemon, from its start to its end."""

    def __init__(self) -> None:
        self.is_over = False
        self.ended: Deferred[None] = Deferred()

    def processEnded(self, reason: Failure) -> None:
        self.is_over = True
        self.ended.callback(None)


class Daemon:
    """
    A daemon that can be started, killed and started again.
    """

    def __init__(self, name: str, arguments: Sequence[str], directory: Path) -> None:
        """
        A daemon that does not run.

        @param arguments: what follows C{twistd -n}.
        @param directory: where it is to work, and where its log goes.
        """
        self.name = name
        self._arguments = arguments
        self._directory = directory
        self._log = directory / f"{name}.log"
        self._life: _Life | None = None
        self._process: IProcessTransport | None = None
        self._is_ended_by_us = False

    def start(self, reactor: Any) -> None:  # noqa: ANN401 - has no type of its own
        """
        Start it.
        """
        self._life = _Life()
        self._is_ended_by_us = False
        with Path(os.devnull).open("rb") as nothing, self._log.open("ab") as log:
            self._process = reactor.spawnProcess(
                self._life,
                sys.executable,
                [sys.executable, "-c", _TWISTD, "-n", *self._arguments],
                env=_environment(),
                path=str(self._directory),
                childFDs={0: nothing.fileno(), 1: log.fileno(), 2: log.fileno()},
            )

    def signal(self, name: str) -> None:
        """
        Send it a signal, C{"KILL"} or C{"TERM"}, if it runs.
        """
        if self._life is not None and self._process is not None and not self._life.is_over:
            self._is_ended_by_us = True
            self._process.signalProcess(name)

    def ended(self) -> Deferred[None]:
        """
        Fires when it does not run (any more).
        """
        ended: Deferred[None] = Deferred()
        if self._life is None or self._life.is_over:
            ended.callback(None)
        else:
            self._life.ended.chainDeferred(ended)
        return ended

    def require_well(self) -> None:
        """
        @raise DemoFailedError: if it was started and has ended by itself.
        """
        if self._life is not None and self._life.is_over and not self._is_ended_by_us:
            text = self._log.read_text(encoding="utf-8", errors="replace")
            tail = "\n".join(f"    {line}" for line in text.splitlines()[-_LOG_TAIL:])
            raise DemoFailedError(f"{self.name} has ended; its log says:\n{tail}")


def kill(daemons: Iterable[Daemon]) -> None:
    """
    Kill whatever of these runs.
    """
    for daemon in daemons:
        daemon.signal("KILL")
