"""
How fast a cluster of two nodes calls functions that do nothing, one by one and in a batch, over one
console, every result fetched; beside a command and a function in this process.

C{python benchmarks/functions.py [--one-by-one N] [--batch N] [--commands N] [--nodes N]
[--slots N]}
"""

from __future__ import annotations

import argparse
import operator
import threading
import time

from cluster import Cluster, Session, cluster

CALL = "call operator:neg 1"


def one_by_one(session: Session, count: int) -> None:
    """
    Measure the time from a submission to its result on an idle cluster.
    """
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        ticket = session.ask(CALL).split()[2]
        answer = session.ask(f"wait {ticket}")
        times.append(time.perf_counter() - begun)
        assert answer == "Result: -1", answer
    times.sort()
    middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"B  one by one, {count}: p50 {middle * 1e3:.2f} ms, p99 {late * 1e3:.2f} ms")


def batch(session: Session, line: str, result: str, count: int) -> float:
    """
    Jobs a second that are submitted, run and have their results fetched.
    """
    begun = time.perf_counter()
    typing = threading.Thread(target=session.say, args=(f"{line}\n".encode() * count,))
    typing.start()
    tickets = [session.line().split()[2] for _ in range(count)]
    typing.join()
    questions = "".join(f"wait {ticket}\n" for ticket in tickets).encode()
    typing = threading.Thread(target=session.say, args=(questions,))
    typing.start()
    for _ in range(count):
        answer = session.line()
        assert answer.startswith(result), answer
    typing.join()
    return count / (time.perf_counter() - begun)


def spent(made: Cluster) -> dict[str, float]:
    """
    Seconds of the processor that each daemon has had.
    """
    daemons = {"balancer": made.balancer, **{f"node {n}": d for n, d in enumerate(made.nodes, 1)}}
    return {name: daemon.cpu for name, daemon in daemons.items()}


def main() -> None:
    """
    Measure, and print a line for each figure.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-by-one", type=int, default=500)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--commands", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--slots", type=int, default=2)
    chosen = parser.parse_args()
    with cluster(chosen.nodes, chosen.slots) as made:
        session = made.session()
        one_by_one(session, chosen.one_by_one)
        before = spent(made)
        functions = batch(session, CALL, "Result: -1", chosen.batch)
        used = {name: seconds - before[name] for name, seconds in spent(made).items()}
        print(f"A  {chosen.batch:,} null functions: {functions:,.0f} jobs/s")
        each = ", ".join(f"{name} {cpu / chosen.batch * 1e6:.0f}" for name, cpu in used.items())
        print(f"   CPU a job in µs: {each}")
        commands = batch(session, "run /bin/true", "Result: exit code 0", chosen.commands)
        ratio = functions / commands
        print(f"   /bin/true, {chosen.commands:,}: {commands:,.0f}/s; ratio {ratio:.1f}")
        begun = time.perf_counter()
        for _ in range(chosen.batch):
            operator.neg(1)
        bare = chosen.batch / (time.perf_counter() - begun)
        print(f"   in a loop of this process: {bare:,.0f}/s")


if __name__ == "__main__":
    main()
