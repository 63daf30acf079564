"""
C{jobcluster-backup}, as it is called.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jobcluster.cli.backup import described
from jobcluster.store.backup import Backup
from tests.store import sqlite_case
from tests.store.scenes import ended, submitted


class CommandTests(sqlite_case.SqliteCase):
    """
    The program.
    """

    def call(self, *arguments: str | Path) -> tuple[int, str, str]:
        """
        Run it: its exit code, what it says, and what it says is wrong.
        """
        done = subprocess.run(
            [sys.executable, "-m", "jobcluster.cli.backup", *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def test_done(self) -> None:
        """
        One line says what is in the backup.
        """
        self.commit(submitted(1001, 1002))
        self.commit(ended(1001))
        place = self.directory.with_name("backup")
        code, said, wrong = self.call(self.directory, place)
        self.assertEqual((0, ""), (code, wrong))
        self.assertEqual(1, said.count("\n"))
        self.assertTrue(said.startswith(f"Backed up node-a into {place}: 1 jobs with an outcome"))

    def test_refused(self) -> None:
        """
        One line says why there is none, and the exit code is 1.
        """
        code, said, wrong = self.call(self.directory, self.directory)
        line = f"jobcluster-backup: {self.directory} is there already: choose another name.\n"
        self.assertEqual((1, "", line), (code, said, wrong))

    def test_usage(self) -> None:
        """
        What makes no sense is answered with how to call it, and the exit code is 2.
        """
        code, said, wrong = self.call(self.directory)
        self.assertEqual((2, ""), (code, said))
        self.assertTrue(wrong.startswith("usage: jobcluster-backup "))


class DescribedTests(sqlite_case.SqliteCase):
    """
    What is said of a backup.
    """

    def test_all(self) -> None:
        """
        Everything that is in it.
        """
        self.assertEqual(
            "Backed up alpha into backup: 3 jobs with an outcome, 2 without, 4 files of output,"
            " 1.5 MiB.",
            described(Backup("alpha", 2, 3, 4, (), 3 * 512 * 1024), Path("backup")),
        )
