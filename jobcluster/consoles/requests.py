"""
What a line at a console asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import attrs
from twisted.internet.defer import Deferred

from jobcluster.core.values import Spec
from jobcluster.core.views import Filter
from jobcluster.interfaces import IClusterView

__all__ = [
    "ALONE",
    "ANYWHERE",
    "Ask",
    "Leave",
    "Listen",
    "Output",
    "Prompt",
    "Request",
    "Say",
    "Submit",
    "Tail",
]

ALONE: Final = ""
"""The group of what starts when all before it was answered, and is answered before the next."""

ANYWHERE: Final = "anywhere"
"""The group of what asks nobody anything, so that it may stand in any group."""


@attrs.frozen
class Submit:
    """A job; those of consecutive lines are submitted together."""

    spec: Spec
    group: ClassVar[str] = ALONE


@attrs.frozen
class Ask:
    """A question; those of one group may be under way together."""

    group: str
    ask: Callable[[IClusterView], Deferred[str]]
    may_end: bool = False
    """Whether the asking may be ended, because the answer may take long."""


@attrs.frozen
class Listen:
    """A question with an answer of any length."""

    wanted: Filter
    group: ClassVar[str] = ALONE


@attrs.frozen
class Output:
    """A question for all that a job has put out, as it is."""

    ticket: str
    group: ClassVar[str] = ALONE


@attrs.frozen
class Tail:
    """A question for what a job puts out while it runs, as it comes."""

    ticket: str
    offsets: Mapping[str, int]
    """The streams, and where to begin in each."""
    attempt: int
    """The number of the one whose bytes these are; 0 for whichever it is."""
    framed: bool
    """Whether each piece has a line ahead of it, for a program."""
    group: ClassVar[str] = ALONE


@attrs.frozen
class Say:
    """An answer that is there already."""

    text: str
    group: ClassVar[str] = ANYWHERE


@attrs.frozen
class Prompt:
    """Whether this session is to have a prompt."""

    on: bool
    group: ClassVar[str] = ALONE


@attrs.frozen
class Leave:
    """The end of this session, with some last words."""

    words: str
    linger: bool = False
    """Whether the peer is likely to be sending on."""
    group: ClassVar[str] = ALONE


Request = Submit | Ask | Listen | Output | Tail | Say | Prompt | Leave
