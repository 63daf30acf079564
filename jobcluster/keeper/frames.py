"""
What a node and its keeper say to each other: frames of a JSON object and some bytes.

A frame is the length of the object and the length of the bytes, each in 32 bits, the greater byte
first, then the object in ASCII, then the bytes.
C{docs/keeper.rst} says which words there are.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final, NamedTuple

__all__ = ["VERSION", "Frame", "FrameError", "FrameReader", "pack_frame"]

VERSION: Final = 1
"""Of the words; C{hello} says which ones each side speaks, and its own form never changes."""

_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_LENGTHS: Final = struct.Struct("!II")
_HEAD_LIMIT: Final = 16 * 1024 * 1024
_BODY_LIMIT: Final = 64 * 1024 * 1024


class FrameError(ValueError):
    """What came is no frame."""


class Frame(NamedTuple):
    """One thing that was said."""

    word: str
    head: dict[str, Any]
    body: bytes


def pack_frame(word: str, head: dict[str, Any] | None = None, body: bytes = b"") -> bytes:
    """
    The bytes of a frame.

    @param head: what is said beside the word; anything that JSON has, strings with lone surrogates
        included.
    """
    said = _ENCODE({"word": word, **(head or {})}).encode("ascii")
    return _LENGTHS.pack(len(said), len(body)) + said + body


class FrameReader:
    """
    Makes frames of bytes as they come.
    """

    def __init__(self) -> None:
        """Nothing came yet."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """
        Take bytes in; the frames that are complete now.

        @raise FrameError: if these are no frames; nothing can be read from there on.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        at = 0
        while len(buffer) - at >= _LENGTHS.size:
            head_size, body_size = _LENGTHS.unpack_from(buffer, at)
            if head_size > _HEAD_LIMIT or body_size > _BODY_LIMIT:
                raise FrameError("a frame is too long")
            begins = at + _LENGTHS.size
            middle = begins + head_size
            end = middle + body_size
            if len(buffer) < end:
                break
            frames.append(_frame(bytes(buffer[begins:middle]), bytes(buffer[middle:end])))
            at = end
        del buffer[:at]
        return frames


def _frame(said: bytes, body: bytes) -> Frame:
    try:
        head = json.loads(said)
        word = head.pop("word")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise FrameError("a frame is not a JSON object with a word") from error
    if not isinstance(word, str):
        raise FrameError("the word of a frame is no string")
    return Frame(word, head, body)
