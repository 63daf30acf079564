"""
C{jobcluster list}: the jobs that were handed to a node.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import click
from twisted.internet.defer import Deferred

from jobcluster.cli.common import Shell, verb
from jobcluster.cli.facts import facts_of_job
from jobcluster.client.remote import RemoteNode
from jobcluster.consoles.words import describe_row
from jobcluster.core.values import format_ticket
from jobcluster.core.views import STATES, Filter, JobView

__all__ = ["command"]

_PAGE: Final = 200


@click.command
@verb
@click.option("--name", default="", help="Those of that name.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Those with that tag.")
@click.option("--limit", type=click.IntRange(min=1), help="So many at most.")
@click.argument("state", type=click.Choice(["all", *STATES]), default="open")
def command(shell: Shell, name: str, tags: tuple[str, ...], limit: int | None, state: str) -> None:
    """
    Print the jobs that were handed to this node: those without an outcome, or those in a state.
    """
    wanted = Filter("" if state == "all" else state, name, tags)
    cluster = shell.cluster
    after, left = 0, limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = cluster.ask(partial(_page, wanted, after, size))
        if not page:
            break
        for job in page:
            ticket = format_ticket(cluster.name, job.job)
            shell.say(describe_row(cluster.name, job), facts_of_job(ticket, job))
        after = page[-1].job
        left = None if left is None else left - len(page)


def _page(
    wanted: Filter, after: int, limit: int, node: RemoteNode
) -> Deferred[tuple[JobView, ...]]:
    return node.jobs(wanted, after, limit)
