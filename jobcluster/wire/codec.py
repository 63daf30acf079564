"""
The words of nodes and balancer as msgpack, and back.

A batch is a map from the names of its fields to their values, without the fields that are empty;
a row is an array.
Types are checked while decoding: what comes out of L{unpack} is as the annotations say, and has no
number that SQLite or a timer would choke on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, get_type_hints

import attrs
import msgspec

from jobcluster.core.client_words import Greeting, Listing, Shown, Told
from jobcluster.core.values import Spec, Terms
from jobcluster.core.views import Ask, ClusterView, Piece, Reply
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.errors import MalformedBatchError
from jobcluster.wire.bounds import find_bad_number

__all__ = ["pack", "pack_many", "unpack", "unpack_many"]

T = TypeVar("T")

_ENCODE_FAULTS: Final = (UnicodeError, OverflowError, TypeError, RecursionError)
_DECODE_FAULTS: Final = (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError)

_encode: Final[Callable[[object], bytes]] = msgspec.msgpack.Encoder().encode


class _Shape(Generic[T]):
    """How one attrs class is written."""

    # The struct that goes between leaves out what has its default, and takes no field that it does
    # not know; msgspec does neither for attrs classes.

    def __init__(self, kind: type[T]) -> None:
        fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(kind)  # type: ignore[arg-type]
        hints = get_type_hints(kind)
        self._kind: Callable[..., T] = kind
        self._names = [field.name for field in fields]
        self._values: Callable[[object], tuple[object, ...]] = attrgetter(*self._names)
        self.struct: Callable[..., msgspec.Struct] = msgspec.defstruct(
            kind.__name__,
            [
                (field.name, hints[field.name])
                if field.default is attrs.NOTHING
                else (field.name, hints[field.name], field.default)
                for field in fields
            ],
            omit_defaults=True,
            forbid_unknown_fields=True,
        )
        self._decode = msgspec.msgpack.Decoder(self.struct).decode

    def encode(self, value: T) -> bytes:
        return _encode(self.close(value))

    def decode(self, data: bytes) -> T:
        return self.open(self._decode(data))

    def close(self, value: T) -> msgspec.Struct:
        """What goes between, of a value."""
        return self.struct(*self._values(value))

    def open(self, struct: msgspec.Struct) -> T:
        """The value, of what goes between."""
        return self._kind(*self._values(struct))

    def fault(self, value: T) -> str:
        """The name of the first field that cannot be encoded."""
        for name, content in zip(self._names, self._values(value), strict=True):
            try:
                _encode(content)
            except _ENCODE_FAULTS:
                return name
        return "?"


_SHAPES: Final[dict[type, _Shape[Any]]] = {
    kind: _Shape(kind)
    for kind in (
        *(JoinPart, Report, Dispatch, Ask, Reply, Terms),
        *(Spec, Greeting, Listing, ClusterView, Piece),
    )
}
_OF_ROWS: Final = frozenset({JoinPart, Report, Dispatch})
_SCALARS: Final[dict[type, Callable[[bytes], Any]]] = {
    kind: msgspec.msgpack.Decoder(kind).decode for kind in (bool, int, float, str)
}


def _decoder_of_many(row: object) -> Callable[[bytes], tuple[Any, ...]]:
    many: Any = tuple[row, ...]  # type: ignore[valid-type]
    return msgspec.msgpack.Decoder(many).decode


_MANY: Final[dict[type, Callable[[bytes], tuple[Any, ...]]]] = {
    str: _decoder_of_many(str),
    Told: _decoder_of_many(Told),
    Shown: _decoder_of_many(Shown),
    Spec: _decoder_of_many(_SHAPES[Spec].struct),
}


def pack(value: object) -> bytes:
    """
    Write a batch, a value of one of the kinds that have a shape here, or a scalar.

    @raise MalformedBatchError: for what has no form on the wire, such as half a surrogate pair; it
        names the field.
    """
    shape = _SHAPES.get(type(value))
    try:
        return _encode(value) if shape is None else shape.encode(value)
    except _ENCODE_FAULTS as error:
        where = "" if shape is None else f", at {shape.fault(value)}"
        raise MalformedBatchError(f"{type(value).__name__}: {error}{where}") from error


def unpack(kind: type[T], data: bytes) -> T:
    """
    Read what L{pack} wrote.

    @raise MalformedBatchError: for anything else; it names the field.
    """
    shape = _SHAPES.get(kind)
    try:
        value: T = _SCALARS[kind](data) if shape is None else shape.decode(data)
    except _DECODE_FAULTS as error:
        raise MalformedBatchError(f"{kind.__name__}: {error}") from error
    path = find_bad_number(value, data if kind in _OF_ROWS else None)
    if path:
        raise MalformedBatchError(f"{kind.__name__}: number out of range - at `{path}`")
    return value


def pack_many(kind: type[T], values: Sequence[T]) -> bytes:
    """
    Write any number of C{str}, C{Told}, C{Shown} or C{Spec}.

    @raise MalformedBatchError: as for L{pack}.
    """
    shape = _SHAPES.get(kind)
    try:
        return _encode(values if shape is None else [shape.close(value) for value in values])
    except _ENCODE_FAULTS as error:
        raise MalformedBatchError(f"{kind.__name__}: {error}") from error


def unpack_many(kind: type[T], data: bytes) -> tuple[T, ...]:
    """
    Read what L{pack_many} wrote.

    @raise MalformedBatchError: for anything else; it names the field.
    """
    shape = _SHAPES.get(kind)
    try:
        rows = _MANY[kind](data)
    except _DECODE_FAULTS as error:
        raise MalformedBatchError(f"{kind.__name__}: {error}") from error
    values: tuple[T, ...] = rows if shape is None else tuple(map(shape.open, rows))
    path = find_bad_number(values, data)
    if path:
        raise MalformedBatchError(f"{kind.__name__}: number out of range - at `{path}`")
    return values
