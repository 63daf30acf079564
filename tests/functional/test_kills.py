"""
kill -9 of everything while a hundred jobs run and wait: nothing that was acknowledged is lost, and
nothing has two outcomes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest_twisted

from tests.functional.daemons import Daemons, until_told
from tests.functional.scene import COUNT, SLOTS, Scene, mixed

_Report = Callable[[str], None]


@pytest_twisted.ensureDeferred
async def test_executor_killed(daemons: Daemons, report: _Report) -> None:
    """
    An executor that is killed and stays away: its jobs start elsewhere after the grace time.
    """
    scene = Scene(daemons, report)
    await scene.begin(grace=3)
    await scene.under_way()
    scene.strike()
    await scene.cluster.nodes["n2"].kill()
    records = await scene.settle()
    rescued = [record for record in records.values() if record.losses]
    assert rescued, "nothing ran there"
    assert {loss.node for record in rescued for loss in record.losses} == {"n2"}
    assert {loss.cause for record in rescued for loss in record.losses} == {"node-lost"}


@pytest_twisted.ensureDeferred
async def test_executor_restarted(daemons: Daemons, report: _Report) -> None:
    """
    An executor that is killed and started again at once.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    await scene.cluster.nodes["n2"].kill()
    scene.cluster.nodes["n2"].start()
    await scene.settle()


@pytest_twisted.ensureDeferred
async def test_executor_keeps_its_jobs(daemons: Daemons, report: _Report) -> None:
    """
    What has long to go at an executor that is killed and joins again within the grace time goes on
    there, and is not started a second time.
    """
    scene = Scene(daemons, report, "--rejoin-grace=20")
    session = await scene.begin([9000] * 3 * SLOTS + mixed(COUNT - 3 * SLOTS))

    async def all_run() -> bool:
        return len(await session.listing("list running")) == 3 * SLOTS

    await until_told(20, "the long jobs do not run", all_run)
    scene.strike()
    await scene.cluster.nodes["n2"].kill()
    scene.cluster.nodes["n2"].start()
    records = await scene.settle()
    long = [records[job.ticket] for job in scene.jobs[: 3 * SLOTS]]
    assert sorted(record.node for record in long) == sorted(["n1", "n2", "n3"] * SLOTS)
    assert not any(record.losses for record in long)
    assert all(8990 <= record.ended - record.started < 14_000 for record in long)


@pytest_twisted.ensureDeferred
async def test_origin_restarted(daemons: Daemons, report: _Report) -> None:
    """
    The origin of all jobs is killed and started again.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    await scene.cluster.nodes["n1"].kill()
    scene.cluster.nodes["n1"].start()
    await scene.settle()


@pytest_twisted.ensureDeferred
async def test_balancer_restarted(daemons: Daemons, report: _Report) -> None:
    """
    The balancer is killed, and another one started: no running job notices, none is started twice.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    await scene.cluster.balancer.kill()
    scene.cluster.balancer.start()
    records = await scene.settle()
    assert not any(record.losses for record in records.values())
    assert scene.starts() == COUNT


@pytest_twisted.ensureDeferred
async def test_balancer_and_origin_restarted(daemons: Daemons, report: _Report) -> None:
    """
    The balancer and the origin are killed together, and started again.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    killed = [scene.cluster.balancer, scene.cluster.nodes["n1"]]
    for gone in [daemon.kill() for daemon in killed]:
        await gone
    for daemon in killed:
        daemon.start()
    await scene.settle()


@pytest_twisted.ensureDeferred
async def test_all_restarted(daemons: Daemons, report: _Report) -> None:
    """
    All processes are killed together, and started again.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    scene.strike()
    killed = [scene.cluster.balancer, *scene.cluster.nodes.values()]
    for gone in [daemon.kill() for daemon in killed]:
        await gone
    for daemon in killed:
        daemon.start()
    await scene.settle()
