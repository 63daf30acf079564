"""
The store in SQLite as it runs in a node: on threads, and killed.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReactorThreads

from jobcluster.core.records import JobsSubmitted
from jobcluster.core.values import Job
from jobcluster.core.views import Filter
from jobcluster.errors import StateGoneError, StoreFailedError
from jobcluster.store.pools import threads
from jobcluster.store.sqlite import SqliteStore
from tests.store.scenes import ended, job, opened, submitted

BEFORE_ALL = (1 << 62, 0)


@asynccontextmanager
async def a_store(directory: Path) -> AsyncIterator[SqliteStore]:
    """
    A store that is open, and closed in the end, with nothing left of it.
    """
    before = set(threading.enumerate())
    store = SqliteStore(directory, threads(IReactorThreads(reactor)))
    await opened(store)
    try:
        yield store
    finally:
        await store.close()
        assert set(threading.enumerate()) <= before
        assert open_files(directory) == []


def open_files(directory: Path) -> list[str]:
    """
    The files in a directory that this process has open.
    """
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            name = descriptor.readlink()
        except FileNotFoundError:
            continue  # the one that lists them
        if name.is_relative_to(directory.absolute()):
            found.append(name.name)
    return found


async def waiting(store: SqliteStore) -> list[Job]:
    """
    All jobs that wait.
    """
    return list(await store.page("", BEFORE_ALL, 1_000_000))


@pytest_twisted.ensureDeferred
async def test_crowd(tmp_path: Path) -> None:
    """
    Commits of a crowd are told in their order, and are there.
    """
    numbers = range(1001, 2001)
    told: list[int] = []

    def tell(_: None, number: int) -> None:
        told.append(number)

    async with a_store(tmp_path) as store:
        commits = []
        for number in numbers:
            done = store.commit([submitted(number)])
            done.addCallback(tell, number)
            commits.append(done)
        await gatherResults(commits)
        assert told == list(numbers)
        assert [job.id for job in await waiting(store)] == list(numbers)
    async with a_store(tmp_path) as store:
        assert [job.id for job in await waiting(store)] == list(numbers)


@pytest_twisted.ensureDeferred
async def test_one_after_the_other(tmp_path: Path) -> None:
    """
    Who has been told of a commit reads it.
    """
    async with a_store(tmp_path) as store:
        for number in range(1001, 1021):
            await store.commit([submitted(number)])
            view = await store.view(number)
            assert view is not None
            assert view.state == "waiting"
            await store.commit([ended(number)])
            assert await store.load([number]) == ()


@pytest_twisted.ensureDeferred
async def test_reads_beside_commits(tmp_path: Path) -> None:
    """
    Reads and commits do not wait for each other's end, and none is lost.
    """
    async with a_store(tmp_path) as store:
        commits = [
            store.commit([submitted(*range(first, first + 50))]) for first in range(1001, 6001, 50)
        ]
        reads = [store.views(Filter(), 0, 100) for _ in range(50)]
        await gatherResults(reads)
        await gatherResults(commits)
        assert len(await waiting(store)) == 5000


@pytest_twisted.ensureDeferred
async def test_closed_with_commits_under_way(tmp_path: Path) -> None:
    """
    What was to be committed when a store is closed is committed; what comes later fails.
    """
    async with a_store(tmp_path) as store:
        commits = [store.commit([submitted(number)]) for number in range(1001, 1101)]
        closed = store.close()
        late = store.commit([submitted(9999)])
        await gatherResults(commits)
        await closed
        with pytest.raises(StoreFailedError):
            await late
    async with a_store(tmp_path) as store:
        assert len(await waiting(store)) == 100


@pytest_twisted.ensureDeferred
async def test_opened_again_with_commits_under_way(tmp_path: Path) -> None:
    """
    When a store is opened again, each commit before has been told, one way or the other, rightly.
    """
    async with a_store(tmp_path) as store:
        told: dict[int, bool] = {}

        def tell(_: object, number: int, done: bool) -> None:  # noqa: FBT001
            told[number] = done

        for number in range(1001, 1051):
            store.commit([submitted(number)]).addCallbacks(
                tell, tell, callbackArgs=(number, True), errbackArgs=(number, False)
            )
        identity, _ = await opened(store)
        assert identity.incarnation == 2
        assert len(told) == 50
        assert {job.id for job in await waiting(store)} == {n for n, done in told.items() if done}
        await store.commit([submitted(2000)])


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_stored(tmp_path: Path) -> None:
    """
    A number of more than 64 bits fails its commit; the thread lives on.
    """
    async with a_store(tmp_path) as store:
        await store.commit([submitted(1001)])
        with pytest.raises(StoreFailedError):
            await store.commit([JobsSubmitted((job(1002, priority=1 << 63),))])
        with pytest.raises(StoreFailedError):
            await store.commit([submitted(1003)])
        await opened(store)
        await store.commit([submitted(1004)])
        assert [job.id for job in await waiting(store)] == [1001, 1004]


@pytest_twisted.ensureDeferred
async def test_removed(tmp_path: Path) -> None:
    """
    A state directory that was removed is missed by commits and reads.
    """
    directory = tmp_path / "state"
    async with a_store(directory) as store:
        await store.commit([submitted(1001)])
        directory.rename(tmp_path / "moved")
        with pytest.raises(StateGoneError):
            await store.commit([submitted(1002)])
        with pytest.raises(StateGoneError):
            await store.view(1001)


KILLED = """
import sys
from pathlib import Path

from twisted.internet import reactor

from jobcluster.store.pools import threads
from jobcluster.store.sqlite import SqliteStore
from tests.store.scenes import opened, submitted

def submit(number):
    done = store.commit([submitted(number)])
    done.addCallback(lambda _: print(number, flush=True))
    if number % 7:
        reactor.callLater(0, submit, number + 1)
    else:
        done.addCallback(lambda _: submit(number + 1))

store = SqliteStore(Path(sys.argv[1]), threads(reactor))
opened(store).addCallback(lambda _: submit(1001))
reactor.run()
"""


def acknowledged_and_killed(directory: Path) -> set[int]:
    """
    Kill a process in the middle of its commits; return the jobs that it has told us of.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, directory],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(300)]
        process.kill()
        told.extend(process.stdout)
    return {int(line) for line in told if line.endswith("\n")}


@pytest_twisted.ensureDeferred
async def test_killed(tmp_path: Path) -> None:
    """
    What was acknowledged before a process was killed is there for the next one.
    """
    acknowledged = acknowledged_and_killed(tmp_path)
    assert len(acknowledged) >= 300
    async with a_store(tmp_path) as store:
        found = {job.id for job in await waiting(store)}
        assert acknowledged <= found
        assert found == set(range(1001, max(found) + 1))
        identity, _ = await opened(store)
        assert identity.incarnation == 3
