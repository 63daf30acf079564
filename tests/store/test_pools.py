"""
How connections are prepared.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.store.many import execute_many, select_many
from jobcluster.store.pools import connection_options, on_cursor, prepare_writer


class PrepareTests(SynchronousTestCase):
    """
    L{prepare_writer}, where it cannot do what it should.
    """

    def test_no_log(self) -> None:
        """
        Where there can be no write-ahead log, there is no connection.
        """
        connection = sqlite3.connect(":memory:", **connection_options(patience=0.0))
        with self.assertRaises(sqlite3.OperationalError) as caught:
            prepare_writer(connection)
        self.assertEqual("the file system cannot do journal_mode WAL", str(caught.exception))
        with self.assertRaises(sqlite3.ProgrammingError):
            connection.execute("SELECT 1")


class ManyTests(SynchronousTestCase):
    """
    Statements for many rows.
    """

    def test_steps(self) -> None:
        """
        Many rows take few steps, of sizes that come again; no rows take none.
        """
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE numbers (one INTEGER PRIMARY KEY, other INTEGER)")
            steps: list[str] = []
            connection.set_trace_callback(steps.append)
            rows = [(number, number + 1) for number in range(1000)]
            insert = "INSERT INTO numbers {rows}"
            on_cursor(connection, lambda cursor: execute_many(cursor, insert, rows))
            on_cursor(connection, lambda cursor: execute_many(cursor, insert, []))
            inserted = [step for step in steps if step.startswith("INSERT")]
            sizes = [step.count("), (") for step in inserted]
            self.assertEqual([512, 256, 128, 64, 32, 8], [size + 1 for size in sizes])
            query = "SELECT other FROM numbers WHERE one IN ({rows})"
            keys = [(number,) for number in range(100)]
            found = on_cursor(connection, lambda cursor: list(select_many(cursor, query, keys)))
            self.assertEqual([(number + 1,) for number in range(100)], sorted(found))

    def test_cursor_is_closed(self) -> None:
        """
        A cursor is closed, also when its query fails, so that the connection can be.
        """
        cursors: list[sqlite3.Cursor] = []

        def fail(cursor: sqlite3.Cursor) -> None:
            cursors.append(cursor)
            cursor.execute("SELECT * FROM nowhere")

        with closing(sqlite3.connect(":memory:")) as connection:
            with self.assertRaises(sqlite3.OperationalError):
                on_cursor(connection, fail)
            with self.assertRaises(sqlite3.ProgrammingError):
                cursors[0].execute("SELECT 1")
