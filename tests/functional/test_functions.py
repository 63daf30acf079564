"""
Functions through real nodes and keepers, some of which are killed.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.commands import is_there, pids_in
from tests.functional.daemons import Daemons, until
from tests.functional.keepers import find_keeper
from tests.functional.sessions import Session

_MODULE = """
import os, time

def wait_for(pids, gate):
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\\n")
    while not os.path.exists(gate):
        time.sleep(0.01)
    return os.getpid()
"""


async def _cluster(daemons: Daemons, grace: int) -> tuple[Cluster, Session]:
    """A balancer, one node, and a session there."""
    made = Cluster(daemons, f"--rejoin-grace={grace}")
    await made.start(["n1"])
    return made, await made.session("n1")


class _Waiting:
    """Functions that say who they are, and wait for a file."""

    def __init__(self, directory: Path) -> None:
        (directory / "waiting.py").write_text(_MODULE)
        self.directory = directory
        self.pids = directory / "pids"
        self.gate = directory / "gate"

    async def call(self, session: Session, options: str = "") -> str:
        """Submit one; its ticket."""
        answer = await session.ask(
            f"call {options} -d {self.directory} waiting:wait_for"
            f" '\"{self.pids}\"' '\"{self.gate}\"'"
        )
        return answer.removeprefix("Ticket ID: ").split()[0]


@pytest_twisted.ensureDeferred
async def test_node_killed(daemons: Daemons, tmp_path: Path) -> None:
    """
    A node that is killed and started again finds the function running, keeps it and its result.
    """
    cluster, session = await _cluster(daemons, 10)
    waiting = _Waiting(tmp_path)
    ticket = await waiting.call(session)
    [pid] = await pids_in(waiting.pids)
    await cluster.nodes["n1"].kill()
    assert is_there(pid)
    cluster.nodes["n1"].start()
    await cluster.joined(["n1"])
    session = await cluster.session("n1")
    assert (await session.ask(f"status {ticket}")).startswith("Status: running on n1 (attempt 1)")
    waiting.gate.touch()
    assert await session.ask(f"wait {ticket}") == f"Result: {pid}"
    assert (await session.ask(f"status {ticket}")).endswith("attempts 1")
    # The worker is as warm as before.
    again = (await session.ask(f"call -d {tmp_path} os:getpid")).split()[2]
    assert await session.ask(f"wait {again}") == f"Result: {pid}"
    session.drop()


@pytest_twisted.ensureDeferred
async def test_worker_and_keeper_killed(daemons: Daemons, tmp_path: Path) -> None:
    """
    A function whose worker is killed has failed; one whose keeper is killed is called again, unless
    it may be called once only.
    """
    cluster, session = await _cluster(daemons, 1)
    waiting = _Waiting(tmp_path)
    ticket = await waiting.call(session)
    [pid] = await pids_in(waiting.pids)
    os.kill(pid, signal.SIGKILL)
    said = await session.ask(f"wait {ticket}")
    assert said.startswith("Result: failed (signal 9, SIGKILL): its process ended before")
    again, once = await waiting.call(session), await waiting.call(session, "--once")
    _, *pids = await pids_in(waiting.pids, 3)
    os.kill(find_keeper(cluster.state_of("n1")), signal.SIGKILL)
    await until(10, "they go on", lambda: not any(map(is_there, pids)))
    waiting.gate.touch()
    assert await session.ask(f"wait {once}") == "Result: lost (keeper-died)"
    [*_, last] = await pids_in(waiting.pids, 4)
    assert await session.ask(f"wait {again}") == f"Result: {last}"
    assert (await session.ask(f"status {again}")).endswith("attempts 2")
    session.drop()
