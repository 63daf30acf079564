"""
C{jobcluster map}: a command for each line of a file.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TextIO

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from jobcluster.cli.common import Exit, Shell, verb
from jobcluster.cli.description import Description, describing, fill
from jobcluster.cli.facts import facts_of_output
from jobcluster.cli.streams import write
from jobcluster.client.futures import JobFuture
from jobcluster.client.results import CommandResult
from jobcluster.core.values import Spec
from jobcluster.errors import JobclusterError, JobError

__all__ = ["command"]

_LAST_WORDS: Final = 5.0
"""Seconds for which a job is waited for that is to be cancelled, until it is handed in."""

_AHEAD: Final = 5000
"""Jobs that are handed in before the first of them has ended."""


@click.command(context_settings={"allow_interspersed_args": False})
@verb
@describing
@click.option(
    "-a",
    "--lines",
    type=click.File(encoding="utf-8", errors="surrogateescape"),
    default="-",
    help="The file with the lines.  [default: standard input]",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.argument(
    "argv", nargs=-1, type=click.UNPROCESSED, required=True, metavar="[--] COMMAND [ARGUMENT]..."
)
def command(
    shell: Shell,
    description: Description,
    lines: TextIO,
    quiet: bool,  # noqa: FBT001 - click's way
    argv: tuple[str, ...],
) -> None:
    """
    Run a command for each line, which stands for {} in it, or behind it where there is none.

    What each puts out is printed in the order of the lines, as soon as those before it have ended.
    With --key the whole can be started again, at the same node, after it was interrupted, and
    nothing runs twice that had been handed in: each line's key is that key and the line's number.
    Without, Ctrl-C cancels what was handed in.
    Exits with 0 if all have succeeded.
    """
    if description.stdin == "-":
        raise click.UsageError("-i - and the lines cannot both be standard input.")
    stdin = description.read_stdin()
    texts = [line.rstrip("\n") for line in lines]
    specs = (
        description.spec(fill(argv, text), stdin, f"/{number}")
        for number, text in enumerate(texts, 1)
    )
    failed = 0
    progress = None if quiet or not sys.stderr.isatty() else _make_progress()
    shown: AbstractContextManager[Any] = progress or nullcontext()
    handed: deque[JobFuture[CommandResult]] = deque()
    try:
        with shown:
            task = None if progress is None else progress.add_task("", total=len(texts))
            for text, future in zip(texts, _ahead(shell, specs, handed), strict=True):
                failed += not _print(shell, text, future)
                if progress is not None and task is not None:
                    progress.advance(task)
    except BaseException:
        _give_up(shell, handed, is_keyed=bool(description.key))
        raise
    if failed:
        click.echo(f"jobcluster: {failed} of {len(texts)} did not succeed", err=True)
        sys.exit(Exit.FAILED)


def _ahead(
    shell: Shell, specs: Iterable[Spec], handed: deque[JobFuture[CommandResult]]
) -> Iterator[JobFuture[CommandResult]]:
    """Hand jobs in well ahead of those that are waited for, which are the first of them."""
    for spec in specs:
        handed.append(shell.cluster.submit_spec(spec))
        if len(handed) >= _AHEAD:
            yield handed[0]
            handed.popleft()
    while handed:
        yield handed[0]
        handed.popleft()


def _give_up(shell: Shell, handed: deque[JobFuture[CommandResult]], *, is_keyed: bool) -> None:
    """Nobody reads on: have nothing run for nobody, unless it is to be taken up again."""
    if is_keyed:
        click.echo(
            "jobcluster: what was handed in goes on; the same line with the same --key takes it up",
            err=True,
        )
        return
    tickets = [
        future.ticket
        for future in handed
        if future.wait_acknowledged(_LAST_WORDS) and future.has_ticket and not future.done()
    ]
    if not tickets:
        return
    shell.ask_each(tickets, lambda node, ticket: node.cancel(ticket))
    click.echo(f"jobcluster: {len(tickets)} jobs are cancelled", err=True)


def _print(shell: Shell, text: str, future: JobFuture[CommandResult]) -> bool:
    """Print what has become of a line; whether it has succeeded."""
    error: JobclusterError | None = None
    try:
        result = future.result()
    except CancelledError:
        words = f"{future.ticket}: it was cancelled"
        click.echo(f"jobcluster: {text}: {words}", err=True)
        if shell.as_json:
            shell.say("", {"line": text, "ticket": future.ticket, "error": words})
        return False
    except JobError as failure:
        if not isinstance(failure.result, CommandResult):
            raise
        error, result = failure, failure.result
    if shell.as_json:
        facts: dict[str, Any] = {"line": text, "ticket": result.ticket, "code": result.code}
        facts |= facts_of_output("out", result.out) | facts_of_output("err", result.err)
        facts |= {"error": str(error)} if error else {}
        shell.say("", facts)
        return error is None
    write("out", result.out)
    write("err", result.err)
    if error is not None:
        click.echo(f"jobcluster: {text}: {error}", err=True)
    return error is None


class _RateColumn(ProgressColumn):
    """How many end each second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")


def _make_progress() -> Progress:
    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
