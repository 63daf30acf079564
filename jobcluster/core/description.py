"""
What a client may say about a job besides what is to be run: its key, name, tags and priority, and
the labels that a node must have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import attrs

from jobcluster.core.values import Spec
from jobcluster.errors import UserError

__all__ = [
    "ADMITTED_LABEL",
    "MAX_KEY",
    "MAX_LABELS",
    "MAX_NAME",
    "MAX_PRIORITY",
    "MAX_TAG",
    "MAX_TAGS",
    "are_plain",
    "digest_of",
    "fault_of",
    "is_label",
    "join_tags",
    "split_tags",
]

MAX_KEY: Final = 255
MAX_NAME: Final = 255
MAX_TAG: Final = 63
"""The most characters of each."""

MAX_TAGS: Final = 32
"""The most tags of one job."""

MAX_PRIORITY: Final = 1000
"""The greatest priority; the smallest is as far below 0."""

MAX_LABELS: Final = 32
"""The most labels of one node, and the most that one job requires."""

ADMITTED_LABEL: Final = "lower-case letters, digits and . _ = -, at most 63, the first no sign"
"""How a label may look, in words for the user."""

_LABEL: Final = re.compile(r"[a-z0-9][a-z0-9._=-]{0,62}", re.ASCII)

_SHOWN: Final = 40


def are_plain(specs: Iterable[Spec]) -> bool:
    """
    Whether nothing is said of any of these jobs that could be wrong, or known.
    """
    for spec in specs:
        if spec.key or spec.name or spec.tags or spec.priority or spec.requires:
            return False
    return True


def fault_of(spec: Spec) -> UserError | None:
    """
    What is wrong with how a job is described; C{None} if nothing is.

    What is printable has no half surrogate pairs, NULs or ends of lines: it can be stored, sent and
    shown.
    """
    wrong = (
        _fault_of_text("key", spec.key, MAX_KEY)
        or _fault_of_text("name", spec.name, MAX_NAME)
        or _fault_of_tags(spec.tags)
        or _fault_of_labels(spec.requires)
    )
    if not -MAX_PRIORITY <= spec.priority <= MAX_PRIORITY:
        wrong = wrong or f"A priority is a number from {-MAX_PRIORITY} to {MAX_PRIORITY}."
    return UserError(wrong) if wrong else None


def _fault_of_text(what: str, text: str, most: int) -> str:
    if len(text) > most:
        return f"A {what} has {most} characters at most: {_quote(text)} has {len(text)}."
    if not text.isprintable():
        return f"A {what} has printable characters only: {_quote(text)} has others."
    return ""


def _fault_of_tags(tags: tuple[str, ...]) -> str:
    if len(tags) > MAX_TAGS:
        return f"A job has {MAX_TAGS} tags at most, and not {len(tags)}."
    for tag in tags:
        if not tag:
            return f"A tag is empty: it has 1 to {MAX_TAG} characters."
        if " " in tag or "," in tag:
            return f"A tag has no blanks and commas: {_quote(tag)} does."
        wrong = _fault_of_text("tag", tag, MAX_TAG)
        if wrong:
            return wrong
    return ""


def _fault_of_labels(requires: str) -> str:
    labels = split_tags(requires)
    if len(labels) > MAX_LABELS:
        return f"A job requires {MAX_LABELS} labels at most, and not {len(labels)}."
    for label in labels:
        if not is_label(label):
            return f"A label has {ADMITTED_LABEL}: {_quote(label)} is none."
    if join_tags(labels) != requires:
        return f"What a job requires is sorted, each label once: {_quote(requires)} is not."
    return ""


def is_label(text: str) -> bool:
    """
    Whether this may be the label of a node: see L{ADMITTED_LABEL}.
    """
    return _LABEL.fullmatch(text) is not None


def _quote(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def join_tags(tags: Iterable[str]) -> str:
    """
    Tags as they are stored, each once, whatever their order: sorted, comma-separated.
    """
    return ",".join(sorted(set(tags)))


def split_tags(tags: str) -> tuple[str, ...]:
    """
    The tags that are stored so.
    """
    return tuple(tags.split(",")) if tags else ()


def digest_of(spec: Spec) -> bytes:
    """
    What a job is, in a few bytes: those of two jobs that differ in more than their key differ.

    What a client did not say is left out, so that a version in which more can be said finds the
    same.
    """
    digest = sha256()
    for field in attrs.fields(Spec):
        value = getattr(spec, field.name)
        if field.name == "key" or value == field.default:
            continue
        if field.name == "tags":
            value = join_tags(value)
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")
        digest.update(b"%s %d " % (field.name.encode(), len(data)))
        digest.update(data)
    return digest.digest()
