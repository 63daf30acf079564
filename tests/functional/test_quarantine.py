"""
Commands that take down what runs them, and others that are only there when something dies.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import pytest
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.commands import NO_OUTPUT, end_of, is_there, pids_in
from tests.functional.daemons import Daemon, Daemons, until, until_told
from tests.functional.keepers import find_keeper, jobs_of
from tests.functional.records import Record, read_records

_CRASHES: Final = 3
"""Those after which a job is quarantined."""

_BESIDE: Final = 50
"""Commands that run beside one that crashes."""

_LIMIT: Final = 60.0
"""Seconds in which what is waited for here happens."""


class _Victim:
    """
    A node that is started again whenever it was killed.
    """

    def __init__(self, node: Daemon, pid: Path) -> None:
        """
        Start it.

        @param pid: keeps its process id, for whoever wants to kill it.
        """
        self._node = node
        self._pid = pid
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self._node.start()
        self._pid.write_text(f"{self._node.pid}\n", "ascii")

    def revive(self) -> None:
        """
        Start it if it is dead.
        """
        if not self._node.runs:
            self.deaths += 1
            self._start()


def _own_records(cluster: Cluster) -> dict[str, Record]:
    return read_records(cluster.state_of("n1"), "n1")


@pytest.mark.parametrize(
    ("own", "wait"), [(False, "sleep 0.6; "), (True, "")], ids=["of-another", "own"]
)
@pytest_twisted.ensureDeferred
async def test_quarantine(daemons: Daemons, own: bool, wait: str) -> None:  # noqa: FBT001
    """
    A command that kills its keeper and its node, be that its origin or not, whenever it is started,
    is quarantined after three attempts.  The cluster lives, and of fifty that run beside it none is
    quarantined.
    """
    cluster = Cluster(daemons, "--rejoin-grace=5")
    cluster.balancer.start()
    pid = daemons.directory / "pid"
    cluster.add("n1", slots=4 if own else 0)
    if own:
        victim = _Victim(cluster.nodes["n1"], pid)
        names = ["n1"]
    else:
        cluster.nodes["n1"].start()
        victim = _Victim(cluster.add("n2", slots=4), pid)
        names = ["n1", "n2"]
    await cluster.joined(names)
    session = await cluster.session("n1")
    scripts = [f"{wait}kill -9 $PPID $(cat {pid})", *["sleep 1"] * _BESIDE]
    killer, *others = await session.run_all(scripts)
    session.drop()

    def is_over() -> bool:
        victim.revive()
        return bool(_own_records(cluster)[killer].status)

    await until(_LIMIT, "it is not quarantined", is_over)
    await cluster.joined(names)
    session = await cluster.session("n1")
    said = await end_of(session, killer)
    node = names[-1]
    blame = ", ".join([f"{node} (keeper-died)"] * _CRASHES)
    assert said == f"quarantined: its attempts took down what ran them: {blame}"
    for ticket in others:
        assert await end_of(session, ticket, _LIMIT) == f"exit code 0, {NO_OUTPUT}"
    assert victim.deaths == _CRASHES
    session.drop()
    await cluster.stop()
    records = _own_records(cluster)
    assert records[killer].status == "quarantined"
    assert [lost.counted for lost in records[killer].attempts] == [True] * _CRASHES
    crashes = [sum(lost.counted for lost in records[ticket].attempts) for ticket in others]
    assert max(crashes) == _CRASHES - 1, "none was beside it each time"
    assert {records[ticket].status for ticket in others} == {"succeeded"}


@pytest_twisted.ensureDeferred
async def test_node_killed(daemons: Daemons) -> None:
    """
    A node process that is killed three times under a command that goes on counts nothing.
    """
    cluster = Cluster(daemons, "--rejoin-grace=20")
    await cluster.start(["n1"], slots=0)
    node = cluster.add("n2")
    node.start()
    await cluster.joined(["n1", "n2"])
    session = await cluster.session("n1")
    gate, pids = daemons.directory / "gate", daemons.directory / "pids"
    script = f"echo $$ >> {pids}; while ! [ -e {gate} ]; do sleep 0.05; done"
    ticket = await session.run("sh", "-c", script)
    [pid] = await pids_in(pids)
    keeper = find_keeper(cluster.state_of("n2"))
    for _ in range(_CRASHES):
        await node.kill()
        assert is_there(pid)
        node.start()
        await cluster.joined(["n2"])
        assert is_there(pid)
    gate.touch()
    assert await end_of(session, ticket) == f"exit code 0, {NO_OUTPUT}"
    assert (await session.ask(f"status {ticket}")).endswith(", attempts 1")
    assert find_keeper(cluster.state_of("n2")) == keeper
    assert await pids_in(pids) == [pid]
    session.drop()
    await cluster.stop()
    assert _own_records(cluster)[ticket].losses == []


@pytest_twisted.ensureDeferred
async def test_node_away(daemons: Daemons) -> None:
    """
    A node process that is killed again and again, and is back only when its command was taken for
    lost: the attempts are lost, but as the keeper that ran them is back, none of them counts.
    """
    cluster = Cluster(daemons, "--rejoin-grace=1")
    await cluster.start(["n1"], slots=0)
    node = cluster.add("n2")
    node.start()
    await cluster.joined(["n1", "n2"])
    session = await cluster.session("n1")
    gate, pids = daemons.directory / "gate", daemons.directory / "pids"
    script = f"echo $$ >> {pids}; while ! [ -e {gate} ]; do sleep 0.05; done"
    ticket = await session.run("sh", "-c", script)
    gone = "a node is gone (node: n2)"

    async def is_known() -> bool:
        return (await session.ask(f"status {ticket}")).startswith("Status: running on n2")

    def is_lost(times: int) -> bool:
        return cluster.balancer.said.count(gone) == times

    for time in range(1, _CRASHES + 2):
        pid = (await pids_in(pids, time))[-1]
        await until_told(10, "its origin does not know that it runs", is_known)
        await node.kill()
        await until(10, "it is not lost", partial(is_lost, time))
        assert is_there(pid), "nobody is there who would end it"
        node.start()
        await until(20, "what was superseded runs on", partial(_is_gone, pid))
    await pids_in(pids, _CRASHES + 2)
    gate.touch()
    assert await end_of(session, ticket) == f"exit code 0, {NO_OUTPUT}"
    assert jobs_of(ticket) == []
    session.drop()
    await cluster.stop()
    losses = _own_records(cluster)[ticket].losses
    told = [(lost.node, lost.cause, lost.counted) for lost in losses]
    assert told == [("n2", "node-lost", False)] * (_CRASHES + 1)


def _is_gone(pid: int) -> bool:
    return not is_there(pid)
