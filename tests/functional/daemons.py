"""
Real daemons: started, watched, stopped by signals, and never left behind.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

__all__ = [
    "Daemon",
    "Daemons",
    "PatienceOverError",
    "Ports",
    "clock",
    "pause",
    "until",
    "until_told",
    "within",
]

_T = TypeVar("_T")

clock: Final = IReactorTime(installed)
"""The reactor, for its time."""

_TWISTD: Final = Path(sys.executable).parent / "twistd"

_LOOK_EVERY: Final = 0.02
"""Seconds between two looks at a condition."""

_TAIL: Final = 40
"""Lines of each log that are shown of a test that failed."""

# What would set an option of a daemon, or measure it.
_NOT_INHERITED: Final = re.compile(
    r"(JOBCLUSTER_|PYTHON|COV_|PYTEST).*|DISPATCH_PERIOD|DISPATCH_MODE|MAX_NUM_JOBS_DISPATCH"
    r"|MAX_NUM_NODES|REQUEST_RESULT_PERIOD|VERBOSE"
)


class PatienceOverError(AssertionError):
    """
    What was waited for did not happen in time.
    """


def pause(seconds: float) -> Deferred[None]:
    """
    Fires after some seconds; for what lasts a given time by its nature, and nothing else.
    """
    return deferLater(clock, seconds, lambda: None)


def within(limit: float, awaited: Deferred[_T], what: str) -> Deferred[_T]:
    """
    Fires as C{awaited} does, or fails with L{PatienceOverError} after C{limit} seconds.
    """

    def impatient(_: _T | Failure, seconds: float) -> _T:
        raise PatienceOverError(f"after {seconds:g} s: {what}")

    return awaited.addTimeout(limit, clock, impatient)


async def until(limit: float, what: str, look: Callable[[], bool]) -> None:
    """
    Look again and again, until it is so.

    @param what: what is wrong as long as it is not.
    @raise PatienceOverError: after C{limit} seconds.
    """

    async def asked() -> bool:
        return look()

    await until_told(limit, what, asked)


async def until_told(limit: float, what: str, ask: Callable[[], Awaitable[_T | None]]) -> _T:
    """
    Ask again and again, until there is an answer that is true; return it.

    @param what: what is wrong as long as there is none.
    @raise PatienceOverError: after C{limit} seconds.
    """
    end = time.monotonic() + limit
    while not (answer := await ask()):
        if time.monotonic() > end:
            raise PatienceOverError(f"after {limit:g} s: {what}")
        await pause(_LOOK_EVERY)
    return answer


class Ports:
    """
    Ports on the loopback interface that the kernel chose, and that are kept until they are let go.

    A socket that is bound to one, and does not listen, keeps it from being given to anybody who
    leaves the choice to the kernel, and does not keep a daemon from listening on it: so it is still
    there for a daemon that is started again.
    """

    def __init__(self) -> None:
        self._kept: list[socket.socket] = []

    def choose(self) -> int:
        """
        Return one more.
        """
        kept = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._kept.append(kept)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        return int(kept.getsockname()[1])

    def let_go(self) -> None:
        """
        Keep none of them any longer.
        """
        while self._kept:
            self._kept.pop().close()


class _Watch(ProcessProtocol):
    """Notes when a process ends, whoever else holds what it wrote to."""

    def __init__(self) -> None:
        self.status: int | None = None
        self._waiting: list[Deferred[int]] = []

    def ended(self) -> Deferred[int]:
        waiting: Deferred[int] = Deferred()
        if self.status is None:
            self._waiting.append(waiting)
        else:
            waiting.callback(self.status)
        return waiting

    def processExited(self, reason: Failure) -> None:
        ended = reason.value
        if isinstance(ended, ProcessTerminated) and ended.signal is not None:
            status = -ended.signal
        else:
            assert isinstance(ended, ProcessDone | ProcessTerminated)
            status = ended.exitCode or 0
        self.status = status
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(status)


class Daemon:
    """
    One C{twistd -n}, that may be started more than once.
    """

    def __init__(
        self,
        twistd: Path,
        name: str,
        arguments: Sequence[str],
        directory: Path,
        environ: dict[str, str],
    ) -> None:
        """
        A daemon that is not started yet.

        @param arguments: those after C{twistd -n}.
        @param directory: where it works; its log is beside what it makes there.
        @param environ: what is added to the environment.
        """
        self._twistd = str(twistd)
        self.name = name
        self.arguments = list(arguments)
        self.directory = directory
        self.environ = environ
        self.log = directory / f"{name}.log"
        self._watch: _Watch | None = None
        self._transport: IProcessTransport | None = None
        self._frozen = False
        self._log_begins = 0

    def start(self) -> None:
        """
        Start the process; its log goes on where that of the one before ended.
        """
        assert not self.runs, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        self._frozen = False
        self._watch = _Watch()
        inherited = {k: v for k, v in os.environ.items() if not _NOT_INHERITED.fullmatch(k)}
        given = {
            "XDG_STATE_HOME": str(self.directory / "home"),
            # Which of many nodes would get the port where programs look for one is chance.
            "JOBCLUSTER_CLIENT": "none",
        }
        with Path(os.devnull).open("rb") as nothing, self.log.open("ab") as log:
            self._log_begins = log.tell()
            self._transport = IReactorProcess(installed).spawnProcess(
                self._watch,
                self._twistd,
                [self._twistd, "-n", *self.arguments],
                {**inherited, **given, **self.environ},
                str(self.directory),
                childFDs={0: nothing.fileno(), 1: log.fileno(), 2: log.fileno()},
            )

    @property
    def runs(self) -> bool:
        """Whether there is such a process, be it frozen."""
        return self._watch is not None and self._watch.status is None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self.runs
        assert self._transport is not None
        return int(self._transport.pid)

    @property
    def said(self) -> str:
        """What the last process wrote: its log, its errors."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode("utf-8", "replace")

    @property
    def said_ever(self) -> str:
        """What all its processes wrote."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def memory(self) -> float:
        """
        How much of its memory is resident, in MiB.
        """
        return self._status("VmRSS")

    def peak(self) -> float:
        """
        How much of its memory was resident at most, in MiB.
        """
        return self._status("VmHWM")

    def _status(self, field: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        found = re.search(rf"^{field}:\s+([0-9]+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def ended(self, limit: float = 20) -> Deferred[int]:
        """
        Fires with how it ended: its exit code, or the negative number of a signal.
        """
        assert self._watch is not None
        return within(limit, self._watch.ended(), f"{self.name} has not ended")

    def freeze(self) -> None:
        """
        Have it do nothing until L{thaw}.
        """
        os.kill(self.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """
        Have it go on after L{freeze}.
        """
        os.kill(self.pid, signal.SIGCONT)
        self._frozen = False

    def kill(self) -> Deferred[int]:
        """
        Kill it; fires when it is gone.
        """
        os.kill(self.pid, signal.SIGKILL)
        return self.ended()

    def terminate(self) -> None:
        """
        Ask it to end in order.
        """
        os.kill(self.pid, signal.SIGTERM)

    def tail(self) -> str:
        """
        The last lines of its log.
        """
        lines = self.said_ever.splitlines()
        shown = [line[:400] for line in lines[-_TAIL:]]
        if len(lines) > len(shown):
            shown.insert(0, f"({len(lines) - len(shown)} lines before these)")
        return "\n".join([f"---- {self.name}: {' '.join(self.arguments)}", *shown])


class Daemons:
    """
    All daemons of one test, so that none is left when it ends.
    """

    def __init__(self, directory: Path) -> None:
        """
        None yet.

        @param directory: of the test.
        """
        self.directory = directory
        self.ports = Ports()
        self.twistd = _TWISTD
        """What runs them; by default it is from where these tests run."""
        self._made: list[Daemon] = []

    def make(
        self,
        name: str,
        *arguments: str,
        environ: dict[str, str] | None = None,
        directory: Path | None = None,
    ) -> Daemon:
        """
        A daemon that is ended with the test, and not started yet.
        """
        where = directory or self.directory
        daemon = Daemon(self.twistd, name, arguments, where, environ or {})
        self._made.append(daemon)
        return daemon

    async def end_all(self) -> None:
        """
        Kill whatever still runs, and show what all of them said: seen only if the test failed.
        """
        running = [daemon for daemon in self._made if daemon.runs]
        gone = [daemon.kill() for daemon in running]
        try:
            for each in gone:
                await each
        finally:
            self.ports.let_go()
            for daemon in self._made:
                print(daemon.tail())  # noqa: T201 - pytest shows it of a test that failed
