"""
What a job has put out, for whoever asks for all of it: in pieces, for it may be long.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from jobcluster.consoles.words import describe_result, output_sizes
from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IClusterView

__all__ = ["PIECE", "OutputReader"]

PIECE: Final = 256 * 1024
"""The most bytes of output that are asked for at once."""


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
