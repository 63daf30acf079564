"""
Programs that are clients of real nodes: the Python API and the command line, through kill -9.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from tests.functional.cluster import Cluster, endpoint
from tests.functional.daemons import Daemons, until, until_told, within

_LIMIT: Final = 60.0
"""Seconds in which a program ends, on a machine that is busy."""

_FUNCTIONS: Final = """
import json
from jobcluster import Cluster

with Cluster() as cluster:
    slow = [cluster.submit("time:sleep", 0.02) for _ in range(150)]
    quick = list(cluster.map(abs, range(-1000, 0)))
    print(json.dumps([quick, [future.result() for future in slow]]))
"""
"""Calls functions, and prints what they have returned, in order."""


_COMMAND_LINE: Final = """
import os
os.dup2(os.open({out!r}, os.O_WRONLY | os.O_CREAT), 1)
with open({pid!r}, "w") as file:
    file.write(str(os.getpid()))
from jobcluster.cli.main import main
main(prog_name="jobcluster")
"""
"""The command line, which says who it is and writes where it is told to."""


def _run(connect: str, *arguments: str, cwd: Path) -> Deferred[tuple[bytes, bytes, int]]:
    """
    Run Python with these arguments, as a client of the node there; fires with what it has put out,
    what is wrong, and its exit code, negative for a signal.
    """
    environ = {"JOBCLUSTER_CONNECT": connect, "PATH": os.defpath}
    running: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(
        sys.executable, arguments, environ, str(cwd), reactor
    )

    def killed(failure: Failure) -> tuple[bytes, bytes, int] | Failure:
        ended: Any = failure.value  # no exception, whatever its type says
        if not isinstance(ended, tuple):
            return failure
        out, err, number = ended
        return out, err, -number

    running.addErrback(killed)
    return within(_LIMIT, running, "the program does not end")


async def _start(daemons: Daemons) -> tuple[Cluster, str]:
    """
    Start two nodes; also where a program finds the first one.
    """
    cluster = Cluster(daemons)
    cluster.balancer.start()
    port = daemons.ports.choose()
    cluster.add("n1", f"--client={endpoint(port)}").start()
    cluster.add("n2").start()
    await cluster.joined(["n1", "n2"])
    return cluster, f"127.0.0.1:{port}"


@pytest_twisted.ensureDeferred
async def test_functions(daemons: Daemons, tmp_path: Path) -> None:
    """
    Functions come back with the right results in order, though their origin and then another node
    are killed and started again meanwhile: their client only waits.
    """
    cluster, connect = await _start(daemons)
    running = _run(connect, "-c", _FUNCTIONS, cwd=tmp_path)

    async def has_begun() -> bool:
        table = await cluster.table("n2")
        return not isinstance(table, str) and table.nodes["n2"].completed > 20

    for name in ("n1", "n2"):
        await until_told(_LIMIT, "nothing has ended", has_begun)
        await cluster.nodes[name].kill()
        cluster.nodes[name].start()
        await cluster.joined(["n1", "n2"])
    out, err, code = await running
    assert (err, code) == (b"", 0)
    quick, slow = json.loads(out)
    assert quick == list(range(1000, 0, -1))
    assert slow == [None] * 150


@pytest_twisted.ensureDeferred
async def test_map_killed(daemons: Daemons, tmp_path: Path) -> None:
    """
    A map whose command line is killed in the middle goes on where it was, by its key: the whole
    output comes in order, and no line runs twice.
    """
    _, connect = await _start(daemons)
    ran, lines, pid = tmp_path / "ran", tmp_path / "lines", tmp_path / "pid"
    numbers = [str(number) for number in range(300)]
    lines.write_text("\n".join(numbers), "ascii")
    program = _COMMAND_LINE.format(pid=str(pid), out="/dev/stdout")
    job = f"echo {{}} >> {ran}; echo out {{}}; sleep 0.03"
    words = ("-c", program, "map", "--key", "k", "-a", str(lines), "--", "sh", "-c", job)
    first = _run(connect, *words, cwd=tmp_path)
    await until(_LIMIT, "nothing runs", lambda: ran.exists() and ran.stat().st_size > 100)
    os.kill(int(pid.read_text("ascii")), signal.SIGKILL)
    _, _, code = await first
    assert code == -signal.SIGKILL
    out, err, code = await _run(connect, *words, cwd=tmp_path)
    assert (err, code) == (b"", 0)
    assert out.decode("ascii").splitlines() == [f"out {number}" for number in numbers]
    assert sorted(ran.read_text("ascii").split(), key=int) == numbers


@pytest_twisted.ensureDeferred
async def test_run(daemons: Daemons, tmp_path: Path) -> None:
    """
    What is run prints what it prints there, while it runs, and its exit code is passed on; an
    interrupt cancels it.
    """
    cluster, connect = await _start(daemons)
    run = ("-m", "jobcluster.cli", "run", "sh", "-c")
    ended = await _run(connect, *run, "echo out; echo err >&2; exit 3", cwd=tmp_path)
    assert ended == (b"out\n", b"err\n", 3)
    pid, said = tmp_path / "pid", tmp_path / "said"
    program = _COMMAND_LINE.format(pid=str(pid), out=str(said))
    running = _run(connect, "-c", program, "run", "sh", "-c", "echo begun; sleep 60", cwd=tmp_path)
    await until(_LIMIT, "nothing is said", lambda: said.exists() and said.stat().st_size > 0)
    os.kill(int(pid.read_text("ascii")), signal.SIGINT)
    _, err, code = await running
    assert (said.read_bytes(), code) == (b"begun\n", 130)
    assert b"is cancelled" in err
    session = await cluster.session("n1")

    async def has_ended() -> bool:
        return len(await session.listing("list cancelled")) == 1

    await until_told(_LIMIT, "it goes on", has_ended)
