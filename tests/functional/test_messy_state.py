"""
State directories that are odd, damaged, from before a reboot or from another version: one clear
line for each, and commands are run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

import pytest
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.commands import end_of, is_there, keeper_log, pids_in
from tests.functional.daemons import Daemons, until
from tests.functional.keepers import find_keeper, find_keepers
from tests.functional.sessions import Session

_HELLO: Final = "exit code 0, output 6 bytes, errors 0 bytes: hello"

_OLD_KEEPER: Final = r"""
import fcntl, json, os, pathlib, signal, socket, struct, sys

place = pathlib.Path(sys.argv[1])
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = open(place / "lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
listening = socket.socket(socket.AF_UNIX)
listening.bind(str(place / "socket"))
listening.listen()
stat = pathlib.Path("/proc/self/stat").read_text()
json.dump(
    {
        "pid": os.getpid(),
        "start": int(stat.rpartition(")")[2].split()[19]),
        "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "keeper": "0" * 16,
        "socket": str(place / "socket"),
    },
    lock,
)
lock.write("\n")
lock.flush()
while True:
    connection, _ = listening.accept()
    connection.recv(65536)
    said = b'{"word":"hello","speaks":[0]}'
    connection.sendall(struct.pack("!II", len(said), 0) + said)
    connection.close()
"""
"""Holds the lock, listens, says that it speaks version 0, and closes the connection."""


async def _see_a_command(session: Session) -> None:
    """See that a command is run."""
    assert await end_of(session, await session.run("echo", "hello")) == _HELLO


async def _interrupt(cluster: Cluster, pids: Path) -> str:
    """
    Kill node and keeper while a command runs that would never end, and will if it is run again.

    @param pids: where it writes its process id.
    @return: its ticket.
    """
    await cluster.start(["n1"])
    session = await cluster.session("n1")
    for _ in range(3):
        await _see_a_command(session)
    again = f"echo $$ >> {pids}; [ $(wc -l < {pids}) = 1 ] && exec sleep 1000; echo hello"
    ticket = await session.run("sh", "-c", again)
    await pids_in(pids)
    session.drop()
    keeper = find_keeper(cluster.state_of("n1"))
    await cluster.nodes["n1"].kill()
    os.kill(keeper, signal.SIGKILL)
    await until(5, "the keeper is not dead", lambda: not is_there(keeper))
    return ticket


async def _see_it_run_again(cluster: Cluster, ticket: str, pids: Path) -> None:
    """Start the node, and see that what was interrupted is run again, and others are run."""
    cluster.nodes["n1"].start()
    await cluster.joined(["n1"])
    session = await cluster.session("n1")
    assert await end_of(session, ticket) == _HELLO
    first, second = await pids_in(pids, 2)
    assert first != second
    assert not is_there(first)
    await _see_a_command(session)
    session.drop()
    await cluster.stop()


def _names_in(directory: str) -> set[str]:
    return {path.name for path in Path(directory).iterdir()}


def _lines_with(cluster: Cluster, words: str) -> list[str]:
    """What keepers have said with these words, without the time."""
    lines = [line.partition(" ")[2] for line in keeper_log(cluster, "n1")]
    return [line for line in lines if words in line]


def _rewrite_header(spool: Path, **facts: object) -> None:
    """Have the first entry of a spool say something else, with a checksum that is right."""
    header, _, rest = spool.read_bytes().partition(b"\n")
    entry = json.loads(header[9:])
    assert set(facts) < set(entry)
    text = json.dumps({**entry, **facts}).encode("ascii")
    spool.write_bytes(b"%08x %s\n%s" % (crc32(text), text, rest))


@pytest_twisted.ensureDeferred
async def test_long_path(daemons: Daemons) -> None:
    """
    A state directory whose path has 200 characters, far too many for a socket, is as good as any:
    its keeper is found again, is replaced when it dies, and leaves nothing elsewhere.
    """
    short = daemons.directory / "x"
    state = daemons.directory / ("x" * (200 - len(str(short)) + 1))
    assert len(str(state)) == 200
    with tempfile.TemporaryDirectory(prefix="jobcluster-") as runtime:
        cluster = Cluster(daemons)
        cluster.balancer.start()
        node = cluster.add("n1", state=state, environ={"XDG_RUNTIME_DIR": runtime})
        node.start()
        await cluster.joined(["n1"])
        session = await cluster.session("n1")
        await _see_a_command(session)
        pids, gate = daemons.directory / "pids", daemons.directory / "gate"
        script = f"echo $$ >> {pids}; while ! [ -e {gate} ]; do sleep 0.05; done; echo hello"
        ticket = await session.run("sh", "-c", script)
        await pids_in(pids)
        keeper = find_keeper(state)
        [place] = _names_in(runtime)
        await node.kill()
        node.start()
        await cluster.joined(["n1"])
        assert find_keeper(state) == keeper
        gate.touch()
        session = await cluster.session("n1")
        assert await end_of(session, ticket) == _HELLO
        assert len(await pids_in(pids)) == 1
        os.kill(keeper, signal.SIGKILL)
        await _see_a_command(session)
        [other] = _names_in(runtime)
        assert other != place
        told = [line for line in node.said.splitlines() if "#warn" in line]
        assert [line.endswith(f"the keeper has died (process {keeper})") for line in told] == [True]
        await cluster.stop()
        assert _names_in(runtime) == set()


@pytest.mark.parametrize("where", ["end", "middle"])
@pytest_twisted.ensureDeferred
async def test_damaged_spool(daemons: Daemons, where: str) -> None:
    """
    A spool that ends in the middle of an entry, or has a damaged one in the middle: what can be
    read counts, and what ran is ended and run again.
    """
    cluster = Cluster(daemons)
    pids = daemons.directory / "pids"
    ticket = await _interrupt(cluster, pids)
    [pid] = await pids_in(pids)
    assert is_there(pid)
    spool = cluster.state_of("n1") / "keeper" / "spool"
    lines = spool.read_bytes().splitlines(keepends=True)
    if where == "end":
        # It says the process id of what runs.
        assert b'"running"' in lines[-1]
        number = len(lines)
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
    else:
        number = next(n for n, line in enumerate(lines, 1) if b'"ended"' in line)
        lines[number - 1] = lines[number - 1].replace(b'"ended"', b'"enbed"')
    spool.write_bytes(b"".join(lines))
    await _see_it_run_again(cluster, ticket, pids)
    [told] = _lines_with(cluster, "damaged")
    assert told == (
        "the spool is damaged: 1 of its entries cannot be read, the first in line"
        f" {number}; {len(lines) - 1} others count"
    )


@pytest_twisted.ensureDeferred
async def test_previous_boot(daemons: Daemons) -> None:
    """
    A spool from before a reboot: what ran is run again, and nobody who has its number now is ended.
    """
    cluster = Cluster(daemons)
    pids = daemons.directory / "pids"
    ticket = await _interrupt(cluster, pids)
    [pid] = await pids_in(pids)
    os.kill(pid, signal.SIGKILL)  # as the reboot did
    await until(5, "it is not dead", lambda: not is_there(pid))
    spool = cluster.state_of("n1") / "keeper" / "spool"
    _rewrite_header(spool, boot="00000000-0000-4000-8000-000000000000")
    await _see_it_run_again(cluster, ticket, pids)
    [told] = _lines_with(cluster, "boot")
    assert told == (
        "the spool is of an earlier boot: 0 runs that may be started once only are lost, 1 others"
        " are forgotten"
    )


@pytest_twisted.ensureDeferred
async def test_newer_spool(daemons: Daemons) -> None:
    """
    A spool of a version that is not known is not touched: the node does not begin, and one line of
    the keeper's log says what to do.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1"])
    node, spool = cluster.nodes["n1"], cluster.state_of("n1") / "keeper" / "spool"
    node.terminate()
    await node.ended()
    _rewrite_header(spool, version=99)
    before = spool.read_bytes()
    node.start()
    assert await node.ended() == 1
    [said] = [line for line in node.said.splitlines() if "#critical" in line]
    log = cluster.state_of("n1") / "keeper" / "log"
    assert said.endswith(f"The keeper has ended at once, with status 1: see {log}.")
    [told] = _lines_with(cluster, "version")
    assert told == (
        f"{spool} is of version 99 and not 1: run the jobcluster that wrote it, or remove it and"
        " lose what its runs were."
    )
    assert spool.read_bytes() == before
    spool.unlink()
    node.start()
    await cluster.joined(["n1"])
    session = await cluster.session("n1")
    await _see_a_command(session)


@contextmanager
def _old_keeper(place: Path, how: str) -> Iterator[int]:
    """Have an old keeper of a state directory for a while; its process id."""
    place.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", _OLD_KEEPER, str(place), how],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _has_text(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


@pytest.mark.parametrize("how", ["willing", "deaf"])
@pytest_twisted.ensureDeferred
async def test_older_keeper(daemons: Daemons, how: str) -> None:
    """
    A keeper that speaks an older version only is told to end, is killed if it does not, and is
    replaced.
    """
    cluster = Cluster(daemons)
    cluster.balancer.start()
    node = cluster.add("n1", "--kill-after=0.5")
    place = cluster.state_of("n1") / "keeper"
    with _old_keeper(place, how) as old:
        await until(10, "it is not there", lambda: _has_text(place / "lock"))
        node.start()
        await cluster.joined(["n1"])
        assert not is_there(old)
        session = await cluster.session("n1")
        await _see_a_command(session)
        told = [
            line.partition("] ")[2]
            for line in node.said.splitlines()
            if "#warn" in line or "#critical" in line
        ]
        assert told.pop(0) == (
            "The keeper speaks version 0 of the protocol, not 1. It is ended and replaced"
            f" (process {old})."
        )
        killed = f"the keeper does not end: it is killed (process {old})"
        assert told == ([killed] if how == "deaf" else [])
        session.drop()
        await cluster.stop()
        assert find_keepers(daemons.directory) == {}
