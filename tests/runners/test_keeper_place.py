"""
The directory of a keeper.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.errors import KeeperError, OutputMissingError
from jobcluster.runners.keeper_place import KeeperDirectory, Sighting


def start_of(pid: int) -> int:
    """
    When a process was started, by C{/proc}.
    """
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    return int(stat.rpartition(")")[2].split()[19])


class PlaceTests(SynchronousTestCase):
    """
    A state directory with files as a keeper writes them.
    """

    def setUp(self) -> None:
        """
        Make it.
        """
        self.state = Path(self.mktemp())
        self.state.mkdir(parents=True)
        self.place = KeeperDirectory(Clock(), self.state)
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()

    def name(self, pid: int, /, **changes: object) -> None:
        """
        Write the lock file.
        """
        said = {"pid": pid, "start": start_of(pid), "boot": self.boot, "keeper": "k", "socket": "s"}
        path = self.state / "keeper"
        path.mkdir(exist_ok=True)
        (path / "lock").write_text(json.dumps(said | changes) + "\n", "utf-8")

    def sleeper(self) -> subprocess.Popen[bytes]:
        """
        A process that does nothing.
        """
        program = "import sys; sys.stdin.read()"
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_nothing_there(self) -> None:
        """
        Where nobody was ever, nobody is.
        """
        self.assertIsNone(self.place.named())
        self.assertFalse(self.place.is_locked())
        self.assertFalse(self.place.has_spool)

    def test_named(self) -> None:
        """
        Who is named is the process of that number only if it was started then, in this boot.
        """
        pid = os.getpid()
        self.name(pid)
        self.assertEqual(Sighting(pid, start_of(pid), self.boot, "k", "s"), self.place.named())
        for changes in ({"start": 1}, {"boot": "another"}, {"pid": 2**22 + 1}):
            self.name(pid, **changes)
            self.assertIsNone(self.place.named())

    def test_half_written(self) -> None:
        """
        A lock file that says nothing sensible names nobody.
        """
        self.name(os.getpid())
        lock = self.state / "keeper" / "lock"
        for text in ("", "{", "[]", "{}", '{"pid": "x"}', '{"pid": 1, "start": null}'):
            lock.write_text(text, "utf-8")
            self.assertIsNone(self.place.named())

    def test_locked(self) -> None:
        """
        The lock is seen, and is not held by looking.
        """
        self.name(os.getpid())
        self.assertFalse(self.place.is_locked())
        with (self.state / "keeper" / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.assertTrue(self.place.is_locked())
        self.assertFalse(self.place.is_locked())

    def test_signal(self) -> None:
        """
        A signal reaches the very process, and no other of its number.
        """
        process = self.sleeper()
        sighting = Sighting(process.pid, start_of(process.pid), self.boot, "k", "s")
        stranger = Sighting(process.pid, sighting.start + 1, self.boot, "k", "s")
        self.place.signal(stranger, signal.SIGKILL)
        self.assertTrue(self.place.lives(sighting))
        self.place.signal(sighting, signal.SIGTERM)
        self.assertEqual(-signal.SIGTERM, process.wait(10))
        self.assertFalse(self.place.lives(sighting))
        self.place.signal(sighting, signal.SIGKILL)

    def test_zombie(self) -> None:
        """
        A process that has ended is there no more, even if nobody has asked how.
        """
        process = self.sleeper()
        sighting = Sighting(process.pid, start_of(process.pid), self.boot, "k", "s")
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertFalse(self.place.lives(sighting))

    def test_no_state(self) -> None:
        """
        A state directory that is gone is not made anew.
        """
        self.state.rmdir()
        self.assertRaises(KeeperError, self.place.launch)
        self.assertFalse(self.state.exists())

    def test_launch_in_another_directory(self) -> None:
        """
        Where the state directory was replaced, nothing is started in the other one.
        """
        self.assertIsNone(self.place.named())
        self.state.rename(self.state.with_name("elsewhere"))
        self.state.mkdir()
        self.assertRaises(KeeperError, self.place.launch)
        self.assertEqual([], list(self.state.iterdir()))

    def test_output(self) -> None:
        """
        Output is read from where it is asked for, as far as it goes.
        """
        runs = self.state / "keeper" / "runs"
        runs.mkdir(parents=True)
        (runs / "7.err").write_bytes(b"0123456789")
        self.assertEqual(b"234", self.place.read(7, "err", 2, 3))
        self.assertEqual(b"89", self.place.read(7, "err", 8, 3))
        with self.assertRaises(OutputMissingError) as caught:
            self.place.read(7, "out", 0, 3)
        self.assertIn("No such file", str(caught.exception))
