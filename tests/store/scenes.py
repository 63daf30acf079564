"""
Values for the tests of stores, in few words.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from jobcluster.core.records import (
    AttemptsRecorded,
    Bound,
    BoundJob,
    Deadline,
    EndedJob,
    Identity,
    JobsEnded,
    JobsSubmitted,
    Recovered,
)
from jobcluster.core.values import SLEEP, Attempt, Job, Outcome
from jobcluster.interfaces import IStore

FIRST_JOB = 1000
"""What new stores here are told to have given out."""

OFFER_NODE = ("node-b", "store-b")
"""Where jobs are bound to."""


def job(number: int, priority: int = 0, requires: str = "", payload: bytes = b"100") -> Job:
    """
    A new job.
    """
    return Job(number, SLEEP, payload, priority, requires, "again", 5_000 + number)


def submitted(*numbers: int) -> JobsSubmitted:
    """
    New jobs, all alike.
    """
    return JobsSubmitted(tuple(job(number) for number in numbers))


def outcome(at: int = 10_000, status: str = "succeeded", node: str = "node-a") -> Outcome:
    """
    How a job ended.
    """
    return Outcome(status, 0, "", at - 100, at, node, b"value")


def ended(*numbers: int, at: int = 10_000, status: str = "succeeded") -> JobsEnded:
    """
    Jobs that ended at their first attempt.
    """
    return JobsEnded(tuple(EndedJob(number, outcome(at, status), 1) for number in numbers))


def bound(*numbers: int, serial: int = 1) -> Bound:
    """
    Jobs that may run under one offer, of incarnation 1.
    """
    return Bound(tuple(BoundJob(number, 1, serial, *OFFER_NODE) for number in numbers))


def attempt(number: int, serial: int = 1, incarnation: int = 1, cause: str = "") -> Attempt:
    """
    An attempt that was started; and lost, if there is a cause.
    """
    over = 7_000 if cause else 0
    return Attempt(
        number, incarnation, serial, "node-b", "", 6_000, over, cause, counted=bool(cause)
    )


def recorded(*attempts: Attempt) -> AttemptsRecorded:
    """
    What is said of them.
    """
    return AttemptsRecorded(attempts)


def deadline(serial: int, origin: str = "node-b", at: float = 12.5) -> Deadline:
    """
    A sleep of another node.
    """
    return Deadline(origin, f"store of {origin}", 3, serial, 70, "boot-1", at, 6_000, 9_000, True)


def opened(store: IStore, first_job: int = FIRST_JOB) -> Deferred[tuple[Identity, Recovered]]:
    """
    Open a store as node C{node-a}.
    """
    return store.open("node-a", "boot-1", "store-a", 77, first_job)
