"""
The commands of the protocol, and the errors that may be the answer to any of them.
"""

from __future__ import annotations

from typing import ClassVar, Final

from twisted.protocols import amp

from jobcluster import errors
from jobcluster.core import views, words
from jobcluster.core.values import Terms
from jobcluster.errors import JobclusterError
from jobcluster.wire.arguments import Batch, Spread

__all__ = ["ERRORS", "Ask", "Dispatch", "Join", "Leave", "Report", "code_of"]


def _declare() -> dict[type[Exception], bytes]:
    """
    Every error of jobcluster with its name for a code, those of a kind before that kind.

    (AMP takes the first entry that an error is an instance of.)
    """
    kinds: list[type[JobclusterError]] = [getattr(errors, name) for name in errors.__all__]
    kinds.sort(key=lambda kind: len(kind.__mro__), reverse=True)
    return {kind: kind.__name__.encode("ascii") for kind in kinds}


ERRORS: Final = _declare()
"""What every command may be answered with, and the code of that on the wire."""


def code_of(error: JobclusterError) -> bytes:
    """
    The code of an error, or of the nearest kind above it that is in the table.
    """
    return next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)


class Join(amp.Command):
    """
    Node to balancer: one numbered part of a join.

    The version stands apart, for only a peer of the same version can read the part.
    The answer to the last part has the terms; a refusal ends the connection.
    """

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [
        (b"version", Batch(int)),
        (b"part", Spread()),
    ]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [
        (b"terms", Batch(Terms, optional=True)),
    ]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Report(amp.Command):
    """Node to balancer: a batch of words; answered when it has been taken."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"batch", Batch(words.Report))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Dispatch(amp.Command):
    """Balancer to node: a batch of words; answered when it has been taken."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"batch", Batch(words.Dispatch))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Ask(amp.Command):
    """Either way: a question; one without a verb asks whether anybody is there."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"ask", Batch(views.Ask))]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"reply", Batch(views.Reply))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Leave(amp.Command):
    """Node to balancer: this node is about to end in order."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"keep", Batch(bool))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS
