"""
What the tests of backups have in common.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import maybeDeferred

from jobcluster.core.records import EndedJob, JobsEnded
from jobcluster.core.views import Filter
from jobcluster.errors import StoreError
from jobcluster.store.backup import back_up
from jobcluster.store.outputs import OutputFiles
from tests.store import sqlite_case
from tests.store.scenes import opened, outcome

OFFER = (1, 1)

LONG = bytes(range(256)) * 300
"""Output that is kept in files."""


class BackupCase(sqlite_case.SqliteCase):
    """
    A store in use, and the place of a backup.
    """

    def setUp(self) -> None:
        """
        Open a store.
        """
        super().setUp()
        self.place = self.directory.with_name("backup")
        self.outputs = OutputFiles(self.directory, maybeDeferred)

    def end_with_output(self, job: int, *, written: bool = True) -> None:
        """
        End a job whose output is in files.
        """
        if written:
            self.successResultOf(self.outputs.write(job, OFFER, "out", 0, LONG))
            self.successResultOf(self.outputs.keep(job, OFFER))
        over = outcome()._replace(out=LONG[:10], out_size=len(LONG))
        self.commit(JobsEnded((EndedJob(job, over, 1),)))

    def read_output(self, state: Path, job: int) -> bytes:
        """
        The output of a job, as the node of a state directory has it.
        """
        outputs = OutputFiles(state, maybeDeferred)
        read: bytes = self.successResultOf(outputs.read(job, "out", 0, 2 * len(LONG)))
        return read

    def ids_in(self, state: Path) -> list[int]:
        """
        All jobs of a state directory.
        """
        store = self.make_store(state)
        self.successResultOf(opened(store))
        ids = [view.job for view in self.successResultOf(store.views(Filter(), 0, 1000))]
        self.successResultOf(store.close())
        return ids

    def refused(self, state: Path | None = None, place: Path | None = None) -> str:
        """
        Why there is no backup.
        """
        error = self.assertRaises(StoreError, back_up, state or self.directory, place or self.place)
        return str(error)

    def around(self) -> list[str]:
        """
        What there is beside the state directory.
        """
        return sorted(path.name for path in self.directory.parent.iterdir())
