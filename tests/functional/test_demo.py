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


def processes(directory: Path) -> list[int]:
    """
    List the processes that have a directory, or what is in it, among their arguments.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in arguments:
            found.append(int(path.parent.name))
    return found


def test_succeeds(tmp_path: Path) -> None:
    """
    It kills a node and starts it again, every ticket has its result, and nothing is left behind.
    """
    with demo(tmp_path) as program:
        printed, _ = program.communicate(timeout=LIMIT)
    assert program.returncode == 0, printed
    typed = re.search(r"typed (\d+) sleeps", printed)
    assert typed is not None, printed
    assert int(typed[1]) >= 36
    assert re.search(r"killed beta with kill -9 after \d+ of \d+ jobs", printed), printed
    assert "beta has joined again" in printed, printed
    assert f"{typed[1]} tickets, {typed[1]} results, each as it should be" in printed, printed
    assert "Balance (eager): running max - min 0 now" in printed, printed
    assert "all daemons were stopped, in order" in printed, printed
    # Where nothing can be drawn in place, there is a line now and then.
    assert re.search(r"\d+ of \d+: alpha runs \d, beta runs \d, gamma runs \d", printed), printed
    assert "\x1b" not in printed
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []


def test_interrupted(tmp_path: Path) -> None:
    """
    Ctrl-C ends it and all that it has started; its status says so.
    """
    with demo(tmp_path) as program:
        read_until(program, "typed")
        assert len(processes(tmp_path)) == 3
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
        [gamma] = processes(directory / "gamma")
        os.kill(gamma, signal.SIGTERM)
        printed, _ = program.communicate(timeout=LIMIT)
    assert program.returncode == 1, printed
    assert "FAILED: gamma has ended; its log says:" in printed, printed
    assert "node gamma is up" in printed, printed
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []
