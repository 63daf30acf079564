"""
What is read from the database, as plain functions of a cursor.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from jobcluster.core.description import split_tags
from jobcluster.core.records import Deadline, Lane, Recovered
from jobcluster.core.values import Attempt, Job, Keyed, Outcome
from jobcluster.core.views import Filter, JobView
from jobcluster.store.many import select_many

__all__ = ["keys", "load", "page", "payload", "recover", "view", "views"]

# A row as SQLite returns it; what the schema says of its columns is believed.
_Row: TypeAlias = tuple[Any, ...]

_JOB = """
SELECT
    id, kind, payload, priority, requires, on_node_loss, submitted, name, tags, cancelling,
    bound_incarnation, bound_serial, bound_node, bound_store
FROM open
"""

_ATTEMPTS = """
SELECT job, incarnation, serial, node, keeper, started, ended, cause, counted
FROM attempt WHERE job IN ({rows})
ORDER BY job, incarnation, serial
"""

# How the three tables of jobs are shown: id, kind, PAYLOAD_SHOWN bytes of the payload, state,
# submitted, attempts, node, name, tags, and of the outcome status, code, detail, started, ended,
# value, out, err, out_size, err_size.  (SQLite's substr makes NULL of no bytes.)
_VIEW_OPEN = """
SELECT
    id, kind, IFNULL(substr(payload, 1, 65536), x''),
    CASE cancelling WHEN 0 THEN 'waiting' ELSE 'cancelling' END, submitted,
    (SELECT COUNT(*) FROM attempt WHERE job = id),
    IFNULL(
        (
            SELECT node FROM attempt WHERE job = id
            ORDER BY incarnation DESC, serial DESC LIMIT 1
        ),
        ''
    ),
    name, tags, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM open
"""

_VIEW_ENDED = """
SELECT
    id, kind, IFNULL(substr(payload, 1, 65536), x''), 'ended', submitted, attempts, node,
    name, tags, status, code, detail, started, ended, value, out, err, out_size, err_size
