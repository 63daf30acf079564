"""
How evenly four nodes of two slots run 200 sleeps of 10 to 300 ms that are typed into one of them,
and how near the whole comes to eight slots that lose no time; then the same in periodic mode.

C{python benchmarks/balance.py [--jobs N] [--mode eager|periodic] [--seed N]}
"""

from __future__ import annotations

import argparse
import heapq
import os
import random
import re
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from cluster import Cluster, Session, cluster

_NODES = 4
_SLOTS = 2
_LOOK_EVERY = 0.01

_SETTINGS = ("DISPATCH_MODE", "DISPATCH_PERIOD", "MAX_NUM_JOBS_DISPATCH")
_WAITING = re.compile(r"([0-9]+) waiting now")
_SHARE = re.compile(r"within 1 for ([0-9.]+) % of ([0-9.]+) s")


class Look(NamedTuple):
    """
    What C{nodes} said at a moment.
    """

    moment: float
    given: list[int]
    running: list[int]
    completed: int
    waiting: int
    balance: str

    @property
    def sent(self) -> int:
        """How many jobs have left for a node so far."""
        return sum(self.given) + self.completed


def look(session: Session) -> Look:
    """
    Ask a node for the state of the cluster.
    """
    *rows, balance = session.nodes()
    moment = time.monotonic()
    cells = [row.split() for row in rows[1:]]
    waiting = _WAITING.search(balance)
    assert waiting is not None, balance
    return Look(
        moment,
        [int(cell[3]) for cell in cells],
        [int(cell[4]) for cell in cells],
        sum(int(cell[5]) for cell in cells),
        int(waiting[1]),
        balance,
    )


def uneven(seen: Look) -> tuple[float, float]:
    """
    For how many seconds jobs had waited, and in how many of these the nodes were uneven.
    """
    found = _SHARE.search(seen.balance)
    assert found is not None, seen.balance
    measured = float(found[2])
    return measured, measured * (100 - float(found[1])) / 100


def ideal(times: Sequence[int], slots: int) -> float:
    """
    Seconds that these sleeps take in this order on so many slots that lose no time.
    """
    free = [0] * slots
    for each in times:
        heapq.heapreplace(free, free[0] + each)
    return max(free) / 1000


def run(made: Cluster, times: Sequence[int]) -> tuple[list[Look], float]:
    """
    Type the jobs and look at the cluster until all have results.

    @return: what was seen, and how many seconds it took from the first line to the last result.
    """
    typist, watcher = made.session(), made.session(1)
    looks: list[Look] = []
    took: list[float] = []

    def type_and_wait() -> None:
        begun = time.monotonic()
        typist.say("".join(f"{each}\n" for each in times).encode())
        tickets = [typist.line().split()[2] for _ in times]
        typist.say("".join(f"wait {ticket}\n" for ticket in tickets).encode())
        for each in times:
            answer = typist.line()
            assert answer == f"Result: slept {each} ms", answer
        took.append(time.monotonic() - begun)

    typing = threading.Thread(target=type_and_wait)
    typing.start()
    while typing.is_alive():
        looks.append(look(watcher))
        time.sleep(_LOOK_EVERY)
    assert took, "not every job had its result"
    looks.append(look(watcher))
    return looks, took[0]


def eager(times: Sequence[int]) -> None:
    """
    Measure the balance while nothing waits for a timer.
    """
    with cluster(_NODES, _SLOTS) as made:
        looks, took = run(made, times)
    best = ideal(times, _NODES * _SLOTS)
    # The first lines are placed before the last one is typed.
    begun = next(index for index, each in enumerate(looks) if each.waiting)
    waited = [each for each in looks[begun:] if each.waiting]
    equal = sum(max(each.given) == min(each.given) for each in waited)
    print(looks[-1].balance)
    # What the contract speaks of (C4 c) begins when jobs have waited for a second.
    settled = next(each for each in waited if each.moment > waited[0].moment + 1)
    (measured, bad), (before, bad_before) = uneven(looks[-1]), uneven(settled)
    share = 1 - max(0.0, bad - bad_before) / (measured - before)
    print(f"from the first second on: within 1 for {100 * share:.2f} % of the time")
    worst = max(max(each.given) - min(each.given) for each in waited)
    print(
        f"given equal in {equal} of {len(waited)} looks while jobs waited,"
        f" max - min {worst} at worst"
    )
    for each in waited:
        if max(each.given) > min(each.given):
            print(f"    {each.given}, {each.waiting} waiting, {each.sent} sent")
    print(f"makespan {took:.3f} s, ideal {best:.3f} s, ratio {took / best:.4f}")


def periodic(times: Sequence[int]) -> None:
    """
    Show in which rounds the jobs leave with the settings of the original.
    """
    settings = [f"{name}={os.environ[name]}" for name in _SETTINGS if name in os.environ]
    print(f"periodic mode; in the environment: {', '.join(settings) or 'nothing'}")
    os.environ["DISPATCH_MODE"] = "periodic"
    with cluster(_NODES, _SLOTS) as made:
        looks, took = run(made, times)
    before = looks[0]
    last = before.moment
    rounds = 0
    for each in looks:
        if each.sent > before.sent:
            rounds += 1
            print(
                f"round {rounds}: {each.moment - last:.2f} s after the one before,"
                f" {each.sent - before.sent} jobs; given {each.given}, running {each.running},"
                f" {each.waiting} waiting"
            )
            last = each.moment
        before = each
    print(looks[-1].balance)
    print(f"{rounds} rounds; makespan {took:.3f} s")


def main() -> None:
    """
    Measure, and print a line for each figure.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--mode", choices=("eager", "periodic", "both"), default="both")
    parser.add_argument("--seed", type=int, default=9)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    times = [chance.randint(10, 300) for _ in range(chosen.jobs)]
    if chosen.mode != "periodic":
        eager(times)
    if chosen.mode != "eager":
        periodic(times)


if __name__ == "__main__":
    main()
