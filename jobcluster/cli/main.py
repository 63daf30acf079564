"""
C{jobcluster}: the command line.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from jobcluster import __version__
from jobcluster.cli.common import connecting, mend_streams

__all__ = ["main", "start"]

_VERBS: Final = {
    "submit": "Hand in a job, or many, and print the tickets.",
    "run": "Run a command in the cluster as if it ran here.",
    "map": "Run a command for each line of a file, results in the order of the lines.",
    "status": "How far jobs are, and where.",
    "result": "How jobs ended.",
    "wait": "Wait until jobs have ended.",
    "logs": "What a job has put out.",
    "list": "The jobs that were handed to this node.",
    "cancel": "Have jobs not run, or end.",
    "nodes": "The nodes of the cluster, and how well it is balanced.",
    "top": "The nodes, the balance and the backlog, live.",
    "balancer": "Start a balancer in the foreground.",
    "node": "Start a node in the foreground.",
    "demo": "Start a cluster on this machine, and show what it does.",
}
"""Each is a module of this package: only what is called is imported."""


class _Verbs(click.Group):
    """The verbs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module = import_module(f"jobcluster.cli.{cmd_name}")
        command: click.Command = module.command
        command.short_help = _VERBS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Without an import of them all.
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.command(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all is well; 1 a job did not succeed, or the cluster answered with an"
    " error; 2 wrong usage; 3 no node answers; 4 not ended yet; 130 interrupted. run exits with"
    " what its command exits with.",
)
@connecting
@click.version_option(__version__, prog_name="jobcluster")
def main(connect: str, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """
    Hand jobs to a cluster, and ask what became of them.

    A job is handed to any node, on this machine unless --connect says otherwise, and its ticket is
    good at every node.
    """


def start() -> None:
    """
    Be the program.
    """
    mend_streams()
    main(prog_name="jobcluster")
