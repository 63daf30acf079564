"""
The store in SQLite, without threads.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from jobcluster.core.records import Cancelling, EndedJob, JobsEnded, JobsSubmitted
from jobcluster.errors import StoreFailedError
from jobcluster.interfaces import IStore
from jobcluster.store import reading
from jobcluster.store.sqlite import SqliteStore
from tests.store import contract, sqlite_case
from tests.store.case import BEST
from tests.store.direct import DirectPools
from tests.store.scenes import ended, job, opened, outcome, submitted


class SqliteStoreTests(contract.StoreContract):
    """
    L{SqliteStore} keeps the contract.
    """

    def setUp(self) -> None:
        """
        With a directory that outlives the store.
        """
        self.directory = Path(self.mktemp()) / "made" / "by itself"
        self.pools = DirectPools()
        super().setUp()

    def make_store(self) -> IStore:
        """
        One in the directory of the last.
        """
        store = SqliteStore(self.directory, self.pools, wall=lambda: self.now)
        self.addCleanup(store.close)
        return store

    def break_store(self, store: IStore) -> None:
        """
        The disk is full, in the eyes of SQLite.
        """
        self.pools.fill_disk()


class ConnectionTests(sqlite_case.SqliteCase):
    """
    What is set on connections, and how the schema is used.
    """

    def ask(self, pool: int, question: str) -> object:
        """
        The first value of the answer to a question to the last pools.
        """
        return self.pools.made[pool].connected().execute(question).fetchone()[0]

    def test_writer(self) -> None:
        """
        The writer has a write-ahead log and waits for the disk.
        """
        for name, expected in (
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("wal_autocheckpoint", 1000),
            ("journal_size_limit", 16 << 20),
            ("query_only", 0),
            ("temp_store", 2),
        ):
            self.assertEqual(expected, self.ask(-2, f"PRAGMA {name}"), name)

    def test_readers(self) -> None:
        """
        Readers neither write nor checkpoint.
        """
        for name, expected in (
            ("journal_mode", "wal"),
            ("wal_autocheckpoint", 0),
            ("query_only", 1),
            ("temp_store", 2),
        ):
            self.assertEqual(expected, self.ask(-1, f"PRAGMA {name}"), name)
        with self.assertRaises(sqlite3.OperationalError):
            self.ask(-1, "DELETE FROM open")

    def test_closed(self) -> None:
        """
        A store that was closed leaves no log, and nothing locked.
        """
        self.commit(submitted(1001))
        self.successResultOf(self.store.close())
        names = {path.name for path in self.directory.iterdir()}
        self.assertEqual({"jobs.sqlite", "lock"}, names)
        self.assertEqual(2, self.incarnation_of(self.make_store()))

    def test_nobody_else_reads_it(self) -> None:
        """
        Directory and files are their owner's alone.
        """
        self.commit(submitted(1001))
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.directory.iterdir()}
        self.assertEqual({0o600}, set(modes.values()), modes)
        self.assertEqual(0o700, self.directory.stat().st_mode & 0o777)

    def test_pages_are_found(self) -> None:
        """
        A page of waiting jobs, and the counts of what waits, are read along the index.
        """
        connection = self.pools.readers.connected()
        queries: list[str] = []
        connection.set_trace_callback(queries.append)
        reading.page(connection.cursor(), "", (0, 1), 9)
        reading.recover(connection.cursor())
        connection.set_trace_callback(None)
        found = [
            row[3].partition("INDEX open_by_rank ")[2]
            for query in queries
            if " held = " in query
            for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")
            if " open " in row[3]
        ]
        self.assertEqual(
            [
                "(held=? AND requires=? AND priority=? AND rowid>?)",
                "(held=? AND requires=? AND priority<?)",
                "(held=?)",
                "(held=?)",
            ],
            found,
        )


class LimitTests(sqlite_case.SqliteCase):
    """
    Values that SQLite takes, and those that it does not.
    """

    def test_largest(self) -> None:
        """
        Integers of 64 bits, strange text and large payloads come back as they were.
        """
        most = (1 << 63) - 1
        new = job(most, priority=-most - 1, requires="\0'\U0001f40d", payload=bytes(1 << 20))
        new = new._replace(submitted=most)
        self.commit(JobsSubmitted((new, job(1001, priority=most))))
        self.assertEqual((new,), self.successResultOf(self.store.load([most])))
        self.assertEqual((new,), self.successResultOf(self.store.page(new.requires, BEST, 5)))

    def test_too_large(self) -> None:
        """
        What cannot be stored fails its commit, and the store goes on when it is opened again.
        """
        self.commit(submitted(1001))
        for bad in (
            JobsSubmitted((job(1002, priority=1 << 63),)),
            JobsSubmitted((job(1 << 63),)),
            JobsSubmitted((job(1002, requires="\ud800"),)),
            Cancelling((-(1 << 63) - 1,)),
            JobsEnded((EndedJob(1001, outcome()._replace(code=1 << 64), 1),)),
        ):
            done = self.store.commit([submitted(1003), bad])
            failure = self.failureResultOf(done, StoreFailedError)
            self.assertTrue(failure.getErrorMessage().startswith("That cannot be stored: "))
            self.successResultOf(opened(self.store))
            self.assertEqual([1001], self.ids())


class BrokenDiskTests(sqlite_case.SqliteCase):
    """
    Commits that fail, and what is believed afterwards.
    """

    def large(self, number: int) -> JobsSubmitted:
        """
        A job that does not fit on a full disk.
        """
        return JobsSubmitted((job(number, payload=bytes(1 << 20)),))

    def test_reason(self) -> None:
        """
        The error says what SQLite said, and what to do.
        """
        self.pools.fill_disk()
        failure = self.failureResultOf(self.store.commit([self.large(1001)]), StoreFailedError)
        self.assertEqual(
            "The disk failed (database or disk is full): free some space or look at it.",
            failure.getErrorMessage(),
        )

    def test_failed_expiry(self) -> None:
        """
        Expiry that fails is a commit that fails.
        """
        self.commit(submitted(1001), ended(1001, at=1))
        self.pools.writer.connected().execute("PRAGMA query_only = 1")
        self.failureResultOf(self.store.expire(2, 10), StoreFailedError)
        self.failureResultOf(self.store.commit([submitted(1002)]), StoreFailedError)
        self.successResultOf(opened(self.store))
        self.assertEqual(1, self.successResultOf(self.store.expire(2, 10)))

    def test_believed_after_a_checkpoint(self) -> None:
        """
        What cannot be moved from the log to the database is not believed.
        """
        with closing(sqlite3.connect(self.database, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM open").fetchall()
            self.commit(submitted(1001))  # after what the other one reads
            failure = self.failureResultOf(opened(self.store), StoreFailedError)
            self.assertIn("Another program is reading the database", failure.getErrorMessage())
            self.failureResultOf(self.store.commit([submitted(1002)]), StoreFailedError)
        self.successResultOf(opened(self.store))
        self.assertEqual([1001], self.ids())

    def test_reader_of_the_present(self) -> None:
        """
        Another program that reads what is there now does not matter.
        """
        self.commit(submitted(1001))
        with closing(sqlite3.connect(self.database, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM open").fetchall()
            self.successResultOf(opened(self.store))

    def test_locked_by_another(self) -> None:
        """
        Another program that writes fails the commit, and the store goes on when it has ended.
        """
        with closing(sqlite3.connect(self.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.failureResultOf(self.store.commit([submitted(1001)]), StoreFailedError)
        self.successResultOf(opened(self.store))
        self.assertEqual([], self.ids())
