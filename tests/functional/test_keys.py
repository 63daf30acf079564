"""
Submissions with a key, again and again, while the node that takes them is killed.
"""

from __future__ import annotations

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons
from tests.functional.sessions import read_ticket

_TIMES = 250
"""How often a line is typed into each console between two kills."""

_LINE = "sleep --key nightly --name nightly --tag report 50"


@pytest_twisted.ensureDeferred
async def test_one_job(daemons: Daemons) -> None:
    """
    However often, and through two consoles at once, a job is submitted with its key, and however
    often its node is killed meanwhile, there is one job, and every answer is its ticket.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1"])
    tickets = set()
    for answered in (0, 1, 100):
        sessions = [await cluster.session("n1") for _ in range(2)]
        for session in sessions:
            session.type(*[_LINE] * _TIMES)
        for _ in range(answered):
            tickets.add(read_ticket(await sessions[0].line()))
        await cluster.nodes["n1"].kill()
        cluster.nodes["n1"].start()
    first, second = [await cluster.session("n1") for _ in range(2)]
    second.type(*[_LINE] * _TIMES)
    for answer in await first.ask_all([_LINE] * _TIMES):
        tickets.add(read_ticket(answer))
    for _ in range(_TIMES):
        tickets.add(read_ticket(await second.line()))
    [ticket] = tickets
    assert await first.ask(f"wait {ticket}") == "Result: slept 50 ms"
    assert read_ticket(await second.ask(_LINE)) == ticket
    refused = await second.ask("sleep --key nightly 51")
    assert refused.startswith(f"Error: That key is the key of another job, {ticket}: ")
    for filters in ("all", "all name=nightly tag=report", "succeeded tag=report"):
        [row] = await first.listing(f"list {filters}")
        assert row.startswith(ticket)
