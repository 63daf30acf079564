"""
Jobs that are cancelled just before something is killed: what the answer said comes true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest_twisted

from tests.functional.daemons import Daemons
from tests.functional.scene import Scene

_Report = Callable[[str], None]

_NEVER_RUN = "Cancelled: it will never run."
_CANCELLED = "Result: cancelled"


async def _cancel_then_kill(scene: Scene, killed: str, *, restarted: bool) -> None:
    """
    Cancel ten jobs that run or are about to, and ten that wait, and kill somebody at once.
    """
    session = await scene.begin()
    await scene.under_way()
    running = [row.split("  ")[0] for row in await session.listing("list running")]
    waiting = [row.split("  ")[0] for row in await session.listing("list waiting")]
    chosen = [*running[:7], *waiting[:10], *waiting[-10:]]
    answers = await session.ask_all([f"cancel {ticket}" for ticket in chosen])
    daemon = scene.cluster.balancer if killed == "balancer" else scene.cluster.nodes[killed]
    scene.strike()
    await daemon.kill()
    if restarted:
        daemon.start()
    results = {job.ticket: f"Result: {job.result}" for job in scene.jobs}
    odd: dict[str, Sequence[str]] = {}
    for ticket, answer in zip(chosen, answers, strict=True):
        if answer == _NEVER_RUN:
            odd[ticket] = [_CANCELLED]
        elif answer.startswith("Cancelling"):
            odd[ticket] = [_CANCELLED, results[ticket]]
        else:
            assert answer.startswith("Too late"), answer
    assert odd, "nothing was cancelled"
    records = await scene.settle(odd)
    cancelled = [ticket for ticket in odd if records[ticket].status == "cancelled"]
    # Those at the end of the queue cannot have been running.
    assert set(waiting[-10:]) <= set(cancelled)


@pytest_twisted.ensureDeferred
async def test_then_origin_killed(daemons: Daemons, report: _Report) -> None:
    """
    The origin is killed after it has taken the wish, and started again.
    """
    await _cancel_then_kill(Scene(daemons, report), "n1", restarted=True)


@pytest_twisted.ensureDeferred
async def test_then_executor_killed(daemons: Daemons, report: _Report) -> None:
    """
    An executor is killed, which may or may not have heard of it.
    """
    await _cancel_then_kill(Scene(daemons, report), "n2", restarted=False)


@pytest_twisted.ensureDeferred
async def test_then_balancer_killed(daemons: Daemons, report: _Report) -> None:
    """
    The balancer is killed, which may or may not have passed it on, and another one started.
    """
    await _cancel_then_kill(Scene(daemons, report), "balancer", restarted=True)
