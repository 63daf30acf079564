"""
C{jobcluster result}: how jobs ended, if they have.
"""

from __future__ import annotations

import sys

import click

from jobcluster.cli.common import Shell, verb
from jobcluster.cli.endings import show_endings

__all__ = ["command"]


@click.command
@verb
@click.argument("tickets", nargs=-1, required=True, metavar="TICKET...")
def command(shell: Shell, tickets: tuple[str, ...]) -> None:
    """
    Print how each job ended, or that it has not.

    Exits with 0 if all have succeeded, with 4 if some have not ended, and otherwise with 1.
    """
    sys.exit(show_endings(shell, tickets, lambda node, ticket: node.view(ticket)))
