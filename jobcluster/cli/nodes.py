"""
C{jobcluster nodes}: the nodes of the cluster.
"""

from __future__ import annotations

import click

from jobcluster.cli.common import Shell, verb
from jobcluster.cli.facts import facts_of_cluster
from jobcluster.consoles.words import describe_cluster

__all__ = ["command"]


@click.command
@verb
def command(shell: Shell) -> None:
    """
    Print the nodes of the cluster, and how well it is balanced.
    """
    view = shell.cluster.nodes()
    shell.say(describe_cluster(view), facts_of_cluster(view))
