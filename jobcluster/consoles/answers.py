"""
The answers of a session on their way out: gathered, so that those of one turn leave in one piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Answers"]

# More than this is not kept for the end of the turn.
_GATHER: Final = 64 * 1024


class Answers:
    """
    Gathers lines and prompts, and writes them.
    """

    __slots__ = ("_clock", "_crlf", "_length", "_out", "_timer", "_write", "prompt")

    def __init__(self, write: Callable[[bytes], None], clock: IReactorTime) -> None:
        """
        Begin with nothing gathered.

        @param write: sends bytes.
        """
        self.prompt = ""
        """What follows each answer; empty for nothing."""
        self._write = write
        self._clock = clock
        self._crlf = False
        self._out: list[str] = []
        self._length = 0
        self._timer: IDelayedCall | None = None

    def end_lines_for_telnet(self) -> None:
        """
        End lines as RFC 854 wants it from now on; C{nc} wants them as they are.
        """
        self._crlf = True

    def show_prompt(self) -> None:
        """
        Gather the prompt alone.
        """
        self._out.append(self.prompt)

    def answer(self, text: str) -> None:
        """
        Gather a whole answer, of one line or more.
        """
        self.say(text)
        if self.prompt:
            self._out.append(self.prompt)

    def say(self, text: str) -> None:
        """
        Gather lines that are not the last of their answer.
        """
        line = f"{text}\n"
        if self._crlf:
            line = line.replace("\n", "\r\n")
        self._out.append(line)
        self._length += len(line)
        if self._length >= _GATHER:
            self.flush()

    def flush_soon(self) -> None:
        """
        Write what was gathered at the end of this turn: more may come in it.
        """
        if self._out and self._timer is None:
            self._timer = self._clock.callLater(0, self._flush_late)

    def flush(self) -> None:
        """
        Write what was gathered.
        """
        if self._out:
            data = "".join(self._out).encode("utf-8", "backslashreplace")
            self._out.clear()
            self._length = 0
            self._write(data)

    def stop(self) -> None:
        """
        Write nothing any more.
        """
        self._out.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush_late(self) -> None:
        self._timer = None
        self.flush()
