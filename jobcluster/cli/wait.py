"""
C{jobcluster wait}: wait until jobs have ended.
"""

from __future__ import annotations

import sys

import click
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TwistedTimeoutError

from jobcluster.cli.common import Seconds, Shell, verb
from jobcluster.cli.endings import show_endings
from jobcluster.client.remote import RemoteNode
from jobcluster.core.views import JobView

__all__ = ["command"]


@click.command
@verb
@click.option("--timeout", type=Seconds(min=0), help="Seconds to wait at most.")
@click.argument("tickets", nargs=-1, required=True, metavar="TICKET...")
def command(shell: Shell, timeout: float | None, tickets: tuple[str, ...]) -> None:
    """
    Wait until all these jobs have ended, and print how.

    Exits with 0 if all have succeeded, with 4 if some have not ended in time, and otherwise with 1.
    """

    def wait(node: RemoteNode, ticket: str) -> Deferred[JobView]:
        waiting = node.wait(ticket)
        if timeout is not None:
            waiting.addTimeout(timeout, node.clock)
            waiting.addErrback(
                lambda failure: failure.trap(TwistedTimeoutError) and node.view(ticket)
            )
        return waiting

    sys.exit(show_endings(shell, tickets, wait))
