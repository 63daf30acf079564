"""
Processes that do nothing for longer than anybody waits, and then go on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest_twisted

from tests.functional.daemons import Daemons, pause, until, until_told
from tests.functional.scene import COUNT, SLOTS, Scene, mixed

_Report = Callable[[str], None]


@pytest_twisted.ensureDeferred
async def test_node_frozen(daemons: Daemons, report: _Report) -> None:
    """
    A node that is silent for longer than the limit of silence, and back within the grace time: it
    keeps what it ran, and nothing is started twice.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    scene.cluster.nodes["n2"].freeze()
    await pause(12)
    scene.cluster.nodes["n2"].thaw()
    records = await scene.settle()
    assert not any(record.losses for record in records.values())


@pytest_twisted.ensureDeferred
async def test_node_frozen_for_long(daemons: Daemons, report: _Report) -> None:
    """
    A node that is silent until it is taken for lost: what it ran is started elsewhere, and what it
    says about that when it is back counts no more.
    """
    scene = Scene(daemons, report)
    session = await scene.begin([6000] * 3 * SLOTS + mixed(COUNT - 3 * SLOTS))

    async def running(wanted: int) -> bool:
        rows = await session.listing("list running")
        return sum("sleep 6000 ms" in row for row in rows) == wanted

    await until_told(20, "the long jobs do not run", lambda: running(3 * SLOTS))
    scene.strike()
    scene.cluster.nodes["n2"].freeze()
    lost = "a node is gone (node: n2)"
    await until(20, "the node is not given up", lambda: lost in scene.cluster.balancer.said)
    await until_told(20, "its jobs are not started elsewhere", lambda: running(SLOTS))
    scene.cluster.nodes["n2"].thaw()
    records = await scene.settle()
    rescued = [record for record in records.values() if record.losses]
    assert len(rescued) == SLOTS
    assert not any(record.node == "n2" for record in rescued)


@pytest_twisted.ensureDeferred
async def test_balancer_frozen(daemons: Daemons, report: _Report) -> None:
    """
    A balancer that is silent for longer than any node waits for it, and then goes on: it takes time
    that it did not see for no silence of the nodes, and none of their jobs is started twice.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    scene.cluster.balancer.freeze()
    await pause(14)
    scene.cluster.balancer.thaw()
    records = await scene.settle()
    assert not any(record.losses for record in records.values())
    assert scene.starts() == COUNT
