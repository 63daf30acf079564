"""
A keeper whose disk is really full: a file system of 200 KB, filled and freed.
"""

from __future__ import annotations

import contextlib
import subprocess
from unittest import SkipTest

from tests.keeper.cases import KeeperCase
from tests.keeper.client import eventually


class FullDiskTests(KeeperCase):
    """
    Nothing is started that the spool could not know of, and every end is told.
    """

    def setUp(self) -> None:
        """
        Mount a small file system, which takes root.
        """
        super().setUp()
        self.gate = self.state / "gate"
        self.state /= "mounted"
        self.directory = self.state / "keeper"
        self.state.mkdir()
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", self.state],
            capture_output=True,
            check=False,
            text=True,
        )
        if mount.returncode:
            raise SkipTest(f"a small file system cannot be mounted: {mount.stderr.strip()}")
        self.addCleanup(subprocess.check_call, ["umount", self.state])

    def test_full(self) -> None:
        """
        Starts are refused and ends are told while it is full; both are known when there is room.
        """
        keeper = self.keeper()
        node = self.node(keeper)
        ran = node.start("sh", "-c", f"while [ ! -e {self.gate} ]; do sleep 0.01; done; exit 3")
        node.expect("started")
        ballast = self.state / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        # The last page of the spool has some room still.
        refs = []
        for once in (False, True):
            while True:
                ref = node.start("true", once=once)
                if node.hear().word == "refused":
                    break
                node.expect("ended")
                refs.append(ref)
        self.gate.touch()
        outcome, _ = node.end_of(ran)
        self.assertEqual(3, outcome["code"])
        self.assertIn("the spool cannot be written (No space left on device)", keeper.log)
        ballast.unlink()
        eventually(lambda: "the spool is complete again" in keeper.log, "it is not complete")
        last = node.start("true", once=True)
        node.end_of(last)
        keeper.kill()
        after = self.node(self.keeper())
        held = {tuple(frame.head["ref"]): frame.head["outcome"] for frame in after.held}
        self.assertEqual({tuple(ref) for ref in [ran, *refs, last]}, set(held))
        self.assertEqual(outcome, held[tuple(ran)])
