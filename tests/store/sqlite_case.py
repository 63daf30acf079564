"""
What the tests of the store in SQLite have in common.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import Change
from jobcluster.core.values import memory_of
from jobcluster.core.views import Filter
from jobcluster.store.sqlite import SqliteStore
from tests.store.direct import DirectPools
from tests.store.scenes import opened


class SqliteCase(SynchronousTestCase):
    """
    A store in a directory.
    """

    def setUp(self) -> None:
        """
        Open a store.
        """
        self.directory = Path(self.mktemp())
        self.database = self.directory / "jobs.sqlite"
        self.pools = DirectPools()
        self.store = self.make_store()
        self.successResultOf(opened(self.store))

    def make_store(self, directory: Path | None = None) -> SqliteStore:
        """
        One that is not open yet, and is closed in the end.
        """
        store = SqliteStore(directory or self.directory, self.pools)
        self.addCleanup(store.close)
        return store

    def commit(self, *changes: Change) -> None:
        """
        Commit these changes as one.
        """
        self.successResultOf(self.store.commit(changes))

    def ids(self) -> list[int]:
        """
        All jobs.
        """
        return [view.job for view in self.successResultOf(self.store.views(Filter(), 0, 1000))]

    def incarnation_of(self, store: SqliteStore) -> int:
        """
        The incarnation that a store has when it is opened.
        """
        return self.successResultOf(opened(store))[0].incarnation

    def assert_restored(self, count: int, store: SqliteStore) -> None:
        """
        The incarnation of a store when it is opened is that of a restored backup.

        @param count: in how many processes it was used since then.
        """
        incarnation = self.incarnation_of(store)
        self.assertGreater(memory_of(incarnation), 0)
        self.assertEqual(count, incarnation % (1 << 16))
