"""
The workers of a keeper: processes that call functions, one at a time, and are kept warm.

A worker is given the functions of one directory and one environment alone: what it has imported for
one of them is what the others want, too.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jobcluster.keeper.facts import process
from jobcluster.keeper.frames import Frame, FrameError, FrameReader, pack_frame
from jobcluster.keeper.notes import note
from jobcluster.keeper.payloads import Command, Function
from jobcluster.keeper.records import Run
from jobcluster.keeper.spawn import spawn

__all__ = ["Worker", "Workers"]

_MOST: Final = 1000
"""Functions that one worker calls before it is replaced: what leaks, leaks for so long."""

_IDLE: Final = 60.0
"""Seconds without a function after which a worker is ended."""

_READ: Final = 65536
"""Bytes read at a time."""

_ROOT: Final = os.fsencode(Path(__file__).parents[2])
"""Where this package is, be it installed or not."""

_BEGIN: Final = (
    b"import sys; sys.path.append(sys.argv[2]); from jobcluster.keeper.worker import main;"
    b" sys.path.pop(); main(sys.argv[1])"
)
"""A plain -m would have to have C{PYTHONPATH} for itself, which is the functions'."""

_SPEAKS: Final = 1
"""The version of what a worker and its keeper say to each other."""

_NEVER: Final = float("inf")

Key = tuple[bytes | None, frozenset[tuple[bytes, bytes]]]
"""The directory that its jobs have named, and their environment."""


class Worker:
    """
    A process, and the socket to it.
    """

    def __init__(self, key: Key, mark: bytes, connected: socket.socket) -> None:
        """
        It is about to be started.

        @param mark: what its environment has for itself.
        """
        self.key = key
        self.mark = mark
        self.socket = connected
        self.pid = self.start = 0
        self.calls = 0
        self.ready = False
        """Whether it has said anything."""
        self.idle_at = 0.0
        """When its last function ended, in seconds of the clock."""
        self.run: Run | None = None
        self.out = memoryview(b"")
        """What it could not be sent yet."""
        self.reader = FrameReader()


