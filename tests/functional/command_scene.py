"""
What the tests of kills have in common where commands are run: a cluster with a hundred of them,
each of which writes down when it begins and when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from tests.functional.cluster import Cluster
from tests.functional.commands import NO_OUTPUT, process_of
from tests.functional.daemons import Daemons, until
from tests.functional.keepers import find_keeper, jobs_of
from tests.functional.records import Record, read_records
from tests.functional.sessions import Session

__all__ = ["COUNT", "NAMES", "SLOTS", "CommandScene", "Trace", "lasting_at"]

COUNT: Final = 100
"""Commands that run and wait when something is killed."""

NAMES: Final = ("n1", "n2", "n3")
"""The origin, and two more nodes."""

SLOTS: Final = 4
"""Of each node."""

_FIRST: Final = SLOTS * len(NAMES)
"""Commands that are begun at once, and last long at one of them."""

_SETTLE_LIMIT: Final = 60.0
"""Seconds in which the next command is to have its outcome once the faults have stopped."""

_DONE: Final = f"Result: exit code 0, {NO_OUTPUT}"


def lasting_at(node: str, how: str = "sleep 1000", count: int = COUNT) -> list[str]:
    """
    Commands of which those at one node last long when something is killed, if not after that: by
    their attempts, what is begun there later is not among them.

    @param how: what lasts long.
    """
    first = f"case $JOBCLUSTER_ATTEMPT$JOBCLUSTER_NODE in 1{node}) {how};; esac; sleep 0.3"
    return [first] * _FIRST + ["sleep 0.5"] * (count - _FIRST)


@attrs.frozen
class Trace:
    """What a command has written down: its attempts, each with number and node."""

    begun: tuple[tuple[int, str], ...]
    ended: tuple[tuple[int, str], ...]


class CommandScene:
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
        self.traces: dict[str, Path] = {}
        """By the tickets that were acknowledged."""
        self._directory = daemons.directory / "traces"
        self._report = report
        self._struck = 0.0

    async def begin(
        self,
        bodies: Sequence[str] = ("sleep 0.7",) * COUNT,
        options: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """
        Start the daemons and submit the commands.

        @param bodies: what each does, as a line of shell.
        @param options: more of them for some of the nodes.
        """
        self._directory.mkdir()
        self.cluster.balancer.start()
        for name in NAMES:
            self.cluster.add(name, *(options or {}).get(name, ()), slots=SLOTS).start()
        await self.cluster.joined(NAMES)
        session = await self.cluster.session(NAMES[0])
        traces = [self._directory / str(number) for number in range(len(bodies))]
        told = [f"$JOBCLUSTER_ATTEMPT $JOBCLUSTER_NODE >> {trace}" for trace in traces]
        scripts = [
            f"echo s {line}; {body}; echo e {line}" for body, line in zip(bodies, told, strict=True)
        ]
        self.traces.update(zip(await session.run_all(scripts), traces, strict=True))
        session.drop()

    # -- while they run ----------------------------------------------------------------------------

    def trace(self, ticket: str) -> Trace:
        """
        What a command has written by now.
        """
        path = self.traces[ticket]
        begun: list[tuple[int, str]] = []
        ended: list[tuple[int, str]] = []
        for line in path.read_text("ascii").splitlines() if path.exists() else ():
            what, attempt, node = line.split()
            (begun if what == "s" else ended).append((int(attempt), node))
        return Trace(tuple(begun), tuple(ended))

    def running(self, node: str) -> list[str]:
        """
        The tickets of the commands that have begun at a node, and not ended.
        """
        found = []
        for ticket in self.traces:
            trace = self.trace(ticket)
            if any(at == node for _, at in set(trace.begun) - set(trace.ended)):
                found.append(ticket)
        return found

    async def under_way(
        self, ended: int = 15, *, node: str = "n2", lasting: bool = False
    ) -> list[str]:
        """
        Wait until so many have ended, and all slots of a node are taken; now something is killed.

        @param lasting: whether its slots are to be taken by what lasts long. (Of what does not, all
            that runs may have ended by itself before it can be killed.)
        @return: the tickets of what runs at that node.
        """
        seen: list[str] = []
        first = set(list(self.traces)[:_FIRST])

        def look() -> bool:
            seen[:] = self.running(node)
            over = sum(bool(self.trace(ticket).ended) for ticket in self.traces)
            return over >= ended and len(seen) == SLOTS and (first.issuperset(seen) or not lasting)

        await until(30, "commands are not under way", look)
        self._struck = time.time()
        return seen

    def keeper(self, node: str = "n2") -> int:
        """
        The process id of a node's keeper.
        """
        return find_keeper(self.cluster.state_of(node))

    # -- in the end --------------------------------------------------------------------------------

    async def settle(self) -> dict[str, Record]:
        """
        See that all have one outcome, and stop everything.
        """
        await self.see_outcomes()
        return await self.finish()

    async def see_outcomes(self) -> None:
        """
        See that every command that was acknowledged has succeeded, and that all answers agree.
        """
        session = await self.cluster.session(NAMES[0])
        await self._ask_all(session, "wait")
        await self._ask_all(session, "result")
        rows = await session.listing("getall")
        assert [row.split("  ")[0] for row in rows] == list(self.traces)
        session.drop()

    async def _ask_all(self, session: Session, verb: str) -> None:
        answers = await session.ask_all([f"{verb} {t}" for t in self.traces], _SETTLE_LIMIT)
        for ticket, answer in zip(self.traces, answers, strict=True):
            assert answer == _DONE, (ticket, answer, self.trace(ticket))

    async def finish(self) -> dict[str, Record]:
        """
        Stop everything; see that no process is left, and that what the commands have written agrees
        with what their origin has.

        @return: the records by their tickets.
        """
        await self.cluster.stop()
        left = jobs_of(*self.traces)
        assert not left, process_of(left)
        records = read_records(self.cluster.state_of(NAMES[0]), NAMES[0])
        assert set(records) == set(self.traces)
        for ticket, record in records.items():
            trace = self.trace(ticket)
            assert record.status == "succeeded", record
            assert len(set(trace.begun)) == len(trace.begun), (trace, record)
            assert len(set(trace.ended)) == len(trace.ended), (trace, record)
            assert record.node in {node for _, node in trace.ended}, (trace, record)
            # What was started once more had been lost before, and that is on the disk.
            lost = sorted(attempt.node for attempt in record.losses)
            begun = [node for _, node in trace.begun]
            begun.remove(record.node)
            assert len(begun) <= len(lost), (trace, record)
            assert set(begun) <= set(lost), (trace, record)
        self._tell(records)
        return records

    def see_all_started_once(self) -> None:
        """
        See that every command was started once, and ended once.
        """
        for ticket in self.traces:
            trace = self.trace(ticket)
            assert len(trace.begun) == len(trace.ended) == 1, (ticket, trace)

    def see_lost(
        self, records: Mapping[str, Record], tickets: Sequence[str], node: str, cause: str
    ) -> None:
        """
        See that these have lost one attempt, there and by that, and no others.
        """
        lost = {ticket: record.losses for ticket, record in records.items() if record.losses}
        assert sorted(lost) == sorted(tickets)
        for losses in lost.values():
            assert [(loss.node, loss.cause) for loss in losses] == [(node, cause)]

    def _tell(self, records: Mapping[str, Record]) -> None:
        rescued = [record for record in records.values() if record.losses]
        figures = [f"{len(rescued)} commands were lost and run again"]
        if rescued:
            last = max(record.started for record in rescued) / 1000 - self._struck
            figures.append(f"the last of them started {last:.2f} s after the blow")
        self._report("; ".join(figures))
