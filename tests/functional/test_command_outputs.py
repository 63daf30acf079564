"""
Long output on its way to its origin, while something is killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.commands import end_of
from tests.functional.daemons import Daemons, until
from tests.functional.keepers import find_keeper
from tests.functional.records import read_records
from tests.functional.sessions import Session

_Report = Callable[[str], None]

_SIZE: Final = 60_000_000
"""Bytes that take a second or more."""

_ERRORS: Final = b"over\n"


class _Transfer:
    """
    The output of a command of C{n1}, which runs nothing itself, on its way from another node.
    """

    def __init__(self, daemons: Daemons, *balancer_options: str) -> None:
        self.cluster: Final = Cluster(daemons, *balancer_options)
        self._places = daemons.directory / "places"
        self._state = Path()
        self.ticket = ""

    async def begin(self, executors: Sequence[str], report: _Report) -> None:
        """
        Wait until some of it is there, and not all.
        """
        await self.cluster.start(["n1"], slots=0)
        for name in executors:
            self.cluster.add(name).start()
        await self.cluster.joined(["n1", *executors])
        self._state = self.cluster.state_of("n1")
        session = await self.cluster.session("n1")
        script = f"echo $JOBCLUSTER_NODE >> {self._places}; yes jobcluster | head -c {_SIZE}"
        self.ticket = await session.run("sh", "-c", f"{script}; echo over >&2")
        await until(30, "nothing comes", lambda: self.received() > _SIZE / 10)
        had = self.received()
        assert had < _SIZE
        report(f"{had} of {_SIZE} bytes were there")
        session.drop()

    def received(self) -> int:
        """
        How many bytes the origin has in files, of whatever attempt.
        """
        sizes = []
        for path in (self._state / "output").glob("*"):
            with suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
        return sum(sizes)

    def places(self) -> list[str]:
        """
        Where it was run.
        """
        return self._places.read_text("ascii").splitlines()

    async def see_complete(self) -> Session:
        """
        See that all of it is there, and nothing else; return a session at the origin.
        """
        session = await self.cluster.session("n1")
        said = await end_of(session, self.ticket, 60)
        assert said == f"exit code 0, output {_SIZE} bytes, errors 5 bytes: jobcluster …"
        output, errors = await session.output(self.ticket)
        line = b"jobcluster\n"
        assert output == (line * (_SIZE // len(line) + 1))[:_SIZE]
        assert errors == _ERRORS
        assert self.received() == _SIZE + len(_ERRORS), "parts of another transfer are left"
        return session


_KILLED: Final = {
    "origin": ["n1"],
    "executor": ["n2"],
    "both": ["n1", "n2"],
    "balancer": ["balancer"],
    "keeper": ["keeper"],
    "executor-and-keeper": ["keeper", "n2"],
}
"""What is killed, in this order."""


@pytest.mark.parametrize("killed", _KILLED.values(), ids=_KILLED)
@pytest_twisted.ensureDeferred
async def test_cut(daemons: Daemons, report: _Report, killed: Sequence[str]) -> None:
    """
    The origin, the executor, its keeper or the balancer is killed when some of it was sent, and
    started again: it is complete in the end, and the command is not run a second time.
    """
    transfer = _Transfer(daemons, "--rejoin-grace=6")
    await transfer.begin(["n2"], report)
    cluster = transfer.cluster
    if "keeper" in killed:
        os.kill(find_keeper(cluster.state_of("n2")), signal.SIGKILL)
    daemons_by_name = {**cluster.nodes, "balancer": cluster.balancer}
    victims = [daemons_by_name[name] for name in killed if name != "keeper"]
    for gone in [victim.kill() for victim in victims]:
        await gone
    for victim in victims:
        victim.start()
    await cluster.joined(["n1", "n2"])
    (await transfer.see_complete()).drop()
    assert transfer.places() == ["n2"]
    await cluster.stop()
    assert read_records(cluster.state_of("n1"), "n1")[transfer.ticket].losses == []


@pytest_twisted.ensureDeferred
async def test_lost(daemons: Daemons, report: _Report) -> None:
    """
    The executor is killed when some of it was sent, and stays away: the command is run elsewhere,
    and nothing is kept of what had come.  Nor is there, of what it holds when it is back.
    """
    transfer = _Transfer(daemons)
    await transfer.begin(["n2", "n3"], report)
    cluster = transfer.cluster
    [first] = transfer.places()
    await cluster.nodes[first].kill()
    (await transfer.see_complete()).drop()
    places = transfer.places()
    assert sorted(places) == ["n2", "n3"]
    cluster.nodes[first].start()
    await cluster.joined([first])
    runs = cluster.state_of(first) / "keeper" / "runs"
    await until(10, "the keeper keeps it", lambda: not any(runs.iterdir()))
    await cluster.stop()
    [loss] = read_records(cluster.state_of("n1"), "n1")[transfer.ticket].losses
    assert (loss.node, loss.cause) == (first, "node-lost")
