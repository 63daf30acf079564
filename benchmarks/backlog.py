"""
What 100,000 jobs that wait at one node cost: memory, and time until the node answers after kill -9.

C{python benchmarks/backlog.py [--jobs N] [--nodes N] [--slots N]}
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable

from cluster import Cluster, Session, cluster

_HOUR = 3_600_000
_PATIENCE = 60.0
_WINDOW = 4096


def submit(session: Session, count: int) -> list[str]:
    """
    Type so many long sleeps; returns their tickets.
    """
    typing = threading.Thread(target=session.say, args=(b"%d\n" % _HOUR * count,))
    typing.start()
    tickets = [session.line().split()[2] for _ in range(count)]
    typing.join()
    return tickets


def tell_memory(made: Cluster, when: str) -> None:
    """
    Print what the balancer, the node and the other nodes have in memory.
    """
    others = ", ".join(f"{node.memory:.1f}" for node in made.nodes[1:])
    print(
        f"memory {when}: balancer {made.balancer.memory:.1f} MiB,"
        f" node {made.nodes[0].memory:.1f} MiB, other nodes {others or 'none'}"
    )


def until(what: str, look: Callable[[], bool]) -> None:
    """
    Look again and again until it is so.
    """
    end = time.monotonic() + _PATIENCE
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.005)


def answers(made: Cluster, question: str, expected: str) -> bool:
    """
    Whether the first node answers a question as expected, in a session of its own.
    """
    try:
        session = Session(made.ports[0])
    except OSError:
        return False
    with contextlib.suppress(EOFError, OSError):
        return session.ask(question).startswith(expected)
    return False


def waiting(made: Cluster) -> int:
    """
    How many jobs the balancer knows to wait, or -1 while the first node cannot ask it.
    """
    session = made.session()
    try:
        session.say(b"nodes\n")
        line = session.line()
        while not line.startswith(("Balance", "Error")):
            line = session.line()
    finally:
        session.close()
    return int(line.split()[-3]) if line.startswith("Balance") else -1


def main() -> None:
    """
    Measure, and print a line for each figure.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--slots", type=int, default=2)
    chosen = parser.parse_args()
    with cluster(chosen.nodes, chosen.slots) as made:
        slots = chosen.nodes * chosen.slots
        session = made.session()
        submit(session, slots)
        until("the slots are not taken", lambda: waiting(made) == 0)
        tell_memory(made, "before")
        begun = time.monotonic()
        tickets = submit(session, chosen.jobs)
        took = time.monotonic() - begun
        print(f"{chosen.jobs:,} jobs submitted in {took:.1f} s: {chosen.jobs / took:,.0f}/s")
        known = min(chosen.jobs, _WINDOW)
        until("the balancer does not know", lambda: waiting(made) >= known)
        tell_memory(made, "after")
        print(f"the balancer knows of {waiting(made):,} that wait")

        made.nodes[0].kill()
        begun = time.monotonic()
        made.nodes[0].start()
        question = f"status {tickets[-1]}"
        until("it does not answer", lambda: answers(made, question, "Status: waiting"))
        print(f"after kill -9: answers a status again after {time.monotonic() - begun:.2f} s")
        until("it has not joined", lambda: waiting(made) >= 0)
        print(f"               is joined after {time.monotonic() - begun:.2f} s")
        until("the balancer does not know", lambda: waiting(made) >= chosen.jobs)
        print(f"               the balancer knows them all {time.monotonic() - begun:.2f} s after")
        tell_memory(made, "after the restart")
        print("\n".join(made.session().nodes()))


if __name__ == "__main__":
    main()
