r"""
From what a session receives to the lines that were typed: without I/O, and without ever raising.

A line ends with any of C{\n}, C{\r\n}, C{\r\0} and a lone C{\r}.
Telnet commands (RFC 854) are taken out, and every option that a peer wants is refused.
How the bytes are cut into pieces makes no difference to the lines.

Lines are UTF-8, but for those that begin with C{run}: what a program is given are bytes, so that
what is not UTF-8 in them becomes lone surrogates (PEP 383).
"""

from __future__ import annotations

import enum
import re
from typing import Final

__all__ = ["LINE_LIMIT", "Item", "LineFilter", "Mark"]

LINE_LIMIT: Final = 256 * 1024
"""The most bytes that a line may have, without its end."""

# A peer that was refused every option has no reason to send a subnegotiation at all.
_SUBNEGOTIATION_LIMIT: Final = 1024

_IAC: Final = 255
_DONT: Final = 254
_DO: Final = 253
_WONT: Final = 252
_WILL: Final = 251
_SB: Final = 250
_INTERRUPT_PROCESS: Final = 244
_SE: Final = 240
_END_OF_FILE: Final = 236

# Telnet clients send it with each Ctrl-C to learn when to show output again (RFC 860): that is no
# sign that they want to negotiate.
_TIMING_MARK: Final = 6

_REFUSALS: Final = {_WILL: _DONT, _DO: _WONT}
_CTRL_D: Final = b"\x04"

# What makes a command of the rest of its line, in which all bytes are passed on that can be typed:
# no others than ASCII's controls mean the same in every encoding.
_BYTES: Final = re.compile(rb"[ \t]*run[ \t]", re.IGNORECASE)
_ASCII_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")

# ASCII controls but tab and line feed; C1 controls, line and paragraph separators in UTF-8.
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")

# RFC 9110: a token, a space, a target, the version. The usual methods do without the version, for
# they are no verbs. SSH greets with its name, TLS with a handshake record of version 3.x; what
# follows in such a record (tickets, names) may be chosen by a web page.
_FOREIGN: Final = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t].*HTTP/[0-9]+(\.[0-9]+)?[ \t]*\Z"
    rb"|(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI)[ \t]"
    rb"|SSH-[0-9]"
    rb"|\x16\x03",
    re.DOTALL,
)
_TLS: Final = b"\x16\x03"


class Mark(enum.Enum):
    """What else a session receives beside lines that can be read."""

    UNREADABLE = "a line with control characters, or not in UTF-8"
    NEGOTIATED = "the peer speaks telnet; told once"
    INTERRUPT = "the interrupt key of a telnet client"
    FOREIGN = "the peer speaks another protocol; nothing comes after it"
    TOO_LONG = "a line over the limit; nothing comes after it"
    UNFINISHED = "a last line without an end"
    END = "nothing comes any more"


Item = str | Mark


class _At(enum.Enum):
    """Where in a telnet command the next byte stands."""

    DATA = enum.auto()
    COMMAND = enum.auto()
    OPTION = enum.auto()
    SUBNEGOTIATION = enum.auto()
    SUBNEGOTIATION_COMMAND = enum.auto()


