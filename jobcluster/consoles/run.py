"""
What stands behind C{run}: options, and the command line of a program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

import attrs

from jobcluster.consoles.options import OPTIONS_USAGE, Options, shown
from jobcluster.consoles.shell import split
from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.values import Spec
from jobcluster.errors import UserError

__all__ = ["RUN_USAGE", "read_run"]

RUN_USAGE: Final = (
    f"run {OPTIONS_USAGE} [-e NAME=VALUE]... [-d DIRECTORY] [-i TEXT] [-t SECONDS] COMMAND LINE"
)

_SECONDS: Final = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")


@attrs.define
class _Options(Options):
    """What was said ahead of the command."""

    wanted: ClassVar[Mapping[bytes, str]] = {
        **Options.wanted,
        b"-e": "NAME=VALUE",
        b"-d": "a directory",
        b"-i": "the standard input",
        b"-t": "a number of seconds",
    }

    environment: list[tuple[bytes, bytes]] = attrs.Factory(list)
    directory: bytes | None = None
    stdin: bytes | None = None
    limit: float | None = None

    def take(self, option: bytes, value: bytes) -> None:
        """
        Take one of them.

        @raise UserError: if its value makes no sense.
        """
        match option:
            case b"-e":
                self.environment.append(_variable(value))
            case b"-d" if self.directory is None:
                self.directory = _directory(value)
            case b"-i" if self.stdin is None:
                self.stdin = value
            case b"-t" if self.limit is None:
                self.limit = _seconds(value)
            case _:
                super().take(option, value)


def read_run(typed: str, usage: str = RUN_USAGE) -> Spec:
    """
    The job that was asked for.

    @param typed: what stands behind the verb, to the end of the line; bytes that are not UTF-8 are
        lone surrogates (PEP 383).
    @param usage: of the verb, which its errors tell.
    @raise UserError: if it makes no sense; the error says why.
    """
    words = split(typed.encode("utf-8", "surrogateescape"))
    options = _Options()
    argv = tuple(options.read(words, usage, b"-"))
    what = "command" if usage is RUN_USAGE else "function"
    if not argv:
        raise UserError(f"There is no {what}: {usage}")
    if not argv[0]:
        raise UserError(f"The name of the {what} is empty.")
    if b"\0" in b"".join([*argv, *map(b"".join, options.environment), options.directory or b""]):
        raise UserError(
            "No argument, variable or directory can have a NUL byte: have the command make it,"
            " or read it from its standard input."
        )
    command = Command(
        argv,
        tuple(options.environment),
        options.directory,
        options.stdin or b"",
        options.limit or 0.0,
    )
    return options.describe(COMMAND, pack_command(command))


def _variable(typed: bytes) -> tuple[bytes, bytes]:
    name, equals, value = typed.partition(b"=")
    if not equals:
        raise UserError(f"-e wants NAME=VALUE: {shown(typed)} has no '='.")
    if not name:
        raise UserError(f"-e wants NAME=VALUE: {shown(typed)} has no name.")
    return name, value


def _directory(typed: bytes) -> bytes:
    if not typed.startswith(b"/"):
        # Which node runs it is not known here, and none has a place that it would be relative to.
        raise UserError(
            f"-d wants an absolute path, one that begins with /: {shown(typed)} does not"
            " (~ and $ are not expanded)."
        )
    return typed


def _seconds(typed: bytes) -> float:
    limit = float(typed) if _SECONDS.fullmatch(typed) else 0.0
    if not limit:
        raise UserError(
            f"-t wants the seconds that the command may take, more than 0 and less than a billion:"
            f" {shown(typed)} is not that."
        )
    return limit
