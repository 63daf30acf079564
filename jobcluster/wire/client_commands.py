"""
The commands of the client protocol; what they mean is told in C{docs/protocol.rst}.
"""

from __future__ import annotations

from typing import ClassVar

from twisted.protocols import amp

from jobcluster.core.client_words import Greeting, Listing, Shown, Told
from jobcluster.core.values import Spec
from jobcluster.core.views import ClusterView, Piece
from jobcluster.wire.arguments import Batch, Many, Spread
from jobcluster.wire.commands import ERRORS

__all__ = [
    "Cancel",
    "Changed",
    "Fetch",
    "Follow",
    "Hello",
    "List",
    "Nodes",
    "Query",
    "Submit",
    "Unwatch",
    "Wait",
    "Watch",
]


class Hello(amp.Command):
    """Client to node, before anything else: which version of the protocol it speaks."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"version", Batch(int))]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"greeting", Batch(Greeting))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Submit(amp.Command):
    """
    Client to node: jobs to be run.

    The answer has one row for each, in order: its ticket, once the job is on the disk, or why it
    was refused.
    """

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [
        (b"jobs", Many(Spec)),
        (b"watch", Batch(bool)),
    ]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"rows", Many(Told))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Query(amp.Command):
    """
    Client to node: how jobs are, of whatever origin.

    The answer has a row for each, in order; but only the first ones, where all would be too much.
    """

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"tickets", Many(str))]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"rows", Many(Shown))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Wait(amp.Command):
    """
    Client to node: answered with rows of those jobs that have ended, once one has, or without a row
    when the patience (seconds) is over.
    """

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [
        (b"tickets", Many(str)),
        (b"patience", Batch(float)),
    ]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"rows", Many(Shown))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Watch(amp.Command):
    """Client to node: say it with C{Changed} when one of these jobs has ended, or if it has."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"tickets", Many(str))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Unwatch(amp.Command):
    """Client to node: these are not watched any more."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"tickets", Many(str))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Changed(amp.Command):
    """Node to client: watched jobs that have ended, and are not watched any more."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"rows", Many(Shown))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Fetch(amp.Command):
    """Client to node: a piece of the recorded output of a job."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [
        (b"ticket", Batch(str)),
        (b"stream", Batch(str)),
        (b"offset", Batch(int)),
        (b"limit", Batch(int)),
    ]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"data", Spread())]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Follow(amp.Command):
    """
    Client to node: a piece of what a job has put out by now.

    Where there is nothing yet it is answered once there is, or when the patience (seconds, 5 at
    most) is over.
    """

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [
        (b"ticket", Batch(str)),
        (b"stream", Batch(str)),
        (b"offset", Batch(int)),
        (b"limit", Batch(int)),
        (b"patience", Batch(float)),
        (b"attempt", Batch(int)),
    ]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"piece", Batch(Piece))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Cancel(amp.Command):
    """Client to node: these are not to run, or to end; one row for each, in order."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"tickets", Many(str))]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"rows", Many(Told))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class List(amp.Command):
    """Client to node: a page of the jobs that it took; an empty one is behind the last."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"listing", Batch(Listing))]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"rows", Many(Shown))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS


class Nodes(amp.Command):
    """Client to node: the cluster, as the balancer sees it."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = []
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"cluster", Batch(ClusterView))]
    errors: ClassVar[dict[type[Exception], bytes]] = ERRORS
