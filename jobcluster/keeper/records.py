"""
The runs that a keeper holds, and what its spool says of them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final

from jobcluster.keeper.payloads import COMMAND
from jobcluster.keeper.spool import SPOOL_VERSION
from jobcluster.keeper.words import Outcome, Ref

__all__ = ["ENDED", "LEAVING", "RUNNING", "STARTING", "Record", "Run", "header", "replay"]

STARTING: Final = "starting"
"""It is about to be started, or was, by a keeper that died over it."""
RUNNING: Final = "running"
"""Its first process, the leader of its group, runs."""
LEAVING: Final = "leaving"
"""Its leader has ended, and the rest of it is being ended."""
ENDED: Final = "ended"
"""Nothing of it is left but its outcome and its output."""


class Run:
    """
    A job that this keeper, or one before it, was told to start.
    """

    __slots__ = (
        "at",
        "attempt",
        "cancelled",
        "code",
        "detail",
        "dropping",
        "fresh",
        "job",
        "kill_at",
        "kind",
        "left_at",
        "limit",
        "node",
        "number",
        "once",
        "outcome",
        "overflow",
        "phase",
        "pid",
        "ref",
        "returned",
        "start",
        "suspect",
        "ticket",
        "timed_out",
        "value",
        "worker",
    )

    def __init__(self, number: int, ref: Ref, ticket: str, attempt: int, node: str) -> None:
        """
        A run that is about to be started.

        @param number: of its files.
        """
        self.number = number
        self.ref = ref
        self.ticket = ticket
        self.attempt = attempt
        self.node = node
        self.job = 0
        self.kind = COMMAND
        self.once = self.suspect = False
        self.phase = STARTING
        self.at = 0
        """When it was started, in milliseconds since 1970."""
        self.pid = self.start = 0
        """Of the leader: its number, and its start in clock ticks since the boot."""
        self.fresh = False
        """Whether it has a directory of its own."""
        self.kill_at: float | None = None
        """When SIGKILL follows SIGTERM, in seconds of the monotonic clock."""
        self.left_at = 0.0
        """When its leader ended, in seconds of the monotonic clock."""
        self.limit = 0.0
        """Seconds that it may take; 0 for any time."""
        self.cancelled = self.dropping = self.overflow = self.timed_out = False
        self.code: int | None = None
        self.detail = ""
        self.worker: bytes = b""
        """Of a function: what the environment of its process has for itself."""
        self.returned: bool | None = None
        """Of a function: whether it has; C{None} if it has not come to its end."""
        self.value = b""
        """What it has returned, unless that is in a file."""
        self.outcome: Outcome | None = None

    def variables(self) -> dict[bytes, bytes]:
        """
        What its environment has for itself.
        """
        return {
            b"JOBCLUSTER_TICKET": self.ticket.encode("utf-8", "surrogateescape"),
            b"JOBCLUSTER_ATTEMPT": b"%d" % self.attempt,
            b"JOBCLUSTER_NODE": self.node.encode("utf-8", "surrogateescape"),
        }

    def marks(self) -> frozenset[bytes]:
        """
        What the environment of each of its processes has that did not take it out.
        """
        return frozenset(name + b"=" + value for name, value in self.variables().items())

    def head(self) -> dict[str, Any]:
        """
        What is said of it in an inventory, without its state.
        """
        return {
            "ref": self.ref,
            "job": self.job,
            "kind": self.kind,
            "attempt": self.attempt,
            "once": self.once,
            "suspect": self.suspect,
            "ticket": self.ticket,
            "started": self.at,
        }

    def starting(self) -> dict[str, Any]:
        """The entry before it is started."""
        return {"entry": STARTING, "run": self.number, "node": self.node, **self.head()}

    def running(self) -> dict[str, Any]:
        """The entry after it was started."""
        return {
            "entry": RUNNING,
            "run": self.number,
            "pid": self.pid,
            "start": self.start,
            "at": self.at,
        }

    def ended(self) -> dict[str, Any]:
        """The entry of its outcome."""
        outcome = None if self.outcome is None else self.outcome.said()
        entry = {"entry": ENDED, "run": self.number, "outcome": outcome}
        if self.value:
            entry["value"] = b64encode(self.value).decode("ascii")
        return entry

    def forgotten(self, word: str) -> dict[str, Any]:
        """The entry after which it counts no more: C{dropped}, or C{void}: not started at all."""
        return {"entry": word, "run": self.number}

    def entries(self) -> Iterator[dict[str, Any]]:
        """All that a spool has to say of it."""
        yield self.starting()
        if self.pid:
            yield self.running()
        if self.outcome is not None:
            yield self.ended()


class Record:
    """
    What a spool says.
    """

    def __init__(self) -> None:
        """Nothing."""
        self.version = SPOOL_VERSION
        self.boot = ""
        """Of the machine, when the spool was begun; empty if that cannot be read."""
        self.next = 1
        """The first number that no run had."""
        self.runs: dict[int, Run] = {}
        """By number; those that are forgotten or void are not among them."""


def header(boot: str, keeper: str, following: int) -> dict[str, Any]:
    """
    The first entry of a spool.
    """
    return {
        "entry": "spool",
        "version": SPOOL_VERSION,
        "boot": boot,
        "keeper": keeper,
        "next": following,
    }


def replay(entries: Iterable[dict[str, Any]]) -> tuple[Record, int]:
    """
    What these entries say together, and how many of them say nothing that can be understood.
    """
    record = Record()
    strange = 0
    for entry in entries:
        try:
            _take(record, entry)
        except (KeyError, TypeError, ValueError):
            strange += 1
    return record, strange


def _take(record: Record, entry: dict[str, Any]) -> None:
    kind = entry["entry"]
    if kind == "spool":
        record.version = int(entry["version"])
        record.boot = str(entry["boot"])
        record.next = max(record.next, int(entry["next"]))
        return
    number = int(entry["run"])
    record.next = max(record.next, number + 1)
    if kind == STARTING:
        record.runs[number] = _run(number, entry)
        return
    run = record.runs.get(number)
    if run is None:
        return  # what it belonged to is damaged, or forgotten
    if kind == RUNNING:
        run.pid, run.start, run.at = int(entry["pid"]), int(entry["start"]), int(entry["at"])
        run.phase = RUNNING
    elif kind == ENDED:
        run.outcome = Outcome(**entry["outcome"])
        run.value = b64decode(entry.get("value", ""))
        run.phase = ENDED
    elif kind in ("void", "dropped"):
        del record.runs[number]
    else:
        raise ValueError(kind)


def _run(number: int, entry: dict[str, Any]) -> Run:
    origin, store, incarnation, serial = entry["ref"]
    ref = (str(origin), str(store), int(incarnation), int(serial))
    run = Run(number, ref, str(entry["ticket"]), int(entry["attempt"]), str(entry["node"]))
    run.job = int(entry["job"])
    run.kind = str(entry.get("kind", COMMAND))
    run.once = bool(entry["once"])
    run.suspect = bool(entry["suspect"])
    run.at = int(entry["started"])
    return run
