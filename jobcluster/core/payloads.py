"""
What may be handed in as a job, whatever the door: looked at before anything is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobcluster.core.commands import COMMAND, Command, unpack_command
from jobcluster.core.description import fault_of
from jobcluster.core.functions import FUNCTION, unpack_function
from jobcluster.core.values import SLEEP, OnNodeLoss, Spec
from jobcluster.errors import UserError

__all__ = ["MAX_SLEEP", "check_command", "check_job"]

MAX_SLEEP: Final = 31 * 24 * 3600 * 1000
"""The longest sleep, in milliseconds."""

_SHOWN: Final = 40
"""The most characters of a wrong word that are quoted."""


def check_job(spec: Spec) -> None:
    """
    See whether a job makes sense.

    @raise UserError: if it makes none; the error says why.
    """
    check = _KINDS.get(spec.kind)
    if check is None:
        raise UserError(f"There are no jobs of the kind {_quoted(spec.kind)}: {', '.join(_KINDS)}.")
    check(spec.payload)
    fault = fault_of(spec)
    if fault is not None:
        raise fault
    if spec.on_node_loss not in (OnNodeLoss.AGAIN, OnNodeLoss.FAIL):
        raise UserError(
            f"on_node_loss is {_quoted(spec.on_node_loss)}, but must be"
            f" {OnNodeLoss.AGAIN} or {OnNodeLoss.FAIL}."
        )


def check_command(command: Command) -> None:
    """
    See whether a command could be run anywhere.

    @raise UserError: if it could not; the error says why.
    """
    if not command.argv:
        raise UserError("There is no command.")
    if not command.argv[0]:
        raise UserError("The name of the command is empty.")
    names = [name for name, _ in command.environment]
    if any(not name or b"=" in name for name in names):
        raise UserError("A variable has no name, or one with '=' in it.")
    parts = [*command.argv, *map(b"".join, command.environment), command.directory or b""]
    if any(b"\0" in part for part in parts):
        raise UserError(
            "No argument, variable or directory can have a NUL byte: have the command make it,"
            " or read it from its standard input."
        )
    if command.directory is not None and not command.directory.startswith(b"/"):
        # Which node runs it is not known here, and none has a place that it would be relative to.
        shown = _quoted(command.directory.decode("utf-8", "replace"))
        raise UserError(
            f"The directory must be an absolute path, one that begins with /: {shown} does not"
            " (~ and $ are not expanded)."
        )


def _check_sleep(payload: bytes) -> None:
    if not payload.isdigit() or len(payload) > len(str(MAX_SLEEP)) or int(payload) > MAX_SLEEP:
        raise UserError(f"A sleep is a number of milliseconds from 0 to {MAX_SLEEP} (31 days).")


def _check_command(payload: bytes) -> None:
    try:
        command = unpack_command(payload)
    except ValueError:
        raise UserError(
            "The payload of a command must be a JSON object (argv, env, cwd), a newline, and the"
            " standard input."
        ) from None
    check_command(command)


def _check_function(payload: bytes) -> None:
    try:
        function = unpack_function(payload)
    except ValueError:
        raise UserError(
            "The payload of a function must be a JSON object (call, env, cwd, limit), a newline,"
            " and the arguments; call is MODULE:NAME, as in math:pow."
        ) from None
    check_command(Command((b"python",), function.environment, function.directory))


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


_KINDS: Final[dict[str, Callable[[bytes], None]]] = {
    SLEEP: _check_sleep,
    COMMAND: _check_command,
    FUNCTION: _check_function,
}
