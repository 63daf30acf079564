"""
C{jobcluster node}: a node in the foreground, for those who do not know twistd.
"""

from __future__ import annotations

import click

from jobcluster.cli.daemons import run_daemon

__all__ = ["command"]


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """
    Start a node in the foreground; --help has its options.
    """
    run_daemon("jobnode", options)
