"""
A node under the settings of its unit, in a control group of its own, restarted as systemd would do
it: the main process is stopped in the way of C{KillMode=}, and started again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.control_groups import ControlGroup, make_control_group
from tests.functional.daemons import Daemons, pause, until
from tests.functional.keepers import find_keeper, jobs_of
from tests.functional.records import read_records
from tests.test_packaging import unit

_LASTING = "until [ -e {go} ]; do sleep 0.1; done; echo done"


@pytest_twisted.async_yield_fixture
async def group(daemons: Daemons) -> AsyncIterator[ControlGroup]:
    """
    A control group that is removed when the daemons have ended.
    """
    made = make_control_group(f"jobcluster-{daemons.directory.parent.name}-{id(daemons)}")
    try:
        yield made
    finally:
        await made.remove()


@attrs.frozen
class _Scene:
    """A balancer, a node n1 that takes jobs, and n2 that runs them in a control group."""

    cluster: Cluster
    tickets: list[str]
    go: Path


async def _begin(daemons: Daemons, group: ControlGroup) -> _Scene:
    cluster, go = Cluster(daemons), daemons.directory / "go"
    cluster.balancer.start()
    cluster.add("n1", slots=0).start()
    environ = {**unit("node").environment(), "JOBCLUSTER_STATE": "/overridden/by/an/option"}
    node = cluster.add("n2", slots=4, environ=environ)
    group.start(node)
    await cluster.joined(["n1", "n2"])
    session = await cluster.session("n1")
    tickets = await session.run_all([_LASTING.format(go=go)] * 4)
    await until(20, "the commands do not run", lambda: len(_leaders(tickets)) == 4)
    session.drop()
    wanted = {node.pid, find_keeper(cluster.state_of("n2")), *_leaders(tickets)}
    assert wanted <= set(group.processes())
    return _Scene(cluster, tickets, go)


async def _settle(scene: _Scene) -> dict[str, list[str]]:
    """
    Let the commands end; return the causes of what was lost of each.
    """
    scene.go.touch()
    session = await scene.cluster.session("n1")
    for ticket in scene.tickets:
        assert (await session.ask(f"wait {ticket}")).startswith("Result: exit code 0")
    await scene.cluster.stop()
    records = read_records(scene.cluster.state_of("n1"), "n1")
    return {ticket: [loss.cause for loss in records[ticket].losses] for ticket in scene.tickets}


@pytest_twisted.ensureDeferred
async def test_restarted(daemons: Daemons, group: ControlGroup) -> None:
    """
    C{systemctl restart}: the commands of the node go on, each in the process that it had.
    """
    scene = await _begin(daemons, group)
    node, keys = scene.cluster.nodes["n2"], unit("node").keys
    before, keeper = _leaders(scene.tickets), find_keeper(scene.cluster.state_of("n2"))
    [kill_mode], [limit] = keys["KillMode"], keys["TimeoutStopSec"]
    await group.stop(node, kill_mode, float(limit))
    assert {keeper, *before} <= set(group.processes())
    group.start(node)
    await scene.cluster.joined(["n2"])
    assert find_keeper(scene.cluster.state_of("n2")) == keeper
    assert _leaders(scene.tickets) == before
    assert all(lost == [] for lost in (await _settle(scene)).values())


@pytest_twisted.ensureDeferred
async def test_killed(daemons: Daemons, group: ControlGroup) -> None:
    """
    The node process is killed, and started again as C{Restart=} and C{RestartSec=} have it.
    """
    scene = await _begin(daemons, group)
    node, keys = scene.cluster.nodes["n2"], unit("node").keys
    before = _leaders(scene.tickets)
    assert await node.kill() == -signal.SIGKILL
    assert keys["Restart"] == ["on-failure"]
    await pause(float(keys["RestartSec"][0]))
    group.start(node)
    await scene.cluster.joined(["n2"])
    assert _leaders(scene.tickets) == before
    assert all(lost == [] for lost in (await _settle(scene)).values())


@pytest.mark.parametrize("kill_mode", ["control-group", "mixed"])
@pytest_twisted.ensureDeferred
async def test_otherwise(daemons: Daemons, group: ControlGroup, kill_mode: str) -> None:
    """
    Under any other C{KillMode=} the commands would be gone, and be run again.
    """
    scene = await _begin(daemons, group)
    node = scene.cluster.nodes["n2"]
    await group.stop(node, kill_mode, 60)
    assert jobs_of(*scene.tickets) == []
    group.start(node)
    await scene.cluster.joined(["n2"])
    await until(80, "they are not run again", lambda: len(_leaders(scene.tickets)) == 4)
    assert [] not in (await _settle(scene)).values()


@pytest_twisted.ensureDeferred
async def test_machine_goes_down(daemons: Daemons, group: ControlGroup) -> None:
    """
    What C{ExecStop=} does when the machine goes down: what runs is ended and handed back in order,
    so that it does not count as having crashed.
    """
    scene = await _begin(daemons, group)
    node = scene.cluster.nodes["n2"]
    assert "kill -USR1 $$MAINPID" in unit("node").keys["ExecStop"][0]
    os.kill(node.pid, signal.SIGUSR1)
    await group.stop(node, "process", 60)
    assert group.processes() == []
    group.start(node)
    await scene.cluster.joined(["n2"])
    lost = await _settle(scene)
    assert all(causes == ["node-stopped"] for causes in lost.values()), lost


def _leaders(tickets: list[str]) -> set[int]:
    """
    The first process of each command that runs: it leads a group, and what it starts does not.
    """
    found = set()
    for pid in jobs_of(*tickets):
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == pid:
                found.add(pid)
    return found
