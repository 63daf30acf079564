"""
How fast a cluster of two nodes runs sleeps of 0 ms, one by one and in a batch, over one console.

C{python benchmarks/jobs.py [--one-by-one N] [--batch N] [--nodes N] [--slots N]}
"""

from __future__ import annotations

import argparse
import threading
import time

from cluster import Cluster, Session, cluster


def one_by_one(session: Session, count: int) -> None:
    """
    Measure the time from a submission to its result on an idle cluster.
    """
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        ticket = session.ask("0").split()[2]
        answer = session.ask(f"wait {ticket}")
        times.append(time.perf_counter() - begun)
        assert answer.startswith("Result: slept 0 ms"), answer
    times.sort()
    middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"B  one by one, {count}: p50 {middle * 1e3:.2f} ms, p99 {late * 1e3:.2f} ms")


def batch(made: Cluster, session: Session, count: int) -> None:
    """
    Measure how many jobs a second are submitted, run and have their results fetched.
    """
    daemons = {"balancer": made.balancer, **{f"node {n}": d for n, d in enumerate(made.nodes, 1)}}
    before = {name: daemon.cpu for name, daemon in daemons.items()}
    begun = time.perf_counter()
    typing = threading.Thread(target=session.say, args=(b"0\n" * count,))
    typing.start()
    tickets = [session.line().split()[2] for _ in range(count)]
    typing.join()
    submitted = time.perf_counter() - begun
    questions = "".join(f"wait {ticket}\n" for ticket in tickets).encode()
    typing = threading.Thread(target=session.say, args=(questions,))
    typing.start()
    for _ in range(count):
        answer = session.line()
        assert answer.startswith("Result: slept 0 ms"), answer
    typing.join()
    ended = time.perf_counter() - begun
    used = {name: daemon.cpu - before[name] for name, daemon in daemons.items()}
    spent = ", ".join(f"{name} {seconds / count * 1e6:.0f}" for name, seconds in used.items())
    print(f"   submitted durably: {count / submitted:,.0f}/s")
    print(f"A' in a batch of {count:,}: {count / ended:,.0f} jobs/s")
    print(f"   CPU a job in µs: {spent}")


def main() -> None:
    """
    Measure, and print a line for each figure.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-by-one", type=int, default=500)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--slots", type=int, default=2)
    chosen = parser.parse_args()
    with cluster(chosen.nodes, chosen.slots) as made:
        session = made.session()
        one_by_one(session, chosen.one_by_one)
        batch(made, session, chosen.batch)
        print("\n".join(session.nodes()))


if __name__ == "__main__":
    main()
