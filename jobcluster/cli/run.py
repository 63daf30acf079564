"""
C{jobcluster run}: run a command in the cluster as if it ran here.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from jobcluster.cli.common import Exit, Shell, verb
from jobcluster.cli.description import Description, describing
from jobcluster.cli.facts import facts_of_job, facts_of_output
from jobcluster.cli.streams import STREAMS, follow
from jobcluster.consoles.words import describe_outcome, output_sizes
from jobcluster.core.values import Status
from jobcluster.core.views import JobView
from jobcluster.errors import JobclusterError

__all__ = ["command"]

_SIGNAL: Final = 128
"""What a shell adds to the number of the signal that ended a command."""


@click.command(context_settings={"allow_interspersed_args": False})
@verb
@describing
@click.argument(
    "argv", nargs=-1, type=click.UNPROCESSED, required=True, metavar="[--] COMMAND [ARGUMENT]..."
)
def command(shell: Shell, description: Description, argv: tuple[str, ...]) -> None:
    """
    Run a command on whatever node has a slot, with its output here as it comes, and exit with what
    it exits with.

    Ctrl-C cancels it.
    Files that it reads must be there on the node that runs it.
    """
    spec = description.spec(argv, description.read_stdin())
    [answer] = shell.cluster.ask(lambda node: node.submit([spec]))
    if isinstance(answer, JobclusterError):
        raise answer
    ticket = answer
    try:
        if not shell.as_json:
            follow(shell, ticket, dict.fromkeys(STREAMS, 0))
        view = shell.cluster.ask(lambda node: node.wait(ticket))
    except KeyboardInterrupt:
        shell.cluster.cancel(ticket)
        click.echo(f"jobcluster: interrupted: {ticket} is cancelled", err=True)
        sys.exit(Exit.INTERRUPTED)
    except BaseException:
        # Nobody reads on.
        shell.cluster.cancel(ticket)
        raise
    if shell.as_json:
        _print_facts(shell, ticket, view)
    sys.exit(_code_of(ticket, view))


def _print_facts(shell: Shell, ticket: str, view: JobView) -> None:
    facts = facts_of_job(ticket, view)
    if view.outcome is not None:
        for stream, size in zip(STREAMS, output_sizes(view.outcome), strict=True):
            facts |= facts_of_output(stream, shell.cluster.read(ticket, stream, size))
    shell.say("", facts)


def _code_of(ticket: str, view: JobView) -> int:
    """What to exit with; where that is not the command's own, it is said why."""
    outcome = view.outcome
    if outcome is None:
        return Exit.FAILED
    if outcome.status in (Status.SUCCEEDED, Status.FAILED) and outcome.code is not None:
        if not outcome.detail:
            return outcome.code if outcome.code >= 0 else _SIGNAL - outcome.code
        click.echo(f"jobcluster: {ticket}: {outcome.detail}", err=True)
        return outcome.code or Exit.FAILED
    click.echo(f"jobcluster: {ticket}: {describe_outcome(outcome)}", err=True)
    return Exit.FAILED
