"""
A client of a console: it types lines and reads lines, as a person with C{nc} does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IReactorTCP, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.functional.daemons import within

__all__ = ["Balance", "Job", "NodeRow", "Session", "Table", "connect"]

LIMIT: Final = 30.0
"""Seconds in which a line is to come."""

_TICKET: Final = re.compile(r"Ticket ID: ([a-z0-9-]+\.[0-9a-z]{13})(?: \(.*\))?")
_OUTPUT: Final = re.compile(r"Output: ([0-9]+) bytes, ([0-9]+) bytes")
_BALANCE: Final = re.compile(
    r"Balance \((eager|periodic)\): running max - min ([0-9]+) now, ([0-9.]+) on average, "
    r"worst ([0-9]+), within 1 for ([0-9.]+) % of ([0-9.]+) s in which jobs waited; "
    r"([0-9]+) waiting now"
)


@attrs.frozen
class Job:
    """A sleep that was acknowledged."""

    ticket: str
    milliseconds: int
    once: bool = False

    @property
    def result(self) -> str:
        """What it returns."""
        return f"slept {self.milliseconds} ms"


@attrs.frozen
class NodeRow:
    """What the console says about a node."""

    name: str
    state: str
    slots: int
    given: int
    running: int
    completed: int
    waiting: int
    remark: str


@attrs.frozen
class Balance:
    """What the console says about the balance."""

    mode: str
    difference: int
    average: float
    worst: int
    share: float
    """Per cent of the time within 1."""
    measured: float
    """Seconds."""
    waiting: int


@attrs.frozen
class Table:
    """What C{nodes} answers."""

    nodes: dict[str, NodeRow]
    balance: Balance

    def has_joined(self, names: Sequence[str]) -> bool:
        """
        Whether all these nodes are joined.
        """
        return all(name in self.nodes and self.nodes[name].state == "joined" for name in names)


class Session(Protocol):
    """
    One session, seen from the client's side.
    """

    def __init__(self) -> None:
        self._unread = bytearray()
        self._reader: Deferred[None] | None = None
        self._waiting_for_end: list[Deferred[None]] = []
        self.end: Failure | None = None
        """How the connection ended, once it has."""

    # -- the connection ------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Have what is typed sent at once.
        """
        ITCPTransport(self.transport).setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """
        Take what came.
        """
        self._unread += data
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell whoever waits.
        """
        self.end = reason
        self._wake()
        waiting, self._waiting_for_end = self._waiting_for_end, []
        for each in waiting:
            each.callback(None)

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)

    # -- lines ---------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """
        Send some bytes.
        """
        assert self.transport is not None
        self.transport.write(data)

    def type(self, *lines: str) -> None:
        """
        Send some lines.
        """
        self.send("".join(f"{line}\n" for line in lines).encode())

    def half_close(self) -> None:
        """
        Say that nothing more will be sent.
        """
        ITCPTransport(self.transport).loseWriteConnection()

    def drop(self) -> None:
        """
        Cut the connection.
        """
        assert self.transport is not None
        ITCPTransport(self.transport).abortConnection()

    async def line(self, limit: float = LIMIT) -> str:
        """
        Return the next line.

        @raise ConnectionDone: if there will be none.
        """
        while (end := self._unread.find(b"\n")) < 0:
            await self._more(limit)
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return _text(line)

    async def take(self, count: int, limit: float = LIMIT) -> bytes:
        """
        Return so many bytes, as they are.

        @param limit: seconds in which some of them are to come, again and again.
        @raise ConnectionDone: if there are fewer.
        """
        while len(self._unread) < count:
            await self._more(limit)
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    async def _more(self, limit: float) -> None:
        if self.end is not None:
            self.end.raiseException()
        self._reader = Deferred()
        await within(limit, self._reader, "no answer at the console")

    async def ask(self, line: str, limit: float = LIMIT) -> str:
        """
        Type a line whose answer is one line, and return that.
        """
        self.type(line)
        return await self.line(limit)

    async def ask_all(self, lines: Sequence[str], limit: float = LIMIT) -> list[str]:
        """
        Type lines that are answered with one line each, and return those.

        @param limit: seconds for each.
        """
        self.type(*lines)
        return [await self.line(limit) for _ in lines]

    async def listing(self, verb: str, limit: float = LIMIT) -> list[str]:
        """
        Type C{list} or C{getall}, and return the rows.
        """
        self.type(verb)
        rows: list[str] = []
        while not (last := await self.line(limit)).startswith("Jobs: "):
            rows.append(last)
        assert last == f"Jobs: {len(rows)}"
        return rows

    async def nodes(self) -> Table | str:
        """
        Type C{nodes}, and return the table, or the line that says why there is none.
        """
        heading, *lines = await self.raw_nodes()
        if not lines:
            return heading
        rows: dict[str, NodeRow] = {}
        for line in lines[:-1]:
            name, state, *figures = line.split(None, 7)
            slots, given, running, completed, waiting = map(int, figures[:5])
            remark = " ".join(figures[5:])
            rows[name] = NodeRow(name, state, slots, given, running, completed, waiting, remark)
        return Table(rows, _read_balance(lines[-1]))

    async def raw_nodes(self) -> list[str]:
        """
        Type C{nodes}, and return the lines that are answered.
        """
        lines = [await self.ask("nodes")]
        while lines[0].startswith("NODE") and not lines[-1].startswith("Balance"):
            lines.append(await self.line())
        return lines

    async def submit(self, times: Sequence[int], *, once: bool = False) -> list[Job]:
        """
        Submit sleeps; returns when all are acknowledged.

        @param times: in milliseconds.
        """
        verb = "sleep --once " if once else ""
        answers = await self.ask_all([f"{verb}{time}" for time in times])
        return [
            Job(read_ticket(answer), time, once)
            for answer, time in zip(answers, times, strict=True)
        ]

    async def run(
        self,
        *argv: str,
        environment: Mapping[str, str] | None = None,
        directory: str = "",
        stdin: str = "",
    ) -> str:
        """
        Submit a command, and return its ticket; what is not UTF-8 in it are lone surrogates.
        """
        words = ["run"]
        for name, value in (environment or {}).items():
            words += ["-e", f"{name}={value}"]
        words += ["-d", directory] if directory else []
        words += ["-i", stdin] if stdin else []
        line = shlex.join([*words, *argv]).encode("utf-8", "surrogateescape")
        # The byte 0xFF would begin a telnet command.
        self.send(line.replace(b"\xff", b"\xff\xff") + b"\n")
        return read_ticket(await self.line())

    async def run_all(self, scripts: Sequence[str]) -> list[str]:
        """
        Submit lines of shell, together, and return their tickets.
        """
        lines = [shlex.join(["run", "sh", "-c", script]) for script in scripts]
        return [read_ticket(answer) for answer in await self.ask_all(lines)]

    async def output(self, ticket: str, limit: float = LIMIT) -> tuple[bytes, bytes]:
        """
        Type C{output}, and return what a command has written to both streams.
        """
        answer = await self.ask(f"output {ticket}", limit)
        sizes = _OUTPUT.fullmatch(answer)
        assert sizes is not None, answer
        return await self.take(int(sizes[1]), limit), await self.take(int(sizes[2]), limit)

    async def ended(self, limit: float = LIMIT) -> tuple[list[str], bytes]:
        """
        Wait for the end of the connection; return the lines that were not read yet, and what came
        after the last of them.
        """
        if self.end is None:
            waiting: Deferred[None] = Deferred()
            self._waiting_for_end.append(waiting)
            await within(limit, waiting, "the console did not end the session")
        assert self.end is not None
        assert self.end.check(ConnectionDone, ConnectionLost)
        *lines, partial = bytes(self._unread).split(b"\n")
        self._unread.clear()
        return [_text(line) for line in lines], partial


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")


def read_ticket(answer: str) -> str:
    """
    The ticket in the answer to a submission.
    """
    found = _TICKET.fullmatch(answer)
    assert found is not None, answer
    return found[1]


def _read_balance(line: str) -> Balance:
    found = _BALANCE.fullmatch(line)
    assert found is not None, line
    mode, difference, average, worst, share, measured, waiting = found.groups()
    return Balance(
        mode,
        int(difference),
        float(average),
        int(worst),
        float(share),
        float(measured),
        int(waiting),
    )


def connect(port: int, limit: float = LIMIT) -> Deferred[Session]:
    """
    Fires with a session at the console on this port; fails if there is none.
    """
    endpoint = TCP4ClientEndpoint(IReactorTCP(installed), "127.0.0.1", port)
    connected = endpoint.connect(Factory.forProtocol(Session)).addCallback(_as_session)
    return within(limit, connected, f"no connection to port {port}")


def _as_session(protocol: IProtocol) -> Session:
    assert isinstance(protocol, Session)
    return protocol