class LineFilter:
    """
    Turns received bytes into lines and L{Mark}s, and telnet's requests into refusals.
    """

    __slots__ = (
        "_after_return",
        "_at",
        "_clean",
        "_damaged",
        "_ended",
        "_first",
        "_negotiated",
        "_partial",
        "_refusals",
        "_request",
        "_swallowed",
    )

    def __init__(self) -> None:
        self._partial = bytearray()
        self._refusals = bytearray()
        self._at = _At.DATA
        self._request = 0
        self._swallowed = 0
        self._after_return = False
        self._damaged = False
        self._negotiated = False
        self._first = True
        self._clean = True
        self._ended = False

    @property
    def between_lines(self) -> bool:
        """Whether all that came so far belongs to complete lines."""
        return not self._partial and not self._damaged and self._at is _At.DATA

    @property
    def ending(self) -> bool:
        """
        Whether the line that has begun is the end-of-file key alone, as telnet clients send it.

        In binary junk it means nothing: whoever asks waits whether more follows.
        """
        return self._partial == _CTRL_D and not self._damaged and not self._ended

    def feed(self, data: bytes) -> list[Item]:
        """
        Take what was received, and return what is complete by it.
        """
        items: list[Item] = []
        if self._at is _At.DATA and _IAC not in data:
            self._text(data, items)
        else:
            self._telnet(data, items)
        return items

    def end(self) -> list[Item]:
        """
        Take that nothing will be received any more, and return what follows from it.
        """
        if self._ended:
            return []
        self._ended = True
        if self.between_lines or self._partial == _CTRL_D:
            return [Mark.END]
        self._partial.clear()
        return [Mark.UNFINISHED, Mark.END]

    def take_refusals(self) -> bytes:
        """
        Return what telnet's requests are to be answered with, once.
        """
        refusals = bytes(self._refusals)
        self._refusals.clear()
        return refusals

    def _stop(self, mark: Mark, items: list[Item]) -> None:
        if not self._ended:
            items.append(mark)
            self._ended = True
        self._partial.clear()

    # -- lines ---------------------------------------------------------------------------------

    def _text(self, data: bytes, items: list[Item]) -> None:
        """Take bytes that are no telnet commands."""
        if self._ended or not data:
            return
        if self._after_return:
            self._after_return = False
            if data[0] in b"\n\0":
                data = data[1:]
        if b"\r" in data:
            self._after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\n").replace(b"\r", b"\n")
        head, newline, tail = data.rpartition(b"\n")
        if newline:
            block = bytes(self._partial) + head
            self._partial = bytearray(tail)
            self._lines(block, items)
        else:
            self._partial += data
        if self._first and self._partial.startswith(_TLS):
            self._stop(Mark.FOREIGN, items)
        elif len(self._partial) > LINE_LIMIT:
            self._stop(Mark.TOO_LONG, items)

    def _lines(self, block: bytes, items: list[Item]) -> None:
        """Take complete lines, without the end of the last one."""
        if not (self._first or self._damaged or len(block) > LINE_LIMIT or _CONTROLS.search(block)):
            # Thousands of lines are read at once in the time of a few.
            try:
                items.extend(block.decode().split("\n"))
            except UnicodeDecodeError:
                pass
            else:
                return
        for line in block.split(b"\n"):
            self._line(line, items)
            if self._ended:
                return

    def _line(self, line: bytes, items: list[Item]) -> None:
        damaged, self._damaged = self._damaged, False
        if self._first:
            if _FOREIGN.match(line):
                self._stop(Mark.FOREIGN, items)
                return
            # Some send an empty line ahead of a request.
            self._first = not line.strip()
        if len(line) > LINE_LIMIT:
            self._stop(Mark.TOO_LONG, items)
            return
        text = None if damaged else _read(line)
        if text is None:
            self._clean = False
        items.append(Mark.UNREADABLE if text is None else text)

    # -- telnet --------------------------------------------------------------------------------

    def _telnet(self, data: bytes, items: list[Item]) -> None:
        at, end = 0, len(data)
        while at < end and not self._ended:
            if self._at is _At.DATA:
                command = data.find(_IAC, at)
                if command < 0:
                    command = end
                else:
                    self._at = _At.COMMAND
                self._text(data[at:command], items)
                at = command + 1
            else:
                self._command(data[at], items)
                at += 1

    def _command(self, byte: int, items: list[Item]) -> None:
        """Take one byte that is not text."""
        if self._at is _At.COMMAND:
            self._verb(byte, items)
        elif self._at is _At.OPTION:
            self._at = _At.DATA
            if self._request in _REFUSALS:
                self._refusals += bytes((_IAC, _REFUSALS[self._request], byte))
            # Whoever sent binary junk does not negotiate.
            if self._clean and not self._damaged and not self._negotiated and byte != _TIMING_MARK:
                self._negotiated = True
                items.append(Mark.NEGOTIATED)
        elif self._at is _At.SUBNEGOTIATION_COMMAND:
            self._at = _At.DATA if byte == _SE else _At.SUBNEGOTIATION
        elif byte == _IAC:
            self._at = _At.SUBNEGOTIATION_COMMAND
        else:
            self._swallow(byte, items)

    def _verb(self, byte: int, items: list[Item]) -> None:
        """Take the byte after an IAC."""
        self._at = _At.DATA
        if byte == _IAC:
            self._text(b"\xff", items)
        elif byte in {_WILL, _WONT, _DO, _DONT}:
            self._at = _At.OPTION
            self._request = byte
        elif byte == _SB:
            self._at = _At.SUBNEGOTIATION
            self._swallowed = 0
        elif byte == _END_OF_FILE:
            self._text(_CTRL_D, items)
        elif byte == _INTERRUPT_PROCESS:
            # Whoever sent binary junk did not press a key.
            if self._clean and not self._damaged:
                self._partial.clear()
                items.append(Mark.INTERRUPT)
        elif byte < _END_OF_FILE:
            self._damage(byte, items)

    def _swallow(self, byte: int, items: list[Item]) -> None:
        """Take one byte of a subnegotiation, which binary junk may begin and never end."""
        self._swallowed += 1
        if byte in b"\r\n" or self._swallowed > _SUBNEGOTIATION_LIMIT:
            self._at = _At.DATA
            self._damage(byte, items)

    def _damage(self, byte: int, items: list[Item]) -> None:
        """Have the line not run: some of it was taken for telnet, and it was none."""
        self._damaged = True
        self._text(bytes((byte,)), items)


def _read(line: bytes) -> str | None:
    """The text of a line, or C{None} if it cannot be read."""
    if _BYTES.match(line):
        if _ASCII_CONTROLS.search(line):
            return None
        return line.decode("utf-8", "surrogateescape")
    if _CONTROLS.search(line):
        return None
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None
