"""
C{jobcluster status}: how far jobs are, and where.
"""

from __future__ import annotations

import sys

import click

from jobcluster.cli.common import Exit, Shell, verb
from jobcluster.cli.facts import facts_of_job
from jobcluster.consoles.words import describe_status
from jobcluster.errors import JobclusterError

__all__ = ["command"]


@click.command
@verb
@click.argument("tickets", nargs=-1, required=True, metavar="TICKET...")
def command(shell: Shell, tickets: tuple[str, ...]) -> None:
    """
    Print how far each job is, and where.

    The ticket of any node of the cluster will do.
    """
    is_good = True
    for ticket, answer in shell.ask_each(tickets, lambda node, ticket: node.view(ticket)):
        if isinstance(answer, JobclusterError):
            is_good = False
            shell.say_error(ticket, answer)
        else:
            head = f"{ticket}  " if len(tickets) > 1 else ""
            shell.say(head + describe_status(answer), facts_of_job(ticket, answer))
    if not is_good:
        sys.exit(Exit.FAILED)
