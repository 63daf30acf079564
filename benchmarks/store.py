"""
How fast the store in SQLite is, and how much room its jobs take.

    python benchmarks/store.py [--jobs 1000000] [--directory /where/to/measure]

The floor is what plain sqlite3 does in the same run, on the same disk, without threads.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.task import react

from jobcluster.core.records import EndedJob, Identity, JobsEnded, JobsSubmitted, Recovered
from jobcluster.core.values import SLEEP, Job, Outcome
from jobcluster.store.pools import threads
from jobcluster.store.sqlite import SqliteStore

BATCH = 1000
"""Jobs of one commit."""

SINGLES = 3000
"""Commits of one job, one after another."""

CLIENTS = 16

BEFORE_ALL = (1 << 62, 0)


class Jobs:
    """
    Makes jobs, as a client that submits short sleeps would.
    """

    def __init__(self) -> None:
        self.last = int(time.time() * 1000) << 21

    def make(self, count: int) -> JobsSubmitted:
        """
        The next so many.
        """
        now = int(time.time() * 1000)
        first = self.last + 1
        self.last += count
        return JobsSubmitted(
            tuple(
                Job(number, SLEEP, b"100", 0, "", "again", now)
                for number in range(first, first + count)
            )
        )


def show(what: str, value: float, unit: str) -> None:
    """
    Print a line of the table.
    """
    print(f"{what:<62} {value:>12,.{0 if value >= 100 else 2}f} {unit}")


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """
    Gives a function that says how many seconds have passed, until the end of the block at most.
    """
    begin = time.perf_counter()
    end: list[float] = []
    yield lambda: (end[0] if end else time.perf_counter()) - begin
    end.append(time.perf_counter())


def floor(directory: Path, rows: int, commits: int) -> float:
    """
    Commits per second of plain sqlite3, of so many rows each.
    """
    statement = f"INSERT INTO job (payload) VALUES {', '.join(['(?)'] * rows)}"  # noqa: S608
    values = [b"x" * 60] * rows
    with closing(sqlite3.connect(directory / f"floor-{rows}", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, payload BLOB)")
        with timed() as seconds:
            for _ in range(commits):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(statement, values)
                connection.execute("COMMIT")
    return commits / seconds()


async def one_by_one(store: SqliteStore, jobs: Jobs, count: int) -> None:
    """
    Commit so many jobs, each when the one before it is on the disk.
    """
    for _ in range(count):
        await store.commit([jobs.make(1)])


async def measure_commits(store: SqliteStore, jobs: Jobs) -> None:
    """
    How fast jobs are submitted, in small numbers.
    """
    with timed() as seconds:
        await one_by_one(store, jobs, SINGLES)
    show("commits of 1 job, one after another", SINGLES / seconds(), "/s")
    with timed() as seconds:
        await gatherResults(
            [Deferred.fromCoroutine(one_by_one(store, jobs, SINGLES)) for _ in range(CLIENTS)]
        )
    show(f"the same by {CLIENTS} clients at once, jobs", CLIENTS * SINGLES / seconds(), "/s")


async def submit(store: SqliteStore, jobs: Jobs, count: int) -> None:
    """
    Submit jobs in batches, one after another.
    """
    with timed() as seconds:
        for _ in range(count // BATCH):
            await store.commit([jobs.make(BATCH)])
    show(f"submitted in commits of {BATCH}, one after another, jobs", count / seconds(), "/s")


async def end(store: SqliteStore, first: int, count: int) -> None:
    """
    End jobs in batches, one after another.
    """
    with timed() as seconds:
        for begin in range(first, first + count, BATCH):
            outcome = Outcome("succeeded", None, "", 1 << 40, (1 << 40) + 100, "node-a", b"")
            over = tuple(EndedJob(number, outcome, 1) for number in range(begin, begin + BATCH))
            await store.commit([JobsEnded(over)])
    show(f"ended in commits of {BATCH}, one after another, jobs", count / seconds(), "/s")


async def read(store: SqliteStore, first: int, count: int) -> None:
    """
    Read pages of what waits.
    """
    for name, after in (("the first", BEFORE_ALL), ("one in the middle", (0, first + count // 2))):
        times = []
        for _ in range(20):
            with timed() as seconds:
                page = await store.page("", after, BATCH)
            assert len(page) == BATCH
            times.append(seconds())
        show(f"page of {BATCH} out of {count:,} waiting, {name}", min(times) * 1000, "ms")
    with timed() as seconds:
        found = await store.load(range(first, first + BATCH))
    assert len(found) == BATCH
    show(f"{BATCH} jobs loaded by their ids", seconds() * 1000, "ms")


async def measure_backlog(store: SqliteStore, database: Path, count: int) -> None:
    """
    What it costs that many jobs wait, and have ended.
    """
    jobs = Jobs()
    first = jobs.last + 1
    await opened(store)
    await submit(store, jobs, count)
    await store.close()
    show("on disk", size(database) / count, "bytes per waiting job")
    with timed() as seconds:
        _, recovered = await opened(store)
    assert recovered.lanes[0].waiting == count
    show(f"opened with {count:,} waiting", seconds() * 1000, "ms")
    await read(store, first, count)
    await end(store, first, count)
    with timed() as seconds:
        assert await store.expire(1 << 41, BATCH) == BATCH
    show(f"{BATCH} jobs expired", seconds() * 1000, "ms")
    await store.close()
    show("on disk", size(database) / count, "bytes per job that has ended")


def size(database: Path) -> int:
    """
    Bytes of a database that is closed.
    """
    return database.stat().st_size


def opened(store: SqliteStore) -> Deferred[tuple[Identity, Recovered]]:
    """
    Open the store.
    """
    return store.open("node-a", "boot", "store", 0, 0)


async def measure(reactor: object, directory: Path, count: int) -> None:
    """
    Print the table.
    """
    make = threads(IReactorThreads(reactor))
    show("floor: commits of 1 row", floor(directory, 1, 3000), "/s")
    show("floor: commits of 100 rows, rows", floor(directory, 100, 1000) * 100, "/s")
    store = SqliteStore(directory / "small", make)
    await opened(store)
    await measure_commits(store, Jobs())
    await store.close()
    store = SqliteStore(directory / "large", make)
    await measure_backlog(store, directory / "large" / "jobs.sqlite", count)


def main() -> None:
    """
    Measure in a directory that is removed afterwards.
    """
    parser = argparse.ArgumentParser(description="Measures the store in SQLite.")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="how many jobs wait")
    parser.add_argument("--directory", help="where to measure (default: for temporary files)")
    options = parser.parse_args()
    count = max(options.jobs // BATCH, 4) * BATCH
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        react(lambda reactor: Deferred.fromCoroutine(measure(reactor, Path(directory), count)))


if __name__ == "__main__":
    main()
