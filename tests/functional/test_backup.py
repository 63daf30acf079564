"""
A node is backed up while it takes jobs and runs jobs, and its backup is used when it is gone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.utils import getProcessOutputAndValue

from jobcluster.core.values import memory_of
from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, until, within
from tests.functional.sessions import Session

_BEFORE: Final = 200
"""Jobs that were acknowledged when the backup begins, at least."""

_AFTER: Final = 100
"""Jobs that were acknowledged while it was made, and after it, at least."""

_LENGTH: Final = 100_000
"""Bytes of output, which are kept in a file."""


class _Load:
    """
    A client that submits jobs as fast as they are acknowledged, and has long output written.
    """

    def __init__(self, session: Session) -> None:
        self.tickets: list[str] = []
        self._session = session
        self._goes_on = True
        self.over: Deferred[None] = ensureDeferred(self._submit())

    async def _submit(self) -> None:
        while self._goes_on:
            self.tickets += [job.ticket for job in await self._session.submit([20] * 20)]
            self.tickets.append(await self._session.run("head", "-c", str(_LENGTH), "/dev/zero"))

    def stop(self) -> Deferred[None]:
        """
        Submit no more; fires when all is acknowledged.
        """
        self._goes_on = False
        return within(30, self.over, "the jobs are not acknowledged")


async def back_up(state: Path, place: Path) -> str:
    """
    Run the program; return what it says.
    """
    arguments = ["-m", "jobcluster.cli.backup", str(state), str(place)]
    running = getProcessOutputAndValue(sys.executable, arguments, dict(os.environ))
    said, wrong, code = await within(60, running, "the backup is not made")
    # Where a file was missing that the database speaks of, it would be said.
    assert (wrong, code) == (b"", 0)
    return str(said, "utf-8")


def incarnation_of(state: Path) -> int:
    """
    The incarnation that a state directory remembers.
    """
    with closing(sqlite3.connect(f"{(state / 'jobs.sqlite').as_uri()}?mode=ro", uri=True)) as found:
        [[incarnation]] = found.execute("SELECT incarnation FROM meta")
    return int(incarnation)


@pytest.mark.parametrize("how", ["used", "copied into place"])
@pytest_twisted.ensureDeferred
async def test_restored(how: str, daemons: Daemons, report: Callable[[str], None]) -> None:
    """
    Everything that was acknowledged before the backup began is in it, and reaches its outcome at
    the node that is started with it, which goes on with new jobs; the output that there was is
    there.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1", "n2"], slots=4)
    session = await cluster.session("n1")
    written = await session.run("sh", "-c", f"head -c {_LENGTH} /dev/zero")
    assert f"output {_LENGTH} bytes" in await session.ask(f"wait {written}")
    lasting = [job.ticket for job in await session.submit([4000] * 4)]
    load = _Load(await cluster.session("n1"))
    await until(30, "no jobs are taken", lambda: len(load.tickets) >= _BEFORE)

    acknowledged = [written, *lasting, *load.tickets]
    place = daemons.directory / "backup"
    said = await back_up(cluster.state_of("n1"), place)
    meanwhile = len(load.tickets) - len(acknowledged)
    await until(30, "it was disturbed", lambda: len(load.tickets) >= len(acknowledged) + _AFTER)
    await load.stop()
    await cluster.nodes["n1"].kill()

    assert incarnation_of(place) == incarnation_of(cluster.state_of("n1")) == 1
    if how == "used":
        cluster.add("n1", state=place, slots=4).start()
    else:
        shutil.rmtree(cluster.state_of("n1"))
        copied = getProcessOutputAndValue("cp", ["-a", str(place), str(cluster.state_of("n1"))])
        assert (await copied)[1:] == (b"", 0)
        cluster.nodes["n1"].start()
    await cluster.joined(["n1", "n2"])
    assert memory_of(incarnation_of(cluster.state_of("n1"))) > 0
    assert "was copied or restored" in cluster.nodes["n1"].said

    session = await cluster.session("n1")
    known = {row.split("  ")[0] for row in await session.listing("getall")}
    known |= {row.split("  ")[0] for row in await session.listing("list")}
    assert set(acknowledged) <= known, "what was acknowledged is lost"
    results = await session.ask_all([f"wait {ticket}" for ticket in acknowledged])
    kinds = {result.partition(",")[0] for result in results}
    assert kinds == {"Result: exit code 0", "Result: slept 20 ms", "Result: slept 4000 ms"}
    assert await session.output(written) == (bytes(_LENGTH), b"")
    later = await session.submit([10] * 20)
    assert (
        await session.ask_all([f"wait {j.ticket}" for j in later]) == ["Result: slept 10 ms"] * 20
    )
    assert known.isdisjoint(job.ticket for job in later)
    report(f"{len(acknowledged)} tickets before, {meanwhile} during; {said.strip()}")
    await cluster.stop()
