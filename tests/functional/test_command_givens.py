"""
What commands are given: standard input, environment, arguments, a directory; and what cannot be
started.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.commands import NO_OUTPUT, end_of
from tests.functional.daemons import Daemons
from tests.functional.keepers import find_keepers
from tests.functional.sessions import Session

_ENVIRONMENT: Final = {"LANG": "C.UTF-8", "TZ": "Asia/Kathmandu", "HOME": "/nowhere", "SECRET": "1"}
"""Of the nodes; the last one is nobody's business."""


@pytest_twisted.async_yield_fixture(scope="module")
async def cluster(shared_daemons: Daemons) -> AsyncIterator[Cluster]:
    """
    Two nodes with two slots each; no process of a command and no keeper is left in the end.
    """
    made = Cluster(shared_daemons)
    made.balancer.start()
    for name in ("n1", "n2"):
        made.add(name, environ=_ENVIRONMENT).start()
    await made.joined(["n1", "n2"])
    yield made
    await made.stop()
    assert find_keepers(shared_daemons.directory) == {}


@pytest_twisted.async_yield_fixture
async def session(cluster: Cluster) -> AsyncIterator[Session]:
    """
    A session at the first node.
    """
    made = await cluster.session("n1")
    yield made
    made.drop()


@pytest_twisted.ensureDeferred
async def test_standard_input(session: Session) -> None:
    """
    200 KB of standard input, given through the console, reach commands on whatever node.
    """
    text = "'" + "".join(f'{number:07} äöü "\\ ' for number in range(11_300))
    sent = text.encode()
    assert 200_000 < len(sent) < 256 * 1024
    tickets = [await session.run("sh", "-c", "cat; sleep 1", stdin=text) for _ in range(2)]
    nodes = set()
    for ticket in tickets:
        await end_of(session, ticket)
        nodes.add((await session.ask(f"status {ticket}")).split(",")[0])
        assert await session.output(ticket) == (sent, b"")
    assert nodes == {"Status: succeeded on n1", "Status: succeeded on n2"}
    # Without any there is nothing to read.
    assert await end_of(session, await session.run("cat")) == f"exit code 0, {NO_OUTPUT}"


@pytest_twisted.ensureDeferred
async def test_environment(session: Session) -> None:
    """
    A command gets PATH, HOME, LANG and TZ of its node, what was named, and who it is: no more.
    """
    named = {"NAME": "a = b", "BYTES": "\udcff\udcfe", "TZ": "UTC", "JOBCLUSTER_NODE": "me"}
    ticket = await session.run("env", "-0", environment=named)
    await end_of(session, ticket)
    output, _ = await session.output(ticket)
    told = dict(row.split(b"=", 1) for row in output.removesuffix(b"\0").split(b"\0"))
    node = (await session.ask(f"status {ticket}")).split(",")[0].rpartition(" ")[2]
    assert told == {
        b"PATH": os.environb[b"PATH"],
        b"HOME": b"/nowhere",
        b"LANG": b"C.UTF-8",
        b"TZ": b"UTC",
        b"NAME": b"a = b",
        b"BYTES": b"\xff\xfe",
        b"JOBCLUSTER_TICKET": ticket.encode(),
        b"JOBCLUSTER_ATTEMPT": b"1",
        b"JOBCLUSTER_NODE": node.encode(),
    }


@pytest_twisted.ensureDeferred
async def test_arguments(session: Session) -> None:
    """
    Arguments are bytes, and nothing is expanded in them.
    """
    arguments = ["", "$HOME `ls` *", "'\"\\", "\udcff\udc80", "ä", "-n"]
    ticket = await session.run("printf", "%s|", *arguments)
    await end_of(session, ticket)
    expected = b"".join(os.fsencode(argument) + b"|" for argument in arguments)
    assert await session.output(ticket) == (expected, b"")


@pytest_twisted.ensureDeferred
async def test_fresh_directory(session: Session) -> None:
    """
    Without a directory named, each command has an empty one to itself, removed afterwards with all
    that is in it.
    """
    script = "pwd; ls -A; touch -- file -f; mkdir -p a/b; ln -s / a/root; chmod 0 a/b"
    tickets = [await session.run("sh", "-c", script) for _ in range(3)]
    places = set()
    for ticket in tickets:
        assert (await end_of(session, ticket)).startswith("exit code 0")
        [place] = (await session.output(ticket))[0].splitlines()
        places.add(Path(os.fsdecode(place)))
    assert len(places) == len(tickets)
    assert not any(map(Path.exists, places))


@pytest_twisted.ensureDeferred
async def test_named_directory(session: Session, tmp_path: Path) -> None:
    """
    In a directory that was named, what a command makes stays.
    """
    place = tmp_path / os.fsdecode(b"a place \xff")
    place.mkdir()
    ticket = await session.run("sh", "-c", "pwd; echo made > file", directory=str(place))
    assert (await end_of(session, ticket)).startswith("exit code 0")
    assert await session.output(ticket) == (os.fsencode(place) + b"\n", b"")
    assert (place / "file").read_text("ascii") == "made\n"


@pytest_twisted.ensureDeferred
async def test_not_startable(session: Session, tmp_path: Path) -> None:
    """
    What cannot be started has failed, and its outcome says why.
    """
    plain = tmp_path / "plain"
    plain.write_text("echo\n", "ascii")
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n", "ascii")
    script.chmod(0o755)
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"\x7fELF and no more")
    nonsense.chmod(0o755)
    gone = str(tmp_path / "gone")
    wanted: list[tuple[list[str], str, str]] = [
        (["no-such-program"], "", "no such program: no-such-program"),
        ([gone], "", f"no such program: {gone}"),
        (["./gone"], "", "no such program: ./gone"),
        ([str(plain)], "", f"not executable: {plain}"),
        ([str(tmp_path)], "", f"not executable: {tmp_path}"),
        ([str(script)], "", f"the interpreter of this script does not exist: {script}"),
        ([str(nonsense)], "", f"neither a program for this machine nor .*: {nonsense}"),
        (["true"], gone, f"the working directory does not exist: {gone}"),
        (["true"], str(plain), f"the working directory is not a directory: {plain}"),
        (["true", "x" * 140_000], "", "the argument list is too long, .*"),
    ]
    for argv, directory, why in wanted:
        said = await end_of(session, await session.run(*argv, directory=directory))
        assert re.fullmatch(f"failed, {NO_OUTPUT}: {why}", said), said
