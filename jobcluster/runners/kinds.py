"""
One runner made of several, each for jobs of some kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.core.actions import Run
from jobcluster.core.events import RunEnded, RunnerEvent, RunsEnded
from jobcluster.core.values import Adopted, Now, Outcome, Ref, Status
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IRunner

__all__ = ["UNKNOWN_KIND", "KindsRunner"]

UNKNOWN_KIND: Final = "this node runs no jobs of that kind"
"""For the user whose job nothing here can run."""


@implementer(IRunner)
class KindsRunner:
    """
    Gives each job to the runner of its kind.

    What is to be ended is told to all of them: a runner knows which runs are its own.
    """

    told: Callable[[RunnerEvent], None]

    def __init__(self, runners: Mapping[str, IRunner], clocks: Callable[[], Now]) -> None:
        """
        Let these tell what happens through this one.

        @param runners: by the kind of the jobs that they run.
        @param clocks: reads the three clocks.
        """
        self._runners = dict(runners)
        # One that runs two kinds is told once.
        self._all = tuple({id(runner): runner for runner in runners.values()}.values())
        self._clocks = clocks
        for runner in self._all:
            runner.told = self._tell

    def _tell(self, event: RunnerEvent) -> None:
        self.told(event)

    def inventory(self) -> Deferred[tuple[str, tuple[Adopted, ...]]]:
        """
        See L{IRunner.inventory}: of all, and the id of the one process that is not this one.
        """
        asked = [runner.inventory() for runner in self._all]
        return gatherResults(asked, consumeErrors=True).addCallbacks(_merged, _first)

    def start(self, runs: Sequence[Run]) -> None:
        """
        See L{IRunner.start}.
        """
        kinds: dict[str, list[Run]] = {}
        for run in runs:
            kinds.setdefault(run.kind, []).append(run)
        for kind, some in kinds.items():
            runner = self._runners.get(kind)
            if runner is None:
                self._refuse(some)
            else:
                runner.start(some)

    def _refuse(self, runs: Sequence[Run]) -> None:
        at = int(self._clocks().wall * 1000)
        outcome = Outcome(Status.FAILED, None, UNKNOWN_KIND, at, at)
        self.told(RunsEnded(tuple(RunEnded(run.ref, outcome) for run in runs)))

    def stop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.stop}.
        """
        for runner in self._all:
            runner.stop(refs)

    def drop(self, refs: Sequence[Ref]) -> None:
        """
        See L{IRunner.drop}.
        """
        for runner in self._all:
            runner.drop(refs)

    def lease(self, until: float) -> None:
        """
        See L{IRunner.lease}.
        """
        for runner in self._all:
            runner.lease(until)

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.output}.
        """
        for runner in self._all:
            try:
                return runner.output(ref, stream, offset, limit)
            except OutputMissingError:
                continue
        raise OutputMissingError

    def live(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        See L{IRunner.live}.
        """
        for runner in self._runners.values():
            try:
                return runner.live(ref, stream, offset, limit)
            except OutputMissingError:
                continue
        raise OutputMissingError

    def finish(self) -> Deferred[None]:
        """
        See L{IRunner.finish}.
        """
        finished = [runner.finish() for runner in self._all]
        return gatherResults(finished, consumeErrors=True).addCallbacks(lambda _: None, _first)

    def close(self) -> None:
        """
        See L{IRunner.close}.
        """
        for runner in self._all:
            runner.close()


def _merged(
    found: Sequence[tuple[str, tuple[Adopted, ...]]],
) -> tuple[str, tuple[Adopted, ...]]:
    keeper = next((keeper for keeper, _ in found if keeper), "")
    return keeper, tuple(adopted for _, some in found for adopted in some)


def _first(failure: Failure) -> Failure:
    """What went wrong itself, without what it was wrapped in."""
    error = failure.value
    return error.subFailure if isinstance(error, FirstError) else failure
