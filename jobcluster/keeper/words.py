"""
What a node says to its keeper, taken from frames, and the records that both are about.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeVar

from jobcluster.keeper.frames import Frame, FrameError
from jobcluster.keeper.payloads import COMMAND

__all__ = [
    "Hello",
    "Outcome",
    "Ref",
    "Start",
    "Status",
    "read_hello",
    "read_number",
    "read_refs",
    "read_settings",
    "read_start",
]

Ref = tuple[str, str, int, int]
"""An offer: the origin's name and store, and the offer's incarnation and serial."""

_REF: Final = [str, str, int, int]

_T = TypeVar("_T")

_KILL_AFTER: Final = 5.0
"""Seconds between SIGTERM and SIGKILL, where the node says nothing else."""

_MAX_OUTPUT: Final = 2**30
"""Bytes of output that a run may have, where the node says nothing else."""


class Status:
    """How a run ended."""

    SUCCEEDED: Final = "succeeded"
    FAILED: Final = "failed"
    TIMED_OUT: Final = "timed-out"
    CANCELLED: Final = "cancelled"
    LOST: Final = "lost"


class Outcome(NamedTuple):
    """The end of a run, as it is said and as it is kept."""

    status: str
    code: int | None = None
    """Exit code; negative: the signal that ended it; C{None}: neither."""
    detail: str = ""
    """One line for the user, empty where the code says it all."""
    started: int = 0
    """Milliseconds since 1970."""
    ended: int = 0
    """Milliseconds since 1970."""
    out: int = 0
    """Bytes of standard output."""
    err: int = 0
    """Bytes of standard error."""
    run: int | None = None
    """The number in the files that hold the output, where it is not said with the outcome."""
    value: int = 0
    """Bytes of what a function has returned, or of the exception of a pickled one."""

    def files(self, brief: int) -> bool:
        """
        Whether there are files of it.

        @param brief: bytes of the value that are kept elsewhere.
        """
        return self.out + self.err > 0 or self.value > brief

    def said(self) -> dict[str, Any]:
        """
        As it is said and kept; without a value as in the days when there were none.
        """
        said = self._asdict()
        if not self.value:
            del said["value"]
        return said


class Hello(NamedTuple):
    """What a node says first."""

    speaks: frozenset[int]
    node: str = ""
    kill_after: float = _KILL_AFTER
    max_output: int = _MAX_OUTPUT
    environment: tuple[tuple[bytes, bytes], ...] = ()
    allow_pickle: bool = False
    """Whether functions are called that are pickled."""


class Start(NamedTuple):
    """A run that is wanted."""

    ref: Ref
    job: int
    ticket: str
    attempt: int
    once: bool
    suspect: bool
    until: float
    """Seconds of CLOCK_BOOTTIME after which it may not be started."""
    payload: bytes
    kind: str = COMMAND
    """Of the job."""


def read_hello(frame: Frame) -> Hello:
    """
    What is said in a hello; of one in no version that we speak, the versions alone.

    @raise FrameError: if it is none.
    """
    if frame.word != "hello":
        raise FrameError(f"the first word is {frame.word[:40]!r} and not 'hello'")
    speaks = frame.head.get("speaks")
    if not isinstance(speaks, list):
        raise FrameError("'hello' does not say which versions are spoken")
    return Hello(frozenset(version for version in speaks if type(version) is int))


def read_settings(frame: Frame, hello: Hello) -> Hello:
    """
    The rest of a hello, in version 1.

    @raise FrameError: if that is not what it should be.
    """
    head = frame.head
    environment = head.get("environment", {})
    try:
        pairs = tuple((_bytes(name), _bytes(value)) for name, value in environment.items())
    except (AttributeError, TypeError, ValueError) as error:
        raise FrameError("the environment in 'hello' is none") from error
    return hello._replace(
        node=_name(head, "node"),
        allow_pickle=_field({"allow_pickle": False, **head}, "allow_pickle", bool),
        kill_after=read_number({"kill_after": _KILL_AFTER, **head}, "kill_after"),
        max_output=_field({"max_output": _MAX_OUTPUT, **head}, "max_output", int),
        environment=pairs,
    )


def read_start(frame: Frame) -> Start:
    """
    What is said in a start.

    @raise FrameError: if it is none.
    """
    head = frame.head
    return Start(
        ref=_ref(head.get("ref")),
        job=_field(head, "job", int),
        ticket=_name(head, "ticket"),
        attempt=_field(head, "attempt", int),
        once=_field(head, "once", bool),
        suspect=_field(head, "suspect", bool),
        until=read_number(head, "until"),
        payload=frame.body,
        kind=_field({"kind": COMMAND, **head}, "kind", str),
    )


def read_refs(frame: Frame) -> list[Ref]:
    """
    The offers that a word is about.

    @raise FrameError: if there are none.
    """
    return [_ref(ref) for ref in _field(frame.head, "refs", list)]


def read_number(head: dict[str, Any], name: str) -> float:
    """
    A number of seconds that is said.

    @raise FrameError: if it is none.
    """
    value = head.get(name)
    if type(value) not in (int, float) or value != value:  # noqa: PLR0124 - it is not NaN
        raise FrameError(f"{name!r} is not a number")
    return float(value)  # type: ignore[arg-type] # the types are looked at above


def _ref(said: object) -> Ref:
    if type(said) is not list or [*map(type, said)] != _REF:
        raise FrameError("a ref is not [origin, store, incarnation, serial]")
    origin, store, incarnation, serial = said
    return (origin, store, incarnation, serial)


def _field(head: dict[str, Any], name: str, kind: type[_T]) -> _T:
    value = head.get(name)
    # A bool is an int to isinstance.
    if not isinstance(value, kind) or (kind is int and value.__class__ is bool):
        raise FrameError(f"{name!r} is not what it should be")
    return value


def _name(head: dict[str, Any], name: str) -> str:
    """What can stand in an environment."""
    value = _field(head, name, str)
    try:
        if b"\0" not in _bytes(value):
            return value
    except UnicodeEncodeError:
        pass
    raise FrameError(f"{name!r} is not what it should be")


def _bytes(text: str) -> bytes:
    # What was not UTF-8 stands there as lone surrogates (PEP 383).
    return text.encode("utf-8", "surrogateescape")
