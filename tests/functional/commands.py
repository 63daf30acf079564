"""
What the tests of commands have in common: how they end, and what is left of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.functional.cluster import Cluster
from tests.functional.daemons import until
from tests.functional.keepers import jobs_of
from tests.functional.sessions import Session

__all__ = ["NO_OUTPUT", "end_of", "is_there", "keeper_log", "peak_of", "pids_in", "process_of"]

NO_OUTPUT: Final = "output 0 bytes, errors 0 bytes"


async def end_of(session: Session, ticket: str, limit: float = 30.0) -> str:
    """
    Wait for the end of a command, see that no process of it is left then, and return what is said
    of it.
    """
    answer = await session.ask(f"wait {ticket}", limit)
    assert jobs_of(ticket) == [], answer
    assert answer.startswith("Result: "), answer
    return answer.removeprefix("Result: ")


def is_there(pid: int) -> bool:
    """
    Whether there is a process of this number that has not ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


async def pids_in(path: Path, count: int = 1) -> list[int]:
    """
    Wait until so many processes have written their numbers there, a line each.
    """

    def numbers() -> list[int]:
        text = path.read_text("ascii") if path.exists() else ""
        return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    await until(30, f"there are no {count} numbers", lambda: len(numbers()) >= count)
    return numbers()


def peak_of(pid: int) -> float:
    """
    How much of the memory of a process was resident at most, in MiB.
    """
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+([0-9]+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def process_of(pids: Iterable[int]) -> str:
    """
    What these processes are, for an error.
    """
    shown = []
    for pid in pids:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue
        shown.append(f"{pid}: {os.fsdecode(line)}")
    return "; ".join(shown)


def keeper_log(cluster: Cluster, node: str) -> list[str]:
    """
    The lines of the log of a node's keepers.
    """
    log = cluster.state_of(node) / "keeper" / "log"
    return log.read_text("utf-8").splitlines() if log.exists() else []
