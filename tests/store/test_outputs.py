"""
Outputs beside the store, in files and in memory.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import maybeDeferred

from jobcluster.errors import OutputMissingError, OutputNotKeptError
from jobcluster.store.outputs import MemoryOutputs, OutputFiles
from tests.store import outputs_contract
from tests.store.outputs_contract import FIRST, JOB, SECOND


class MemoryTests(outputs_contract.OutputsContract):
    """
    In memory.
    """

    def setUp(self) -> None:
        """
        With some room.
        """
        self.outputs = MemoryOutputs(room=100)

    def test_full(self) -> None:
        """
        There is no more than there is.
        """
        self.failureResultOf(
            self.outputs.write(JOB, FIRST, "out", 0, bytes(101)), OutputNotKeptError
        )


class FilesTests(outputs_contract.OutputsContract):
    """
    In files.
    """

    def setUp(self) -> None:
        """
        In a state directory.
        """
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.outputs = OutputFiles(self.state, maybeDeferred)

    def test_private(self) -> None:
        """
        Nobody else may read them.
        """
        self.write(FIRST, "out", b"secret")
        self.keep(FIRST)
        directory = self.state / "output"
        self.assertEqual(0o700, directory.stat().st_mode & 0o777)
        self.assertEqual({0o600}, {path.stat().st_mode & 0o777 for path in directory.iterdir()})

    def test_forget(self) -> None:
        """
        What is old is forgotten, halves included.
        """
        self.assertEqual(0, self.successResultOf(self.outputs.forget(1)))
        self.write(FIRST, "out", b"old")
        self.keep(FIRST)
        self.write(SECOND, "out", b"half")
        for path in (self.state / "output").iterdir():
            os.utime(path, (1000, 1000))
        self.write((4, 1), "out", b"new")
        self.assertEqual(0, self.successResultOf(self.outputs.forget(999_000)))
        self.assertEqual(3, self.successResultOf(self.outputs.forget(1_001_000)))
        self.assertEqual(1, len(list((self.state / "output").iterdir())))
        self.failureResultOf(self.outputs.read(JOB, "out", 0, 1), OutputMissingError)

    def test_no_disk(self) -> None:
        """
        What the system says is said to the user.
        """
        (self.state / "output").write_bytes(b"in the way")
        why = self.failureResultOf(self.outputs.write(JOB, FIRST, "out", 0, b"a")).value
        self.assertIsInstance(why, OutputNotKeptError)
        self.assertIn("File exists", str(why))
