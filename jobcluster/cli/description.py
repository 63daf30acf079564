"""
The options that describe a job, and what they come to.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from jobcluster.cli.common import Seconds
from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.description import join_tags
from jobcluster.core.payloads import check_job
from jobcluster.core.values import OnNodeLoss, Spec
from jobcluster.errors import UserError

__all__ = ["Description", "describing", "fill"]

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class Description:
    """
    What was said of a command beside its words.
    """

    environment: tuple[str, ...]
    directory: str | None
    stdin: str
    timeout: float | None
    name: str
    tags: tuple[str, ...]
    key: str
    priority: int
    requires: tuple[str, ...]
    once: bool

    def read_stdin(self) -> bytes:
        """
        What the command is to read.

        @raise UserError: if it cannot be read here.
        """
        if not self.stdin:
            return b""
        if self.stdin == "-":
            return sys.stdin.buffer.read()
        try:
            return Path(self.stdin).read_bytes()
        except OSError as error:
            raise UserError(f"{self.stdin} cannot be read: {error.strerror}.") from error

    def spec(self, argv: Sequence[str], stdin: bytes = b"", key: str = "") -> Spec:
        """
        The job that runs this.

        @param key: behind the key that was given, where there is one.
        @raise UserError: if it makes no sense.
        """
        variables = []
        for said in self.environment:
            name, equals, value = said.partition("=")
            if not equals:
                raise UserError(f"-e wants NAME=VALUE: {said!r} has no '='.")
            variables.append((os.fsencode(name), os.fsencode(value)))
        command = Command(
            tuple(map(os.fsencode, argv)),
            tuple(variables),
            None if self.directory is None else os.fsencode(self.directory),
            stdin,
            self.timeout or 0.0,
        )
        return self.described(COMMAND, pack_command(command), key)

    def described(self, kind: str, payload: bytes, key: str = "") -> Spec:
        """
        The job of that kind; without a key it gets one, so that whatever becomes of the connection
        it is handed in once.

        @param key: behind the key that was given, where there is one.
        @raise UserError: if it makes no sense.
        """
        spec = Spec(
            kind,
            payload,
            self.priority,
            join_tags(self.requires),
            on_node_loss=OnNodeLoss.FAIL if self.once else OnNodeLoss.AGAIN,
            key=self.key + key if self.key else uuid.uuid4().hex,
            name=self.name,
            tags=self.tags,
        )
        check_job(spec)
        return spec


def describing(function: F) -> F:
    """
    Have a verb take these options; it is given a L{Description}.
    """

    @wraps(function)
    def take(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the verb takes
        fields = {field.name for field in attrs.fields(Description)}
        said = {name: options.pop(name) for name in fields}
        return function(*args, description=Description(**said), **options)

    for option in reversed(
        [
            click.option(
                "-e", "environment", multiple=True, metavar="NAME=VALUE", help="Set a variable."
            ),
            click.option(
                "-d",
                "directory",
                metavar="DIRECTORY",
                help="Where to run, on whatever node: an absolute path.  [default: a fresh"
                " directory, removed afterwards]",
            ),
            click.option(
                "-i",
                "stdin",
                default="",
                metavar="FILE",
                help="What it reads from its standard input: a file of this machine, or -.",
            ),
            click.option(
                "-t",
                "--timeout",
                type=Seconds(min=0, min_open=True, max=1e9, max_open=True),
                metavar="SECONDS",
                help="End it as timed out when it has run for so long.",
            ),
            click.option("--name", default="", help="What to call it."),
            click.option(
                "--tag", "tags", multiple=True, metavar="TAG", help="To find it by; repeatable."
            ),
            click.option(
                "--key",
                default="",
                metavar="KEY",
                help="The same key at the same node is the same job, however often it is said.",
            ),
            click.option("--priority", type=int, default=0, help="The greatest goes first."),
            click.option(
                "--require",
                "requires",
                multiple=True,
                metavar="LABEL",
                help="A label that the node must have which runs it; repeatable.",
            ),
            click.option(
                "--once",
                is_flag=True,
                help="Start it at most once: if its node is lost, it is lost.",
            ),
        ]
    ):
        take = option(take)
    return take  # type: ignore[return-value]


def fill(template: Sequence[str], text: str) -> list[str]:
    """
    A command line with C{text} in the place of each C{{}}; behind it, where there is none.
    """
    if any("{}" in word for word in template):
        return [word.replace("{}", text) for word in template]
    return [*template, text]
