"""
Arguments of AMP commands that are not bound by AMP's 65,535 bytes a value.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from twisted.protocols import amp

from jobcluster.errors import MalformedBatchError
from jobcluster.wire.codec import pack, pack_many, unpack, unpack_many

__all__ = ["PIECE", "Batch", "Many", "Spread"]

PIECE: Final = 65_535
"""The most bytes of one AMP value: its length is sent in 16 bits."""


class Spread(amp.Argument):
    """
    Bytes of any length, over as many AMP values as they need: C{name}, C{name.1}, C{name.2} and
    so on.
    """

    def __init__(self, *, optional: bool = False) -> None:
        """
        @param optional: whether it may be C{None}, and is left out then.
        """
        amp.Argument.__init__(self, optional)

    def fromBox(
        self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: object
    ) -> None:
        """
        Put the pieces together.

        @raise MalformedBatchError: if there is none, and this argument is not optional.
        """
        key = name.decode("ascii")
        first = strings.pop(name, None)
        if first is None:
            if not self.optional:
                raise MalformedBatchError(f"{key} is missing")
            objects[key] = None
            return
        pieces = [first]
        for number in count(1):
            piece = strings.pop(b"%b.%d" % (name, number), None)
            if piece is None:
                break
            pieces.append(piece)
        objects[key] = self.read(b"".join(pieces))

    def toBox(
        self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: object
    ) -> None:
        """
        Take the bytes apart.
        """
        value = objects.pop(name.decode("ascii"), None)
        if value is None and self.optional:
            return
        data = self.write(value)
        strings[name] = data[:PIECE]
        for number, start in enumerate(range(PIECE, len(data), PIECE), 1):
            strings[b"%b.%d" % (name, number)] = data[start : start + PIECE]

    def read(self, data: bytes) -> Any:  # noqa: ANN401 - what a subclass makes of it
        """
        The value of these bytes: they themselves.
        """
        return data

    def write(self, value: Any) -> bytes:  # noqa: ANN401 - what a subclass takes
        """
        The bytes of a value.
        """
        data: bytes = value
        return data


class Batch(Spread):
    """What L{jobcluster.wire.codec} can write, spread."""

    def __init__(self, kind: type, *, optional: bool = False) -> None:
        """
        An argument of this type.
        """
        super().__init__(optional=optional)
        self.kind = kind

    def read(self, data: bytes) -> Any:  # noqa: ANN401 - one of self.kind
        """
        Unpack it.

        @raise MalformedBatchError: if that cannot be done.
        """
        return unpack(self.kind, data)

    def write(self, value: object) -> bytes:
        """
        Pack it.

        @raise MalformedBatchError: if that cannot be done.
        """
        return pack(value)


class Many(Spread):
    """Any number of values of one kind, which L{jobcluster.wire.codec} can write, spread."""

    def __init__(self, kind: type) -> None:
        """
        An argument that is a sequence of these.
        """
        super().__init__()
        self.kind = kind

    def read(self, data: bytes) -> Any:  # noqa: ANN401 - a tuple of self.kind
        """
        Unpack them.

        @raise MalformedBatchError: if that cannot be done.
        """
        return unpack_many(self.kind, data)

    def write(self, value: Any) -> bytes:  # noqa: ANN401 - a sequence of self.kind
        """
        Pack them.

        @raise MalformedBatchError: if that cannot be done.
        """
        return pack_many(self.kind, value)
