"""
What is talked about: jobs, offers, outcomes and the clocks, as plain immutable values.

Rows are L{typing.NamedTuple}s: a batch carries thousands of them, and a tuple is what both the wire
and SQLite take as it is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import attrs

__all__ = [
    "ADMITTED_NAME",
    "SLEEP",
    "Adopted",
    "Attempt",
    "Cause",
    "Held",
    "Job",
    "Keyed",
    "Now",
    "Offer",
    "OnNodeLoss",
    "Outcome",
    "Owner",
    "Ref",
    "RunState",
    "Spec",
    "Status",
    "Terms",
    "format_ticket",
    "is_name",
    "memory_of",
    "mint_job_id",
    "parse_ticket",
    "restored_as",
]

Offer = tuple[int, int]
"""The right to run a job once: (incarnation of its origin, serial in that incarnation).

Offers of one job are compared: the greater one is the newer one.
"""

Owner = tuple[str, str]
"""Who owns a job: (name of the origin, id of its store)."""

Ref = tuple[str, str, int, int]
"""An offer named over the whole cluster: (origin, store, incarnation, serial)."""

ADMITTED_NAME: Final = "lower-case letters, digits and '-', at most 63, and not digits only"
"""How a node may be called, in words for the user (part 2 of the design)."""

# An incarnation counts processes in its lowest bits; that of a node that was restored from backup
# has above them something random, and the seconds when that was, from 2020 on, for 68 years.
_COUNT_BITS: Final = 16
_CHANCE_BITS: Final = 16
_FIRST_RESTORE: Final = 1_577_836_800
_LAST_RESTORE: Final = (1 << 31) - 1

_NAME_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_NAME_LIMIT: Final = 63

# Crockford's base 32: no i, l, o, u, so that a ticket read aloud is typed rightly.
_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGIT_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_ID_DIGITS: Final = 13
_ID_LIMIT: Final = 1 << 63
# A job id is 42 bits of milliseconds (until 2109) above 21 bits that tell jobs of one millisecond
# apart; 63 bits are what SQLite takes as an integer key.
_SEQUENCE_BITS: Final = 21


class Now(NamedTuple):
    """The three clocks, in seconds."""

    mono: float
    """Monotonic, stands still while the machine is suspended: silence and grace."""
    boot: float
    """Since the boot, suspension included: leases and deadlines."""
    wall: float
    """Since the epoch, UTC: records."""


class Status:
    """How a job ended (part 2 of the design); the values are what is stored and sent."""

    SUCCEEDED: Final = "succeeded"
    FAILED: Final = "failed"
    TIMED_OUT: Final = "timed-out"
    CANCELLED: Final = "cancelled"
    SKIPPED: Final = "skipped"
    QUARANTINED: Final = "quarantined"
    LOST: Final = "lost"


class Cause:
    """Why an attempt was lost; the values are what is stored and shown."""

    NODE_LOST: Final = "node-lost"
    """Its node's connection ended and the grace time passed."""
    NODE_STOPPED: Final = "node-stopped"
    """Its node was stopped in order."""
    KEEPER_DIED: Final = "keeper-died"
    """The process that watched it died."""
    REBOOTED: Final = "rebooted"
    """Its machine was started anew."""
    NOT_HELD: Final = "not-held"
    """Nobody holds it any more, though it had been started."""
    RESTORED: Final = "restored"
    """Its origin was restored from a backup, since which it may have been started (rule 6)."""

    OF_KEEPERS: Final = frozenset({KEEPER_DIED, REBOOTED})
    """Causes that a keeper tells of an earlier one."""
    IN_ORDER: Final = frozenset({NODE_STOPPED})
    """Causes that say nothing against the job itself."""


class OnNodeLoss:
    """What becomes of a job whose executor is lost."""

    AGAIN: Final = "again"
    """It is run again: at least once."""
    FAIL: Final = "fail"
    """It ends as lost: at most once."""


class RunState:
    """How far an executor is with an offer that it holds."""

    WAITING: Final = "waiting"
    HANDED: Final = "handed"
    RUNNING: Final = "running"
    ENDED: Final = "ended"


SLEEP: Final = "sleep"
"""The kind of a job that sleeps; its payload is the milliseconds as ASCII digits."""


@attrs.frozen
class Spec:
    """What a client wants run."""

    kind: str
    """C{"sleep"}, later C{"command"} and C{"function"}."""
    payload: bytes
    """Opaque to everyone but the runner."""
    priority: int = 0
    """The greater goes first."""
    requires: str = ""
    """Labels a node must have: sorted, comma-separated."""
    on_node_loss: str = OnNodeLoss.AGAIN
    key: str = ""
    """By which its client knows it again: with the same key it is the same job; empty for none."""
    name: str = ""
    tags: tuple[str, ...] = ()
    """
    What people call it, and find it by; L{jobcluster.core.description} says what these three may
    be.
    """


class Outcome(NamedTuple):
    """How a job (or an attempt) ended."""

    status: str
    """One of L{Status}."""
    code: int | None = None
    """Exit code, negative for a signal; C{None} where there is no process."""
    detail: str = ""
    """One line for the user: an error, or a L{Cause} where the status is lost."""
    started: int = 0
    """Milliseconds since the epoch; 0 if it never started."""
    ended: int = 0
    """Milliseconds since the epoch."""
    node: str = ""
    """Where it ran; empty if nowhere."""
    value: bytes = b""
    """
    What it returned, at most 64 KiB: of a function JSON, or a pickle if it came as one; then that
    of its exception, where it has failed with one.
    """
    out: bytes = b""
    """Standard output of a command, unless it is kept in a file."""
    err: bytes = b""
    """Its standard error, likewise."""
    out_size: int = 0
    """Bytes of standard output in all; more than there are in C{out} if it is kept in a file."""
    err_size: int = 0
    """Bytes of standard error in all."""

    @property
    def is_large(self) -> bool:
        """Whether its output is in files."""
        return len(self.out) < self.out_size or len(self.err) < self.err_size


