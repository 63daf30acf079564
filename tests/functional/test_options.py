"""
Daemons that are started wrongly: one clear line, and an end that says so.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import DeferredSemaphore, gatherResults

from jobcluster.config import BALANCER, NODE, Setting
from tests.functional.cluster import Cluster, endpoint
from tests.functional.daemons import Daemons, PatienceOverError, until
from tests.functional.sessions import connect

_FLAGS: Final = {"allow-pickle", "trust-network", "verbose"}

_NONSENSE: Final = {
    "allow-pickle": "please",
    "balancer": "tcp:127.0.0.1:99999",
    "client": "tcp:99999:interface=127.0.0.1",
    "console": "tcp:99999:interface=127.0.0.1",
    "console-prompt": "maybe",
    "dispatch-mode": "lazy",
    "dispatch-period": "0",
    "kill-after": "soon",
    "labels": "A Label",
    "listen": "carrier-pigeon",
    "log-format": "xml",
    "max-num-jobs-dispatch": "-1",
    "max-output": "1 GB",
    "max-num-nodes": "many",
    "min-free": "64 MB",
    "name": "Über_node",
    "on-stop": "panic",
    "rejoin-grace": "0.5",
    "request-result-period": "1e3",
    "retention": "nan",
    "slots": "two",
    "state": "/dev/null",
    "trust-network": "yes",
    "verbose": "2",
}
"""For each setting a value that makes no sense."""

_AT_ONCE: Final = 3
"""Daemons that are started at the same time."""


@attrs.frozen
class _Attempt:
    """A daemon that is not to start."""

    kind: str
    arguments: tuple[str, ...]
    environ: dict[str, str]
    where: str
    """What the line is to name."""


def _attempts(kind: str, settings: Sequence[Setting[Any]]) -> Iterator[_Attempt]:
    for setting in settings:
        value = _NONSENSE[setting.name]
        option = f"--{setting.name}"
        if setting.name not in _FLAGS:
            yield _Attempt(kind, (f"{option}={value}",), {}, option)
        for variable in (setting.variable, setting.bare):
            if variable:
                # A directory is looked at when it is known which is in force.
                where = option if setting.name == "state" else variable
                yield _Attempt(kind, (), {variable: value}, where)


async def _refused(daemons: Daemons, number: int, attempt: _Attempt) -> str:
    """
    Start a daemon that is not to start; return what is wrong with how it refuses, or nothing.
    """
    environ = {"JOBCLUSTER_STATE": str(daemons.directory / f"state-{number}")}
    if attempt.kind == "jobnode":
        environ["JOBCLUSTER_CONSOLE"] = endpoint(daemons.ports.choose())
    daemon = daemons.make(
        f"{attempt.kind}-{number}",
        attempt.kind,
        *attempt.arguments,
        environ={**environ, **attempt.environ},
    )
    daemon.start()
    told = f"{attempt.kind} {attempt.arguments or attempt.environ}"
    try:
        status = await daemon.ended(10)
    except PatienceOverError:
        return f"{told} was started"
    lines = _own_lines(daemon.said)
    if status == 0:
        return f"{told} ended with {status}"
    if len(lines) != 1:
        return f"{told} was answered with {len(lines)} lines: {lines}"
    if attempt.where not in lines[0] and attempt.where != "--state":
        return f"{told} was answered with {lines[0]}"
    return ""


def _own_lines(said: str) -> list[str]:
    """What a daemon said beside what twistd itself says."""
    usual = ("twisted.scripts", " starting on ", "[-] (", "[twisted.internet.base#info]")
    return [line for line in said.splitlines() if not any(word in line for word in usual)]


@pytest_twisted.ensureDeferred
async def test_nonsense(daemons: Daemons) -> None:
    """
    Every option, and every variable of the environment, with a value that makes no sense.
    """
    attempts = [*_attempts("jobbalancer", BALANCER), *_attempts("jobnode", NODE)]
    few = DeferredSemaphore(_AT_ONCE)
    faults = await gatherResults(
        [few.run(_refused, daemons, number, attempt) for number, attempt in enumerate(attempts)]
    )
    assert not any(faults), "\n".join(fault for fault in faults if fault)


@pytest.mark.parametrize("kind", ["jobbalancer", "jobnode"])
@pytest_twisted.ensureDeferred
async def test_port_taken(kind: str, daemons: Daemons) -> None:
    """
    Somebody else listens on the port.
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        option = "--listen" if kind == "jobbalancer" else "--console"
        daemon = daemons.make("late", kind, f"{option}={endpoint(port)}")
        daemon.start()
        status = await daemon.ended()
        [line] = _own_lines(daemon.said)
        assert status != 0
        assert option in line
        assert "in use" in line
        assert not (daemons.directory / "home").exists(), "a node that cannot listen left traces"


