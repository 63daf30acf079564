"""
Sessions as people have them: every verb, nc, telnet, and several hundred at once.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutput
from twisted.python.failure import Failure

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, until_told, within
from tests.functional.sessions import Session, read_ticket

_Report = Callable[[str], None]

_LIMIT: Final = 60.0
_MANY: Final = 300
_HOUR: Final = 3_600_000


@pytest_twisted.async_yield_fixture(scope="module")
async def cluster(shared_daemons: Daemons) -> AsyncIterator[Cluster]:
    """
    Two nodes with two slots each and their balancer, used by all tests of this module.
    """
    made = Cluster(shared_daemons)
    await made.start(["n1", "n2"])
    yield made


@pytest_twisted.ensureDeferred
async def test_many_at_once(cluster: Cluster, report: _Report) -> None:
    """
    Three hundred sessions, half at each node, each with a job that it waits for.
    """

    async def one(session: Session) -> None:
        (job,) = await session.submit([5])
        answer = await session.ask(f"wait {job.ticket}", _LIMIT)
        assert answer == f"Result: {job.result}"
        session.type("exit")
        assert await session.ended(_LIMIT) == (["Good-bye."], b"")

    begun = time.monotonic()
    sessions = [await cluster.session(f"n{1 + each % 2}") for each in range(_MANY)]
    connected = time.monotonic() - begun
    talks = [Deferred.fromCoroutine(one(session)) for session in sessions]
    await gatherResults(talks, consumeErrors=True)
    report(
        f"{_MANY} sessions were open after {connected:.2f} s,"
        f" each had its result after {time.monotonic() - begun:.2f} s"
    )


# -- other people's clients -----------------------------------------------------------------------


def _nc(option: str) -> str:
    """Where there is an nc that has this option."""
    found = shutil.which("nc")
    if found is None:
        pytest.skip("there is no nc on this machine")
    told = subprocess.run([found, "-h"], capture_output=True, check=False, text=True)
    usage = told.stdout + told.stderr
    if re.search(rf"-[A-Za-z0-9]*{option[1]}", usage) is None:
        pytest.skip(f"the nc on this machine has no {option}")
    return found


@pytest.mark.parametrize("options", [["-q1"], ["-N"]], ids="".join)
@pytest_twisted.ensureDeferred
async def test_nc(cluster: Cluster, options: list[str]) -> None:
    """
    What is piped into nc is answered in full before the session ends.
    """
    nc = _nc(options[0])
    port = str(cluster.console_of("n1"))

    async def piped(typed: bytes) -> list[str]:
        command = [*options, "127.0.0.1", port]
        script = ["-c", 'typed=$1; shift; printf "$typed" | exec "$@"', "sh"]
        talk = getProcessOutput("/bin/sh", [*script, typed.decode(), nc, *command])
        shown: bytes = await within(_LIMIT, talk, "nc has not ended")
        return shown.decode().splitlines()

    one, two, last = await piped(rb"100\n200\nexit\n")
    assert last == "Good-bye."
    tickets = [read_ticket(one), read_ticket(two)]
    # Without exit, with other ends of lines, and with a last line that has none.
    asked = rf"wait {tickets[0]}\r\nwait {tickets[1]}\r\n".encode()
    assert await piped(asked) == ["Result: slept 100 ms", "Result: slept 200 ms"]
    many = await piped(rb"1\n" * 500 + b"1")
    assert len(many) == 501
    assert len({read_ticket(line) for line in many[:-1]}) == 500
    assert many[-1].startswith("Error: the last line was not run")


class _Typist(ProcessProtocol):
    """Types at a program, and keeps what it shows."""

    def __init__(self) -> None:
        self.shown = ""
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Take what it shows."""
        self.shown += data.decode("latin-1")

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        self.ended.callback(None)


