"""
Answers of any length, given as fast as the peer takes them and no faster.

Each of these stands alone in its session: all before it was answered, and nothing else begins
before it is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobcluster.consoles import verbs
from jobcluster.consoles.answers import Answers
from jobcluster.consoles.outputs import Followed, Follower, OutputReader
from jobcluster.consoles.requests import Tail
from jobcluster.core.views import Filter
from jobcluster.interfaces import IClusterView

__all__ = ["Gate", "answer_jobs", "answer_output", "answer_tail"]

_HEADS: Final = {"out": "Output", "err": "Errors"}


class Gate:
    """
    Whether a session may say more: shut while its peer does not take what was said.
    """

    __slots__ = ("_waiting", "is_over", "is_shut")

    def __init__(self) -> None:
        """Begin open."""
        self.is_shut = False
        self.is_over = False
        """Whether the session has ended: it may say nothing any more."""
        self._waiting: Deferred[None] | None = None

    def shut(self) -> None:
        """
        Let nobody through.
        """
        self.is_shut = True

    def open(self) -> None:
        """
        Let through who waits, and whoever comes.
        """
        self.is_shut = False
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def end(self) -> None:
        """
        The session is over; who waits is told.
        """
        self.is_over = True
        self.open()

    async def passed(self) -> bool:
        """
        Wait until it is open, one at a time; whether the session goes on.
        """
        if self.is_shut and not self.is_over:
            self._waiting = Deferred()
            await self._waiting
        return not self.is_over


async def answer_jobs(
    view: IClusterView, wanted: Filter, answers: Answers, gate: Gate
) -> list[str]:
    """
    Answer the jobs of a node page after page; returns what is still to be answered.

    @raise JobclusterError: where the jobs cannot be read.
    """
    listing = verbs.Listing(view, wanted)
    text, more = await listing.next_page()
    while more and not gate.is_over:
        answers.say(text)
        answers.flush()
        if not await gate.passed():
            return []
        text, more = await listing.next_page()
    return [text]


async def answer_output(
    view: IClusterView,
    ticket: str,
    answers: Answers,
    gate: Gate,
    break_off: Callable[[Failure], None],
) -> list[str]:
    """
    Answer the output of a job piece after piece: the next one is asked for when the peer has taken
    the last.  Nothing is left to be answered then.

    @param break_off: ends the session, because bytes that were promised cannot be had; no error
        can be told among them.
    @raise JobclusterError: if nothing was answered.
    """
    reader = OutputReader(view, ticket)
    line = await reader.first_line()
    if not gate.is_over:
        answers.say(line)
        answers.begin_bytes()
        sending = Deferred.fromCoroutine(_send(reader, answers, gate))
        await sending.addErrback(break_off)
        if not gate.is_over:
            answers.end_bytes()
    return []


async def _send(reader: OutputReader, answers: Answers, gate: Gate) -> None:
    while await gate.passed():
        piece = await reader.next_piece()
        if not piece or gate.is_over:
            break
        answers.send(piece)


class _Tape:
    """
    Pieces of a followed output on their way into the answers.

    With each piece goes the line ahead of it, so that at any time a line may be said.
    """

    def __init__(self, answers: Answers, *, framed: bool) -> None:
        self._answers = answers
        self._framed = framed
        self._attempt = 0
        self._in_line = False
        """Whether what was written last does not end a line."""

    def show(self, piece: Followed) -> None:
        data, attempt = piece.data, piece.attempt
        if self._framed:
            head = f"{_HEADS[piece.stream]}: {len(data)} bytes at {piece.offset}"
            self._answers.say(f"{head} of attempt {attempt}")
        elif self._attempt not in (0, attempt):
            self.end_line()
            self._answers.say(f"It was started again: this is attempt {attempt}.")
        self._attempt = attempt
        self._answers.send(data)
        # A program counts bytes: it wants none that were not said ahead.
        self._in_line = not self._framed and not data.endswith(b"\n")

    def end_line(self) -> None:
        """Let what follows begin a line."""
        if self._in_line:
            self._in_line = False
            self._answers.say("")


async def answer_tail(view: IClusterView, request: Tail, answers: Answers, gate: Gate) -> list[str]:
    """
    Answer what a job puts out, as it comes: more is asked for when the peer has taken the last.
    Returns what is to be answered when the job has ended.

    @raise JobclusterError: if it cannot be had, or no more of it.
    """
    follower = Follower(view, request.ticket, request.offsets, request.attempt)
    tape = _Tape(answers, framed=request.framed)
    try:
        while await gate.passed():
            piece = await follower.next_piece()
            if piece is None or gate.is_over:
                break
            tape.show(piece)
    finally:
        follower.stop()
        if not gate.is_over:
            tape.end_line()
    return [] if gate.is_over else [await verbs.result(view, request.ticket)]
