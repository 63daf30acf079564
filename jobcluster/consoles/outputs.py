"""
What a job has put out, for whoever asks for all of it, or follows it: in pieces, for it may be
long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobcluster.consoles.words import describe_result, output_sizes
from jobcluster.core.views import Piece
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IClusterView

__all__ = ["PIECE", "Followed", "Follower", "OutputReader"]

PIECE: Final = 256 * 1024
"""The most bytes of output that are asked for at once."""

_PATIENCE: Final = 5.0
"""Seconds for which a question waits for more output."""

_WHOLE: Final = MappingProxyType({"out": 0, "err": 0})
"""Both streams from their beginnings."""


class OutputReader:
    """
    The output of one job: a line, and then the bytes that it promises, a piece at a time.
    """

    def __init__(self, view: IClusterView, ticket: str) -> None:
        """
        Ask nothing yet.
        """
        self._view = view
        self._ticket = ticket
        self._ahead = b""
        self._streams: deque[tuple[str, int]] = deque()
        """What is still to be asked for: streams and their sizes; the first one is begun."""
        self._offset = 0

    async def first_line(self) -> str:
        """
        Return the line that says how many bytes of standard output and then of standard error
        follow it; or that the job was not executed yet, and nothing follows.

        @raise JobclusterError: if the job, or its output, cannot be had.
        """
        job = await self._view.view(self._ticket)
        outcome = job.outcome
        if outcome is None:
            return describe_result(job)
        out_size, err_size = output_sizes(outcome)
        if outcome.is_large:
            self._streams.extend([("out", out_size), ("err", err_size)])
            # Once the sizes are said, no error can be.
            self._ahead = await self._ask()
        else:
            self._ahead = outcome.out + outcome.err
        return f"Output: {out_size} bytes, {err_size} bytes"

    async def next_piece(self) -> bytes:
        """
        Return the next bytes, none only when all were returned.

        @raise JobclusterError: if they cannot be had: the line has promised too much.
        """
        piece, self._ahead = self._ahead, b""
        return piece or await self._ask()

    async def _ask(self) -> bytes:
        while self._streams and self._offset == self._streams[0][1]:
            self._streams.popleft()
            self._offset = 0
        if not self._streams:
            return b""
        stream, size = self._streams[0]
        limit = min(PIECE, size - self._offset)
        piece = await self._view.output(self._ticket, stream, self._offset, limit)
        if not 0 < len(piece) <= limit:
            raise OutputMissingError
        self._offset += len(piece)
        return piece


@attrs.frozen
class Followed:
    """Some of what a job has put out."""

    stream: str
    """C{"out"} or C{"err"}."""
    offset: int
    """Where in its stream it begins, in bytes."""
    data: bytes
    attempt: int
    """The number of the attempt that put it out: with another one each stream begins anew, at 0."""


class Follower:
    """
    The output of one job while it runs, a piece at a time, until the job has its outcome.

    Of each stream one piece is asked for ahead, and no more.
    """

    def __init__(
        self,
        view: IClusterView,
        ticket: str,
        offsets: Mapping[str, int] = _WHOLE,
        attempt: int = 0,
    ) -> None:
        """
        Ask nothing yet.

        @param offsets: the streams that are followed, and where to begin in each, in bytes.
        @param attempt: the number of the one that had put out the bytes up to there; 0 for
            whichever it is.
        """
        self._view = view
        self._ticket = ticket
        self._offsets = dict(offsets)
        """Of the streams that are not over."""
        self._attempt = attempt
        self._patience = dict.fromkeys(offsets, 0.0)
        """Nobody waits for the first answers: what is wrong with the question is said at once."""
        self._asking: dict[str, Deferred[Piece]] = {}
        self._come: dict[str, tuple[int, Piece | Failure]] = {}
        """The answers that were not taken, and which attempt was asked about."""
        self._waiting: Deferred[None] | None = None
        self._is_stopped = False

    async def next_piece(self) -> Followed | None:
        """
        Return the next bytes of any stream; C{None} when the job has ended and all were returned.

        @raise JobclusterError: if they cannot be had.
        """
        while self._offsets:
            for stream in self._offsets:
                if stream not in self._asking and stream not in self._come:
                    self._ask(stream)
            if not self._come:
                self._waiting = Deferred()
                await self._waiting
            stream = next(iter(self._come))
            asked, piece = self._come.pop(stream)
            if isinstance(piece, Failure):
                piece.raiseException()
            elif followed := self._take(stream, asked, piece):
                return followed
        return None

    def stop(self) -> None:
        """
        Ask for nothing any more.
        """
        self._is_stopped = True
        self._come.clear()
        for asking in list(self._asking.values()):
            asking.cancel()

    def _ask(self, stream: str) -> None:
        patience, self._patience[stream] = self._patience[stream], _PATIENCE
        asked = self._attempt

        def came(piece: Piece | Failure) -> None:
            self._asking.pop(stream, None)
            if self._is_stopped:
                return
            self._come[stream] = (asked, piece)
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                waiting.callback(None)

        asking = self._view.live(
            self._ticket, stream, self._offsets[stream], PIECE, patience, asked
        )
        self._asking[stream] = asking
        asking.addBoth(came)

    def _take(self, stream: str, asked: int, piece: Piece) -> Followed | None:
        """Take an answer; what there is to return of it."""
        if self._attempt and asked not in (0, self._attempt):
            return None  # the other stream has told that it is about an attempt that is over
        if asked and piece.attempt not in (0, asked):
            self._attempt = piece.attempt
            self._offsets = dict.fromkeys(self._offsets, 0)
            return None
        if piece.attempt and self._attempt not in (0, piece.attempt):
            return None
        self._attempt = self._attempt or piece.attempt
        offset = self._offsets[stream]
        self._offsets[stream] = offset + len(piece.data)
        if piece.is_over:
            del self._offsets[stream]
        return Followed(stream, offset, piece.data, piece.attempt) if piece.data else None
