"""
What is to run at most once does, though a node is restored from a backup that has forgotten it.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.commands import is_there
from tests.functional.daemons import Daemons, until
from tests.functional.keepers import find_keepers, jobs_of
from tests.functional.sessions import Session, read_ticket
from tests.functional.test_backup import back_up


async def _run_once(session: Session, script: str) -> str:
    return read_ticket(await session.ask(f"run --once sh -c '{script}'"))


async def _restore(cluster: Cluster, name: str, place: Path) -> None:
    """
    Have a node and its keeper, if it has one, killed, and its state directory replaced by a backup.
    """
    await cluster.nodes[name].kill()
    for keeper in find_keepers(cluster.state_of(name)):
        os.kill(keeper, signal.SIGKILL)
    shutil.rmtree(cluster.state_of(name))
    shutil.copytree(place, cluster.state_of(name))
    cluster.nodes[name].start()


@pytest_twisted.ensureDeferred
async def test_origin_restored(daemons: Daemons) -> None:
    """
    A job that waits at the time of a backup, and runs after it, is lost for the restored node that
    it belongs to; one that may run again has its result, by another run if need be.
    """
    starts = daemons.directory / "starts"
    cluster = Cluster(daemons)
    cluster.balancer.start()
    cluster.add("n1", slots=0).start()
    await cluster.joined(["n1"])
    session = await cluster.session("n1")
    once = await _run_once(session, f"echo once >>{starts}")
    again = await session.run("sh", "-c", f"echo again >>{starts}")
    place = daemons.directory / "backup"
    await back_up(cluster.state_of("n1"), place)

    cluster.add("n2").start()
    for ticket in (once, again):
        assert "exit code 0" in await session.ask(f"wait {ticket}")
    await _restore(cluster, "n1", place)
    await cluster.joined(["n1", "n2"])
    session = await cluster.session("n1")
    assert await session.ask(f"wait {once}") == "Result: lost (restored)"
    assert "exit code 0" in await session.ask(f"wait {again}")
    assert starts.read_text("ascii").split().count("once") == 1
    await cluster.stop()


@pytest_twisted.ensureDeferred
async def test_executor_restored(daemons: Daemons) -> None:
    """
    A job that is run after a backup is lost with the node that ran it, though that comes back,
    restored.
    """
    starts = daemons.directory / "starts"
    cluster = Cluster(daemons)
    cluster.balancer.start()
    cluster.add("n1", slots=0).start()
    cluster.add("n2").start()
    await cluster.joined(["n1", "n2"])
    place = daemons.directory / "backup"
    await back_up(cluster.state_of("n2"), place)

    session = await cluster.session("n1")
    ticket = await _run_once(session, f"echo once >>{starts}; sleep 1000")
    await until(10, "it is not started", starts.exists)
    left = jobs_of(ticket)
    await _restore(cluster, "n2", place)
    assert "Result: lost" in await session.ask(f"wait {ticket}")
    assert starts.read_text("ascii") == "once\n"
    # Of what a killed keeper has left nobody knows any more.
    for process in filter(is_there, left):
        os.kill(process, signal.SIGKILL)
    await cluster.stop()
