"""
C{jobcluster submit}: hand in jobs, and print their tickets.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, TextIO

import click
from twisted.internet.defer import Deferred

from jobcluster.cli.common import Exit, Shell, verb
from jobcluster.cli.description import Description, describing, fill
from jobcluster.client.remote import RemoteNode
from jobcluster.core.values import SLEEP, Spec
from jobcluster.errors import JobclusterError, UserError

__all__ = ["command"]

_TOGETHER: Final = 1000
"""Jobs that are handed in before their tickets are printed."""

_MOST: Final = 1_000_000
"""The most jobs of one array."""


@click.command(context_settings={"allow_interspersed_args": False})
@verb
@describing
@click.option(
    "--array", metavar="FIRST-LAST", help="A job for each number; it stands for {} in the command."
)
@click.option(
    "--lines",
    type=click.File(encoding="utf-8", errors="surrogateescape"),
    help="A job for each line of a file (- for standard input); it stands for {} in the command.",
)
@click.option("--sleep", type=int, metavar="MS", help="Not a command: sleep so many milliseconds.")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[--] [COMMAND [ARGUMENT]...]")
def command(
    shell: Shell,
    description: Description,
    array: str | None,
    lines: TextIO | None,
    sleep: int | None,
    argv: tuple[str, ...],
) -> None:
    """
    Hand in a command, and print its ticket once it is on the disk there.

    With --array or --lines it is one submission of many: the tickets are printed in order.
    Files that a command reads must be there on the node that runs it.
    """
    specs = _specs(description, array, lines, sleep, argv)
    refused = False
    while batch := list(islice(specs, _TOGETHER)):
        for answer in shell.cluster.ask(partial(_hand_in, batch)):
            if isinstance(answer, JobclusterError):
                refused = True
                click.echo(f"jobcluster: {answer}", err=True)
            else:
                shell.say(answer, {"ticket": answer})
    if refused:
        sys.exit(Exit.USAGE)


def _hand_in(batch: list[Spec], node: RemoteNode) -> Deferred[tuple[str | JobclusterError, ...]]:
    return node.submit(batch)


def _specs(
    description: Description,
    array: str | None,
    lines: TextIO | None,
    sleep: int | None,
    argv: tuple[str, ...],
) -> Iterator[Spec]:
    if array is not None and lines is not None:
        raise UserError("--array and --lines exclude each other.")
    if sleep is not None:
        if argv or array is not None or lines is not None:
            raise UserError("--sleep stands alone: there is no command, and one job.")
        yield description.described(SLEEP, b"%d" % sleep)
        return
    stdin = description.read_stdin()
    many: Iterable[tuple[object, str]]
    if array is not None:
        many = ((text, text) for text in _numbers(array))
    elif lines is not None:
        many = enumerate((line.rstrip("\n") for line in lines), 1)
    else:
        yield description.spec(argv, stdin)
        return
    if not argv:
        raise UserError("There is no command.")
    for number, text in many:
        yield description.spec(fill(argv, text), stdin, f"/{number}")


def _numbers(array: str) -> Iterable[str]:
    match = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", array)
    if match is None or int(match[2]) < int(match[1]):
        raise UserError(f"--array wants FIRST-LAST, such as 1-100: {array!r} is none.")
    first, last = int(match[1]), int(match[2])
    if last - first >= _MOST:
        raise UserError(f"An array has {_MOST} jobs at most.")
    return map(str, range(first, last + 1))
