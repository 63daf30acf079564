"""
What is written to the database, as plain functions of a cursor.

They neither begin nor end a transaction.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence

from jobcluster.core.records import EndedJob
from jobcluster.core.values import Cause, Job, OnNodeLoss, Outcome, Status, restored_as
from jobcluster.store.many import execute_many
from jobcluster.store.merged import Merged

__all__ = ["count_up", "disown", "expire", "leave", "write"]

_SUBMIT = """
INSERT INTO open (id, kind, payload, priority, requires, on_node_loss, submitted)
{rows}
"""

_SUBMIT_CALLED = """
INSERT INTO open (id, kind, payload, priority, requires, on_node_loss, submitted, name, tags)
{rows}
"""

_KEY = """
INSERT INTO keys (key, job, digest)
{rows}
"""

_CANCEL = """
UPDATE open SET cancelling = 1 WHERE id IN ({rows})
"""

_BIND = """
UPDATE open
SET bound_incarnation = column2, bound_serial = column3, bound_node = column4, bound_store = column5
FROM ({rows}) AS given
WHERE id = column1
"""

_UNBIND = """
UPDATE open
SET bound_incarnation = NULL, bound_serial = NULL, bound_node = NULL, bound_store = NULL
WHERE id IN ({rows})
"""

# Of a job that was never here, or has expired, nothing is recorded: nobody would ever delete it.
_RECORD = """
INSERT INTO attempt (job, incarnation, serial, node, keeper, started, ended, cause, counted)
SELECT * FROM ({rows}) AS given
WHERE EXISTS (SELECT 1 FROM open WHERE id = column1)
    OR EXISTS (SELECT 1 FROM ended WHERE id = column1)
ON CONFLICT (job, incarnation, serial) DO UPDATE
SET node = excluded.node, keeper = excluded.keeper, started = excluded.started,
    ended = excluded.ended, cause = excluded.cause, counted = excluded.counted
"""

# A job that has an outcome is not in the table open: so it keeps the one that it has.
_END = """
INSERT INTO ended (
    id, kind, priority, requires, on_node_loss, submitted, name, tags,
    attempts, status, code, detail, started, ended, node, value,
    out, err, out_size, err_size, payload
)
SELECT
    id, kind, priority, requires, on_node_loss, submitted, name, tags,
    column2, column3, column4, column5, column6, column7, column8, column9,
    column10, column11, column12, column13, payload
FROM ({rows}) AS given CROSS JOIN open ON id = column1
"""

_CLOSE = """
DELETE FROM open WHERE id IN ({rows})
"""

_WAITING_ONCE = """
SELECT
    id, (SELECT COUNT(*) FROM attempt WHERE job = id),
    CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
