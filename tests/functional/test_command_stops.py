"""
Nodes that are stopped while a hundred commands run and wait, or that lose their directory.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import pytest_twisted

from tests.functional.command_scene import SLOTS, CommandScene, lasting_at
from tests.functional.commands import is_there
from tests.functional.daemons import Daemons, pause, until
from tests.functional.keepers import find_keepers, jobs_of

_Report = Callable[[str], None]

_KILL_AFTER: Final = 5.0
"""Seconds between SIGTERM and SIGKILL, as it is by default."""

_AWAY: Final = 20.0
"""Seconds that an upgrade takes."""


@pytest_twisted.ensureDeferred
async def test_upgrade(daemons: Daemons, report: _Report) -> None:
    """
    A node that is stopped with C{--on-stop keep} and started again after 20 s: no command notices,
    whether it ended meanwhile or runs on.
    """
    scene = CommandScene(daemons, report)
    # One after the other they go to the three nodes.
    first = [f"sleep {seconds}" for seconds in (24, 24, 24, 4, 4, 4)] * 2
    await scene.begin([*first, *["sleep 0.4"] * 30], {"n2": ["--on-stop=keep"]})
    running = await scene.under_way(0)
    keeper, node = scene.keeper(), scene.cluster.nodes["n2"]
    node.terminate()
    assert await node.ended(5) == -signal.SIGTERM
    await pause(_AWAY)
    # Nobody is told yet: they have ended, and the others run.
    assert len(scene.running("n2")) == SLOTS / 2
    node.start()
    await scene.cluster.joined(["n2"])
    assert scene.keeper() == keeper
    assert set(scene.running("n2")) < set(running)
    records = await scene.settle()
    scene.see_all_started_once()
    assert not any(record.losses for record in records.values())
    assert [records[ticket].node for ticket in running] == ["n2"] * SLOTS
    assert list(find_keepers(daemons.directory)) == [keeper]


@pytest_twisted.ensureDeferred
async def test_stopped_with_what_runs(daemons: Daemons, report: _Report) -> None:
    """
    A node that is stopped with C{--on-stop end}, which is the default: what runs there has its time
    to end and is killed then, and is run elsewhere.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2", "trap '' TERM; sleep 1000"))
    lost = await scene.under_way(lasting=True)
    before, keeper, node = jobs_of(*lost), scene.keeper(), scene.cluster.nodes["n2"]
    begun = time.monotonic()
    node.terminate()
    assert await node.ended() == -signal.SIGTERM
    lasted = time.monotonic() - begun
    report(f"the node has ended {lasted:.2f} s after the signal")
    assert not any(map(is_there, [*before, keeper]))
    assert _KILL_AFTER <= lasted < _KILL_AFTER + 2
    scene.see_lost(await scene.settle(), lost, "n2", "node-stopped")


@pytest_twisted.ensureDeferred
async def test_stopped_at_once(daemons: Daemons, report: _Report) -> None:
    """
    What ends by SIGTERM keeps no node from stopping, and is run elsewhere at once: long before the
    grace time, in which nobody would start it if the node were merely gone.
    """
    grace = 6
    scene = CommandScene(daemons, report, f"--rejoin-grace={grace}")
    await scene.begin(lasting_at("n2"))
    lost = await scene.under_way(lasting=True)
    # Before, the balancer starts nothing again that another one may have given to somebody.
    await pause(grace)
    begun = time.time()
    node = scene.cluster.nodes["n2"]
    node.terminate()
    await node.ended()
    assert time.time() - begun < _KILL_AFTER
    await scene.see_outcomes()
    records = await scene.finish()
    scene.see_lost(records, lost, "n2", "node-stopped")
    assert max(records[ticket].started for ticket in lost) / 1000 - begun < grace / 2


@pytest.mark.parametrize("how", ["sleep 1000", "trap '' TERM; sleep 1000"], ids=["soon", "late"])
@pytest_twisted.ensureDeferred
async def test_killed_while_stopping(daemons: Daemons, report: _Report, how: str) -> None:
    """
    A node that is killed while it waits for the end of what it has to stop, and started again at
    once: what was stopped is none that anybody wished to cancel, and is run again.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2", how))
    lost = await scene.under_way(lasting=True)
    before, node = jobs_of(*lost), scene.cluster.nodes["n2"]
    node.terminate()
    await until(5, "it does not stop", lambda: "shutting down" in node.said)
    await pause(0.1)  # so that the keeper has begun with it, too
    if node.runs:
        await node.kill()
    node.start()
    await until(_KILL_AFTER + 5, "what it ran goes on", lambda: not any(map(is_there, before)))
    scene.see_lost(await scene.settle(), lost, "n2", "node-stopped")


@pytest_twisted.ensureDeferred
async def test_origin_stopped(daemons: Daemons, report: _Report) -> None:
    """
    The origin is stopped, with what runs there, and started again: it runs its own again then.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n1"))
    lost = await scene.under_way(node="n1", lasting=True)
    node = scene.cluster.nodes["n1"]
    node.terminate()
    await node.ended()
    assert jobs_of(*lost) == []
    node.start()
    scene.see_lost(await scene.settle(), lost, "n1", "node-stopped")


@pytest.mark.parametrize("how", ["removed", "replaced"])
@pytest_twisted.ensureDeferred
async def test_directory_removed(daemons: Daemons, report: _Report, how: str) -> None:
    """
    The state directory of a node is removed, or another one put in its place, while it runs: node
    and keeper say so and end, with what runs there, and that is run elsewhere.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2"))
    lost = await scene.under_way(lasting=True)
    before, keeper, node = jobs_of(*lost), scene.keeper(), scene.cluster.nodes["n2"]
    state = scene.cluster.state_of("n2")
    if how == "removed":
        await until(5, f"{state} cannot be removed", lambda: _remove(state))
    else:
        state.rename(state.with_name("elsewhere"))
        (state / "keeper").mkdir(parents=True)
    assert await node.ended() == 1
    assert node.said.count("was removed while the node was running") == 1
    await until(10, "the keeper goes on", lambda: not is_there(keeper))
    await until(1, "what it ran goes on", lambda: not any(map(is_there, before)))
    scene.see_lost(await scene.settle(), lost, "n2", "node-lost")
    if how == "removed":
        assert not state.exists()
    else:
        assert list(state.rglob("*")) == [state / "keeper"]


def _remove(directory: Path) -> bool:
    """Whether it is gone; somebody may be making files in it."""
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()
