"""
A control group of a test, in which a daemon is started and killed as systemd would do it.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.functional.daemons import Daemon, until

__all__ = ["ControlGroup", "make_control_group"]

_MOUNTS: Final = Path("/proc/self/mounts")
_MINE: Final = Path("/proc/self/cgroup")


class ControlGroup:
    """
    Some processes, and all that these start.
    """

    def __init__(self, path: Path, home: Path) -> None:
        """
        One that is there, and empty.

        @param home: the group that this process is in.
        """
        self._path = path
        self._home = home

    def start(self, daemon: Daemon) -> None:
        """
        Start a daemon within it.
        """
        mine = str(os.getpid())
        (self._path / "cgroup.procs").write_text(mine, "ascii")
        try:
            daemon.start()
        finally:
            (self._home / "cgroup.procs").write_text(mine, "ascii")

    def processes(self) -> list[int]:
        """
        All that are within.
        """
        return [int(line) for line in (self._path / "cgroup.procs").read_text("ascii").split()]

    async def stop(self, daemon: Daemon, kill_mode: str, limit: float) -> None:
        """
        Stop what runs there as systemd stops a unit: see KillMode= in systemd.kill(5).

        @param limit: C{TimeoutStopSec=}, in seconds.
        """
        main = daemon.pid
        others = [pid for pid in self.processes() if pid != main]
        asked: dict[str, list[int]] = {
            "control-group": [main, *others],
            "mixed": [main],
            "process": [main],
        }
        for pid in asked[kill_mode]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        await daemon.ended(limit)
        if kill_mode != "process":
            await until(limit, "there is somebody left", self._kill_all)

    def _kill_all(self) -> bool:
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    async def remove(self) -> None:
        """
        Kill all that is left, and remove it.
        """
        await until(10, "there is somebody left", self._kill_all)
        self._path.rmdir()


def make_control_group(name: str) -> ControlGroup:
    """
    Make one, below that of this process; skip the test where that is not possible.
    """
    try:
        home = _home()
        path = home / name
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    return ControlGroup(path, home)


def _home() -> Path:
    """
    The group of this process, in a hierarchy that has no limits: as systemd uses it.
    """
    mounts = [line.split(" ") for line in _MOUNTS.read_text("utf-8").splitlines()]
    mine = [line.split(":", 2)[1:] for line in _MINE.read_text("utf-8").splitlines()]
    for kind, name in (("cgroup", "name=systemd"), ("cgroup2", "")):
        for _, point, found, options, *_ in mounts:
            if found == kind and (not name or name in options.split(",")):
                for controllers, path in mine:
                    if controllers == name:
                        return Path(point + path)
    raise FileNotFoundError(2, "there is no hierarchy of them")
