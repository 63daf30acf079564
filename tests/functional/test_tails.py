"""
The output of commands, followed from another node while they run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons
from tests.functional.sessions import Session

_Report = Callable[[str], None]

_FRAME: Final = re.compile(r"Output: ([0-9]+) bytes at ([0-9]+) of attempt ([0-9]+)")


class _Tail:
    """
    Standard output as it came, piece by piece.
    """

    def __init__(self, cluster: Cluster, name: str, ticket: str) -> None:
        self._cluster = cluster
        self._name = name
        self._ticket = ticket
        self.data = b""
        self.pieces = 0
        self.errors: list[str] = []
        self.result = ""

    async def begin(self) -> Session:
        """
        Begin a session, or another one, and go on where the last one was.
        """
        session = await self._cluster.session(self._name)
        session.type(f"tail --frames {self._ticket} out {len(self.data)} {min(1, self.pieces)}")
        return session

    async def read(self, session: Session, lines: int) -> None:
        """
        Read on until there are so many lines, or the result.
        """
        while self.data.count(b"\n") < lines and not self.result:
            line = await session.line()
            if line.startswith("Error: "):
                self.errors.append(line)
                session.type(f"tail --frames {self._ticket} out {len(self.data)} 1")
                continue
            frame = _FRAME.fullmatch(line)
            if frame is None:
                self.result = line
                continue
            length, offset, attempt = map(int, frame.groups())
            assert (offset, attempt) == (len(self.data), 1)
            self.data += await session.take(length)
            self.pieces += 1


async def _begin(daemons: Daemons, lines: int, *options: str) -> tuple[Cluster, _Tail, bytes]:
    """
    A command of C{n1} that C{n2} runs, followed at C{n3}; and what it will have put out.
    """
    cluster = Cluster(daemons, *options)
    cluster.balancer.start()
    for name, slots in (("n1", 0), ("n2", 1), ("n3", 0)):
        cluster.add(name, slots=slots).start()
    await cluster.joined(["n1", "n2", "n3"])
    session = await cluster.session("n1")
    script = f"for i in $(seq {lines}); do echo line $i; sleep 0.1; done"
    ticket = await session.run("sh", "-c", script)
    session.drop()
    whole = "".join(f"line {number}\n" for number in range(1, lines + 1)).encode()
    return cluster, _Tail(cluster, "n3", ticket), whole


@pytest_twisted.ensureDeferred
async def test_resumed(daemons: Daemons) -> None:
    """
    A line each 100 ms comes as it is written; whoever is cut off goes on by offset, and nothing is
    missing then, nor comes twice.
    """
    cluster, tail, whole = await _begin(daemons, 20)
    for lines in (3, 8, 21):
        session = await tail.begin()
        await tail.read(session, lines)
        session.drop()
    assert tail.data == whole
    assert tail.result.startswith("Result: exit code 0, output 151 bytes")
    # Some may have come together, on a busy machine.
    assert tail.pieces > 5
    assert tail.errors == []
    await cluster.stop()


@pytest_twisted.ensureDeferred
async def test_killed(daemons: Daemons, report: _Report) -> None:
    """
    The node that runs it is killed and comes back, and so does the one that took it, while it is
    followed: nothing is missing, and nothing comes twice.
    """
    cluster, tail, whole = await _begin(daemons, 40, "--rejoin-grace=8")
    session = await tail.begin()
    for lines, victim in ((5, "n2"), (15, "n1")):
        await tail.read(session, lines)
        await cluster.nodes[victim].kill()
        cluster.nodes[victim].start()
    await tail.read(session, len(whole))
    session.drop()
    assert tail.data == whole
    assert tail.result.startswith("Result: exit code 0")
    report(f"{tail.pieces} pieces, errors: {tail.errors}")
    await cluster.stop()
