"""
The writer's side of SQLite, on its own.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import JobsSubmitted
from jobcluster.errors import StateGoneError, StoreError, StoreFailedError
from jobcluster.store.directory import StateDirectory
from jobcluster.store.ledger import Ledger, explain, require_sqlite
from jobcluster.store.pools import prepare_writer
from jobcluster.store.schema import SCHEMA, address
from tests.store.direct import DirectPool
from tests.store.scenes import FIRST_JOB, ended, job, submitted


class LedgerTests(SynchronousTestCase):
    """
    L{Ledger}, called as its thread would.
    """

    def setUp(self) -> None:
        """
        Begin a session.
        """
        self.directory = StateDirectory(Path(self.mktemp()))
        self.addCleanup(self.directory.leave)
        self.ledger = Ledger(self.directory, SCHEMA)
        self.assertEqual([], self.ledger.prepare())
        self.pool = DirectPool(address(self.directory.database), prepare_writer, 1)
        self.addCleanup(self.pool.close)
        self.cursor = self.pool.connected().cursor()
        begun = self.ledger.begin("node-a", "store-a", FIRST_JOB, self.cursor)
        self.assertFalse(begun.restored)

    def test_refuses_after_failure(self) -> None:
        """
        What was on its way to the writer when a commit failed is not written.
        """
        self.ledger.commit([submitted(1001), ended(1001, at=1)], self.cursor)
        self.cursor.execute("PRAGMA max_page_count = 1")
        large = JobsSubmitted((job(1002, payload=bytes(1 << 20)),))
        with self.assertRaises(StoreFailedError) as failed:
            self.ledger.commit([large], self.cursor)
        for late in (
            lambda: self.ledger.commit([submitted(1003)], self.cursor),
            lambda: self.ledger.expire(2, 0, 10, self.cursor),
        ):
            with self.assertRaises(StoreFailedError) as refused:
                late()
            self.assertIs(failed.exception, refused.exception)
        self.assertFalse(self.cursor.connection.in_transaction)

    def test_gone_before_commit(self) -> None:
        """
        A transaction that finds its directory gone is not committed.
        """
        self.directory.path.rename(self.directory.path.with_name("moved"))
        with self.assertRaises(StateGoneError):
            self.ledger.commit([submitted(1001)], self.cursor)
        self.assertFalse(self.cursor.connection.in_transaction)
        self.assertEqual(0, self.cursor.execute("SELECT COUNT(*) FROM open").fetchone()[0])

    def test_explains(self) -> None:
        """
        Errors are told apart by what can be done about them.
        """
        disk = explain(sqlite3.OperationalError("disk I/O error"), self.directory)
        self.assertEqual(
            "The disk failed (disk I/O error): free some space or look at it.", str(disk)
        )
        value = explain(OverflowError("too large"), self.directory)
        self.assertEqual("That cannot be stored: too large.", str(value))
        self.assertEqual([StoreFailedError] * 2, [type(disk), type(value)])
        damaged = explain(sqlite3.DatabaseError("database disk image is malformed"), self.directory)
        self.assertEqual(f"{self.directory.database} is damaged: restore a backup.", str(damaged))
        known = StoreError("known")
        self.assertIs(known, explain(known, self.directory))
        self.directory.database.unlink()
        gone = explain(sqlite3.OperationalError("disk I/O error"), self.directory)
        self.assertIsInstance(gone, StateGoneError)


class SqliteVersionTests(SynchronousTestCase):
    """
    What SQLite is needed: L{require_sqlite}.
    """

    def test_old(self) -> None:
        """
        A SQLite that lacks what is needed is refused in one line.
        """
        require_sqlite((3, 33, 0))
        with self.assertRaises(StoreError) as caught:
            require_sqlite((3, 32, 9))
        self.assertEqual(
            "This Python has SQLite 3.32.9; 3.33 or newer is needed.", str(caught.exception)
        )
