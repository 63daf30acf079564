"""
What is read of processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.keeper.facts import (
    Births,
    Process,
    environment_of,
    kill_exactly,
    parse_stat,
    process,
    processes,
)
from tests.keeper.client import eventually


class StatTests(SynchronousTestCase):
    """
    Lines of C{/proc/PID/stat}.
    """

    def test_names(self) -> None:
        """
        The name of a program may have anything in it.
        """
        for name in (b"sh", b"a b", b"a) R (b", b") R 1 1 1", b"(", b"\xff\n"):
            line = b"17 (" + name + b") S 2 3 4 34816 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99 20 21"
            self.assertEqual(Process(17, "S", 2, 3, 4, 99), parse_stat(line))

    def test_this_process(self) -> None:
        """
        This process is found, as it says of itself.
        """
        found = process(os.getpid())
        self.assertIsNotNone(found)
        if found is not None:
            self.assertEqual((os.getppid(), os.getpgid(0), os.getsid(0)), found[2:5])
        self.assertIn(os.getpid(), [one.pid for one in processes()])
        self.assertIsNone(process(2**30))


class ChildTests(SynchronousTestCase):
    """
    Tests with a child.
    """

    def child(self) -> subprocess.Popen[bytes]:
        """
        A process that sleeps.
        """
        child = subprocess.Popen(["/bin/sleep", "1000"], env={"A": "b=c", "D": ""})

        def end() -> None:
            child.kill()
            child.wait()

        self.addCleanup(end)
        return child

    def test_environment(self) -> None:
        """
        The environment of another process, and of none.
        """
        pid = self.child().pid
        # While a program is being loaded it has none yet.
        eventually(lambda: environment_of(pid), "there is no environment")
        self.assertEqual({b"A=b=c", b"D="}, environment_of(pid))
        self.assertEqual(frozenset(), environment_of(2**30))

    def test_kill_exactly(self) -> None:
        """
        Only the process that was started at that time is killed.
        """
        child = self.child()
        found = process(child.pid)
        start = 0 if found is None else found.start
        self.assertTrue(kill_exactly(child.pid, start + 1))
        self.assertIsNone(child.poll())
        self.assertFalse(kill_exactly(child.pid, start))
        # It stays a zombie until it is waited for, and that is gone.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.assertTrue(kill_exactly(child.pid, start))
        self.assertEqual(-signal.SIGKILL, child.wait())
        self.assertTrue(kill_exactly(child.pid, start))

    def test_births(self) -> None:
        """
        A process that was created in between is among the new ones, once.
        """
        births = Births()
        self.addCleanup(births.close)
        for _ in range(2):  # the numbers may begin anew in between, but not twice
            pid = self.child().pid
            first = births.new({pid})
            if first is not None:
                self.assertIn(pid, first)
                self.assertNotIn(pid, births.new(set()) or ())
                return
        raise SkipTest("/proc/loadavg is not the kernel's here")

    def test_unbelievable(self) -> None:
        """
        If our own are not among the new ones, any may be new from then on.
        """
        births = Births()
        self.addCleanup(births.close)
        self.assertIsNone(births.new({1}))
        self.assertIsNone(births.new(set()))
