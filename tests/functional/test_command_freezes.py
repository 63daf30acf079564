"""
Keepers and nodes that do nothing for a while, or for ever, while commands run and wait.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

import pytest
import pytest_twisted

from tests.functional.command_scene import CommandScene, lasting_at
from tests.functional.commands import is_there
from tests.functional.daemons import Daemons, pause, until
from tests.functional.keepers import jobs_of

_Report = Callable[[str], None]

_FEW: Final = 48
"""Commands where a hundred show no more."""

_SILENCE: Final = 11.0
"""Seconds after which a keeper that does not answer is replaced."""

_PING: Final = 3.0
"""Seconds after which one that has nothing to answer is asked something."""


@pytest_twisted.ensureDeferred
async def test_keeper_frozen(daemons: Daemons, report: _Report) -> None:
    """
    A keeper that does nothing for 5 s: nothing happens.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(["sleep 0.7"] * _FEW)
    await scene.under_way()
    keeper = scene.keeper()
    os.kill(keeper, signal.SIGSTOP)
    await pause(5)
    os.kill(keeper, signal.SIGCONT)
    await scene.see_outcomes()
    assert scene.keeper() == keeper
    await scene.finish()
    scene.see_all_started_once()


@pytest_twisted.ensureDeferred
async def test_keeper_frozen_for_good(daemons: Daemons, report: _Report) -> None:
    """
    A keeper that is frozen for good is replaced after 11 s; what it ran is ended, and run again.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2", count=_FEW))
    lost = await scene.under_way(lasting=True)
    before, keeper, node = jobs_of(*lost), scene.keeper(), scene.cluster.nodes["n2"].pid
    begun = time.monotonic()
    os.kill(keeper, signal.SIGSTOP)
    await until(_SILENCE + 10, "it is not replaced", lambda: not is_there(keeper))
    lasted = time.monotonic() - begun
    report(f"the keeper was killed {lasted:.1f} s after it was frozen")
    assert _SILENCE - 0.5 < lasted < _SILENCE + _PING + 2
    await until(10, "what it ran goes on", lambda: not any(map(is_there, before)))
    await scene.see_outcomes()
    assert scene.cluster.nodes["n2"].pid == node
    assert scene.keeper() != keeper
    said = scene.cluster.nodes["n2"].said
    assert said.count("The keeper does not answer for 11 s. It is killed and replaced") == 1
    scene.see_lost(await scene.finish(), lost, "n2", "keeper-died")


@pytest.mark.parametrize("both", [False, True], ids=["node", "both"])
@pytest_twisted.ensureDeferred
async def test_node_frozen(daemons: Daemons, report: _Report, both: bool) -> None:  # noqa: FBT001
    """
    A node that does nothing for 14 s, alone or with its keeper: whether it is taken for lost just
    then or not, nothing is lost by that, and what it ran meanwhile in vain is ended.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2", "sleep 20", _FEW))
    running = await scene.under_way(lasting=True)
    keeper, node = scene.keeper(), scene.cluster.nodes["n2"]
    node.freeze()
    if both:
        os.kill(keeper, signal.SIGSTOP)
    await pause(14)
    node.thaw()
    if both:
        os.kill(keeper, signal.SIGCONT)
    await scene.cluster.joined(["n2"])
    await scene.see_outcomes()
    assert scene.keeper() == keeper
    records = await scene.finish()
    if any(record.losses for record in records.values()):
        scene.see_lost(records, running, "n2", "node-lost")
    else:
        scene.see_all_started_once()


@pytest_twisted.ensureDeferred
async def test_both_frozen_until_lost(daemons: Daemons, report: _Report) -> None:
    """
    A node that is frozen with its keeper until what ran there was run elsewhere: what runs there
    still is ended when they go on.
    """
    scene = CommandScene(daemons, report)
    await scene.begin(lasting_at("n2", count=_FEW))
    superseded = await scene.under_way(lasting=True)
    before, keeper, node = jobs_of(*superseded), scene.keeper(), scene.cluster.nodes["n2"]
    node.freeze()
    os.kill(keeper, signal.SIGSTOP)
    await scene.see_outcomes()
    assert all(map(is_there, before)), "nobody is there who would end them"
    node.thaw()
    os.kill(keeper, signal.SIGCONT)
    await until(10, "they run on", lambda: not any(map(is_there, before)))
    await scene.cluster.joined(["n2"])
    assert scene.keeper() == keeper
    scene.see_lost(await scene.finish(), superseded, "n2", "node-lost")
