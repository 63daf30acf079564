"""
Commands without processes: what a program does is a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from jobcluster.core.actions import Run
from jobcluster.core.commands import Command, unpack_command
from jobcluster.core.events import (
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import Adopted, Now, Outcome, Ref, Status
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IRunner

__all__ = ["Finished", "Program", "ProgramRunner", "cat"]

_INLINE: Final = 64 * 1024
"""Bytes of output that an outcome has in itself (as the keeper does it)."""


class Finished(NamedTuple):
    """What a program has done."""

    code: int = 0
    out: bytes = b""
    err: bytes = b""
    seconds: float = 0.0
    """How long it took; its output came evenly in that time."""


Program = Callable[[Command], Finished]
"""What a command does."""


def cat(command: Command) -> Finished:
    """
    Write the standard input to the standard output.
    """
    return Finished(out=command.stdin)


@implementer(IRunner)
class ProgramRunner:
    """
    Runs commands; what has ended is kept until it is dropped, and ends with this process.
    """

    told: Callable[[RunnerEvent], None]

    def __init__(
        self, clock: IReactorTime, clocks: Callable[[], Now], program: Program = cat
    ) -> None:
        """
        Nothing runs.
        """
        self._clock = clock
        self._clocks = clocks
        self._program = program
        self._until = 0.0
        self._running: dict[Ref, int] = {}
        self._begun: dict[Ref, tuple[float, Finished]] = {}
        """When what runs was begun, in seconds of C{clock}, and what it will have done."""
        self.kept: dict[Ref, Finished] = {}
        """What has ended and was not dropped."""

    def inventory(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """
        See L{IRunner.inventory}.
        """
        return succeed(("", ()))

    def lease(self, until: float) -> None:
        """
        See L{IRunner.lease}.
        """
        self._until = until

    def start(self, runs: Sequence[Run]) -> None:
        """
        See L{IRunner.start}.
        """
        now = self._clocks()
        at = int(now.wall * 1000)
        for run in runs:
            if now.boot > self._until:
                self.told(RunsRefused((run.ref,)))
                continue
            self._running[run.ref] = at
            self.told(RunsStarted((run.ref,), at))
            finished = self._program(unpack_command(run.payload))
            self._begun[run.ref] = (self._clock.seconds(), finished)
            self._clock.callLater(finished.seconds, self._finish, run.ref, finished)

    def _finish(self, ref: Ref, finished: Finished, status: str = "") -> None:
        started = self._running.pop(ref, None)
        if started is None:
            return
        del self._begun[ref]
        self.kept[ref] = finished
        inline = len(finished.out) + len(finished.err) <= _INLINE
        outcome = Outcome(
            status or (Status.FAILED if finished.code else Status.SUCCEEDED),
            finished.code,
            started=started,
            ended=int(self._clocks().wall * 1000),
            out=finished.out if inline else b"",
            err=finished.err if inline else b"",
            out_size=len(finished.out),
            err_size=len(finished.err),
        )
        self.told(RunsEnded((RunEnded(ref, outcome),)))

    def stop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.stop}: what was put out by then stays.
        """
        for ref in refs:
            if ref in self._running:
                finished = Finished(-15, self._written(ref, "out"), self._written(ref, "err"))
                self._finish(ref, finished, Status.CANCELLED)

    def drop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.drop}.
        """
        for ref in refs:
            running = self._running.pop(ref, None) is not None
            self._begun.pop(ref, None)
            if self.kept.pop(ref, None) is not None or running:
                self.told(RunsDropped((ref,)))

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.output}.
        """
        if ref not in self.kept:
            raise OutputMissingError
        finished = self.kept[ref]
        return (finished.out if stream == "out" else finished.err)[offset : offset + limit]

    def live(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.live}.
        """
        if ref in self.kept:
            return self.output(ref, stream, offset, limit)
        if ref not in self._begun:
            raise OutputMissingError
        return self._written(ref, stream)[offset : offset + limit]

    def _written(self, ref: Ref, stream: str) -> bytes:
        began, finished = self._begun[ref]
        whole = finished.out if stream == "out" else finished.err
        share = (self._clock.seconds() - began) / finished.seconds if finished.seconds else 1.0
        return whole[: int(len(whole) * min(1.0, share))]

    def finish(self) -> Deferred[None]:
        """
        See L{IRunner.finish}.
        """
        return succeed(None)

    def close(self) -> None:
        """
        See L{IRunner.close}.
        """
        self._running.clear()
        self._begun.clear()
