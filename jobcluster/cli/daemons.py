"""
Daemons in the foreground, for those who do not know twistd.
"""

from __future__ import annotations

import sys

import click

__all__ = ["make_command"]


def make_command(kind: str) -> click.Command:
    """
    The verb that is C{twistd -n jobKIND}, with the same options.

    @param kind: C{node} or C{balancer}.
    """

    @click.command(
        help=f"Start a {kind} in the foreground; --help has its options.",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
    )
    @click.argument("options", nargs=-1, type=click.UNPROCESSED)
    def command(options: tuple[str, ...]) -> None:
        from twisted.scripts.twistd import run  # noqa: PLC0415 - it is to choose the reactor

        sys.argv = ["twistd", "--nodaemon", f"job{kind}", *options]
        run()

    return command
