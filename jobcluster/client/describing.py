"""
What a program says of a job, as the job has it; what is of a wrong type is refused in words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from jobcluster.core.commands import Command
from jobcluster.core.values import Spec
from jobcluster.errors import UserError

__all__ = ["Word", "check_types", "command_of", "limit_of", "texts_of", "variables_of"]

Word = str | bytes | os.PathLike[str]
"""One word of a command."""

_LONGEST: Final = 1e9
"""Seconds that a timeout is below."""


def command_of(
    argv: Sequence[Word],
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
    stdin: bytes | str,
    timeout: float,
) -> Command:
    """
    A command.

    @raise UserError: if something is of a wrong type.
    """
    if isinstance(argv, str | bytes):
        raise UserError("A command is a list of words: no shell parts one text into them.")
    return Command(
        tuple(map(os.fsencode, argv)),
        variables_of(env),
        None if cwd is None else os.fsencode(cwd),
        stdin.encode() if isinstance(stdin, str) else stdin,
        limit_of(timeout),
    )


def variables_of(env: Mapping[str, str] | None) -> tuple[tuple[bytes, bytes], ...]:
    """
    Variables of the environment.
    """
    return tuple((os.fsencode(name), os.fsencode(value)) for name, value in (env or {}).items())


def limit_of(timeout: float) -> float:
    """
    Seconds that a run may take.

    @raise UserError: if it is no such number.
    """
    if not 0 <= timeout < _LONGEST:
        raise UserError(f"A timeout is a number of seconds, 0 for none: {timeout!r} is not.")
    return float(timeout)


def texts_of(what: str, texts: Sequence[str]) -> tuple[str, ...]:
    """
    Some texts, be they none.

    @raise UserError: if it is one text, or something else.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{what} is a list of texts, such as ['a', 'b']: {texts!r} is none.")
    return tuple(texts)


def check_types(spec: Spec) -> None:
    """
    See whether what was said of a job is of the types that it has to be.

    @raise UserError: if it is not.
    """
    for what in ("key", "name"):
        if not isinstance(getattr(spec, what), str):
            raise UserError(f"A {what} is a text: {getattr(spec, what)!r} is none.")
    if not isinstance(spec.priority, int):
        raise UserError(f"A priority is a whole number: {spec.priority!r} is none.")
