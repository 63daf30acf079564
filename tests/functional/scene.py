"""
What the tests of kills have in common: a cluster with a hundred jobs running and waiting, and the
proof that each of them has one outcome in the end.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, pause, until_told
from tests.functional.records import Record, read_records
from tests.functional.sessions import Job, Session

__all__ = ["COUNT", "SLOTS", "Scene", "mixed"]

COUNT: Final = 100
"""Jobs that run and wait when something is killed."""

_ORIGIN: Final = "n1"
_NAMES: Final = (_ORIGIN, "n2", "n3")
SLOTS: Final = 4
"""Of each node."""

_UNDER_WAY: Final = 15
"""Jobs that have ended before something is killed."""

_SETTLE_LIMIT: Final = 90.0
"""Seconds in which the next job is to have its outcome once the faults have stopped."""

_TO_START: Final = re.compile(r"\] \S+ starts$", re.MULTILINE)


def mixed(count: int, seed: int = 9) -> list[int]:
    """
    Sleeps of 50 to 800 ms, and some of 1.5 to 3 s among them, which outlive their node's process.
    """
    chance = random.Random(seed)
    return [
        chance.randint(1500, 3000) if number % 12 == 4 else chance.randint(50, 800)
        for number in range(count)
    ]


class Scene:
    """
    A balancer, an origin C{n1} and two more nodes, with four slots each.
    """

    def __init__(
        self, daemons: Daemons, report: Callable[[str], None], *balancer_options: str
    ) -> None:
        """
        A scene that is not set up.
        """
        self.cluster: Final = Cluster(daemons, *balancer_options)
        self.jobs: list[Job] = []
        self._report = report
        self._struck = 0.0
        """When something was killed, in seconds since the epoch."""

    async def begin(
        self,
        times: Sequence[int] | None = None,
        options: Mapping[str, Sequence[str]] | None = None,
        states: Mapping[str, Path] | None = None,
        *,
        grace: float = 0,
    ) -> Session:
        """
        Start the daemons, submit the jobs, and wait until some have ended.

        @param times: of the sleeps, in milliseconds.
        @param options: more of them for some of the nodes.
        @param states: the state directories of some of the nodes.
        @param grace: seconds for which the balancer is to have been there when jobs come.
        @return: the session at the origin that they were submitted in.
        """
        self.cluster.balancer.start()
        for name in _NAMES:
            more = (options or {}).get(name, ())
            state = (states or {}).get(name)
            self.cluster.add(name, "--verbose", *more, slots=SLOTS, state=state).start()
        await self.cluster.joined(_NAMES)
        if grace:
            # Before, it starts no job again that another balancer may have given to somebody.
            await pause(grace)
        session = await self.cluster.session(_ORIGIN)
        self.jobs += await session.submit(mixed(COUNT) if times is None else times)
        return session

    async def under_way(self) -> None:
        """
        Wait until some jobs have ended, so that every slot is taken and many jobs wait.
        """
        session = await self.cluster.session("n3")

        async def look() -> bool:
            table = await session.nodes()
            assert not isinstance(table, str)
            return sum(row.completed for row in table.nodes.values()) >= _UNDER_WAY

        await until_told(30, "no jobs end", look)
        session.drop()

    def strike(self) -> None:
        """
        Take the time: now something is killed.
        """
        self._struck = time.time()

    async def settle(
        self, odd: Mapping[str, Sequence[str]] | None = None, *, more: bool = False
    ) -> dict[str, Record]:
        """
        See that every job that was acknowledged has one outcome, the same for whoever asks and
        however often; then stop everything, and see that the database has it, too.

        @param odd: the tickets that may have other answers to C{wait} than what they return, and
            which.
        @param more: whether there may be jobs that were not acknowledged, too.
        @return: the records by their tickets.
        """
        odd = odd or {}
        acknowledged = {job.ticket for job in self.jobs}
        session = await self.cluster.session(_ORIGIN)
        asked = [f"wait {job.ticket}" for job in self.jobs]
        answers = await session.ask_all(asked, _SETTLE_LIMIT)
        for job, answer in zip(self.jobs, answers, strict=True):
            assert answer in odd.get(job.ticket, [f"Result: {job.result}"]), (job, answer)
        rows = await session.listing("getall")
        tickets = [row.split("  ")[0] for row in rows]
        assert tickets == sorted(set(tickets)), "a ticket is listed twice"
        assert acknowledged <= set(tickets) if more else acknowledged == set(tickets)
        again = await session.ask_all([f"result {job.ticket}" for job in self.jobs])
        assert again == answers, "an answer has changed"
        session.drop()
        await self.cluster.stop()
        records = read_records(self.cluster.state_of(_ORIGIN), _ORIGIN)
        assert set(records) == set(tickets)
        for job, answer in zip(self.jobs, answers, strict=True):
            record = records[job.ticket]
            assert record.status, "it has no outcome on the disk"
            assert answer.removeprefix("Result: ").startswith(record.value or record.status)
        self._tell(records)
        return records

    def _tell(self, records: Mapping[str, Record]) -> None:
        """Report how long everything took from the moment that something was killed."""
        rescued = [r for r in records.values() if r.losses and r.status == "succeeded"]
        later = [
            record.started / 1000 - self._struck
            for record in records.values()
            if record.started / 1000 > self._struck
        ]
        figures = [f"{len(rescued)} jobs rescued"]
        if rescued:
            last = max(record.started for record in rescued) / 1000 - self._struck
            figures.append(f"the last of them started {last:.2f} s after the blow")
        if later:
            figures.append(f"the next job started {min(later):.2f} s after it")
            figures.append(f"the last job started {max(later):.2f} s after it")
        self._report("; ".join(figures))

    def starts(self) -> int:
        """
        How many jobs all nodes were told to start, by their own logs; what a process takes up that
        an earlier one has started comes before it says that it is up.
        """
        return sum(
            len(_TO_START.findall(process.partition(f"node {name} is up")[2]))
            for name, node in self.cluster.nodes.items()
            for process in node.said_ever.split(" starting up.")
        )
