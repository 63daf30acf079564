"""
The demonstration, as C{make demo} runs it.

Plain functions, for they wait for one program after another and need no reactor.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIMIT = 120
"""Seconds that a run may take on a machine that is busy with other things."""


@contextmanager
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """
    Start the demonstration, whose directory is then in C{tmp_path}; kill it if it does not end.
    """
    # It must work whatever a user has set for daemons that are started by hand.
    environ = {**os.environ, "TMPDIR": str(tmp_path), "DISPATCH_MODE": "x", "JOBCLUSTER_SLOTS": "x"}
    with subprocess.Popen(
        [sys.executable, "-m", "jobcluster.demo"],
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            if program.poll() is None:
                program.terminate()


def read_until(program: subprocess.Popen[str], words: str) -> str:
    """
    Read what a program prints, up to a line that has these words.
    """
    assert program.stdout is not None
    lines = []
    for line in program.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def processes(directory: Path, word: str = "") -> list[int]:
    """
    List the processes that run in a directory, or have it, or what is in it, among their arguments:
    daemons, keepers and commands.

    @param word: what they are to have among their arguments too.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (path / "cmdline").read_bytes()
            place = (path / "cwd").readlink()
        except OSError:
            continue
        is_there = os.fsencode(directory) in arguments or directory in [place, *place.parents]
        if is_there and word.encode() in arguments:
            found.append(int(path.name))
    return found


def test_succeeds(tmp_path: Path) -> None:
    """
    It kills a node and starts it again, every ticket has its result, and nothing is left behind.
    """
    with demo(tmp_path) as program:
        printed, _ = program.communicate(timeout=LIMIT)
    assert program.returncode == 0, printed
    typed = re.search(r"typed (\d+) sleeps and (\d+) checksums", printed)
    assert typed is not None, printed
    sleeps, checksums = map(int, typed.groups())
    assert sleeps >= 36
    assert checksums >= 12
    killed = re.search(
        r"killed beta .* after \d+ of \d+ jobs, while it ran (\d) checksums", printed
    )
    assert killed is not None, printed
    assert int(killed[1]) > 0
    assert re.search(r"its keeper, process \d+, goes on with \d of them", printed), printed
    assert re.search(r"beta has joined again, with \d of the same checksums", printed), printed
    total = sleeps + checksums
    assert f"{total} tickets, {total} results, each as it should be" in printed, printed
    assert f"{checksums} outputs, each the checksum" in printed, printed
    assert f"no checksum was started a second time: all {checksums} took one" in printed, printed
    assert "Balance (eager): running max - min 0 now" in printed, printed
    assert "all daemons were stopped, in order; no process is left, keepers included" in printed
    # Where nothing can be drawn in place, there is a line now and then.
    assert re.search(r"\d+ of \d+: alpha runs \d, beta runs \d, gamma runs \d", printed), printed
    assert "\x1b" not in printed
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []


def test_interrupted(tmp_path: Path) -> None:
    """
    Ctrl-C ends it and all that it has started, keepers and commands of a killed node included; its
    status says so.
    """
    with demo(tmp_path) as program:
        read_until(program, "goes on with")
        [directory] = tmp_path.iterdir()
        assert processes(directory / "beta", "jobcluster.keeper")
        assert processes(directory / "files", "sleep")
        program.send_signal(signal.SIGINT)
        printed, _ = program.communicate(timeout=LIMIT)
    assert program.returncode == 128 + signal.SIGINT, printed
    assert "Interrupted" in printed
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []


def test_fails(tmp_path: Path) -> None:
    """
    A daemon that ends by itself makes it fail, with what the daemon's log says.
    """
    with demo(tmp_path) as program:
        read_until(program, "typed")
        [directory] = tmp_path.iterdir()
        [gamma] = processes(directory / "gamma", "jobnode")
        os.kill(gamma, signal.SIGTERM)
        printed, _ = program.communicate(timeout=LIMIT)
    assert program.returncode == 1, printed
    assert "FAILED: gamma has ended; its log says:" in printed, printed
    assert "node gamma is up" in printed, printed
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []
