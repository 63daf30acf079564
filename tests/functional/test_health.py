"""
C{jobcluster-health}, asking real daemons.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import pytest
import pytest_twisted
from twisted.internet.utils import getProcessOutputAndValue

from tests.functional.cluster import Cluster, endpoint
from tests.functional.daemons import Daemons

_QUICK: Final = "0.5"
"""Seconds that a frozen daemon has to answer; nothing is waited for longer."""


async def ask(*arguments: str) -> tuple[str, int]:
    """
    Return what the command says, and its exit status.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COV_")}
    said, errors, status = await getProcessOutputAndValue(
        sys.executable, ["-m", "jobcluster.cli.health", *arguments], inherited
    )
    return (said + errors).decode().strip(), status


@pytest_twisted.ensureDeferred
async def test_both(daemons: Daemons) -> None:
    """
    Both daemons are well, are not when they are frozen, though their ports are open, are well again
    when they go on, and are not when they have ended.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1"])
    node, balancer = cluster.nodes["n1"], cluster.balancer
    console = ("--console", endpoint(cluster.console_of("n1")))
    listen = ("--listen", endpoint(cluster.balancer_port))
    before = balancer.said
    assert await ask(*console) == (f"well: the node on {console[1]}", 0)
    assert await ask(*listen) == (f"well: the balancer on {listen[1]}", 0)
    assert balancer.said == before, "the log tells of each time that it was asked"
    for daemon, where in ((node, console), (balancer, listen)):
        daemon.freeze()
        said, status = await ask("--limit", _QUICK, *where)
        assert status == 1
        assert said.startswith("not well: ")
        assert said.endswith(f"{where[1]}: it did not answer within {_QUICK} s")
        daemon.thaw()
        assert (await ask("--limit", "30", *where))[1] == 0
        await daemon.kill()
        said, status = await ask(*where)
        assert status == 1
        assert said.endswith("it cannot be asked: Connection refused")


@pytest_twisted.ensureDeferred
async def test_found(daemons: Daemons) -> None:
    """
    Without being told where, it finds what runs here, by arguments and by variables.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1"])
    said, _ = await ask()
    lines = said.splitlines()
    assert f"well: the node on {endpoint(cluster.console_of('n1'))}" in lines
    assert f"well: the balancer on {endpoint(cluster.balancer_port)}" in lines


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--limit", "soon"), "--limit is 'soon', but must be a number of seconds"),
        (("--console", "pigeon"), "only tcp, tcp6 and unix endpoints can be asked"),
        (("--console", "tcp:here"), "that is no endpoint"),
        (("--console", "unix:/nobody/here"), "it cannot be asked: No such file or directory"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_nonsense(arguments: tuple[str, ...], line: str) -> None:
    """
    What cannot be asked gets one line.
    """
    said, status = await ask(*arguments)
    assert status == 1
    assert line in said
    assert len(said.splitlines()) == 1
