"""
Jobs that are to run at most once, though something is killed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest_twisted

from tests.functional.daemons import Daemons
from tests.functional.records import Record
from tests.functional.scene import SLOTS, Scene, mixed

_Report = Callable[[str], None]

_ONCE = 60
_LOST = "Result: lost (node-lost)"


async def _begin(scene: Scene) -> None:
    session = await scene.begin([])
    scene.jobs += await session.submit(mixed(_ONCE), once=True)
    await scene.under_way()
    scene.strike()


def _check(scene: Scene, records: dict[str, Record], report: _Report) -> None:
    lost = [record for record in records.values() if record.status == "lost"]
    starts = [sum(bool(a.started) for a in record.attempts) for record in records.values()]
    assert max(starts) <= 1
    # Their own logs count what the nodes were told to start, whether its origin knew of it or not.
    assert scene.starts() <= _ONCE
    report(f"{len(lost)} of {_ONCE} jobs are lost; {scene.starts()} were started")


@pytest_twisted.ensureDeferred
async def test_executor_killed(daemons: Daemons, report: _Report) -> None:
    """
    Their executor is killed: what it ran is lost, and is not started elsewhere.
    """
    scene = Scene(daemons, report)
    await _begin(scene)
    await scene.cluster.nodes["n2"].kill()
    odd = {job.ticket: [_LOST, f"Result: {job.result}"] for job in scene.jobs}
    records = await scene.settle(odd)
    _check(scene, records, report)
    lost = [record for record in records.values() if record.status == "lost"]
    assert 1 <= len(lost) <= SLOTS, "it had so many slots, and all were taken"


@pytest_twisted.ensureDeferred
async def test_executor_restarted(daemons: Daemons, report: _Report) -> None:
    """
    Their executor is killed and started again: what it had written down goes on.
    """
    scene = Scene(daemons, report)
    await _begin(scene)
    await scene.cluster.nodes["n2"].kill()
    scene.cluster.nodes["n2"].start()
    odd = {job.ticket: [_LOST, f"Result: {job.result}"] for job in scene.jobs}
    records = await scene.settle(odd)
    _check(scene, records, report)


@pytest_twisted.ensureDeferred
async def test_origin_restarted(daemons: Daemons, report: _Report) -> None:
    """
    Their origin is killed, which runs some of them itself, and started again.
    """
    scene = Scene(daemons, report)
    await _begin(scene)
    await scene.cluster.nodes["n1"].kill()
    scene.cluster.nodes["n1"].start()
    odd = {
        job.ticket: [_LOST, "Result: lost (not-held)", f"Result: {job.result}"]
        for job in scene.jobs
    }
    records = await scene.settle(odd)
    _check(scene, records, report)


@pytest_twisted.ensureDeferred
async def test_balancer_restarted(daemons: Daemons, report: _Report) -> None:
    """
    The balancer is killed, and another one started: none of them is lost by that.
    """
    scene = Scene(daemons, report)
    await _begin(scene)
    await scene.cluster.balancer.kill()
    scene.cluster.balancer.start()
    records = await scene.settle()
    _check(scene, records, report)
