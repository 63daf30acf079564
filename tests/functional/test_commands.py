"""
Commands of every kind, through real nodes and keepers: what they return and write is told rightly,
and no process is left of any.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.commands import NO_OUTPUT, end_of, is_there, peak_of, pids_in
from tests.functional.daemons import Daemons, until, until_told
from tests.functional.keepers import find_keeper, find_keepers, jobs_of
from tests.functional.sessions import Session

_KILL_AFTER: Final = 1.0
"""Seconds between SIGTERM and SIGKILL here."""

_MAX_OUTPUT: Final = 8 * 2**20
"""Bytes of output that end a command here."""

_SOON: Final = 10.0
"""Seconds in which something ends that does not wait for what sleeps for a thousand."""


@pytest_twisted.async_yield_fixture(scope="module")
async def cluster(shared_daemons: Daemons) -> AsyncIterator[Cluster]:
    """
    Two nodes with two slots each; no process of a command and no keeper is left in the end.
    """
    made = Cluster(shared_daemons)
    made.balancer.start()
    options = (f"--kill-after={_KILL_AFTER}", f"--max-output={_MAX_OUTPUT}")
    for name in ("n1", "n2"):
        made.add(name, *options).start()
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


async def _run(session: Session, script: str, limit: float = 30.0) -> str:
    """Run a line of shell, and return what is said of its end."""
    return await end_of(session, await session.run("sh", "-c", script), limit)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("true", f"exit code 0, {NO_OUTPUT}"),
        ("exit 1", f"failed (exit code 1), {NO_OUTPUT}"),
        ("exit 255", f"failed (exit code 255), {NO_OUTPUT}"),
        ("kill -9 $$", f"failed (signal 9, SIGKILL), {NO_OUTPUT}"),
        ("kill -TERM $$", f"failed (signal 15, SIGTERM), {NO_OUTPUT}"),
        ("kill -PIPE $$", f"failed (signal 13, SIGPIPE), {NO_OUTPUT}"),
        ("kill -INT $$", f"failed (signal 2, SIGINT), {NO_OUTPUT}"),
        ("echo hello", "exit code 0, output 6 bytes, errors 0 bytes: hello"),
        (
            "echo much; echo why >&2; exit 3",
            "failed (exit code 3), output 5 bytes, errors 4 bytes: why",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_ends(session: Session, script: str, said: str) -> None:
    """
    Exit codes and signals are told as they were.
    """
    assert await _run(session, script) == said


@pytest_twisted.ensureDeferred
async def test_streams(session: Session) -> None:
    """
    What is written to both streams is kept apart, each in its order.
    """
    script = "for i in 1 2 3; do echo out $i; echo error $i >&2; done"
    ticket = await session.run("sh", "-c", script)
    assert await end_of(session, ticket) == "exit code 0, output 18 bytes, errors 24 bytes: out 1 …"
    said = await session.output(ticket)
    assert said == (b"out 1\nout 2\nout 3\n", b"error 1\nerror 2\nerror 3\n")


@pytest.mark.parametrize("times", [1, 1000])
@pytest_twisted.ensureDeferred
async def test_binary(session: Session, times: int) -> None:
    """
    Output is bytes, all of them, in little output and in much.
    """
    every = "".join(f"\\{byte:03o}" for byte in range(256))
    script = f"i=0; while [ $i -lt {times} ]; do printf '{every}'; i=$((i+1)); done"
    ticket = await session.run("sh", "-c", f"{script}; printf '\\377\\000' >&2")
    size = 256 * times
    assert await end_of(session, ticket) == f"exit code 0, output {size} bytes, errors 2 bytes"
    assert await session.output(ticket) == (bytes(range(256)) * times, b"\xff\0")
    # Nothing was said behind it.
    assert (await session.ask(f"status {ticket}")).startswith("Status: succeeded")


@pytest_twisted.ensureDeferred
async def test_100_megabytes(daemons: Daemons, report: Callable[[str], None]) -> None:
    """
    Output of 100 MB reaches its origin, and whoever asks for it, and none of the processes that it
    goes through ever has more than a part of it.
    """
    cluster = Cluster(daemons)
    cluster.balancer.start()
    cluster.add("n1", slots=0).start()
    cluster.add("n2").start()
    await cluster.joined(["n1", "n2"])
    session = await cluster.session("n1")
    size, line = 100_000_000, b"jobcluster\n"
    begun = time.monotonic()
    ticket = await session.run("sh", "-c", f"yes jobcluster | head -c {size}; echo over >&2")
    assert await end_of(session, ticket, 60) == (
        f"exit code 0, output {size} bytes, errors 5 bytes: jobcluster …"
    )
    ended = time.monotonic()
    output, errors = await session.output(ticket, 60)
    taken = time.monotonic() - ended
    expected = (line * (size // len(line) + 1))[:size]
    assert hashlib.sha256(output).digest() == hashlib.sha256(expected).digest()
    assert errors == b"over\n"
    peaks = {daemon.name: daemon.peak() for daemon in [cluster.balancer, *cluster.nodes.values()]}
    peaks["keeper"] = peak_of(find_keeper(cluster.state_of("n2")))
    report(
        f"recorded {ended - begun:.1f} s after the submission, read in {taken:.1f} s; peaks: "
        + ", ".join(f"{name} {peak:.0f} MiB" for name, peak in peaks.items())
    )
    assert max(peaks.values()) < 150
    assert peaks["keeper"] < 40
    await cluster.stop()


@pytest_twisted.ensureDeferred
async def test_too_much_output(cluster: Cluster, session: Session) -> None:
    """
    A command that writes without end is ended, with a line that says why.
    """
    said = await _run(session, "yes")
    assert said.startswith(f"failed, output {_MAX_OUTPUT} bytes, errors 0 bytes: ")
    assert f"its output was over the limit of {_MAX_OUTPUT} bytes" in said


@pytest_twisted.ensureDeferred
async def test_closed_output(session: Session, tmp_path: Path) -> None:
    """
    A command that closes its standard output goes on until it ends.
    """
    gate = tmp_path / "gate"
    script = f"echo one; exec >&-; while ! [ -e {gate} ]; do sleep 0.02; done; echo on >&2; exit 4"
    ticket = await session.run("sh", "-c", script)

    async def runs() -> bool:
        return (await session.ask(f"status {ticket}")).startswith("Status: running")

    await until_told(_SOON, "it does not run", runs)
    gate.touch()
    assert await end_of(session, ticket) == (
        "failed (exit code 4), output 4 bytes, errors 3 bytes: on"
    )


_LEAVE: Final = {
    "child": "sh -c '{say}' & {wait}",
    "session": "setsid sh -c '{say}' & {wait}",
    "daemon": "(setsid sh -c '({say}) & {say}' &); {wait_for_two}",
    "nameless": "env -i PATH=$PATH setsid sh -c '{say}' & {wait}",
    "deaf": "trap \"\" TERM HUP INT; setsid nohup sh -c '{say}' & {wait}",
}
"""Commands that leave something, each in its way; it writes its pid, and sleeps."""


@pytest.mark.parametrize("way", sorted(_LEAVE))
@pytest_twisted.ensureDeferred
async def test_left_behind(session: Session, tmp_path: Path, way: str) -> None:
    """
    What a command leaves running in the background, in whatever group or session, is ended when it
    ends, and nobody waits for it.
    """
    pids = tmp_path / "pids"
    count = 2 if way == "daemon" else 1
    wait = f"while [ $(cat {pids} 2>/dev/null | wc -l) -lt {{}} ]; do sleep 0.01; done; exit 3"
    script = _LEAVE[way].format(
        # A subshell has the $$ of its shell.
        say=f'sh -c "echo \\$\\$ >> {pids}; exec sleep 1000"',
        wait=wait.format(1),
        wait_for_two=wait.format(2),
    )
    begun = time.monotonic()
    said = await _run(session, script)
    assert said.startswith("failed (exit code 3), ")
    assert time.monotonic() - begun < _SOON
    left = await pids_in(pids, count)
    assert len(set(left)) == count
    assert not [pid for pid in left if is_there(pid)]


@pytest_twisted.ensureDeferred
async def test_in_a_session_of_its_own(session: Session) -> None:
    """
    A command that calls setsid itself, and waits for what it started so, returns what that does.
    """
    ticket = await session.run("setsid", "-w", "sh", "-c", "sleep 0.2; echo done; exit 6")
    said = await end_of(session, ticket)
    assert said == "failed (exit code 6), output 5 bytes, errors 0 bytes"


@pytest_twisted.ensureDeferred
async def test_timed_out(session: Session, tmp_path: Path) -> None:
    """
    A command that takes longer than it may is ended, and what it had written is kept.
    """
    pids = tmp_path / "pids"
    script = f"echo so far; echo $$ > {pids}; sleep 1000 & wait"
    ticket = await session.run("-t", "0.5", "sh", "-c", script)
    [pid] = await pids_in(pids)
    said = await end_of(session, ticket, _SOON)
    assert said.startswith(
        "timed-out (signal 15, SIGTERM), output 7 bytes, errors 0 bytes: it took"
    )
    assert not is_there(pid)
    assert (await session.output(ticket))[0] == b"so far\n"


@pytest_twisted.ensureDeferred
async def test_cancelled(session: Session, tmp_path: Path) -> None:
    """
    A command that is cancelled has the time to end by itself.
    """
    pids = tmp_path / "pids"
    script = f"trap 'echo so be it; exit 5' TERM; echo $$ > {pids}; sleep 1000 & wait"
    ticket = await session.run("sh", "-c", script)
    [pid] = await pids_in(pids)
    assert (await session.ask(f"cancel {ticket}")).startswith("Cancelling: ")
    assert (await end_of(session, ticket, _SOON)).startswith("cancelled")
    assert not is_there(pid)
    assert (await session.output(ticket))[0] == b"so be it\n"


@pytest_twisted.ensureDeferred
async def test_cancelled_in_vain(session: Session, tmp_path: Path) -> None:
    """
    One that ignores SIGTERM, and whose children do, is killed when its time is over.
    """
    pids = tmp_path / "pids"
    say = f"sh -c 'echo $$ >> {pids}; exec sleep 1000'"
    script = f'trap "" TERM; {say} & setsid {say} & echo $$ >> {pids}; wait'
    ticket = await session.run("sh", "-c", script)
    all_pids = await pids_in(pids, 3)
    begun = time.monotonic()
    assert (await session.ask(f"cancel {ticket}")).startswith("Cancelling: ")
    assert (await end_of(session, ticket)).startswith("cancelled")
    assert _KILL_AFTER * 0.9 <= time.monotonic() - begun < _KILL_AFTER + 5
    assert not [pid for pid in all_pids if is_there(pid)]


@pytest_twisted.ensureDeferred
async def test_cancelled_while_stopped(session: Session, tmp_path: Path) -> None:
    """
    One that is stopped as by Ctrl-Z goes on to hear of it.
    """
    pids = tmp_path / "pids"
    script = f"trap 'echo awake; exit 5' TERM; echo $$ > {pids}; kill -STOP $$; sleep 1000"
    ticket = await session.run("sh", "-c", script)
    [pid] = await pids_in(pids)

    def is_stopped() -> bool:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"

    await until(_SOON, "it does not stop itself", is_stopped)
    assert (await session.ask(f"cancel {ticket}")).startswith("Cancelling: ")
    assert (await end_of(session, ticket, _SOON)).startswith("cancelled")
    assert (await session.output(ticket))[0] == b"awake\n"


@pytest_twisted.ensureDeferred
async def test_many_left_behind(session: Session, tmp_path: Path) -> None:
    """
    A command that goes on making processes that leave its group, with and without its environment,
    until the moment when it is killed: none of them is left.
    """
    pids = tmp_path / "pids"
    say = f"sh -c 'echo $$ >> {pids}; exec sleep 1000'"
    script = f'trap "" TERM; while :; do setsid {say} & (env -i setsid {say} &) ; done'
    ticket = await session.run("sh", "-c", script)
    await pids_in(pids, 100)
    assert (await session.ask(f"cancel {ticket}")).startswith("Cancelling: ")
    assert (await end_of(session, ticket)).startswith("cancelled")
    left = await pids_in(pids, 100)
    assert not [pid for pid in left if is_there(pid)]


@pytest_twisted.ensureDeferred
async def test_nothing_left(cluster: Cluster, session: Session) -> None:
    """
    After all of them no command runs, and the keepers keep nothing that was recorded.
    """
    rows = await session.listing("list")
    assert rows == []
    tickets = [row.split()[0] for row in await session.listing("getall")]
    assert not [pid for ticket in tickets for pid in jobs_of(ticket)]

    async def is_empty() -> bool:
        kept = [cluster.state_of(name) / "keeper" / "runs" for name in ("n1", "n2")]
        return not any(any(place.iterdir()) for place in kept)

    await until_told(_SOON, "output is kept that was recorded", is_empty)
