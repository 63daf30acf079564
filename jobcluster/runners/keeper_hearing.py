"""
What a keeper's words mean for its node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobcluster.core.events import (
    RunEnded,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.keeper.frames import Frame, FrameError
from jobcluster.runners.keeper_books import KeeperBooks
from jobcluster.runners.keeper_words import read_at, read_ended, read_numbers, read_refs

__all__ = ["hear"]


def hear(frames: Iterable[Frame], books: KeeperBooks) -> list[RunnerEvent]:
    """
    Enter in the books what a keeper has said, and make events of what is news.

    What has ended together is one event.

    @raise FrameError: if something is no word of a keeper's; what was said before it is lost, but
        the next inventory has it.
    """
    events: list[RunnerEvent] = []
    ended: list[RunEnded] = []
    for frame in frames:
        if frame.word == "ended":
            ref, outcome, number = read_ended(frame)
            if books.ended(ref, number):
                ended.append(RunEnded(ref, outcome))
            continue
        _close(ended, events)
        event = _hear_of_many(frame, books)
        if event is not None:
            events.append(event)
    _close(ended, events)
    return events


def _close(ended: list[RunEnded], events: list[RunnerEvent]) -> None:
    if ended:
        events.append(RunsEnded(tuple(ended)))
        ended.clear()


def _hear_of_many(frame: Frame, books: KeeperBooks) -> RunnerEvent | None:
    refs: Sequence[tuple[str, str, int, int]] = read_refs(frame)
    if frame.word == "started":
        at = read_at(frame)
        refs = books.started(refs, at, read_numbers(frame))
        return RunsStarted(refs, at) if refs else None
    if frame.word == "refused":
        refs = books.refused(refs)
        return RunsRefused(refs) if refs else None
    if frame.word == "dropped":
        refs = books.dropped(refs)
        return RunsDropped(refs) if refs else None
    raise FrameError(f"{frame.word[:40]!r} is no word for a node")
