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

# Telnet commands that have to wait are answered up to so many bytes: two refusals are three bytes
# each, and nobody who means it asks for hundreds of options.
_HOLD: Final = 3 * 256


class Answers:
    """
    Gathers lines and prompts, and writes them.

    Between L{begin_bytes} and L{end_bytes} nothing is said but bytes that were promised.
    """

    __slots__ = (
        "_clock",
        "_held",
        "_length",
        "_out",
        "_telnet",
        "_timer",
        "_write",
        "prompt",
        "within_bytes",
    )

    def __init__(self, write: Callable[[bytes], None], clock: IReactorTime) -> None:
        """
        Begin with nothing gathered.

        @param write: sends bytes.
        """
        self.prompt = ""
        """What follows each answer; empty for nothing."""
        self.within_bytes = False
        """Whether bytes were promised, and are not all sent yet."""
        self._write = write
        self._clock = clock
        self._telnet = False
        self._held = b""
        self._out: list[str] = []
        self._length = 0
        self._timer: IDelayedCall | None = None

    def speak_telnet(self) -> None:
        """
        End lines, and double the byte 0xFF, as RFC 854 wants it from now on; C{nc} wants both as
        they are.
        """
        self._telnet = True

    def show_prompt(self) -> None:
        """
        Gather the prompt alone.
        """
        if self.prompt:
            self._out.append(self.prompt)

    def answer(self, text: str) -> None:
        """
        Gather a whole answer, of one line or more.
        """
        self.say(text)
        self.show_prompt()

    def say(self, text: str) -> None:
        """
        Gather lines that are not the last of their answer.
        """
        line = f"{text}\n"
        if self._telnet:
            line = line.replace("\n", "\r\n")
        self._out.append(line)
        self._length += len(line)
        if self._length >= _GATHER:
            self.flush()

    def begin_bytes(self) -> None:
        """
        Take that the bytes which were promised are all that is said from here on.
        """
        self.within_bytes = True

    def send(self, data: bytes) -> None:
        """
        Write bytes as they are, at once, behind what was gathered.
        """
        if self._telnet:
            data = data.replace(b"\xff", b"\xff\xff")
        self._write(self._taken() + data)

    def end_bytes(self) -> None:
        """
        Take that all bytes which were promised are written, and gather the prompt.
        """
        self.within_bytes = False
        if self._held:
            held, self._held = self._held, b""
            self.command(held)
        self.show_prompt()

    def command(self, data: bytes) -> None:
        """
        Write telnet commands, at once; those that come among promised bytes are written behind
        them, a few at least.
        """
        if not self.within_bytes:
            self._write(data)
        elif len(self._held) < _HOLD:
            self._held += data[:_HOLD]

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
            self._write(self._taken())

    def stop(self) -> None:
        """
        Write nothing any more.
        """
        self._out.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _taken(self) -> bytes:
        data = "".join(self._out).encode("utf-8", "backslashreplace")
        self._out.clear()
        self._length = 0
        return data

    def _flush_late(self) -> None:
        self._timer = None
        self.flush()
