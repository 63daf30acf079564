"""
C{jobcluster demo}: a cluster on this machine, and what it does.
"""

from __future__ import annotations

import sys

import click

__all__ = ["command"]


@click.command
def command() -> None:
    """
    Start a balancer and three nodes on this machine, run real jobs, and show what happens.
    """
    from jobcluster.demo.__main__ import main  # noqa: PLC0415 - it has a reactor of its own

    sys.exit(main())
