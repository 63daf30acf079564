"""
Where a node's keeper is found: its directory, its lock, its process, its socket and its files.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Factory

from jobcluster.errors import KeeperError, OutputMissingError
from jobcluster.keeper import frames

__all__ = ["KeeperDirectory", "KeeperPlace", "Launched", "Sighting"]

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_ENDED: Final = frozenset("ZX")
"""States of a process that runs no more: a zombie, or dead (proc_pid_stat(5))."""

_CONNECT_LIMIT: Final = 5
"""Seconds; a UNIX socket that takes that long is one that nobody listens to."""


@attrs.frozen
class Sighting:
    """A keeper as the lock file names it: its process is the only one that all this is true of."""

    pid: int
    start: int
    """When the process was started: field 22 of C{/proc/PID/stat}, in clock ticks."""
    boot: str
    """Of which boot of the machine."""
    keeper: str
    """Its id."""
    socket: str
    """Where it listens."""


class Launched(Protocol):
    """A process that was started, and is to be a keeper."""

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; C{None} while it runs."""

    def terminate(self) -> None:
        """Ask it to end."""


class KeeperPlace(Protocol):
    """
    Where one keeper is at a time, and what a node can do there.
    """

    @property
    def log(self) -> str:
        """Where the operator reads what a keeper has to say."""

    def named(self) -> Sighting | None:
        """The keeper that the lock file names, if its process is there."""

    def is_locked(self) -> bool:
        """Whether a keeper has this place; to be asked only when none is being started."""

    def lives(self, sighting: Sighting, /) -> bool:
        """Whether that very process is still there, if only stopped."""

    def signal(self, sighting: Sighting, number: int, /) -> None:
        """Send a signal to that very process, or to nobody."""

    def launch(self) -> Launched:
        """
        Start a process that becomes the keeper of this place, or ends at once.

        @raise KeeperError: if that cannot be done.
        """

    def connect(self, sighting: Sighting, protocol: IProtocol, /) -> Deferred[IProtocol]:
        """Fires with the protocol when it is connected to that keeper."""

    def read(self, number: int, stream: str, offset: int, limit: int, /) -> bytes:
        """
        Some of the output of the run of that number: see L{jobcluster.interfaces.IRunner.output}.
        """


class _OneConnection(Factory):
    """Has one protocol, for one connection."""

    noisy = False

    def __init__(self, protocol: IProtocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ANN401 - as Twisted's
        return self._protocol


class KeeperDirectory:
    """
    The keeper of a state directory, as a process of this machine.
    """

    def __init__(self, reactor: Any, state: Path) -> None:  # noqa: ANN401 - endpoints take any
        """
        Look for nothing yet.

        @param reactor: an L{twisted.internet.interfaces.IReactorUNIX}.
        @param state: the node's state directory.
        """
        self._reactor = reactor
        self._state = state.absolute()
        self.path = self._state / "keeper"
        self._children: list[subprocess.Popen[bytes]] = []
        self._identity: tuple[int, int] | None = None
        """Device and inode of the state directory, once it was looked at."""

    @property
    def log(self) -> str:
        """
        See L{KeeperPlace.log}.
        """
        return str(self.path / "log")

    @property
    def has_spool(self) -> bool:
        """
        Whether a keeper may have left something here.
        """
        return (self.path / "spool").exists()

    def named(self) -> Sighting | None:
        """
        See L{KeeperPlace.named}.
        """
        self._is_replaced()
        try:
            said = json.loads((self.path / "lock").read_bytes())
            sighting = Sighting(
                pid=int(said["pid"]),
                start=int(said["start"]),
                boot=str(said["boot"]),
                keeper=str(said["keeper"]),
                socket=str(said["socket"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None  # nobody has been there, or somebody is writing it
        return sighting if self.lives(sighting) else None

    def is_locked(self) -> bool:
        """
        See L{KeeperPlace.is_locked}; the lock is taken for a moment, if it is free.
        """
        try:
            lock = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(lock)
        return False

    def lives(self, sighting: Sighting) -> bool:
        """
        See L{KeeperPlace.lives}.
        """
        lives = _boot_id() == sighting.boot and _start_of(sighting.pid) == sighting.start
        # Only now: what has just been seen as a zombie is nobody else's to see to.
        self._reap()
        return lives

    def signal(self, sighting: Sighting, number: int) -> None:
        """
        See L{KeeperPlace.signal}.
        """
        with suppress(ProcessLookupError, PermissionError):
            descriptor = os.pidfd_open(sighting.pid)
            try:
                # Only now: what has this number stays the same process while it is open.
                if self.lives(sighting):
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)

    def launch(self) -> Launched:
        """
        See L{KeeperPlace.launch}.
        """
        if self._is_replaced():
            raise KeeperError("No keeper can be started: the state directory was replaced.")
        try:
            # Its parent is not made: a state directory that was removed is gone.
            self.path.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            log = os.open(self.path / "log", flags, 0o600)
            try:
                child = subprocess.Popen(  # noqa: S603 - this package's own program
                    [sys.executable, "-m", "jobcluster.keeper", str(self._state)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=_environment(),
                    start_new_session=True,
                )
            finally:
                os.close(log)
        except OSError as error:
            raise KeeperError(f"No keeper can be started: {error}.") from error
        self._reap()
        self._children.append(child)
        return child

    def connect(self, sighting: Sighting, protocol: IProtocol) -> Deferred[IProtocol]:
        """
        See L{KeeperPlace.connect}.
        """
        endpoint = UNIXClientEndpoint(self._reactor, sighting.socket, timeout=_CONNECT_LIMIT)
        connected: Deferred[IProtocol] = endpoint.connect(_OneConnection(protocol))
        return connected

    def read(self, number: int, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{KeeperPlace.read}.
        """
        path = self.path / "runs" / f"{number}.{stream}"
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except OSError as error:
            raise OutputMissingError(f"The output cannot be read: {error}.") from error

    def _is_replaced(self) -> bool:
        """Whether another directory is where the first one was."""
        try:
            found = self._state.stat()
        except OSError:
            return False  # there is none: nothing can be started in it
        if self._identity is None:
            self._identity = found.st_dev, found.st_ino
        return self._identity != (found.st_dev, found.st_ino)

    def _reap(self) -> None:
        """See to the ends of what was started here, lest it stay a zombie."""
        self._children = [child for child in self._children if child.poll() is None]


def _environment() -> dict[str, str]:
    """What the keeper gets: commands get what the hello says, and nothing of this."""
    # A node may itself be run by a keeper, which knows what it started by such variables.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("JOBCLUSTER_")
    }
    places = [str(Path(frames.__file__).parents[2]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(place for place in places if place)
    # It is started in the root directory, whose modules are none of its.
    environment["PYTHONSAFEPATH"] = "1"
    return environment


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _start_of(pid: int) -> int | None:
    """
    When a process was started, in clock ticks since the boot; C{None} if it does not run.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        # The second field is in parentheses and may have anything in it; then comes the third.
        fields = stat[stat.rindex(b")") + 2 :].split()
        return None if fields[0].decode("ascii") in _ENDED else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
