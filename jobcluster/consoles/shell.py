r"""
Words of a command line, parted and quoted as a POSIX shell does it, and nothing expanded.

It is what L{shlex} does to text, done to bytes, and in a time that grows with the length alone:
blanks part words, C{'} quotes everything, C{"} everything but C{"} and C{\} behind a C{\}, and
outside of quotes a C{\} quotes one byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from jobcluster.errors import UserError

__all__ = ["join", "quote", "split"]

_PIECE: Final = re.compile(
    rb"""
      (?P<blanks> [ \t]+ )
    | (?P<plain> [^ \t'"\\]+ )
    | ' (?P<single> [^']* ) '
    | " (?P<double> [^"\\]* (?: \\. [^"\\]* )* ) "
    | \\ (?P<escaped> . )
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPE: Final = re.compile(rb'\\(["\\])')
_NEEDS_NO_QUOTES: Final = re.compile(rb"[A-Za-z0-9_@%+=:,./-]+")


def split(line: bytes) -> list[bytes]:
    """
    The words of a command line.

    @raise UserError: if a quote is not closed, or a backslash has nothing behind it.
    """
    words: list[bytes] = []
    word: list[bytes] | None = None
    at = 0
    for piece in _PIECE.finditer(line):
        if piece.start() != at:
            break
        at = piece.end()
        text = piece[piece.lastgroup or 0]
        if piece.lastgroup == "blanks":
            if word is not None:
                words.append(b"".join(word))
            word = None
            continue
        if piece.lastgroup == "double":
            text = _ESCAPE.sub(rb"\1", text)
        word = [] if word is None else word
        word.append(text)
    if at < len(line):
        raise UserError(_trouble(line[at : at + 1]))
    if word is not None:
        words.append(b"".join(word))
    return words


def quote(word: bytes) -> bytes:
    """
    One word as it has to be typed.
    """
    if _NEEDS_NO_QUOTES.fullmatch(word):
        return word
    return b"'" + word.replace(b"'", b"'\"'\"'") + b"'"


def join(words: Iterable[bytes]) -> bytes:
    """
    A command line with these words.
    """
    return b" ".join(map(quote, words))


def _trouble(stopped_at: bytes) -> str:
    """Why a line cannot be parted, by the byte where that ended."""
    if stopped_at == b"\\":
        return r"The line ends with a single \: type \\ or '\' for a backslash."
    mark = stopped_at.decode("ascii")
    return (
        rf"A quote is not closed: a {mark} has no second one; type \{mark} for the letter itself."
    )
