"""
How fast a cluster of two nodes runs programs: C{/bin/true} beside C{xargs -P2}, and 1 MiB outputs.

C{python benchmarks/commands.py [--true N] [--outputs N] [--size BYTES]}

Exit code and output of each are fetched through one console.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import threading
import time
from pathlib import Path

from cluster import Cluster, Session, cluster


def keepers(made: Cluster) -> list[int]:
    """
    The processes that run the nodes' jobs.
    """
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"jobcluster.keeper" in words and any(
                str(made.directory).encode() in word for word in words
            ):
                found.append(int(process.name))
    return found


def peak(pid: int) -> float:
    """
    The most MiB that a process had in memory.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def xargs(count: int) -> float:
    """
    Programs a second of C{xargs -P2}, without results.
    """
    begun = time.perf_counter()
    names = "".join(f"{number}\n" for number in range(count)).encode()
    subprocess.run(["xargs", "-P2", "-n1", "/bin/true"], input=names, check=True)
    return count / (time.perf_counter() - begun)


def posix_spawn(count: int) -> float:
    """
    Programs a second of a loop around posix_spawn, two at a time.
    """
    begun = time.perf_counter()
    for number in range(count):
        if number >= 2:
            os.wait()
        os.posix_spawn("/bin/true", ["/bin/true"], {})
    for _ in range(2):
        os.wait()
    return count / (time.perf_counter() - begun)


def submit(session: Session, lines: list[str]) -> list[str]:
    """
    Type many lines at once; returns the tickets.
    """
    data = "".join(f"{line}\n" for line in lines).encode()
    typing = threading.Thread(target=session.say, args=(data,))
    typing.start()
    tickets = [session.line().split()[2] for _ in lines]
    typing.join()
    return tickets


def true(session: Session, count: int) -> float:
    """
    Programs a second, exit code and output fetched.
    """
    begun = time.perf_counter()
    tickets = submit(session, ["run /bin/true"] * count)
    questions = "".join(f"wait {ticket}\noutput {ticket}\n" for ticket in tickets).encode()
    typing = threading.Thread(target=session.say, args=(questions,))
    typing.start()
    for _ in tickets:
        answer = session.line()
        assert answer.startswith("Result: exit code 0"), answer
        answer = session.line()
        assert answer.startswith("Output: 0 bytes"), answer
    typing.join()
    return count / (time.perf_counter() - begun)


def outputs(session: Session, count: int, size: int) -> float:
    """
    MiB a second of outputs of that size, all fetched.
    """
    begun = time.perf_counter()
    tickets = submit(session, [f"run head -c {size} /dev/zero"] * count)
    for ticket in tickets:
        answer = session.ask(f"wait {ticket}")
        assert answer.startswith("Result: exit code 0"), answer
        out, err = session.output(ticket)
        assert (len(out), len(err)) == (size, 0), (len(out), len(err))
    return count * size / (time.perf_counter() - begun) / (1 << 20)


def main() -> None:
    """
    Measure, and print a line for each figure.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--true", type=int, default=2000)
    parser.add_argument("--outputs", type=int, default=200)
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--large", type=int, default=100 << 20)
    chosen = parser.parse_args()
    with cluster(2, 2) as made:
        session = made.session()
        rate, other, bare = true(session, chosen.true), xargs(chosen.true), posix_spawn(chosen.true)
        print(f"C  /bin/true, {chosen.true}: {rate:,.0f}/s")
        print(f"   xargs -P2: {other:,.0f}/s, ratio {rate / other:.2f}")
        print(f"   posix_spawn two at a time: {bare:,.0f}/s, ratio {rate / bare:.2f}")
        rate = outputs(session, chosen.outputs, chosen.size)
        print(f"D  {chosen.outputs} outputs of {chosen.size:,} bytes: {rate:,.0f} MiB/s")
        rate = outputs(session, 1, chosen.large)
        print(f"   one of {chosen.large:,} bytes: {rate:,.0f} MiB/s")
        for name, pid in [
            ("balancer", made.balancer.pid),
            *((f"node {number}", node.pid) for number, node in enumerate(made.nodes, 1)),
            *(("keeper", pid) for pid in keepers(made)),
        ]:
            print(f"   {name}: {peak(pid):.1f} MiB at its peak")


if __name__ == "__main__":
    main()
