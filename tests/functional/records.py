"""
What a node's database has to say, read as anybody could read it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from jobcluster.core.values import format_ticket

__all__ = ["Attempt", "Record", "read_records"]

_PATIENCE: Final = 10.0
"""Seconds for which the node may have the database to itself."""


@attrs.frozen
class Attempt:
    """A start or a loss, as the origin recorded it."""

    node: str
    started: int
    """Milliseconds since the epoch; 0 if it is not known to have been started."""
    cause: str
    """Why it was lost; empty if it was not."""
    counted: bool
    """Whether it counts as a crash."""


@attrs.frozen
class Record:
    """A job, as its origin recorded it."""

    ticket: str
    status: str
    """Empty if it has no outcome."""
    value: str
    node: str
    started: int
    """Milliseconds since the epoch."""
    ended: int
    attempts: tuple[Attempt, ...]

    @property
    def losses(self) -> list[Attempt]:
        """What was lost of it."""
        return [attempt for attempt in self.attempts if attempt.cause]


def read_records(state: Path, node: str) -> dict[str, Record]:
    """
    All jobs of a node, by their tickets.
    """
    database = state / "jobs.sqlite"
    with closing(
        sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)
    ) as connection:
        attempts: dict[int, list[Attempt]] = {}
        for job, node_of, began, cause, counted in connection.execute(
            "SELECT job, node, started, cause, counted FROM attempt ORDER BY incarnation, serial"
        ):
            attempt = Attempt(node_of, began, cause, bool(counted))
            attempts.setdefault(job, []).append(attempt)
        rows = connection.execute(
            "SELECT id, status, value, node, started, ended FROM ended"
            " UNION ALL SELECT id, '', '', '', 0, 0 FROM open"
        ).fetchall()
    records: dict[str, Record] = {}
    for job, status, value, where, started, ended in rows:
        ticket = format_ticket(node, job)
        assert ticket not in records, f"{ticket} is there twice"
        text = bytes(value, "utf-8") if isinstance(value, str) else value
        records[ticket] = Record(
            ticket,
            status,
            text.decode("utf-8"),
            where,
            started,
            ended,
            tuple(attempts.get(job, ())),
        )
    return records
