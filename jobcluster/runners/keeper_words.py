"""
What a keeper is told and tells, between frames and the values of the core (C{docs/keeper.rst}).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from jobcluster.core.actions import Run
from jobcluster.core.commands import COMMAND
from jobcluster.core.values import (
    Adopted,
    Held,
    Outcome,
    Ref,
    RunState,
    Status,
    format_ticket,
)
from jobcluster.keeper.frames import VERSION, Frame, FrameError, pack_frame

__all__ = [
    "Greeting",
    "KeptRun",
    "pack_hello",
    "pack_refs",
    "pack_start",
    "read_at",
    "read_ended",
    "read_greeting",
    "read_holds",
    "read_numbers",
    "read_refs",
]

_T = TypeVar("_T")

_STATUSES: Final = frozenset(
    {Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED, Status.LOST}
)

_STATES: Final = frozenset({RunState.RUNNING, RunState.ENDED})


class Greeting(NamedTuple):
    """What a keeper says of itself, in whatever version."""

    keeper: str
    """Its id."""
    speaks: frozenset[int]
    """The versions that it has."""


class KeptRun(NamedTuple):
    """A run that a keeper holds."""

    adopted: Adopted
    number: int | None
    """In the names of the files with its output; C{None} if its outcome has that."""
    files: int | None = None
    """In the names of the files that it writes to; C{None} if an older keeper does not say that."""


def pack_hello(
    node: str,
    kill_after: float,
    max_output: int,
    environment: Mapping[str, str],
    *,
    allow_pickle: bool = False,
) -> bytes:
    """
    The first word on a connection.

    @param kill_after: seconds.
    @param max_output: bytes.
    @param environment: what every command gets; what is not UTF-8 as lone surrogates.
    @param allow_pickle: whether functions are called that are pickled.
    """
    head = {
        "speaks": [VERSION],
        "node": node,
        "kill_after": kill_after,
        "max_output": max_output,
        "environment": dict(environment),
        "allow_pickle": allow_pickle,
    }
    return pack_frame("hello", head)


def pack_start(run: Run, until: float) -> bytes:
    """
    A start that is not to be carried out later than C{until}, in seconds of the boot-time clock.
    """
    head = {
        "ref": run.ref,
        "job": run.job,
        "ticket": format_ticket(run.origin, run.job),
        "attempt": run.attempt,
        "kind": run.kind,
        "once": run.once,
        "suspect": run.suspect,
        "until": until,
    }
    return pack_frame("start", head, run.payload)


def pack_refs(word: str, refs: Sequence[Ref]) -> bytes:
    """
    A word about some runs.
    """
    return pack_frame(word, {"refs": list(refs)})


def read_greeting(frame: Frame) -> Greeting:
    """
    The answer to the first word.

    @raise FrameError: if it is none.
    """
    speaks = _field(frame.head, "speaks", list)
    versions = frozenset(version for version in speaks if type(version) is int)
    return Greeting(_field(frame.head, "keeper", str) if VERSION in versions else "", versions)


def read_holds(frame: Frame) -> KeptRun:
    """
    A row of the inventory.

    @raise FrameError: if it is none.
    """
    head = frame.head
    state = _field(head, "state", str)
    if state not in _STATES:
        raise FrameError(f"{state!r} is no state of a run")
    ref = _ref(head.get("ref"))
    started = _field(head, "started", int)
    held = Held(
        *ref[:2], _field(head, "job", int), *ref[2:], state, started, _field(head, "suspect", bool)
    )
    outcome, number = None, None
    if state == RunState.ENDED:
        outcome, number = _outcome(head.get("outcome"), frame.body)
    kind = _field({"kind": COMMAND, **head}, "kind", str)
    adopted = Adopted(held, kind, outcome, _field(head, "once", bool))
    return KeptRun(adopted, number, _optional(head, "number"))


def read_ended(frame: Frame) -> tuple[Ref, Outcome, int | None]:
    """
    A run that has ended, how, and the number of the files that hold its output, if any do.

    @raise FrameError: if that is not said.
    """
    return (_ref(frame.head.get("ref")), *_outcome(frame.head.get("outcome"), frame.body))


def read_refs(frame: Frame) -> list[Ref]:
    """
    The runs that a word is about.

    @raise FrameError: if there are none.
    """
    return [_ref(ref) for ref in _field(frame.head, "refs", list)]


def read_at(frame: Frame) -> int:
    """
    When it happened, in milliseconds since the epoch.

    @raise FrameError: if that is not said.
    """
    return _field(frame.head, "at", int)


def read_numbers(frame: Frame) -> list[int]:
    """
    In the names of the files that runs write to, in the order of the runs; none if an older keeper
    does not say them.

    @raise FrameError: if they are none.
    """
    numbers = _field(frame.head, "numbers", list) if "numbers" in frame.head else []
    if any(type(number) is not int for number in numbers):
        raise FrameError("a run's number is none")
    return numbers


def _outcome(said: object, body: bytes) -> tuple[Outcome, int | None]:
    if not isinstance(said, dict):
        raise FrameError("an outcome is missing")
    status = _field(said, "status", str)
    out, err = _field(said, "out", int), _field(said, "err", int)
    number, size = _optional(said, "run"), _optional(said, "value") or 0
    if status not in _STATUSES or min(out, err, size) < 0:
        raise FrameError("an outcome is none")
    output = out + err if number is None else 0
    if len(body) != output + size:
        raise FrameError("an outcome has not as much output or value as it says")
    outcome = Outcome(
        status=status,
        code=_optional(said, "code"),
        detail=_field(said, "detail", str),
        started=_field(said, "started", int),
        ended=_field(said, "ended", int),
        value=body[output:],
        out=body[:out] if output else b"",
        err=body[out:output],
        out_size=out,
        err_size=err,
    )
    return outcome, number


def _ref(said: object) -> Ref:
    match said:
        case [str(origin), str(store), int(incarnation), int(serial)]:
            return (origin, store, incarnation, serial)
        case _:
            raise FrameError("a run is not named by [origin, store, incarnation, serial]")


def _optional(head: Mapping[str, Any], name: str) -> int | None:
    return None if head.get(name) is None else _field(head, name, int)


def _field(head: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = head.get(name)
    if not isinstance(value, kind):
        raise FrameError(f"{name!r} is not what it should be")
    return value