FROM open
WHERE on_node_loss = ? AND NOT held
"""

_SET_DEADLINE = """
INSERT OR REPLACE INTO deadline (
    origin, store, incarnation, serial, job, boot, deadline, started, ends, once
)
{rows}
"""

# By the key, for of several columns IN does not use the index.
_CLEAR_DEADLINE = """
DELETE FROM deadline WHERE id IN (
    SELECT deadline.id
    FROM ({rows}) AS given CROSS JOIN deadline
    ON origin = column1 AND store = column2 AND incarnation = column3 AND serial = column4
)
"""

_FORGET = """
DELETE FROM expired
WHERE id IN (SELECT id FROM expired WHERE ended < ? ORDER BY ended, id LIMIT ?)
"""

_FORGET_KEYS = """
DELETE FROM keys
WHERE job IN (SELECT id FROM expired WHERE ended < ? ORDER BY ended, id LIMIT ?)
"""

_FORGET_ATTEMPTS = """
DELETE FROM attempt
WHERE job IN (SELECT id FROM ended WHERE ended < ? ORDER BY ended, id LIMIT ?)
"""

_EXPIRE = """
INSERT INTO expired (id, kind, submitted, ended)
SELECT id, kind, submitted, ended FROM ended WHERE ended < ? ORDER BY ended, id LIMIT ?
"""

_FORGET_OUTCOMES = """
DELETE FROM ended
WHERE id IN (SELECT id FROM ended WHERE ended < ? ORDER BY ended, id LIMIT ?)
"""


def write(cursor: sqlite3.Cursor, merged: Merged) -> None:
    """
    Write all these changes.
    """
    # Most jobs have neither name nor tags, and take less for that.  What is behind these columns a
    # new job does not have.
    called = [job[:9] for job in merged.submitted if job.name or job.tags]
    execute_many(cursor, _SUBMIT_CALLED, called)
    plain = merged.submitted if not called else _plain(merged.submitted)
    execute_many(cursor, _SUBMIT, [job[:7] for job in plain])
    execute_many(cursor, _KEY, merged.keys)
    execute_many(cursor, _CANCEL, _keys(merged.cancelling))
    bound = [offer for offer in merged.bound.values() if offer is not None]
    execute_many(cursor, _BIND, bound)
    execute_many(cursor, _UNBIND, _keys(job for job, offer in merged.bound.items() if not offer))
    execute_many(cursor, _RECORD, list(merged.attempts.values()))
    _end(cursor, merged.ended.values())
    deadlines = [deadline for deadline in merged.deadlines.values() if deadline is not None]
    execute_many(cursor, _SET_DEADLINE, deadlines)
    cleared = [ref for ref, deadline in merged.deadlines.items() if deadline is None]
    execute_many(cursor, _CLEAR_DEADLINE, cleared)
    if merged.draining is not None:
        cursor.execute("UPDATE meta SET draining = ?", (merged.draining,))


def _end(cursor: sqlite3.Cursor, jobs: Collection[EndedJob]) -> None:
    rows = [(job, attempts, *outcome) for job, outcome, attempts in jobs]
    execute_many(cursor, _END, rows)
    execute_many(cursor, _CLOSE, _keys(ended.job for ended in jobs))


def _plain(jobs: Iterable[Job]) -> list[Job]:
    return [job for job in jobs if not (job.name or job.tags)]


def _keys(jobs: Iterable[int]) -> Sequence[tuple[int]]:
    return [(job,) for job in jobs]


def leave(cursor: sqlite3.Cursor, is_here: Callable[[str], bool], next_place: str) -> bool:
    """
    Say where the database will be found from now on, unless it is a restored backup.

    @param is_here: whether it is where it was left, by what it says of that.
    @return: whether it is, and no restored backup.
    """
    found = cursor.execute("SELECT place FROM meta").fetchone()
    if found is None:
        return True
    here = is_here(*found)
    if here:
        cursor.execute("UPDATE meta SET place = ?", (next_place,))
    return here


def count_up(
    cursor: sqlite3.Cursor, name: str, store: str, first_job: int, place: str, *, restored: bool
) -> tuple[str, str, int, bool]:
    """
    Begin an incarnation of the node.

    @param name: taken if this store is new, as are C{store} and C{first_job}.
    @param place: where the database will be found next time.
    @param restored: whether it is a restored backup.
    @return: the name, the id of the store, the incarnation, and whether this is a restored backup.
    """
    cursor.execute(
        "INSERT OR IGNORE INTO meta (only, name, store, incarnation, draining, last_job, place) "
        "VALUES (1, ?, ?, 0, 0, ?, ?)",
        (name, store, first_job, place),
    )
    cursor.execute(
        "SELECT name, store, incarnation, CAST(strftime('%s', 'now') AS INTEGER) FROM meta"
    )
    name, store, incarnation, now = cursor.fetchone()
    if restored:
        _forget_once(cursor)
        incarnation = restored_as(incarnation, now, secrets.randbits(16))
    else:
        incarnation += 1
    cursor.execute("UPDATE meta SET incarnation = ?, place = ?", (incarnation, place))
    return name, store, incarnation, restored


def _forget_once(cursor: sqlite3.Cursor) -> None:
    """
    See that no job that may run at most once is started by a restored backup: nobody knows whether
    it was started since.

    One that is bound is kept if its node still has it, and lost if not. One that waits, unless it
    was to be cancelled, is lost at once.
    """
    cursor.execute("UPDATE open SET bound_store = '' WHERE bound_serial IS NOT NULL")
    waiting = cursor.execute(_WAITING_ONCE, (OnNodeLoss.FAIL,)).fetchall()
    _end(
        cursor,
        [
            EndedJob(job, Outcome(Status.LOST, None, Cause.RESTORED, ended=now), attempts)
            for job, attempts, now in waiting
        ],
    )


def disown(cursor: sqlite3.Cursor) -> None:
    """
    Say that this database is a restored backup; the next incarnation is raised accordingly.

    For copies that cannot tell themselves, such as the snapshot of a whole machine.
    """
    cursor.execute("UPDATE meta SET place = ''")


def expire(cursor: sqlite3.Cursor, before: int, forgotten: int, limit: int) -> int:
    """
    Forget what has expired and ended before C{forgotten}, then let expire what ended before
    C{before}: the earliest, at most C{limit} of each.

    @return: how many jobs that were.
    """
    # The greatest id must not be forgotten with its job, or it would be given out again.
    cursor.execute(
        "UPDATE meta SET last_job = MAX(last_job, IFNULL((SELECT MAX(id) FROM expired), 0))"
    )
    cursor.execute(_FORGET_KEYS, (forgotten, limit))
    cursor.execute(_FORGET, (forgotten, limit))
    count = cursor.rowcount
    some = (before, limit)
    cursor.execute(_FORGET_ATTEMPTS, some)
    cursor.execute(_EXPIRE, some)
    cursor.execute(_FORGET_OUTCOMES, some)
    return count + cursor.rowcount
