"""
How fast a program is served that hands jobs in by the Python API, every result in its hands: null
functions in a batch and one by one, sleeps of nothing, and results of 1 MiB.

C{python benchmarks/client.py [--batch N] [--one-by-one N] [--results N] [--nodes N] [--slots N]}
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cluster import Cluster as Daemons
from cluster import cluster

from jobcluster import Cluster

MIB = 1024 * 1024


def batch(hand_in: Callable[[], Future[Any]], count: int) -> float:
    """
    Jobs a second, from the first that is handed in to the last result.
    """
    begun = time.perf_counter()
    for future in [hand_in() for _ in range(count)]:
        future.result()
    return count / (time.perf_counter() - begun)


def one_by_one(hand_in: Callable[[], Future[Any]], count: int) -> str:
    """
    The time from a submission to its result on an idle cluster.
    """
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        hand_in().result()
        times.append(time.perf_counter() - begun)
    times.sort()
    middle, late = times[count // 2], times[int(count * 0.99)]
    return f"p50 {middle * 1e3:.2f} ms, p99 {late * 1e3:.2f} ms"


def spent(made: Daemons) -> dict[str, float]:
    """
    Seconds of the processor that each process has had.
    """
    daemons = {"balancer": made.balancer, **{f"node {n}": d for n, d in enumerate(made.nodes, 1)}}
    used = {name: daemon.cpu for name, daemon in daemons.items()}
    return {**used, "this client": time.process_time()}


def main() -> None:
    """
    Measure, and print a line for each figure.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--one-by-one", type=int, default=500)
    parser.add_argument("--results", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--slots", type=int, default=2)
    chosen = parser.parse_args()
    with (
        cluster(chosen.nodes, chosen.slots, node=["--client", "none"]) as made,
        Cluster(str(made.directory / "state-1" / "client")) as client,
    ):
        client.submit(abs, -1).result()

        def function() -> Future[int]:
            return client.submit(abs, -1)

        def sleep() -> Future[str]:
            return client.sleep(0)

        def large() -> Future[Any]:
            return client.command(["head", "-c", str(MIB), "/dev/zero"])

        print(f"B  null functions one by one: {one_by_one(function, chosen.one_by_one)}")
        print(f"   sleeps of 0 ms one by one: {one_by_one(sleep, chosen.one_by_one)}")
        for name, hand_in in (("null functions", function), ("sleeps of 0 ms", sleep)):
            before = spent(made)
            rate = batch(hand_in, chosen.batch)
            print(f"A  {chosen.batch:,} {name}: {rate:,.0f} jobs/s")
            used = {who: after - before[who] for who, after in spent(made).items()}
            each = ", ".join(f"{who} {cpu / chosen.batch * 1e6:.0f}" for who, cpu in used.items())
            print(f"   CPU a job in µs: {each}")
        begun = time.perf_counter()
        futures = [large() for _ in range(chosen.results)]
        assert all(len(future.result().out) == MIB for future in futures)
        rate = chosen.results / (time.perf_counter() - begun)
        print(f"D  {chosen.results} results of 1 MiB: {rate:,.0f} MiB/s")


if __name__ == "__main__":
    main()
