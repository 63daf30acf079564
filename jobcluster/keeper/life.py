"""
The life of a keeper: what it needs to begin, one turn after the other, and what ends it.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from contextlib import suppress
from types import FrameType
from typing import Final

from jobcluster.keeper.directory import Directory
from jobcluster.keeper.facts import become_subreaper, boot_id, process
from jobcluster.keeper.holdings import Holdings
from jobcluster.keeper.jobs import Jobs
from jobcluster.keeper.leftovers import take_over
from jobcluster.keeper.notes import note
from jobcluster.keeper.records import Run
from jobcluster.keeper.server import Server
from jobcluster.keeper.workers import Workers

__all__ = ["Life"]

_IDLE: Final = 600.0
"""Seconds without a node and without runs after which a keeper ends."""

_LOOK: Final = 1.0
"""Seconds between two looks at whether the directory is there."""

_LINGER: Final = 1.0
"""Seconds for a node to hear the last end, when the keeper is to end."""

_GONE_PATIENCE: Final = 5.0
"""Seconds to wait for killed runs, when the directory has gone."""


class Life:
    """
    A keeper.
    """

    def __init__(self, state: bytes, idle: float = _IDLE) -> None:
        """
        Take over the directory, and end what an earlier keeper has left.

        @param idle: seconds without a node and without runs after which it ends.
        @raise DirectoryError: if it cannot have the directory.
        @raise OSError: if anything else is in the way.
        """
        self._idle = idle
        _stay_private()
        self._directory = directory = Directory(state)
        os.chdir("/")
        boot, keeper, pid = boot_id(), os.urandom(8).hex(), os.getpid()
        me = process(pid)
        start = 0 if me is None else me.start
        directory.announce({"pid": pid, "start": start, "boot": boot, "keeper": keeper})
        become_subreaper()
        self._selector = selectors.DefaultSelector()
        self._server = Server(self._selector, {"keeper": keeper, "pid": pid, "boot": boot})
        record = directory.record()
        outputs, work = directory.files()
        held = take_over(record, boot, directory.workers)
        numbers = outputs.numbers()
        following = max(record.next, work.remove_all() + 1, *(n + 1 for n in numbers), 1)
        for number in numbers - {run.number for run in held if _has_files(run)}:
            outputs.remove(number)
        names = (boot, keeper)
        holdings = Holdings(directory.descriptor, names, (outputs, work), (held, following))
        self._spool = holdings.spool
        self._jobs = self._server.jobs = Jobs(
            holdings, self._server, Workers(self._selector, directory.workers, time.monotonic)
        )
        self._terminated = False
        self._listen_to_signals()
        self._server.listen(directory.socket)
        note(f"keeper {keeper} (pid {pid}) holds {len(held)} runs that have ended")

    # -- turns -------------------------------------------------------------------------------------

    def live(self) -> None:
        """
        Go on until something ends it.
        """
        jobs, server = self._jobs, self._server
        look_at = 0.0
        busy_at = time.monotonic()
        while True:
            for key, events in self._selector.select(self._pause(look_at)):
                key.data(events)
            if self._terminated and not jobs.ending:
                note("SIGTERM: every run is stopped, and then the keeper ends")
                server.end()
            jobs.reap()
            server.carry_out()
            jobs.tick()
            self._spool.flush()
            server.send()
            now = time.monotonic()
            if now >= look_at:
                look_at = now + _LOOK
                if not self._directory.is_there():
                    self._give_up()
                    return
                self._spool.maintain()
            if jobs.busy or server.connected:
                busy_at = now
            if self._is_over(now, busy_at):
                break
        jobs.close()
        server.close()
        self._spool.flush()
        self._spool.close()
        self._directory.leave()

    def _pause(self, look_at: float) -> float:
        """Seconds until something is due."""
        wake = self._jobs.wake()
        look = max(0.0, look_at - time.monotonic())
        return look if wake is None else min(wake, look)

    def _is_over(self, now: float, busy_at: float) -> bool:
        """Whether there is nothing to do any more."""
        if self._jobs.busy:
            return False
        if self._jobs.ending:
            said_long_ago = now > self._server.said_end_at + _LINGER
            if said_long_ago or not self._server.obeying:
                note("all runs have ended, as was wanted: the keeper ends")
                return True
        if now > busy_at + self._idle:
            note("no runs and no node: the keeper ends; the next one goes on with the spool")
            return True
        return False

    def _give_up(self) -> None:
        path = os.fsdecode(self._directory.path)
        note(f"{path} was removed or replaced: every run is killed, and the keeper ends")
        self._jobs.kill_everything(_GONE_PATIENCE)
        self._server.close()
        self._directory.leave()

    # -- signals -----------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        """Wake up by the signals that say something; ignore those of terminals."""
        self._wakeup, writing = socket.socketpair()
        self._wakeup.setblocking(False)
        writing.setblocking(False)
        self._woken = writing
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._wake)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.signal(signal.SIGTERM, self._terminate)

    def _wake(self, _: int) -> None:
        self._wakeup.recv(4096)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True


def _nothing(number: int, frame: FrameType | None) -> None:
    """To have a handler at all, so that the signal wakes up."""


def _stay_private() -> None:
    """Pass on no descriptor to runs, have all three streams, and end by no terminal."""
    while (descriptor := os.open("/dev/null", os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error
        pass
    os.close(descriptor)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is wanted
        if int(name) > 2:  # noqa: PLR2004 - standard error
            with suppress(OSError):
                os.set_inheritable(int(name), False)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _has_files(run: Run) -> bool:
    return run.outcome is not None and run.outcome.files(len(run.value))
