"""
C{jobcluster logs}: what a job has put out.
"""

from __future__ import annotations

import click

from jobcluster.cli.common import Shell, verb
from jobcluster.cli.streams import STREAMS, copy_so_far, follow

__all__ = ["command"]


@click.command
@verb
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until the job has ended.")
@click.option(
    "--stream",
    type=click.Choice(["both", *STREAMS]),
    default="both",
    help="Standard output, standard error, or both, each to its own.",
)
@click.option(
    "--offset",
    type=click.IntRange(min=0),
    default=0,
    help="The byte of the stream to begin at; for one stream.",
)
@click.argument("ticket")
def command(shell: Shell, follows: bool, stream: str, offset: int, ticket: str) -> None:  # noqa: FBT001 - click's way
    """
    Print what a job has put out by now, or as it comes.

    Standard output goes to standard output, and standard error to standard error, byte for byte.
    Whoever was cut off goes on with --offset and the count of bytes that came.
    """
    if offset and stream == "both":
        raise click.UsageError("--offset wants --stream out or --stream err.")
    offsets = dict.fromkeys(STREAMS if stream == "both" else (stream,), offset)
    if follows:
        follow(shell, ticket, offsets)
    else:
        copy_so_far(shell, ticket, offsets)
