"""
How fast the balancer's core places jobs and takes their ends, without sockets.

C{python benchmarks/core.py [--nodes 10,100,1000] [--jobs N] [--batch N]}
"""

from __future__ import annotations

import argparse
import time

from jobcluster.core.actions import SendDispatch
from jobcluster.core.cluster import Cluster, ClusterSettings
from jobcluster.core.events import JoinReceived, ReportReceived, RoundDue
from jobcluster.core.values import Now, Outcome, Status
from jobcluster.core.words import Finished, JoinPart, Offered, Report, Start, Told

OUTCOME = Outcome(Status.SUCCEEDED, 0, "", 1, 2, "node", b"")


def now() -> Now:
    """
    Read one clock for all three.
    """
    seconds = time.perf_counter()
    return Now(seconds, seconds, seconds)


def join(core: Cluster, connection: int, slots: int) -> None:
    """
    Have a node join that holds nothing.
    """
    part = JoinPart(
        version=1,
        name=f"node-{connection}",
        store=f"store-{connection}",
        incarnation=1,
        random=1,
        serial=1,
        part=0,
        last=True,
        boot="boot",
        keeper="",
        slots=slots,
    )
    core.handle(JoinReceived(connection, part), now())


def offer(serial: int) -> Offered:
    """
    Offer one job.
    """
    return Offered(serial, 1, serial, "sleep", b"0", 0, "", 1, True, False, False)


def run(nodes: int, jobs: int, batch: int) -> tuple[float, float]:
    """
    Place and end so many jobs of one origin.

    @return: placements and ends a second.
    """
    core = Cluster(ClusterSettings(max_nodes=nodes + 1), "balancer", now())
    for connection in range(1, nodes + 1):
        join(core, connection, max(1, batch // nodes))
    placing = ending = 0.0
    done = 0
    while done < jobs:
        offers = tuple(offer(serial) for serial in range(done + 1, done + batch + 1))
        begun = time.perf_counter()
        core.handle(ReportReceived(1, Report(offered=offers)), now())
        actions = core.handle(RoundDue(), now())
        placing += time.perf_counter() - begun
        starts: dict[int, list[Start]] = {}
        for action in actions:
            if isinstance(action, SendDispatch):
                starts.setdefault(action.connection, []).extend(action.dispatch.start)
        reports = [
            (
                connection,
                Report(
                    finished=tuple(
                        Finished(row.origin, row.store, 1, row.serial, row.job, OUTCOME)
                        for row in rows
                    )
                ),
            )
            for connection, rows in starts.items()
            if rows
        ]
        placed = sum(map(len, starts.values()))
        ended = Report(
            acknowledge=tuple(
                Told(row.job, 1, row.serial) for rows in starts.values() for row in rows
            )
        )
        begun = time.perf_counter()
        for connection, report in reports:
            core.handle(ReportReceived(connection, report), now())
        core.handle(ReportReceived(1, ended), now())
        ending += time.perf_counter() - begun
        assert placed, "no node had room"
        done += placed
    return done / placing, done / ending


def main() -> None:
    """
    Measure, and print a line for each number of nodes.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="10,100,1000")
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=2000)
    chosen = parser.parse_args()
    for nodes in map(int, chosen.nodes.split(",")):
        placements, ends = run(nodes, chosen.jobs, chosen.batch)
        print(f"{nodes:5} nodes: {placements:,.0f} placements/s, {ends:,.0f} ends/s")


if __name__ == "__main__":
    main()
