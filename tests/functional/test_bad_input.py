"""
Nonsense at a console: one clear line for each, and the node is none the worse for it.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from typing import Final

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons

_NO_NUMBER: Final = r"Error: '.+' is no number of milliseconds: use the digits 0 to 9 alone\."
_TOO_MUCH: Final = r"Error: A sleep lasts [0-9]+ ms \(31 days\) at most\."
_NO_VERB: Final = r"Error: '.+' is no verb: type help to see what can be typed\."
_NO_TICKET: Final = r"Error: That is not a ticket: a ticket looks like .+\."
_UNKNOWN: Final = r"Error: This cluster does not know that ticket\."
_AWAY: Final = r"Error: The node that this ticket came from is away: .+\."
_MISUSED: Final = r"Error: That is not how [a-z]+ is used: .+"
_EMPTY: Final = r"Error: The line is empty: type help to see what can be typed\."
_UNREADABLE: Final = r"Error: the line was not run: it has control characters or is not UTF-8; .+"
_TOO_LONG: Final = r"Error: the line was not run: it has more than 262144 bytes; .+ closed\."
_FOREIGN: Final = r"Error: this is a jobcluster console, which speaks lines, not HTTP, .+ closed\."
_UNFINISHED: Final = (
    "Error: the last line was not run: it has no end; end each line with a newline."
)

_LINES: Final = [
    ("", _EMPTY),
    (" \t ", _EMPTY),
    ("-5", _NO_NUMBER),
    ("+5", _NO_NUMBER),
    ("1.5", _NO_NUMBER),
    ("1e3", _NO_NUMBER),
    ("sleep -1", _NO_NUMBER),
    ("2678400001", _TOO_MUCH),
    ("9" * 30, _TOO_MUCH),
    ("9" * 200_000, _TOO_MUCH),
    ("\u0663\u0664", _NO_NUMBER),  # Arabic digits
    ("\u0967\u0968", _NO_NUMBER),  # Devanagari digits
    ("\uff11\uff10\uff10", _NO_NUMBER),  # full-width digits
    ("\u00b2", _NO_NUMBER),  # a superscript
    ("\u00bd", _NO_NUMBER),  # a fraction
    ("100 200", r"Error: One number a line: what does '200' mean\?"),
    ("frobnicate", _NO_VERB),
    ("frobnicate 100", _NO_VERB),
    ("\u00e9" * 100_000, _NO_VERB),
    ("help frobnicate", _NO_VERB),
    ("sleep", _MISUSED),
    ("sleep 5 6", _MISUSED),
    ("result", _MISUSED),
    ("result n1.0000000000001 n1.0000000000002", _MISUSED),
    ("nodes now", _MISUSED),
    ("getall now", _MISUSED),
    ("exit now", _MISUSED),
    ("prompt maybe", _MISUSED),
    ("list nowhere", r"Error: 'nowhere' is no state: .+\."),
    ("r123", _NO_TICKET),
    ("r n1", _NO_TICKET),
    ("status nonsense", _NO_TICKET),
    ("wait ../../etc/passwd", _NO_TICKET),
    ("cancel n1.zzzzzzzzzzzzz", _NO_TICKET),
    ("result n1.00000000000001", _NO_TICKET),
    ("result 1'; DROP TABLE open; --", _MISUSED),
    ("result n1.0000000000001", _UNKNOWN),
    ("r n1.0000000000001", _UNKNOWN),
    ("rn1.0000000000001", _UNKNOWN),
    ("wait n1.0000000000001", _UNKNOWN),
    ("cancel n1.0000000000001", _UNKNOWN),
    ("status ghost.0000000000001", _AWAY),
    ("100\x00", _UNREADABLE),
    ("\x1b[2J100", _UNREADABLE),
    ("100\u2028", _UNREADABLE),
]

_REQUESTS: Final = [
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n100\r\n200\r\n100",
    b"POST / HTTP/1.1\nContent-Type: text/plain\n\n100\nsleep 200\n",
    b"patch /100 HTTP/1.1\r\n\r\n100\r\n",
    b"\r\nPOST / HTTP/1.1\r\n\r\n100\r\n",
    b"PURGE / HTTP/1.1\r\n\r\n100\r\n",
    b"GET /\r\n100\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n100\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n100\r\n",
    b"\x16\x03\x01\x00\x04\n100\n100\n",
]


@pytest_twisted.async_yield_fixture(scope="module")
async def cluster(shared_daemons: Daemons) -> AsyncIterator[Cluster]:
    """
    One node and its balancer, used by all tests of this module.
    """
    made = Cluster(shared_daemons)
    await made.start(["n1"])
    yield made


async def _count(cluster: Cluster) -> int:
    """How many jobs there are."""
    session = await cluster.session("n1")
    count = len(await session.listing("getall"))
    session.drop()
    return count


async def _see_unharmed(cluster: Cluster, count: int) -> None:
    """
    See that no job has come to these, that a job runs, and that nothing went wrong inside.
    """
    session = await cluster.session("n1")
    assert len(await session.listing("getall")) == count
    (job,) = await session.submit([3])
    assert await session.ask(f"wait {job.ticket}") == f"Result: {job.result}"
    session.drop()
    for daemon in (cluster.nodes["n1"], cluster.balancer):
        assert "Traceback" not in daemon.said
        assert "Unhandled" not in daemon.said


@pytest_twisted.ensureDeferred
async def test_lines(cluster: Cluster) -> None:
    """
    Every line that makes no sense is answered by one that says why, and the session goes on.
    """
    count = await _count(cluster)
    session = await cluster.session("n1")
    # A first line like these is that of another protocol, or of telnet.
    assert (await session.ask("help exit")).startswith("exit: ")
    answers = await session.ask_all([line for line, _ in _LINES])
    for (line, expected), answer in zip(_LINES, answers, strict=True):
        assert re.fullmatch(expected, answer), (line[:50], answer)
        assert len(answer) < 300
    for junk in (b"\xc3\x28\n", b"\xed\xa0\x80\n", b"\xc2\x85\n", b"\xf0\x9f\n"):
        session.send(junk)
        assert re.fullmatch(_UNREADABLE, await session.line()), junk
    assert (await session.ask("help exit")).startswith("exit: ")
    session.type("exit")
    assert await session.ended() == (["Good-bye."], b"")
    await _see_unharmed(cluster, count)


@pytest_twisted.ensureDeferred
async def test_line_without_end(cluster: Cluster) -> None:
    """
    A megabyte without a newline is answered by one line, and the connection is closed.
    """
    count = await _count(cluster)
    memory = cluster.nodes["n1"].memory()
    sessions = [await cluster.session("n1") for _ in range(12)]
    for session, letter in zip(sessions, b"1x \x80" * 3, strict=True):
        session.send(bytes((letter,)) * 2**20)
        session.send(b"\n100\n")
    for session in sessions:
        lines, rest = await session.ended()
        assert len(lines) == 1
        assert re.fullmatch(_TOO_LONG, lines[0]), lines
        assert not rest
    assert cluster.nodes["n1"].peak() - memory < 30
    await _see_unharmed(cluster, count)


@pytest_twisted.ensureDeferred
async def test_endless_telnet(cluster: Cluster) -> None:
    """
    A megabyte of telnet's commands is no line, and what they leave of one is not run.
    """
    count = await _count(cluster)
    memory = cluster.nodes["n1"].memory()
    for command in (b"\xff\xfa", b"\xff\xfb", b"\xff\xf1"):
        session = await cluster.session("n1")
        session.send(command * 2**19 + b"100")
        session.half_close()
        await session.ended()
    assert cluster.nodes["n1"].peak() - memory < 30
    await _see_unharmed(cluster, count)


@pytest_twisted.ensureDeferred
async def test_binary_junk(cluster: Cluster) -> None:
    """
    Each line of binary junk is answered by one line of error, the last one too; with telnet's
    commands among it, it runs nothing either.
    """
    count = await _count(cluster)
    chance = random.Random(9)
    for telnet in (False, True):
        session = await cluster.session("n1")
        junk = b"\x80" + chance.randbytes(60_000)
        if not telnet:
            junk = junk.replace(b"\xff", b"\xfe").replace(b"\r", b"\x0e")
        session.send(junk)
        session.half_close()
        lines, _ = await session.ended()
        if telnet:
            assert any("Error: " in line for line in lines)
            continue
        assert len(lines) == junk.count(b"\n") + 1
        assert lines.pop() == _UNFINISHED
        # Two letters may happen to be a line that can be read.
        assert all(re.match(f"{_UNREADABLE}|{_EMPTY}|{_NO_VERB}", line) for line in lines)
    await _see_unharmed(cluster, count)


@pytest_twisted.ensureDeferred
async def test_half_a_line(cluster: Cluster) -> None:
    """
    Half a line is not run: it is told so, if there is anybody to tell.
    """
    count = await _count(cluster)
    for _ in range(20):
        session = await cluster.session("n1")
        session.send(b"100")
        session.drop()
    session = await cluster.session("n1")
    session.send(b"nodes now\n100")
    session.half_close()
    lines, rest = await session.ended()
    assert re.fullmatch(_MISUSED, lines[0])
    assert lines[1:] == [_UNFINISHED]
    assert not rest
    await _see_unharmed(cluster, count)


@pytest_twisted.ensureDeferred
async def test_another_protocol(cluster: Cluster) -> None:
    """
    What speaks HTTP, TLS or SSH is told so and closed before anything of it is run.
    """
    count = await _count(cluster)
    sessions = [await cluster.session("n1") for _ in _REQUESTS]
    for session, request in zip(sessions, _REQUESTS, strict=True):
        session.send(request)
    for session, request in zip(sessions, _REQUESTS, strict=True):
        lines, rest = await session.ended()
        if request.startswith(b"\r\n"):
            assert re.fullmatch(_EMPTY, lines.pop(0))
        assert len(lines) == 1, (request, lines)
        assert re.fullmatch(_FOREIGN, lines[0]), (request, lines)
        assert not rest
    await _see_unharmed(cluster, count)