class Workers:
    """
    All workers; as many as functions are called at once, at most.
    """

    def __init__(
        self, selector: selectors.BaseSelector, marks: bytes, clock: Callable[[], float]
    ) -> None:
        """
        There are none yet.

        @param marks: how what is said in the environment of each begins.
        @param clock: seconds.
        """
        self._selector = selector
        self._marks = marks
        self._clock = clock
        self._started = 0
        self._idle: dict[int, Worker] = {}
        """By pid; the one that has been idle for longest first."""
        self._busy: dict[int, Worker] = {}
        """By pid."""
        self._done: list[tuple[Run, Frame]] = []

    # -- calls -------------------------------------------------------------------------------------

    def start(
        self,
        run: Run,
        function: Function,
        environment: dict[bytes, bytes],
        directory: bytes,
        streams: tuple[int, int, int],
    ) -> None:
        """
        Have a function called.

        @param environment: without what is of this run alone.
        @param directory: where it is called.
        @param streams: descriptors of standard input, output and error.
        @raise NotStartedError: if there can be no worker.
        @raise OSError: if it cannot be told.
        """
        key = (function.directory, frozenset(environment.items()))
        head = {
            "call": function.name,
            "pickled": function.pickled,
            "python": function.python,
            "directory": os.fsdecode(directory),
            "variables": {
                os.fsdecode(name): os.fsdecode(value) for name, value in run.variables().items()
            },
        }
        frame = pack_frame("call", head, function.arguments)
        worker = self._take(key)
        while worker is not None and not self._say(worker, frame, streams[1:]):
            self._close(worker)  # somebody has killed it
            worker = self._take(key)
        if worker is None:
            if self._idle:
                self._end(next(iter(self._idle.values())))
            worker = self._spawn(key, environment, streams)
            # If it has ended at once, that is seen as with any process.
            self._say(worker, frame, streams[1:])
        worker.run = run
        worker.calls += 1
        run.pid, run.start, run.worker = worker.pid, worker.start, worker.mark
        self._busy[worker.pid] = worker

    def hear(self, run: Run) -> None:
        """
        Look whether the function of a run has come to its end in this very moment.
        """
        self._hear(self._busy[run.pid])

    def take_done(self) -> list[tuple[Run, Frame]]:
        """
        The runs whose functions have come to their ends, and what was said of that.
        """
        done, self._done = self._done, []
        return done

    def rest(self, run: Run) -> bool:
        """
        The worker of a run has nothing to do any more.

        @return: whether it will be there for another one; otherwise it is being ended.
        """
        worker = self._busy.pop(run.pid)
        worker.run = None
        if worker.calls >= _MOST:
            self._end(worker)
            return False
        worker.idle_at = self._clock()
        self._idle[worker.pid] = worker
        return True

    def forget(self, pid: int) -> None:
        """
        A worker that was idle has ended.
        """
        worker = self._idle.pop(pid, None)
        if worker is not None:
            self._close(worker)

    def gone(self, run: Run) -> bool:
        """
        The worker of a run has ended.

        @return: whether it had begun at all.
        """
        worker = self._busy.pop(run.pid, None)
        if worker is None:
            return True
        # It may have ended after it said this.
        self._hear(worker)
        self._close(worker)
        return worker.ready

    # -- time --------------------------------------------------------------------------------------

    @property
    def next(self) -> float:
        """
        When there is a worker to be ended, by the clock; infinite if there is none.
        """
        return next(iter(self._idle.values())).idle_at + _IDLE if self._idle else _NEVER

    def tick(self) -> None:
        """
        End those that have been idle for long.
        """
        while self.next <= self._clock():
            self._end(next(iter(self._idle.values())))

    def close(self) -> None:
        """
        End all that are idle.
        """
        for worker in list(self._idle.values()):
            self._end(worker)

    # -- inside ------------------------------------------------------------------------------------

    def _take(self, key: Key) -> Worker | None:
        """The one that became idle last of those that suit."""
        for worker in reversed(self._idle.values()):
            if worker.key == key:
                del self._idle[worker.pid]
                return worker
        return None

    def _spawn(
        self, key: Key, environment: dict[bytes, bytes], streams: tuple[int, int, int]
    ) -> Worker:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._started += 1
        worker = Worker(key, self._marks + b"%d-%d" % (os.getpid(), self._started), ours)
        name, _, value = worker.mark.partition(b"=")
        program = (os.fsencode(sys.executable), b"-c", _BEGIN, key[0] or b"", _ROOT)
        command = Command(program)
        try:
            worker.pid = spawn(
                command, {**environment, name: value}, b"/", (*streams, its.fileno())
            )
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
        ours.setblocking(False)
        # It was not waited for, so that it is there, if only as a zombie.
        found = process(worker.pid)
        worker.start = 0 if found is None else found.start
        self._selector.register(
            ours, selectors.EVENT_READ, lambda events: self._ready(worker, events)
        )
        return worker

    def _end(self, worker: Worker) -> None:
        """End one that calls nothing; who waits for it is told of it as of any other process."""
        self._idle.pop(worker.pid, None)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
        self._close(worker)

    def _close(self, worker: Worker) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(worker.socket)
        worker.socket.close()

    def _say(self, worker: Worker, frame: bytes, streams: tuple[int, ...]) -> bool:
        """Tell a worker what to call; whether it is there."""
        try:
            sent = socket.send_fds(worker.socket, [frame], streams)
        except OSError:
            return False
        worker.out = memoryview(frame)[sent:]
        if worker.out:
            self._listen(worker, selectors.EVENT_READ | selectors.EVENT_WRITE)
        return True

    def _listen(self, worker: Worker, events: int) -> None:
        key = self._selector.get_key(worker.socket)
        self._selector.modify(worker.socket, events, key.data)

    def _ready(self, worker: Worker, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            try:
                worker.out = worker.out[worker.socket.send(worker.out) :]
            except BlockingIOError:
                pass
            except OSError:
                worker.out = memoryview(b"")
            if not worker.out:
                self._listen(worker, selectors.EVENT_READ)
        if events & selectors.EVENT_READ:
            self._hear(worker)

    def _hear(self, worker: Worker) -> None:
        """Read what a worker has said."""
        try:
            while data := worker.socket.recv(_READ):
                for frame in worker.reader.feed(data):
                    self._take_in(worker, frame)
        except BlockingIOError:
            return
        except FrameError as error:
            whose = "that is idle" if worker.run is None else f"of {worker.run.ticket}"
            note(f"the worker {whose} is killed, for what it has said: {error}")
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.pid, signal.SIGKILL)
        except OSError:
            pass
        # It has closed its end: it is gone, or its function has closed what was not its own.
        with suppress(KeyError, ValueError):
            self._selector.unregister(worker.socket)
        if worker.pid in self._idle:
            self._end(worker)

    def _take_in(self, worker: Worker, frame: Frame) -> None:
        if frame.word == "ready" and frame.head.get("speaks") == _SPEAKS:
            worker.ready = True
            return
        if frame.word != "done" or worker.run is None:
            raise FrameError(f"{frame.word[:40]!r} was not to be said")
        self._done.append((worker.run, _checked(frame)))
        worker.run = None


def _checked(frame: Frame) -> Frame:
    head: dict[str, Any] = frame.head
    kinds = [type(head.get(name)) for name in ("returned", "detail", "retire")]
    if kinds != [bool, str, bool]:
        raise FrameError("what is done is not said as it should be")
    return frame