FROM ended
"""

_VIEW_EXPIRED = """
SELECT
    id, kind, x'', 'expired', submitted, 0, '', '', '',
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM expired
"""

_VIEW = f"""
{_VIEW_OPEN} WHERE id = :job
UNION ALL
{_VIEW_ENDED} WHERE id = :job
UNION ALL
{_VIEW_EXPIRED} WHERE id = :job
"""

_KEYS = """
SELECT key, job, digest FROM keys WHERE key IN ({rows})
"""


def recover(cursor: sqlite3.Cursor) -> Recovered:
    """
    What a node has to know when it starts.
    """
    [(draining, last_job)] = cursor.execute(
        "SELECT draining, MAX("
        "last_job,"
        " IFNULL((SELECT MAX(id) FROM open), 0),"
        " IFNULL((SELECT MAX(id) FROM ended), 0),"
        " IFNULL((SELECT MAX(id) FROM expired), 0)"
        ") FROM meta"
    )
    lanes = cursor.execute(
        "SELECT requires, COUNT(*) FROM open WHERE held = 0 GROUP BY requires ORDER BY requires"
    )
    waiting = tuple(Lane(*lane) for lane in lanes)
    questions = cursor.execute(f"{_JOB} WHERE held = 1 ORDER BY id").fetchall()
    deadlines = cursor.execute(
        "SELECT origin, store, incarnation, serial, job, boot, deadline, started, ends, once "
        "FROM deadline ORDER BY origin, store, incarnation, serial"
    )
    return Recovered(
        last_job=last_job,
        lanes=waiting,
        deadlines=tuple(Deadline._make((*row[:-1], bool(row[-1]))) for row in deadlines),
        questions=_jobs(cursor, questions),
        draining=bool(draining),
    )


def load(cursor: sqlite3.Cursor, jobs: Iterable[int]) -> tuple[Job, ...]:
    """
    Those of C{jobs} that are unfinished, in the order of their ids.
    """
    keys = [(job,) for job in sorted(set(jobs))]
    rows = select_many(cursor, f"{_JOB} WHERE id IN ({{rows}}) ORDER BY id", keys)
    return _jobs(cursor, list(rows))


def page(
    cursor: sqlite3.Cursor, requires: str, after: tuple[int, int], limit: int
) -> tuple[Job, ...]:
    """
    The best waiting jobs of these requirements, those after C{(priority, id)}.
    """
    priority, last = after
    lane = f"{_JOB} WHERE held = 0 AND requires = ?"
    rows = cursor.execute(
        f"{lane} AND priority = ? AND id > ? ORDER BY id LIMIT ?",
        (requires, priority, last, limit),
    ).fetchall()
    if len(rows) < limit:
        rows += cursor.execute(
            f"{lane} AND priority < ? ORDER BY priority DESC, id LIMIT ?",
            (requires, priority, limit - len(rows)),
        )
    return _jobs(cursor, rows)


def view(cursor: sqlite3.Cursor, job: int) -> JobView | None:
    """
    One job as a client sees it, or C{None} if it was never here.
    """
    row = cursor.execute(_VIEW, {"job": job}).fetchone()
    return None if row is None else _job_view(row)


def payload(cursor: sqlite3.Cursor, job: int, offset: int, limit: int) -> bytes:
    """
    A piece of what an unfinished job is to run; nothing if there is no such job.
    """
    row = cursor.execute(
        "SELECT IFNULL(substr(payload, ?, ?), x'') FROM open WHERE id = ?", (offset + 1, limit, job)
    ).fetchone()
    return b"" if row is None else bytes(row[0])


def keys(cursor: sqlite3.Cursor, wanted: Iterable[str]) -> tuple[Keyed, ...]:
    """
    Those keys that jobs have.
    """
    rows = select_many(cursor, _KEYS, [(key,) for key in wanted])
    return tuple(Keyed._make(row) for row in rows)


def views(cursor: sqlite3.Cursor, wanted: Filter, after: int, limit: int) -> tuple[JobView, ...]:
    """
    Jobs in the order of their ids; see L{jobcluster.interfaces.IStore.views}.
    """
    values: dict[str, object] = {"after": after, "limit": limit, "state": wanted.state}
    where = "WHERE id > :after"
    if wanted.name:
        where += " AND name = :name"
        values["name"] = wanted.name
    for number, tag in enumerate(wanted.tags):
        where += f" AND instr(',' || tags || ',', :tag{number})"
        values[f"tag{number}"] = f",{tag},"
    if wanted.state == "open":
        tables = [f"{_VIEW_OPEN} {where}"]
    elif wanted.state:
        tables = [f"{_VIEW_ENDED} {where} AND status = :state"]
    else:
        tables = [f"{_VIEW_OPEN} {where}", f"{_VIEW_ENDED} {where}"]
        if not (wanted.name or wanted.tags):
            tables.append(f"{_VIEW_EXPIRED} {where}")
    query = f"{' UNION ALL '.join(tables)} ORDER BY id LIMIT :limit"
    return tuple(_job_view(row) for row in cursor.execute(query, values))


def _jobs(cursor: sqlite3.Cursor, rows: Sequence[_Row]) -> tuple[Job, ...]:
    attempts = _attempts(cursor, [row[:1] for row in rows])
    return tuple(_job(row, attempts.get(row[0], ())) for row in rows)


def _attempts(cursor: sqlite3.Cursor, keys: Sequence[_Row]) -> dict[int, tuple[Attempt, ...]]:
    found: defaultdict[int, tuple[Attempt, ...]] = defaultdict(tuple)
    for *columns, counted in select_many(cursor, _ATTEMPTS, keys):
        attempt = Attempt._make((*columns, bool(counted)))
        found[attempt.job] += (attempt,)
    return found


def _job(row: _Row, attempts: tuple[Attempt, ...]) -> Job:
    *columns, cancelling, incarnation, serial, node, store = row
    bound = None if serial is None else (incarnation, serial, node, store)
    return Job._make((*columns, bool(cancelling), bound, attempts))


def _job_view(row: _Row) -> JobView:
    job, kind, payload, state, submitted, attempts, node, name, tags, *how = row
    outcome = None
    if state == "ended":
        status, code, detail, started, ended, *output = how
        outcome = Outcome._make((status, code, detail, started, ended, node, *output))
    return JobView(
        job, kind, payload, state, submitted, attempts, node, outcome, name, split_tags(tags)
    )
