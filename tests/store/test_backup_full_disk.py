"""
Backups on a disk that is really full.
"""

from __future__ import annotations

import os
import subprocess
from unittest import SkipTest

from jobcluster.store.backup import back_up
from jobcluster.store.sqlite import SqliteStore
from tests.store.backup_case import LONG, BackupCase
from tests.store.direct import DirectPools
from tests.store.scenes import opened, submitted


class FullDiskTests(BackupCase):
    """
    The disk of the backup is another one, and small.
    """

    def setUp(self) -> None:
        """
        Mount it, which takes root.
        """
        super().setUp()
        mounted = self.directory.with_name("mounted").absolute()
        mounted.mkdir()
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mounted],
            capture_output=True,
            check=False,
            text=True,
        )
        if mount.returncode:
            raise SkipTest(f"a small file system cannot be mounted: {mount.stderr.strip()}")
        self.addCleanup(subprocess.check_call, ["umount", mounted])
        self.place = mounted / "backup"

    def test_copies(self) -> None:
        """
        Where output cannot be linked it is copied, and is as old as it was.
        """
        self.commit(submitted(1001))
        self.end_with_output(1001)
        original = self.directory / "output" / "1001.out"
        os.utime(original, (1_000_000, 2_000_000))
        back_up(self.directory, self.place)
        copy = self.place / "output" / "1001.out"
        self.assertEqual(LONG, copy.read_bytes())
        self.assertEqual(2_000_000, copy.stat().st_mtime)
        self.assertEqual(0o600, copy.stat().st_mode & 0o777)

    def test_full_of_output(self) -> None:
        """
        The files do not fit.
        """
        self.commit(submitted(*range(1001, 1041)))
        for number in range(1001, 1041):
            self.end_with_output(number)
        self.assertEqual(
            f"{self.directory} cannot be backed up to {self.place}: No space left on device.",
            self.refused(),
        )
        self.assertEqual([], [*self.place.parent.iterdir()])

    def test_full_of_jobs(self) -> None:
        """
        The database does not fit.
        """
        store = SqliteStore(self.directory.with_name("large"), DirectPools())
        self.addCleanup(store.close)
        self.successResultOf(opened(store))
        for first in range(2000, 60_000, 1000):
            self.successResultOf(store.commit([submitted(*range(first, first + 1000))]))
        state = self.directory.with_name("large")
        self.assertEqual(
            f"{state} cannot be backed up to {self.place}: database or disk is full.",
            self.refused(state),
        )
        self.assertEqual([], [*self.place.parent.iterdir()])