@pytest_twisted.ensureDeferred
async def test_telnet(cluster: Cluster) -> None:
    """
    A session of the original, in telnet on a terminal.
    """
    telnet = shutil.which("telnet")
    if telnet is None:
        pytest.skip("there is no telnet on this machine")
    typist = _Typist()
    port = cluster.console_of("n1")
    process = IReactorProcess(installed).spawnProcess(
        typist,
        telnet,
        [telnet, "127.0.0.1", str(port)],
        {"TERM": "dumb"},
        usePTY=True,
    )

    async def shows(pattern: str) -> re.Match[str]:
        async def look() -> re.Match[str] | None:
            return re.search(pattern, typist.shown)

        found = await until_told(_LIMIT, f"telnet does not show {pattern}", look)
        assert found is not None
        return found

    try:
        await shows("Connected to")
        process.write(b"150\n")
        ticket = (await shows(r"Ticket ID: (\S+)"))[1]
        process.write(f"r {ticket}\n".encode())
        await shows(r"not executed yet|Result: slept 150 ms")
        process.write(f"wait {ticket}\n".encode())
        await shows("Result: slept 150 ms")
        process.write(b"getall\n")
        await shows(rf"{re.escape(ticket)}  sleep 150 ms  succeeded: slept 150 ms")
        process.write(b"exit\n")
        await shows(r"Good-bye\.\r\n")
        await within(_LIMIT, typist.ended, "telnet has not ended")
    finally:
        if not typist.ended.called:
            process.signalProcess("KILL")


# -- the verbs ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_verbs(cluster: Cluster) -> None:
    """
    What each verb answers, from a job's submission to its end.
    """
    session = await cluster.session("n1")
    running = await session.submit([_HOUR] * 4)
    (waiting,) = await session.submit([_HOUR])

    async def listed(state: str) -> set[str]:
        rows = await session.listing(f"list {state}")
        assert all(f"  sleep {_HOUR} ms  {state}" in row for row in rows)
        return {row.split("  ")[0] for row in rows}

    while await listed("running") != {job.ticket for job in running}:
        pass
    assert await listed("waiting") == {waiting.ticket}
    assert len(await session.listing("list")) == 5
    assert await session.listing("list lost") == []
    first = running[0].ticket
    status = rf"Status: running on n[12] \(attempt 1\), sleep {_HOUR} ms, submitted .+Z, attempts 1"
    assert re.fullmatch(status, await session.ask(f"status {first}"))
    unfinished = r"The job was not executed yet: it is running on n[12] \(attempt 1\)\."
    assert re.fullmatch(unfinished, await session.ask(f"result {first}"))
    assert await session.ask(f"STATUS {waiting.ticket.upper()}") == (
        await session.ask(f"status {waiting.ticket}")
    )
    table = await session.nodes()
    assert not isinstance(table, str)
    assert table.has_joined(["n1", "n2"])
    assert [row.given for row in table.nodes.values()] == [2, 2]
    assert [row.slots for row in table.nodes.values()] == [2, 2]
    assert [row.waiting for row in table.nodes.values()] == [1, 0]

    assert (await session.ask(f"cancel {waiting.ticket}")).startswith(("Cancelled:", "Cancelling:"))
    assert await session.ask(f"wait {waiting.ticket}") == "Result: cancelled"
    for job in running:
        assert (await session.ask(f"cancel {job.ticket}")).startswith("Cancelling: ")
    answers = await session.ask_all([f"wait {job.ticket}" for job in running])
    assert answers == ["Result: cancelled"] * 4
    assert (await session.ask(f"cancel {first}")).startswith("Too late: ")
    assert len(await session.listing("list cancelled")) == 5
    assert await session.listing("list") == []
    rows = await session.listing("getall")
    assert {row.split("  ")[0] for row in rows} >= {job.ticket for job in [*running, waiting]}

    session.type("help", "help cancel")
    heading = await session.line()
    assert "bare number" in heading
    overview = []
    while (line := await session.line()).startswith("  "):
        overview.append(line.split()[0])
    assert {"sleep", "status", "result", "wait", "list", "getall", "cancel"} <= set(overview)
    assert line.startswith("cancel TICKET: ")
    session.type("exit", "getall")
    assert await session.ended() == (["Good-bye."], b"")
