"""
What the verbs of the command line have in common: where the node is, what is printed, how it ends.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import click
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from jobcluster.client.cluster import Cluster
from jobcluster.client.finding import VARIABLE
from jobcluster.client.remote import RemoteNode
from jobcluster.consoles.words import one_line
from jobcluster.errors import (
    JobclusterError,
    NodeUnreachableError,
    UserError,
)

__all__ = ["Exit", "Seconds", "Shell", "connecting", "fail", "mend_streams", "verb"]

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")
T = TypeVar("T")

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a verb as an interrupt does."""


class Exit:
    """
    What C{jobcluster} exits with.
    """

    OK: Final = 0
    FAILED: Final = 1
    """A job did not succeed, or the cluster answered with an error."""
    USAGE: Final = 2
    """That is not how it is used, or makes no sense."""
    UNREACHABLE: Final = 3
    """No node answers."""
    NOT_ENDED: Final = 4
    """What was asked for is not there yet: the job has not ended."""
    INTERRUPTED: Final = 130
    """Ctrl-C."""


class Shell:
    """
    The command line that a verb was called from.
    """

    def __init__(self, connect: str, *, as_json: bool) -> None:
        """
        Connect to nobody yet.

        @param connect: where the node is; see L{Cluster}.
        @param as_json: whether one JSON object a line is printed instead of words.
        """
        self._connect = connect
        self._cluster: Cluster | None = None
        self.as_json = as_json

    @property
    def cluster(self) -> Cluster:
        """
        The cluster.

        @raise JobclusterError: if no node answers.
        """
        if self._cluster is None:
            self._cluster = Cluster(self._connect)
        return self._cluster

    def close(self) -> None:
        """
        Say good-bye to the node.
        """
        if self._cluster is not None:
            self._cluster.shutdown(wait=False)

    def say(self, words: str, facts: object) -> None:
        """
        Print words for people, or facts for programs.
        """
        click.echo(json.dumps(facts) if self.as_json else words)

    def ask_each(
        self, tickets: Sequence[str], ask: Callable[[RemoteNode, str], Deferred[T]]
    ) -> list[tuple[str, T | JobclusterError]]:
        """
        Ask about some jobs, all at once; returns each ticket with its answer, or with the error
        that is one.
        """

        def ask_one(node: RemoteNode, ticket: str) -> Deferred[tuple[str, T | JobclusterError]]:
            def excuse(failure: Failure) -> T | JobclusterError:
                failure.trap(JobclusterError)
                error: JobclusterError = failure.value  # type: ignore[assignment]
                return error

            asking = ask(node, ticket).addErrback(excuse)
            return asking.addCallback(lambda answer: (ticket, answer))

        return self.cluster.ask(
            lambda node: gatherResults([ask_one(node, ticket) for ticket in tickets])
        )

    def say_error(self, ticket: str, error: JobclusterError) -> None:
        """
        Say what is wrong with one of some tickets.
        """
        if self.as_json:
            self.say("", {"ticket": ticket, "error": str(error)})
        else:
            click.echo(f"jobcluster: {one_line(ticket)}: {one_line(str(error))}", err=True)


def fail(error: JobclusterError, code: int = 0) -> NoReturn:
    """
    End with one line that says what is wrong.

    @param code: to exit with; by default what is meant for such an error.
    """
    text = " ".join(str(error).split())
    click.echo(f"jobcluster: {text}", err=True)
    if not code:
        code = Exit.FAILED
        if isinstance(error, NodeUnreachableError):
            code = Exit.UNREACHABLE
        elif isinstance(error, UserError):
            code = Exit.USAGE
    sys.exit(code)


class Seconds(click.FloatRange):
    """A number of seconds; one that is none is refused."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - whatever was typed
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """
        Take it.
        """
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


def _end(number: int, frame: FrameType | None) -> None:
    """As an interrupt does, so that nothing is left to run for nobody."""
    raise SystemExit(128 + number)


def mend_streams() -> None:
    """Whatever was closed ahead is empty, or takes everything."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It is open for as long as the process lives.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _say_no_more() -> None:
    """What is still to be written to standard output cannot be, and is not tried again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def connecting(function: F) -> F:
    """
    Have a command take C{--connect} and C{--json}.
    """
    place = click.option(
        "--connect",
        default="",
        metavar="ENDPOINT",
        help="The node: tcp:HOST:PORT, HOST:PORT or the path of a socket."
        f"  [${VARIABLE}; by default one of this machine]",
    )
    form = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object a line, for programs."
    )
    return place(form(function))


def verb(function: Callable[..., R]) -> Callable[..., R]:
    """
    Make a function a verb: it is given a L{Shell} first, and its errors are one line each.
    """

    @connecting
    @click.pass_context
    @wraps(function)
    def called(
        context: click.Context,
        /,
        *args: Any,  # noqa: ANN401 - whatever the verb asks for
        connect: str,
        as_json: bool,
        **kwargs: Any,  # noqa: ANN401 - likewise
    ) -> R:
        # They may be said ahead of the verb, too.
        ahead = context.find_root().params
        before = {number: signal.signal(number, _end) for number in _ENDING}
        shell = Shell(
            connect or ahead.get("connect") or "", as_json=as_json or ahead.get("as_json", False)
        )
        try:
            return function(shell, *args, **kwargs)
        except JobclusterError as error:
            fail(error)
        except KeyboardInterrupt:
            click.echo("jobcluster: interrupted", err=True)
            sys.exit(Exit.INTERRUPTED)
        except BrokenPipeError:
            # Whoever read it has seen enough; nothing more can be said.
            _say_no_more()
            sys.exit(Exit.FAILED)
        except OSError as error:
            _say_no_more()
            click.echo(f"jobcluster: cannot read or write: {error.strerror}", err=True)
            sys.exit(Exit.FAILED)
        finally:
            shell.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    return called
