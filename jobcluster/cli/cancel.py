"""
C{jobcluster cancel}: have jobs not run, or end.
"""

from __future__ import annotations

import sys

import click

from jobcluster.cli.common import Exit, Shell, verb
from jobcluster.consoles.verbs import CANCELLED
from jobcluster.errors import JobclusterError

__all__ = ["command"]


@click.command
@verb
@click.argument("tickets", nargs=-1, required=True, metavar="TICKET...")
def command(shell: Shell, tickets: tuple[str, ...]) -> None:
    """
    Have these jobs not run, or end: a job that waits never will, of one that runs its end decides.
    """
    is_good = True
    for ticket, answer in shell.ask_each(tickets, lambda node, ticket: node.cancel(ticket)):
        if isinstance(answer, JobclusterError):
            is_good = False
            shell.say_error(ticket, answer)
        else:
            head = f"{ticket}  " if len(tickets) > 1 else ""
            words = CANCELLED.get(answer, answer)
            shell.say(head + words, {"ticket": ticket, "cancel": answer})
    if not is_good:
        sys.exit(Exit.FAILED)