class Attempt(NamedTuple):
    """An offer that was started or lost, as the origin records it."""

    job: int
    incarnation: int
    serial: int
    node: str
    keeper: str
    """Which process ran it; empty for sleeps."""
    started: int
    """Milliseconds since the epoch, 0 if unknown."""
    ended: int = 0
    """Milliseconds since the epoch, 0 while it runs."""
    cause: str = ""
    """One of L{Cause} once it is lost."""
    counted: bool = False
    """Whether it counts as a crash against its job."""

    @property
    def offer(self) -> Offer:
        """The offer that was started."""
        return (self.incarnation, self.serial)


class Job(NamedTuple):
    """An unfinished job as its origin's store remembers it."""

    id: int
    kind: str
    payload: bytes
    priority: int
    requires: str
    on_node_loss: str
    submitted: int
    """Milliseconds since the epoch."""
    name: str = ""
    tags: str = ""
    """Sorted, comma-separated."""
    cancelling: bool = False
    bound: tuple[int, int, str, str] | None = None
    """
    (incarnation, serial, node, that node's memory) of the one offer that may run; without a memory
    nobody may deny it.
    """
    attempts: tuple[Attempt, ...] = ()


class Keyed(NamedTuple):
    """The key that a job was submitted with."""

    key: str
    job: int
    digest: bytes
    """Of what was submitted: with another one it would be another job."""


class Held(NamedTuple):
    """One row of an executor's inventory."""

    origin: str
    store: str
    job: int
    incarnation: int
    serial: int
    state: str
    """One of L{RunState}."""
    started: int = 0
    """Milliseconds since the epoch, 0 if not started."""
    suspect: bool = False
    """Two crashes are counted against its job."""

    @property
    def ref(self) -> Ref:
        """The offer's name over the whole cluster."""
        return (self.origin, self.store, self.incarnation, self.serial)


class Adopted(NamedTuple):
    """What a runner still holds from before the node process was started."""

    held: Held
    kind: str
    outcome: Outcome | None
    """C{None} unless it has ended."""
    once: bool = False
    """It must not be started a second time."""


@attrs.frozen
class Terms:
    """What a balancer tells each node whose join it accepts."""

    balancer: str
    """A random id of the balancer's process."""
    grace: float
    """Seconds a node whose connection ended may take to join again."""
    lease: float
    """Seconds after the sending of an answered report in which offers may be started."""
    retell: float
    """Seconds after which an outcome that was not acknowledged is told again."""
    window: int = 4000
    """
    The most offers of one set of requirements that an origin may have waiting here, but for those
    that came later and go before them.
    """


def is_name(text: str) -> bool:
    """Whether C{text} may name a node: see L{ADMITTED_NAME}."""
    return 0 < len(text) <= _NAME_LIMIT and _NAME_LETTERS.issuperset(text) and not text.isdecimal()


def restored_as(incarnation: int, seconds: int, random: int) -> int:
    """
    The incarnation that a node counts on from when it is restored from a backup: beyond all that
    the original had, and beyond those of earlier restores, be they from the same backup.

    @param incarnation: what the backup has.
    @param seconds: since the epoch.
    @param random: 16 bits, so that it is another one whatever the clock says.
    """
    before = incarnation >> (_COUNT_BITS + _CHANCE_BITS)
    restored = min(max(before + 1, seconds - _FIRST_RESTORE), _LAST_RESTORE)
    chance = random % (1 << _CHANCE_BITS)
    return (restored << _CHANCE_BITS | chance) << _COUNT_BITS | 1


def memory_of(incarnation: int) -> int:
    """
    Which memory of its runs a node has in an incarnation: 0, or from when it was restored from a
    backup; then it has forgotten what it did since that was made.
    """
    return incarnation >> _COUNT_BITS


def mint_job_id(previous: int, wall: float) -> int:
    """
    The next job id of a store: greater than C{previous}, and sorted by time.

    @param previous: the greatest id so far, or where to start in the millisecond for a fresh store.
    @param wall: seconds since the epoch.
    """
    return max(previous + 1, int(wall * 1000) << _SEQUENCE_BITS)


def format_ticket(origin: str, job: int) -> str:
    """
    The public id of a job: C{origin.0123456789abc}, safe to type and to put in a URL.
    """
    digits = []
    for _ in range(_ID_DIGITS):
        job, digit = job >> 5, job & 31
        digits.append(_DIGITS[digit])
    return f"{origin}.{''.join(reversed(digits))}"


def parse_ticket(text: str) -> tuple[str, int] | None:
    """
    The origin's name and the job id of a ticket, or C{None} if the text is no ticket.
    """
    origin, dot, digits = text.lower().partition(".")
    if not dot or len(digits) != _ID_DIGITS or not is_name(origin):
        return None
    job = 0
    for digit in digits:
        value = _DIGIT_VALUES.get(digit)
        if value is None:
            return None
        job = job << 5 | value
    return (origin, job) if job < _ID_LIMIT else None
