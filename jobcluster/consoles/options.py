"""
What may be said of any job ahead of what it is to do: how it is called, and how it is treated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import attrs

from jobcluster.consoles.words import quote
from jobcluster.core.description import (
    MAX_KEY,
    MAX_NAME,
    MAX_PRIORITY,
    MAX_TAG,
    MAX_TAGS,
    fault_of,
    join_tags,
)
from jobcluster.core.values import OnNodeLoss, Spec
from jobcluster.errors import UserError

__all__ = ["OPTIONS_DETAIL", "OPTIONS_USAGE", "Options", "shown"]

OPTIONS_USAGE: Final = (
    "[--once] [--key KEY] [--name NAME] [--tag TAG]... [--priority N] [--require LABEL]..."
)

OPTIONS_DETAIL: Final = f"""
If the node that runs a job is lost, the job is run again elsewhere; with --once it is run at most
once, and then ends as lost.
With --key the same line may be typed again, here, at any time: as long as the ticket of the first
is known the answer is that ticket, and no second job; another job with that key is refused (a key
has at most {MAX_KEY} characters).
--name and --tag are shown by status and found by list (a name has at most {MAX_NAME} characters; a
job has at most {MAX_TAGS} tags, of at most {MAX_TAG} characters without blanks and commas).
--priority is a number from {-MAX_PRIORITY} to {MAX_PRIORITY}, 0 if it is not said: of jobs that
wait the greatest is started first.
--require names a label that the node must have which runs it (see --labels of the nodes); as long
as there is none, the job waits."""

_NUMBER: Final = re.compile(rb"[+-]?[0-9]{1,9}")


@attrs.define
class Options:
    """
    What was said ahead of a job.
    """

    wanted: ClassVar[Mapping[bytes, str]] = {
        b"--key": "a key",
        b"--name": "a name",
        b"--tag": "a tag",
        b"--priority": "a number",
        b"--require": "a label",
    }
    """The options that have a value, and what that is."""

    once: bool = False
    key: str | None = None
    name: str | None = None
    tags: list[str] = attrs.Factory(list)
    priority: int | None = None
    requires: list[str] = attrs.Factory(list)

    def read(self, words: Sequence[bytes], usage: str, begins: bytes) -> Sequence[bytes]:
        """
        Take all options; returns the words behind them.

        @param usage: of the verb, which is its first word.
        @param begins: what an option begins with.
        @raise UserError: if one makes no sense.
        """
        at = 0
        while at < len(words) and words[at].startswith(begins):
            option = words[at]
            at += 1
            if option == b"--":
                break
            if option == b"--once":
                self.once = True
                continue
            if option not in self.wanted:
                raise UserError(self._unknown(option, usage.partition(" ")[0]))
            if at == len(words):
                raise UserError(f"{option.decode()} wants {self.wanted[option]} behind it: {usage}")
            self.take(option, words[at])
            at += 1
        return words[at:]

    def take(self, option: bytes, value: bytes) -> None:
        """
        Take one that has a value.

        @raise UserError: if that makes no sense.
        """
        match option:
            case b"--tag":
                self.tags.append(_text(option, value))
            case b"--require":
                self.requires.append(_text(option, value))
            case b"--key" if self.key is None:
                self.key = _text(option, value)
            case b"--name" if self.name is None:
                self.name = _text(option, value)
            case b"--priority" if self.priority is None:
                self.priority = _number(value)
            case _:
                raise UserError(f"{option.decode()} is given twice: once is enough.")

    def describe(self, kind: str, payload: bytes) -> Spec:
        """
        The job of which all that was said.

        @raise UserError: if it cannot be.
        """
        spec = Spec(
            kind,
            payload,
            self.priority or 0,
            join_tags(self.requires),
            on_node_loss=OnNodeLoss.FAIL if self.once else OnNodeLoss.AGAIN,
            key=self.key or "",
            name=self.name or "",
            tags=tuple(self.tags),
        )
        fault = fault_of(spec)
        if fault is not None:
            raise fault
        return spec

    def _unknown(self, option: bytes, verb: str) -> str:
        names = ", ".join(name.decode() for name in self.wanted)
        return (
            f"{shown(option)} is no option of {verb}: there are {names} and --once, each a word of"
            " its own, and -- ends them."
        )


def shown(word: bytes) -> str:
    """
    A word that was typed, fit to be shown in an error.
    """
    return quote(word.decode("utf-8", "replace"))


def _text(option: bytes, value: bytes) -> str:
    if not value:
        raise UserError(f"{option.decode()} wants something behind it that is not empty.")
    return value.decode("utf-8", "surrogateescape")


def _number(value: bytes) -> int:
    if not _NUMBER.fullmatch(value):
        raise UserError(
            f"--priority wants a number from {-MAX_PRIORITY} to {MAX_PRIORITY}: {shown(value)} is"
            " none."
        )
    return int(value)
