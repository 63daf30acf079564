"""
Many jobs that wait cost their node little memory, and the balancer next to none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, until_told
from tests.functional.records import read_records
from tests.functional.sessions import Session, read_ticket

_Report = Callable[[str], None]

_COUNT: Final = 20_000
_WINDOW: Final = 4096
"""How many of a node's jobs the balancer has before it, more or less."""

_HOUR: Final = 3_600_000


async def _typed(session: Session, milliseconds: int, count: int) -> list[str]:
    """
    Type so many sleeps; return the tickets once all are acknowledged.
    """
    session.send(b"%d\n" % milliseconds * count)
    return [read_ticket(await session.line()) for _ in range(count)]


async def _known(session: Session, count: int) -> None:
    """
    Wait until the balancer knows that at least so many jobs wait.
    """

    async def look() -> bool:
        table = await session.nodes()
        return not isinstance(table, str) and table.balance.waiting >= count

    await until_told(30, f"the balancer knows of less than {count} jobs", look)


@pytest_twisted.ensureDeferred
async def test_many_wait(daemons: Daemons, report: _Report) -> None:
    """
    Twenty thousand jobs that wait at one node: little memory is used, and the node answers at once
    after it was killed.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1", "n2"])
    node = cluster.nodes["n1"]
    session = await cluster.session("n1")
    await _typed(session, _HOUR, 4)
    before = cluster.balancer.memory(), node.memory()
    tickets = await _typed(session, _HOUR, _COUNT)
    await _known(session, _COUNT)
    grown = cluster.balancer.memory() - before[0], node.memory() - before[1]
    report(f"{_COUNT} jobs wait: balancer {grown[0]:+.1f} MiB, node {grown[1]:+.1f} MiB")
    assert grown[0] < 40
    assert grown[1] < 60

    await node.kill()
    killed = time.monotonic()
    node.start()
    session = await cluster.session("n1")
    last = f"status {tickets[-1]}"
    assert (await session.ask(last)).startswith(f"Status: waiting, sleep {_HOUR} ms, ")
    answered = time.monotonic() - killed
    await cluster.joined(["n1"])
    joined = time.monotonic() - killed
    await _known(session, _COUNT)
    report(f"killed and started: answers after {answered:.2f} s, is joined after {joined:.2f} s")
    table = await session.nodes()
    assert not isinstance(table, str)
    assert table.nodes["n1"].waiting in range(_COUNT, _COUNT + 5)


@pytest_twisted.ensureDeferred
async def test_balancer_frozen(daemons: Daemons, report: _Report) -> None:
    """
    Twenty thousand jobs are submitted while the balancer does nothing: the node's memory is
    bounded, and all of them are run when the balancer goes on.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1", "n2"], slots=20)
    node = cluster.nodes["n1"]
    session = await cluster.session("n1")
    await _typed(session, 0, 4)
    before = node.memory()
    cluster.balancer.freeze()
    tickets = await _typed(session, 0, _COUNT)
    grown = node.memory() - before
    report(f"{_COUNT} jobs while the balancer is frozen: node {grown:+.1f} MiB")
    assert grown < 60
    cluster.balancer.thaw()
    thawed = time.monotonic()
    assert await session.ask(f"wait {tickets[-1]}", 90) == "Result: slept 0 ms"
    session.send("".join(f"wait {ticket}\n" for ticket in tickets).encode())
    for _ in tickets:
        assert await session.line() == "Result: slept 0 ms"
    report(f"all had run {time.monotonic() - thawed:.2f} s after it went on")
    await cluster.stop()
    records = read_records(cluster.state_of("n1"), "n1")
    assert len(records) == _COUNT + 4
    assert {record.status for record in records.values()} == {"succeeded"}
