"""
How evenly the jobs are spread over the nodes, and how little time that loses.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import attrs
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, pause
from tests.functional.sessions import Job, Session, Table

_Report = Callable[[str], None]

_NAMES: Final = ("n1", "n2", "n3", "n4")
_SLOTS: Final = 2
_LIMIT: Final = 60.0
_LOOK_EVERY: Final = 0.02

_PERIOD: Final = 0.5
_MOST: Final = 30
"""Jobs in one round of the periodic mode."""


@attrs.frozen
class _Look:
    """What C{nodes} said at a moment."""

    moment: float
    given: tuple[int, ...]
    completed: int
    table: Table

    @property
    def spread(self) -> int:
        """How far the counts of what was given are apart."""
        return max(self.given) - min(self.given)

    @property
    def sent(self) -> int:
        """How many jobs have left for a node so far."""
        return sum(self.given) + self.completed


async def _look(session: Session) -> _Look:
    table = await session.nodes()
    assert not isinstance(table, str), table
    rows = [table.nodes[name] for name in _NAMES]
    return _Look(
        time.monotonic(),
        tuple(row.given for row in rows),
        sum(row.completed for row in rows),
        table,
    )


async def _watch(cluster: Cluster, times: Sequence[int]) -> list[_Look]:
    """
    Type sleeps into C{n1}, and look at the cluster until all have ended and have their results.
    """
    typist, watcher = await cluster.session("n1"), await cluster.session("n2")
    looks = [await _look(watcher)]
    typist.type(*map(str, times))
    while looks[-1].completed < len(times):
        assert looks[-1].moment - looks[0].moment < _LIMIT, looks[-1]
        await pause(_LOOK_EVERY)
        looks.append(await _look(watcher))
    tickets = [(await typist.line()).removeprefix("Ticket ID: ") for _ in times]
    jobs = [Job(ticket, each) for ticket, each in zip(tickets, times, strict=True)]
    answers = await typist.ask_all([f"wait {job.ticket}" for job in jobs])
    assert answers == [f"Result: {job.result}" for job in jobs]
    rows = await typist.listing("getall")
    assert [row.split("  ")[0] for row in rows] == sorted(tickets)
    return looks


def _ideal(times: Sequence[int], slots: int) -> float:
    """
    Seconds that these take in this order on so many slots that lose no time.
    """
    free = [0] * slots
    for each in times:
        heapq.heapreplace(free, free[0] + each)
    return max(free) / 1000


@pytest_twisted.ensureDeferred
async def test_eager(daemons: Daemons, report: _Report) -> None:
    """
    While jobs wait, every node is given as many as the others, and runs as many, or one less.

    What a node lacks for the length of a round trip weighs more the shorter the sleeps are, and on
    a busy machine; so they are longer than those of C{benchmarks/balance.py}.
    """
    cluster = Cluster(daemons)
    await cluster.start(_NAMES, slots=_SLOTS)
    chance = random.Random(9)
    times = [chance.randint(30, 900) for _ in range(120)]
    looks = await _watch(cluster, times)
    slots = _SLOTS * len(_NAMES)
    assert all(max(look.given) <= _SLOTS for look in looks)
    waited = [look for look in looks if look.table.balance.waiting]
    # What has just ended may be missing: the question may come between it and the round.
    uneven = [look.given for look in waited if look.spread > 1]
    assert len(uneven) <= len(waited) / 50, uneven
    even = sum(not look.spread for look in waited)
    assert even >= len(waited) * 0.9, [look.given for look in waited if look.spread]
    balance = looks[-1].table.balance
    took = looks[-1].moment - looks[0].moment
    report(
        f"within 1 for {balance.share:.2f} % of {balance.measured:.1f} s, on average"
        f" {balance.average:.3f}, worst {balance.worst}; given equal in {even} of {len(waited)}"
        f" looks; {took:.2f} s, {took / _ideal(times, slots):.3f} times the ideal"
    )
    assert balance.mode == "eager"
    assert balance.measured > 1
    assert balance.share >= 99


@pytest_twisted.ensureDeferred
async def test_periodic(daemons: Daemons, report: _Report) -> None:
    """
    In periodic mode jobs leave by the clock alone, thirty at most each time, to the nodes that hold
    least, and a node runs no more than it has slots for.
    """
    settings = {"DISPATCH_MODE": "periodic", "DISPATCH_PERIOD": f"{_PERIOD * 1000:.0f}"}
    cluster = Cluster(daemons, environ=settings)
    await cluster.start(_NAMES, slots=_SLOTS)
    chance = random.Random(9)
    times = [chance.randint(10, 60) for _ in range(200)]
    looks = await _watch(cluster, times)
    rounds = [(before, after) for before, after in pairwise(looks) if after.sent > before.sent]
    sizes = [after.sent - before.sent for before, after in rounds]
    moments = [after.moment for _, after in rounds]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    report(f"{len(rounds)} rounds of {sizes} jobs, {', '.join(f'{gap:.2f}' for gap in gaps)} s")
    assert sum(sizes) == len(times)
    for before, after in rounds:
        # A look that came late may have missed a round.
        missed = int((after.moment - before.moment) / _PERIOD)
        assert after.sent - before.sent <= _MOST * (1 + missed)
    for look in looks:
        assert all(row.running <= _SLOTS for row in look.table.nodes.values())
    # What has ended since the round is missing; nothing has before it was given.
    fresh = [after for before, after in rounds if after.completed == before.completed]
    assert fresh, "no look came right after a round"
    assert all(after.spread <= 1 for after in fresh), [after.given for after in fresh]
    assert moments[-1] - moments[0] >= (len(times) / _MOST - 1.5) * _PERIOD
    assert looks[-1].table.balance.mode == "periodic"
