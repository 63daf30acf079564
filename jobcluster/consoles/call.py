"""
What stands behind C{call}: options, and a function with its arguments.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

import attrs

from jobcluster.consoles.options import OPTIONS_USAGE
from jobcluster.consoles.run import read_run
from jobcluster.consoles.words import quote
from jobcluster.core.commands import unpack_command
from jobcluster.core.functions import FUNCTION, is_callable_name, named, pack_function
from jobcluster.core.values import Spec
from jobcluster.errors import UserError

__all__ = ["CALL_DETAIL", "CALL_USAGE", "read_call"]

CALL_USAGE: Final = (
    f"call {OPTIONS_USAGE} [-e NAME=VALUE]... [-d DIRECTORY] [-t SECONDS] MODULE:NAME"
    " [[NAME=]JSON]..."
)

CALL_DETAIL: Final = f"""{CALL_USAGE} has its words parted and quoted as those of run.
The module is imported on the node that runs the job: from the directory that -d names, from
PYTHONPATH (which -e can set), or from what is installed there.
Each argument is a JSON value, with a name ahead of it or without: call math:pow 2 10, or
call builtins:int '"ff"' base=16.
What it returns, as JSON of at most 64 KiB, is the result; output has what it puts out.
The options are those of run, but for -i."""
"""What C{help call} says."""

_NAMED: Final = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)


def read_call(typed: str) -> Spec:
    """
    The job that was asked for.

    @param typed: what stands behind the verb, as for L{read_run}.
    @raise UserError: if it makes no sense; the error says why.
    """
    # The options are those of a command, and so is what they mean.
    spec = read_run(typed, CALL_USAGE)
    command = unpack_command(spec.payload)
    if command.stdin:
        raise UserError("-i is for run alone: the standard input of a function is empty.")
    name, *words = (word.decode("utf-8", "replace") for word in command.argv)
    if not is_callable_name(name):
        raise UserError(f"{quote(name)} is not MODULE:NAME, as in math:pow.")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        named_one = _NAMED.fullmatch(word)
        if named_one is not None:
            kwargs[named_one[1]] = _value(named_one[2])
        elif kwargs:
            raise UserError(f"{quote(word)} has no name, and stands behind one that has.")
        else:
            args.append(_value(word))
    function = named(name, args, kwargs)._replace(
        environment=command.environment, directory=command.directory, limit=command.limit
    )
    return attrs.evolve(spec, kind=FUNCTION, payload=pack_function(function))


def _value(word: str) -> object:
    try:
        return json.loads(word, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise UserError(
            f"{quote(word)} is no JSON value: a number, true, false, null, '\"text\"', '[1, 2]'"
            " or '{\"a\": 1}', in the quotes of a shell."
        ) from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
