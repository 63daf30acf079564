"""
kill -9 while a hundred commands run and wait: each that was acknowledged has one outcome, what need
not be started again is not, and no process is left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest_twisted

from tests.functional.command_scene import NAMES, SLOTS, CommandScene, lasting_at
from tests.functional.commands import is_there
from tests.functional.daemons import Daemons, until
from tests.functional.keepers import jobs_of

_Report = Callable[[str], None]


@pytest_twisted.ensureDeferred
async def test_executor_restarted(daemons: Daemons, report: _Report) -> None:
    """
    A node that is killed and started again within the grace time: what its keeper ran meanwhile was
    not started a second time.
    """
    scene = CommandScene(daemons, report, "--rejoin-grace=6")
    await scene.begin()
    await scene.under_way()
    keeper = scene.keeper()
    await scene.cluster.nodes["n2"].kill()
    scene.cluster.nodes["n2"].start()
    await scene.cluster.joined(["n2"])
    assert scene.keeper() == keeper
    await scene.settle()
    scene.see_all_started_once()


@pytest_twisted.ensureDeferred
async def test_executor_killed(daemons: Daemons, report: _Report) -> None:
    """
    A node that is killed and stays away: what it ran is started elsewhere; what its keeper runs of
    that is ended when it is back.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2"))
    superseded = await scene.under_way(lasting=True)
    await scene.cluster.nodes["n2"].kill()
    await scene.see_outcomes()
    left = jobs_of(*scene.traces)
    assert len(left) >= SLOTS, "nobody is there who would end them"
    assert jobs_of(*superseded) == left
    scene.cluster.nodes["n2"].start()
    await scene.cluster.joined(["n2"])
    await until(10, "they run on", lambda: not any(map(is_there, left)))
    scene.see_lost(await scene.finish(), superseded, "n2", "node-lost")


@pytest_twisted.ensureDeferred
async def test_origin_restarted(daemons: Daemons, report: _Report) -> None:
    """
    The origin of all is killed and started again: nothing is started a second time.
    """
    scene = CommandScene(daemons, report, "--rejoin-grace=6")
    await scene.begin()
    await scene.under_way()
    await scene.cluster.nodes["n1"].kill()
    scene.cluster.nodes["n1"].start()
    await scene.settle()
    scene.see_all_started_once()


@pytest_twisted.ensureDeferred
async def test_balancer_restarted(daemons: Daemons, report: _Report) -> None:
    """
    The balancer is killed, and another one started: no command notices.
    """
    scene = CommandScene(daemons, report)
    await scene.begin()
    await scene.under_way()
    await scene.cluster.balancer.kill()
    scene.cluster.balancer.start()
    await scene.settle()
    scene.see_all_started_once()


@pytest_twisted.ensureDeferred
async def test_all_restarted(daemons: Daemons, report: _Report) -> None:
    """
    The balancer and all nodes are killed together and started again: the keepers go on, and nothing
    is started a second time.
    """
    scene = CommandScene(daemons, report, "--rejoin-grace=7")
    await scene.begin()
    await scene.under_way()
    killed = [scene.cluster.balancer, *scene.cluster.nodes.values()]
    for gone in [daemon.kill() for daemon in killed]:
        await gone
    for daemon in killed:
        daemon.start()
    await scene.settle()
    scene.see_all_started_once()


@pytest_twisted.ensureDeferred
async def test_keeper_killed(daemons: Daemons, report: _Report) -> None:
    """
    A keeper is killed: its node starts another one, which ends what that ran, and it is run again.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2"))
    lost = await scene.under_way(lasting=True)
    before, keeper, node = jobs_of(*lost), scene.keeper(), scene.cluster.nodes["n2"].pid
    os.kill(keeper, signal.SIGKILL)
    await until(10, "what it ran goes on", lambda: not any(map(is_there, before)))
    await scene.see_outcomes()
    assert scene.cluster.nodes["n2"].pid == node
    assert scene.keeper() != keeper
    scene.see_lost(await scene.finish(), lost, "n2", "keeper-died")


@pytest_twisted.ensureDeferred
async def test_keeper_and_node_killed(daemons: Daemons, report: _Report) -> None:
    """
    A node and its keeper are killed together: the next keeper ends what ran there, and it is run
    again.
    """
    scene = CommandScene(daemons, report, "--rejoin-grace=6")
    await scene.begin(lasting_at("n2"))
    lost = await scene.under_way(lasting=True)
    before = jobs_of(*lost)
    os.kill(scene.keeper(), signal.SIGKILL)
    await scene.cluster.nodes["n2"].kill()
    assert all(map(is_there, before)), "nobody is there who would end them"
    scene.cluster.nodes["n2"].start()
    await until(20, "what it ran goes on", lambda: not any(map(is_there, before)))
    await scene.see_outcomes()
    scene.see_lost(await scene.finish(), lost, "n2", "keeper-died")


@pytest_twisted.ensureDeferred
async def test_everything_killed(daemons: Daemons, report: _Report) -> None:
    """
    The balancer, all nodes and all keepers are killed together and started again: what ran is ended
    and run again.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2"))
    running = await scene.under_way(lasting=True)
    for name in NAMES:
        os.kill(scene.keeper(name), signal.SIGKILL)
    killed = [scene.cluster.balancer, *scene.cluster.nodes.values()]
    for gone in [daemon.kill() for daemon in killed]:
        await gone
    for daemon in killed:
        daemon.start()
    records = await scene.settle()
    lost = {ticket for ticket, record in records.items() if record.losses}
    # And those of the other nodes that had not ended by themselves.
    assert lost.issuperset(running)
    causes = {loss.cause for record in records.values() for loss in record.losses}
    assert causes <= {"keeper-died", "node-lost", "not-held"}
