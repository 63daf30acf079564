"""
The container images: built and tried where podman is, their entry points everywhere.

Plain functions, for they wait for one program after another and need no reactor.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

DOCKER: Final = Path(__file__).resolve().parents[2] / "docker"

_SKIPPED: Final = 77
"""The exit status of docker/test.sh where it cannot be tried; its last line says why."""

_LIMIT: Final = 1200
"""Seconds for the images to be built and tried, and for what they are built on to be made."""

_TWISTD: Final = """\
#!/bin/sh
echo "$@"
echo "trust ${JOBCLUSTER_TRUST_NETWORK-}"
echo "listen ${JOBCLUSTER_LISTEN-}"
echo "console ${JOBCLUSTER_CONSOLE-}"
"""
"""Says what it was called with."""


@pytest.mark.skipif(shutil.which("podman") is None, reason="there is no podman")
def test_images() -> None:
    """
    Both images are built, and do all that docker/test.sh has them do.
    """
    with subprocess.Popen(
        [DOCKER / "test.sh"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as trying:
        try:
            said, _ = trying.communicate(timeout=_LIMIT)
        except BaseException:
            # It removes what it has made.
            os.killpg(trying.pid, signal.SIGTERM)
            raise
    if trying.returncode == _SKIPPED:
        pytest.skip(said.strip().rpartition("\n")[2])
    assert trying.returncode == 0, said
    assert "all of it was as it should be" in said


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """
    A path on which twistd is one that only says what it was called with.
    """
    twistd = tmp_path / "twistd"
    twistd.write_text(_TWISTD, encoding="ascii")
    twistd.chmod(0o755)
    yield f"{tmp_path}{os.pathsep}{os.defpath}"
    twistd.unlink()


def _enter(
    script: str, path: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", DOCKER / script, *arguments],
        env={"PATH": path, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "arguments", "environ", "expected"),
    [
        (
            "balancer.sh",
            ("8080",),
            {},
            ("jobbalancer --listen tcp:8080", "trust 1", "listen tcp:8080"),
        ),
        ("balancer.sh", (), {}, ("jobbalancer", "listen tcp:8080")),
        (
            "balancer.sh",
            ("7", "--max-num-nodes", "3"),
            {},
            ("jobbalancer --listen tcp:7 --max-num-nodes 3",),
        ),
        (
            "balancer.sh",
            ("--verbose",),
            {"JOBCLUSTER_LISTEN": "tcp:7000", "JOBCLUSTER_TRUST_NETWORK": "0"},
            ("jobbalancer --verbose", "trust 0", "listen tcp:7000"),
        ),
        (
            "node.sh",
            ("reverse-proxy", "8080"),
            {},
            ("jobnode --balancer tcp:reverse-proxy:8080", "trust 1", "console tcp:9000"),
        ),
        (
            "node.sh",
            ("10.0.0.1", "65535", "--slots", "2"),
            {"JOBCLUSTER_CONSOLE": "tcp:9001"},
            ("jobnode --balancer tcp:10.0.0.1:65535 --slots 2", "console tcp:9001"),
        ),
        ("node.sh", (), {"JOBCLUSTER_BALANCER": "tcp:there:1"}, ("jobnode",)),
        ("node.sh", ("--help",), {}, ("jobnode --help",)),
        ("node.sh", ("--balancer=tcp:b:1",), {}, ("jobnode --balancer=tcp:b:1",)),
    ],
)
def test_entry(
    script: str,
    arguments: tuple[str, ...],
    environ: Mapping[str, str],
    expected: tuple[str, ...],
    path: str,
) -> None:
    """
    What the original took, and whatever else is said by options and variables, reaches twistd.
    """
    entered = _enter(script, path, *arguments, environ=environ)
    assert (entered.returncode, entered.stderr) == (0, "")
    daemon, *variables = expected
    called, *has = entered.stdout.splitlines()
    assert called == f"--nodaemon --pidfile= {daemon}"
    for variable in variables:
        assert variable in has


@pytest.mark.parametrize(
    ("script", "arguments", "about"),
    [
        ("balancer.sh", ("",), "'' is no port"),
        ("balancer.sh", ("0",), "'0' is no port"),
        ("balancer.sh", ("65536",), "'65536' is no port"),
        ("balancer.sh", ("eighty",), "'eighty' is no port"),
        ("balancer.sh", ("99999999999999999999",), "is no port"),
        ("balancer.sh", ("8080", "8081"), "'8081' is too much"),
        ("node.sh", (), "say where the balancer is"),
        ("node.sh", ("--slots", "2"), "say where the balancer is"),
        ("node.sh", ("reverse-proxy",), "'reverse-proxy', comes its port"),
        ("node.sh", ("reverse-proxy", "--slots"), "'reverse-proxy', comes its port"),
        ("node.sh", ("reverse-proxy", "80 80"), "'80 80' is no port"),
        ("node.sh", ("", "8080"), "'' is no host"),
        ("node.sh", ("a:b", "8080"), "'a:b' is no host"),
        ("node.sh", ("reverse-proxy", "8080", "9000"), "'9000' is too much"),
    ],
)
def test_nonsense(script: str, arguments: tuple[str, ...], about: str, path: str) -> None:
    """
    Arguments that make no sense are refused with one line, and no daemon is started.
    """
    entered = _enter(script, path, *arguments)
    assert entered.returncode == 2
    assert entered.stdout == ""
    [line] = entered.stderr.splitlines()
    assert line.startswith("jobcluster: ")
    assert about in line
