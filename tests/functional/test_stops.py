"""
Daemons that are asked to end, and end in order.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, pause, until_told
from tests.functional.records import read_records
from tests.functional.scene import Scene

_Report = Callable[[str], None]


@pytest_twisted.ensureDeferred
async def test_node_stopped(daemons: Daemons, report: _Report) -> None:
    """
    A node that is stopped while a hundred jobs run and wait.
    """
    scene = Scene(daemons, report)
    await scene.begin(grace=3)
    await scene.under_way()
    scene.strike()
    node = scene.cluster.nodes["n2"]
    node.terminate()
    assert await node.ended() == -signal.SIGTERM
    records = await scene.settle()
    losses = [loss for record in records.values() for loss in record.losses]
    assert {(loss.node, loss.cause) for loss in losses} == {("n2", "node-stopped")}


@pytest_twisted.ensureDeferred
async def test_node_hands_back(daemons: Daemons, report: _Report) -> None:
    """
    What a node that is stopped runs for others starts elsewhere at once: long before the grace
    time, in which nobody would start it if the node were merely gone.
    """
    grace = 8
    cluster = Cluster(daemons, f"--rejoin-grace={grace}")
    await cluster.start(["n1", "n2"], slots=4)
    # Before, the balancer starts no job again that another one may have given to somebody.
    await pause(grace)
    session = await cluster.session("n1")
    jobs = await session.submit([5000] * 4)

    async def run_at(name: str) -> int:
        return sum(f"running on {name} " in row for row in await session.listing("list running"))

    async def shared() -> bool:
        return await run_at("n1") == await run_at("n2") == 2

    async def handed_back() -> bool:
        return await run_at("n1") == 4

    await until_told(10, "the jobs are not shared", shared)
    stopped = time.time()
    cluster.nodes["n2"].terminate()
    await until_told(grace / 2, "the jobs are not started elsewhere", handed_back)
    answers = await session.ask_all([f"wait {job.ticket}" for job in jobs])
    assert answers == ["Result: slept 5000 ms"] * 4
    await cluster.stop()
    records = read_records(cluster.state_of("n1"), "n1").values()
    back = [record for record in records if record.losses]
    assert [len(record.losses) for record in back] == [1, 1]
    assert {record.node for record in records} == {"n1"}
    first, second = sorted(record.started for record in back)
    stopped *= 1000
    report(f"started again {first - stopped:.0f} and {second - stopped:.0f} ms after the signal")


@pytest_twisted.ensureDeferred
async def test_origin_stopped(daemons: Daemons, report: _Report) -> None:
    """
    A node that is stopped and started again does its own jobs then.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    node = scene.cluster.nodes["n1"]
    node.terminate()
    await node.ended()
    node.start()
    await scene.settle()