@pytest.mark.parametrize(
    "interface", ["", ":interface=0.0.0.0", ":interface=\\:\\:", ":interface=192.0.2.1"]
)
@pytest_twisted.ensureDeferred
async def test_beyond_loopback(interface: str, daemons: Daemons) -> None:
    """
    Other machines could reach the port, and nobody has said that this is wanted.
    """
    for kind, option in (("jobbalancer", "--listen"), ("jobnode", "--console")):
        port = daemons.ports.choose()
        daemon = daemons.make(kind, kind, f"{option}=tcp:{port}{interface}")
        daemon.start()
        status = await daemon.ended()
        assert status != 0
        [line] = _own_lines(daemon.said)
        assert option in line
        assert "--trust-network" in line


@pytest_twisted.ensureDeferred
async def test_trusted_network(daemons: Daemons) -> None:
    """
    Where it is wanted, it is loud in the logs and in C{nodes}.
    """
    port, console = daemons.ports.choose(), daemons.ports.choose()
    balancer = daemons.make("balancer", "jobbalancer", f"--listen=tcp:{port}", "--trust-network")
    node = daemons.make(
        "n1",
        "jobnode",
        f"--balancer=tcp:127.0.0.1:{port}",
        f"--console=tcp:{console}",
        "--name=n1",
        "--trust-network",
    )
    balancer.start()
    node.start()
    await until(20, "the node does not join", lambda: "] joined" in node.said)
    assert "EVERYONE WHO REACHES" in balancer.said
    assert "EVERYONE WHO REACHES" in node.said
    session = await connect(console)
    table = await session.nodes()
    assert not isinstance(table, str)
    assert "trusts its network" in table.nodes["n1"].remark


@pytest_twisted.ensureDeferred
async def test_one_state_for_two(daemons: Daemons) -> None:
    """
    The state directory is in use by another node, which goes on.
    """
    cluster = Cluster(daemons)
    await cluster.start(["n1"])
    late = cluster.add("n2", state=cluster.state_of("n1"))
    late.start()
    status = await late.ended()
    assert status != 0
    [line] = _own_lines(late.said)
    assert "Another node uses" in line
    assert "--state" in line
    session = await cluster.session("n1")
    assert len(await session.submit([1])) == 1


@pytest_twisted.ensureDeferred
async def test_environment(daemons: Daemons, tmp_path: Path) -> None:
    """
    Everything by the environment: a balancer and a node, and the command line wins.
    """
    port, console = daemons.ports.choose(), daemons.ports.choose()
    balancer = daemons.make(
        "balancer",
        "jobbalancer",
        environ={"JOBCLUSTER_LISTEN": endpoint(port), "DISPATCH_MODE": "periodic"},
    )
    state = tmp_path / "by-environment"
    node = daemons.make(
        "node",
        "jobnode",
        "--slots=3",
        environ={
            "JOBCLUSTER_BALANCER": f"tcp:127.0.0.1:{port}",
            "JOBCLUSTER_CONSOLE": endpoint(console),
            "JOBCLUSTER_CONSOLE_PROMPT": "on",
            "JOBCLUSTER_LOG_FORMAT": "json",
            "JOBCLUSTER_NAME": "named",
            "JOBCLUSTER_SLOTS": "5",
            "JOBCLUSTER_STATE": str(state),
        },
    )
    balancer.start()
    node.start()
    await until(20, "the node does not join", lambda: '"joined' in node.said)
    session = await connect(console)
    session.type("prompt off")
    assert await session.line() == "named> The prompt is off."
    table = await session.nodes()
    assert not isinstance(table, str)
    assert table.nodes["named"].slots == 3
    assert table.balance.mode == "periodic"
    assert (state / "jobs.sqlite").exists()
    node.terminate()
    assert await node.ended() == -signal.SIGTERM
