"""
Who may join, and what a node does while it may not.
"""

from __future__ import annotations

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, until
from tests.functional.sessions import Session, read_ticket

_AWAY = "Error: The node that this ticket came from is away: try again when it is back."


async def _submit_one(session: Session, milliseconds: int) -> tuple[str, str]:
    """Submit a sleep; return its ticket, and the whole answer."""
    answer = await session.ask(str(milliseconds))
    return read_ticket(answer), answer


@pytest_twisted.ensureDeferred
async def test_node_before_balancer(daemons: Daemons) -> None:
    """
    A node without a balancer takes submissions, says that it is not joined, and goes on trying.
    """
    cluster = Cluster(daemons)
    cluster.add("n1").start()
    session = await cluster.session("n1")
    ticket, answer = await _submit_one(session, 20)
    assert "not joined" in answer
    assert "not executed yet" in await session.ask(f"result {ticket}")
    assert "not joined" in await session.ask("nodes")
    said = "the balancer cannot be reached; trying again and again"
    await until(20, "it does not say so", lambda: said in cluster.nodes["n1"].said)
    cluster.balancer.start()
    assert await session.ask(f"wait {ticket}") == "Result: slept 20 ms"
    _, answer = await _submit_one(session, 1)
    assert "not joined" not in answer


@pytest_twisted.ensureDeferred
async def test_any_order(daemons: Daemons) -> None:
    """
    Several daemons are started in one directory, in any order, and none is in another one's way.
    """
    cluster = Cluster(daemons)
    for name in ("n1", "n2"):
        cluster.add(name).start()
        await cluster.session(name)
    cluster.balancer.start()
    await cluster.joined(["n1", "n2"])
    cluster.add("n3").start()
    await cluster.joined(["n1", "n2", "n3"])
    assert not (daemons.directory / "twistd.pid").exists()


@pytest_twisted.ensureDeferred
async def test_same_name_twice(daemons: Daemons) -> None:
    """
    A second node of the same name is refused, says why, takes jobs all the same, and joins when the
    first one is gone.
    """
    cluster = Cluster(daemons, "--rejoin-grace=1")
    await cluster.start(["n1", "other"])
    twin = cluster.add("twin", "--name=n1")
    twin.start()
    refused = "the balancer refused this node"
    await until(20, "it is not refused", lambda: refused in twin.said)
    session = await cluster.session("twin", node="n1")
    ticket, answer = await _submit_one(session, 30)
    assert "n1" in answer
    assert "not joined" in answer
    mine = await session.ask("nodes")
    assert "not joined" in mine
    other = await cluster.session("other")
    lines = await other.raw_nodes()
    assert sum(line.startswith("n1 ") and " joined " in line for line in lines) == 1
    assert sum(line.startswith("n1 ") and " refused " in line for line in lines) == 1
    await cluster.nodes["n1"].kill()
    assert await session.ask(f"wait {ticket}") == "Result: slept 30 ms"


@pytest_twisted.ensureDeferred
async def test_too_many(daemons: Daemons) -> None:
    """
    One more node than MAX_NUM_NODES is refused with an error that names the setting, and has its
    seat when another one is gone.
    """
    cluster = Cluster(daemons, "--rejoin-grace=1", environ={"MAX_NUM_NODES": "2"})
    await cluster.start(["n1", "n2"])
    third = cluster.add("n3")
    third.start()
    await until(20, "it is not refused", lambda: "MAX_NUM_NODES" in third.said)
    session = await cluster.session("n3")
    ticket, answer = await _submit_one(session, 30)
    assert "MAX_NUM_NODES" in answer
    table = await cluster.table("n1")
    assert not isinstance(table, str)
    assert table.nodes["n3"].state == "refused"
    assert "MAX_NUM_NODES" in table.nodes["n3"].remark
    await cluster.nodes["n2"].kill()
    assert await session.ask(f"wait {ticket}") == "Result: slept 30 ms"


@pytest_twisted.ensureDeferred
async def test_ticket_of_another_node(daemons: Daemons) -> None:
    """
    A ticket works at every node, while its own node is there; while it is not, the answer says so,
    of whatever balancer it is asked.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1", "n2"])
    own, other = await cluster.session("n1"), await cluster.session("n2")
    done, _ = await _submit_one(own, 15)
    long, _ = await _submit_one(own, 60_000)
    soon, _ = await _submit_one(own, 700)
    assert await other.ask(f"wait {done}") == "Result: slept 15 ms"
    assert await other.ask(f"r{done}") == "Result: slept 15 ms"
    assert await other.ask(f"r {done.upper()}") == "Result: slept 15 ms"
    assert "not executed yet" in await other.ask(f"result {soon}")
    assert await other.ask(f"wait {soon}") == "Result: slept 700 ms"
    assert (await other.ask(f"status {done}")).startswith("Status: succeeded on n")
    assert (await other.ask(f"cancel {long}")).startswith("Cancelling")
    assert await other.ask(f"wait {long}") == "Result: cancelled"
    unknown = "Error: This cluster does not know that ticket."
    assert await other.ask("result n1.0000000000001") == unknown
    assert await own.ask("result n1.0000000000001") == unknown

    await cluster.nodes["n1"].kill()
    assert await other.ask(f"result {done}") == _AWAY
    await cluster.balancer.kill()
    assert "balancer cannot be asked" in await other.ask(f"result {done}")
    cluster.balancer.start()
    await cluster.joined(["n2"])
    assert await other.ask(f"result {done}") == _AWAY
    cluster.nodes["n1"].start()
    await cluster.joined(["n1", "n2"])
    assert await other.ask(f"result {done}") == "Result: slept 15 ms"
