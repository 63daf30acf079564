"""
What jobs put out, on the command line's own standard output and error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import BinaryIO, Final

import click
from twisted.internet.defer import Deferred, maybeDeferred, succeed

from jobcluster.cli.common import Shell
from jobcluster.cli.facts import facts_of_output
from jobcluster.client.remote import RemoteNode
from jobcluster.consoles.outputs import PIECE, Follower
from jobcluster.core.views import Piece

__all__ = ["STREAMS", "copy_so_far", "follow", "write"]

STREAMS: Final = ("out", "err")
"""Standard output and standard error."""


def follow(shell: Shell, ticket: str, offsets: Mapping[str, int], attempt: int = 0) -> None:
    """
    Copy what a job puts out, as it comes, until it has ended.

    @param offsets: the streams, and where to begin in each, in bytes.
    @param attempt: the number of the attempt that these are of; 0 for whichever runs.
    @raise JobclusterError: if it cannot be had.
    """
    follower = shell.cluster.ask(lambda node: succeed(Follower(node, ticket, offsets, attempt)))
    told = attempt
    try:
        while True:
            piece = shell.cluster.ask(lambda _: Deferred.fromCoroutine(follower.next_piece()))
            if piece is None:
                return
            if told not in (0, piece.attempt):
                click.echo(
                    f"jobcluster: {ticket} is run again, attempt {piece.attempt}: what it writes"
                    " begins anew",
                    err=True,
                )
            told = piece.attempt
            _pass_on(shell, piece.stream, piece.offset, piece.attempt, piece.data)
    finally:
        shell.cluster.ask(lambda _: maybeDeferred(follower.stop))


def copy_so_far(shell: Shell, ticket: str, offsets: Mapping[str, int]) -> None:
    """
    Copy what a job has put out by now.

    @param offsets: the streams, and where to begin in each, in bytes.
    @raise JobclusterError: if it cannot be had.
    """
    for stream, begin in offsets.items():
        offset, attempt = begin, 0
        while True:
            look = partial(_look, ticket, stream, offset, attempt)
            piece = shell.cluster.ask(look)
            if not piece.data or attempt not in (0, piece.attempt):
                break
            _pass_on(shell, stream, offset, piece.attempt, piece.data)
            offset, attempt = offset + len(piece.data), piece.attempt


def _pass_on(shell: Shell, stream: str, offset: int, attempt: int, data: bytes) -> None:
    if shell.as_json:
        shell.say("", {"offset": offset, "attempt": attempt, **facts_of_output(stream, data)})
    else:
        write(stream, data)


def write(stream: str, data: bytes) -> None:
    """
    Write to standard output or error, at once.
    """
    target: BinaryIO = (sys.stdout if stream == "out" else sys.stderr).buffer
    target.write(data)
    target.flush()


def _look(ticket: str, stream: str, offset: int, attempt: int, node: RemoteNode) -> Deferred[Piece]:
    return node.live(ticket, stream, offset, PIECE, 0, attempt)
