"""
Output that is too long for the database: files beside it, and the same in memory.

The files of a job are C{JOB.out} and C{JOB.err}; what is still being written ends in C{.part}.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.core.values import Offer
from jobcluster.errors import OutputMissingError, OutputNotKeptError
from jobcluster.interfaces import IOutputs
from jobcluster.store.directory import sync

__all__ = ["DIRECTORY", "MemoryOutputs", "OutputFiles", "kept_names", "on_threads"]

_Result = TypeVar("_Result")

DIRECTORY = "output"
"""Where it is, in the state directory."""

_STREAMS = ("out", "err")


def kept_names(job: int) -> tuple[str, ...]:
    """
    The names of the files of a job whose output is kept in files.
    """
    return tuple(f"{job}.{stream}" for stream in _STREAMS)


def on_threads(reactor: IReactorThreads) -> Callable[[Callable[[], Any]], Deferred[Any]]:
    """
    Call what may block on this reactor's threads.
    """
    return partial(deferToThreadPool, reactor, reactor.getThreadPool())


@implementer(IOutputs)
class OutputFiles:
    """
    Output in a directory, written and read on threads.
    """

    def __init__(self, state: Path, run: Callable[[Callable[[], Any]], Deferred[Any]]) -> None:
        """
        Keep it in a directory of the state directory, which is made when it is needed.

        @param run: calls what may block on a thread; see L{on_threads}.
        """
        self._directory = state.absolute() / DIRECTORY
        self._run = run

    def write(
        self, job: int, offer: Offer, stream: str, offset: int, data: bytes
    ) -> Deferred[None]:
        """
        See L{IOutputs.write}.
        """
        return self._in_thread(partial(self._write, job, offer, stream, offset, data))

    def keep(self, job: int, offer: Offer) -> Deferred[None]:
        """
        See L{IOutputs.keep}.
        """
        return self._in_thread(partial(self._keep, job, offer))

    def discard(self, job: int, offer: Offer) -> Deferred[None]:
        """
        See L{IOutputs.discard}.
        """
        return self._in_thread(partial(self._discard, job, offer))

    def read(self, job: int, stream: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        See L{IOutputs.read}.
        """
        return self._in_thread(partial(self._read, job, stream, offset, limit))

    def forget(self, before: int) -> Deferred[int]:
        """
        See L{IOutputs.forget}.
        """
        # It was written when its job ended, or soon afterwards.
        return self._in_thread(
            partial(self._remove, lambda entry: entry.stat().st_mtime * 1000 < before)
        )

    def tidy(self) -> Deferred[int]:
        """
        See L{IOutputs.tidy}.
        """
        return self._in_thread(partial(self._remove, lambda entry: entry.name.endswith(".part")))

    def _in_thread(self, work: Callable[[], _Result]) -> Deferred[_Result]:
        def failed(failure: Failure) -> Failure:
            error = failure.value
            if isinstance(error, FileNotFoundError):
                return Failure(OutputMissingError())
            if isinstance(error, OSError):
                return Failure(OutputNotKeptError(f"its output cannot be kept: {error.strerror}"))
            return failure

        return self._run(work).addErrback(failed)

    # -- on a thread -------------------------------------------------------------------------------

    def _part(self, job: int, offer: Offer, stream: str) -> Path:
        return self._directory / f"{job}-{offer[0]}-{offer[1]}.{stream}.part"

    def _write(self, job: int, offer: Offer, stream: str, offset: int, data: bytes) -> None:
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700, exist_ok=True)
            sync(self._directory.parent)
        # What is there no more was moved by a transfer that ought to be over: a new file would lack
        # all that is before this piece.
        flags = os.O_WRONLY | os.O_CLOEXEC | (0 if offset else os.O_CREAT | os.O_TRUNC)
        descriptor = os.open(self._part(job, offer, stream), flags, 0o600)
        try:
            left = memoryview(data)
            while left:
                written = os.pwrite(descriptor, left, offset)
                offset += written
                left = left[written:]
        finally:
            os.close(descriptor)

    def _keep(self, job: int, offer: Offer) -> None:
        for stream in _STREAMS:
            part = self._part(job, offer, stream)
            # An empty stream was never written.
            part.touch(mode=0o600)
            sync(part)
        for stream in _STREAMS:
            self._part(job, offer, stream).replace(self._directory / f"{job}.{stream}")
        sync(self._directory)

    def _discard(self, job: int, offer: Offer) -> None:
        for stream in _STREAMS:
            self._part(job, offer, stream).unlink(missing_ok=True)

    def _read(self, job: int, stream: str, offset: int, limit: int) -> bytes:
        if stream not in _STREAMS:
            raise OutputMissingError
        descriptor = os.open(self._directory / f"{job}.{stream}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, limit, offset)
        finally:
            os.close(descriptor)

    def _remove(self, condemned: Callable[[os.DirEntry[str]], bool]) -> int:
        count = 0
        with suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if condemned(entry):
                        Path(entry.path).unlink()
                        count += 1
        return count


@implementer(IOutputs)
class MemoryOutputs:
    """
    Output in memory, for a node whose jobs need not outlive it.
    """

    def __init__(self, room: int | None = None) -> None:
        """
        Nothing is kept.

        @param room: how many bytes may be, if there is a limit.
        """
        self._room = room
        self._parts: dict[tuple[int, Offer, str], bytearray] = {}
        self._kept: dict[tuple[int, str], bytes] = {}

    def write(
        self, job: int, offer: Offer, stream: str, offset: int, data: bytes
    ) -> Deferred[None]:
        """
        See L{IOutputs.write}.
        """
        return execute(self._write, job, offer, stream, offset, data)

    def _write(self, job: int, offer: Offer, stream: str, offset: int, data: bytes) -> None:
        used = sum(map(len, self._parts.values())) + sum(map(len, self._kept.values()))
        if self._room is not None and used + len(data) > self._room:
            raise OutputNotKeptError("its output cannot be kept: No space left on device")
        if offset and (job, offer, stream) not in self._parts:
            raise OutputMissingError
        part = self._parts.setdefault((job, offer, stream), bytearray())
        part[offset:] = data

    def keep(self, job: int, offer: Offer) -> Deferred[None]:
        """
        See L{IOutputs.keep}.
        """
        return execute(self._keep, job, offer)

    def _keep(self, job: int, offer: Offer) -> None:
        for stream in _STREAMS:
            self._kept[job, stream] = bytes(self._parts.pop((job, offer, stream), b""))

    def discard(self, job: int, offer: Offer) -> Deferred[None]:
        """
        See L{IOutputs.discard}.
        """
        return execute(self._discard, job, offer)

    def _discard(self, job: int, offer: Offer) -> None:
        for stream in _STREAMS:
            self._parts.pop((job, offer, stream), None)

    def read(self, job: int, stream: str, offset: int, limit: int) -> Deferred[bytes]:
        """
        See L{IOutputs.read}.
        """
        return execute(self._read, job, stream, offset, limit)

    def _read(self, job: int, stream: str, offset: int, limit: int) -> bytes:
        if (job, stream) not in self._kept:
            raise OutputMissingError
        return self._kept[job, stream][offset : offset + limit]

    def tidy(self) -> Deferred[int]:
        """
        See L{IOutputs.tidy}.
        """
        count = len(self._parts)
        self._parts.clear()
        return succeed(count)

    def forget(self, before: int) -> Deferred[int]:
        """
        See L{IOutputs.forget}; nothing is so old in memory.
        """
        return execute(lambda: 0)
