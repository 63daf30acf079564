"""
How databases are made and brought up to date.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import Lane
from jobcluster.core.views import Filter, JobView
from jobcluster.errors import StoreError, StoreTooNewError
from jobcluster.store.schema import SCHEMA, create
from jobcluster.store.sqlite import SqliteStore
from tests.store.direct import DirectPools
from tests.store.scenes import attempt, bound, ended, job, opened, outcome, submitted

CHANGES = (submitted(1001, 1002, 1003), bound(1002), ended(1003))

VERSION_3 = """
ALTER TABLE ended ADD COLUMN remark TEXT NOT NULL DEFAULT 'old';
CREATE TABLE later (id INTEGER PRIMARY KEY);
"""


class UpgradeTests(SynchronousTestCase):
    """
    Databases of other versions, made by the schemas of this project and of what may follow.
    """

    def setUp(self) -> None:
        """
        A directory for the state, and one for the schema, with the versions that there are in it.
        """
        self.directory = Path(self.mktemp())
        self.database = self.directory / "jobs.sqlite"
        self.schema = Path(self.mktemp())
        self.schema.mkdir()
        for script in SCHEMA.glob("*.sql"):
            shutil.copy(script, self.schema)

    def make_store(self) -> SqliteStore:
        """
        One with the schema as it is now.
        """
        store = SqliteStore(self.directory, DirectPools(), self.schema)
        self.addCleanup(store.close)
        return store

    def fill(self) -> None:
        """
        Leave a database of the schema as it is now, with a job of each kind.
        """
        store = self.make_store()
        self.successResultOf(opened(store))
        self.successResultOf(store.commit(CHANGES))
        self.successResultOf(store.close())

    def refuse(self, error: type[StoreError] = StoreError) -> str:
        """
        A store fails to open; return why.
        """
        store = self.make_store()
        failure = self.failureResultOf(opened(store), error)
        self.successResultOf(store.close())
        return str(failure.value)

    def check_content(self, store: SqliteStore) -> None:
        """
        The jobs are there.
        """
        self.assertEqual((job(1001),), self.successResultOf(store.page("", (1, 0), 10)))
        views = self.successResultOf(store.views(Filter(), 0, 10))
        self.assertEqual(["waiting", "waiting", "ended"], [view.state for view in views])

    def names(self) -> list[str]:
        """
        The names of the files in the state directory, sorted.
        """
        return sorted(path.name for path in self.directory.iterdir())

    def ask(self, database: Path, question: str) -> object:
        """
        The first value of the answer that a database gives.
        """
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(question).fetchone()[0]

    def test_new(self) -> None:
        """
        A new database is made by all files in order.
        """
        (self.schema / "0003.sql").write_text(VERSION_3)
        self.fill()
        self.assertEqual(3, self.ask(self.database, "PRAGMA user_version"))
        self.assertEqual("old", self.ask(self.database, "SELECT remark FROM ended"))
        self.assertEqual(["jobs.sqlite", "lock"], self.names())

    def test_older(self) -> None:
        """
        An older database is brought up to date, with all that is in it, and a copy is kept.
        """
        self.fill()
        (self.schema / "0003.sql").write_text(VERSION_3)
        store = self.make_store()
        identity, recovered = self.successResultOf(opened(store))
        self.assertEqual(2, identity.incarnation)
        self.assertEqual(1003, recovered.last_job)
        self.check_content(store)
        self.assertEqual("old", self.ask(self.database, "SELECT remark FROM ended"))
        copy = self.directory / "jobs.sqlite.version-2"
        self.assertEqual(0o600, copy.stat().st_mode & 0o777)
        self.assertEqual(2, self.ask(copy, "PRAGMA user_version"))
        self.assertEqual(2, self.ask(copy, "SELECT COUNT(*) FROM open"))
        self.assertEqual("ok", self.ask(copy, "PRAGMA integrity_check"))

    def test_older_after_a_crash(self) -> None:
        """
        What was committed and is in the log only is brought up to date, and is in the copy.
        """
        store = self.make_store()
        self.successResultOf(opened(store))
        self.successResultOf(store.commit(CHANGES))
        killed = Path(shutil.copytree(self.directory, self.mktemp()))
        self.assertTrue((killed / "jobs.sqlite-wal").stat().st_size)
        self.directory = killed
        (self.schema / "0003.sql").write_text(VERSION_3)
        store = self.make_store()
        self.successResultOf(opened(store))
        self.check_content(store)
        self.assertEqual(2, self.ask(killed / "jobs.sqlite.version-2", "SELECT COUNT(*) FROM open"))

    def test_twice(self) -> None:
        """
        Several versions are caught up with in order; a copy of before takes the place of an older.
        """
        self.fill()
        (self.directory / "jobs.sqlite.version-2").write_text("older")
        (self.directory / "jobs.sqlite.version-2.new").write_text("left over")
        (self.schema / "0003.sql").write_text(VERSION_3)
        (self.schema / "0004.sql").write_text("ALTER TABLE later ADD COLUMN remark TEXT;")
        self.successResultOf(opened(self.make_store()))
        self.assertEqual(4, self.ask(self.database, "PRAGMA user_version"))
        self.assertEqual(
            ["jobs.sqlite.version-2"], [name for name in self.names() if "version" in name]
        )

    def test_failed(self) -> None:
        """
        An upgrade that fails leaves the database as it was.
        """
        self.fill()
        (self.schema / "0003.sql").write_text(VERSION_3 + "DROP TABLE nowhere;")
        self.assertIn("no such table: nowhere", self.refuse())
        (self.schema / "0003.sql").unlink()
        store = self.make_store()
        self.successResultOf(opened(store))
        self.check_content(store)

    def test_newer(self) -> None:
        """
        A database of a newer version is refused in one line, and left alone.
        """
        (self.schema / "0003.sql").write_text(VERSION_3)
        self.fill()
        before = self.database.read_bytes()
        (self.schema / "0003.sql").unlink()
        self.assertEqual(
            f"{self.database.absolute()} was written by a newer jobcluster (it has version 3, this "
            "one knows 2): upgrade this one, or use another --state.",
            self.refuse(StoreTooNewError),
        )
        self.assertEqual(before, self.database.read_bytes())

    def test_not_ours(self) -> None:
        """
        Another program's database is refused, and so is what is none.
        """
        self.directory.mkdir()
        for content in (b"", b"something else entirely " * 100):
            self.database.write_bytes(content)
            self.assertEqual(
                f"{self.database.absolute()} is not a database of jobcluster.", self.refuse()
            )
            self.assertEqual(content, self.database.read_bytes())

    def test_log_without_database(self) -> None:
        """
        No database is made beside the log of one that is missing.
        """
        self.fill()
        self.database.unlink()
        log = self.directory / "jobs.sqlite-wal"
        log.write_bytes(b"acknowledged jobs")
        self.assertIn("jobs.sqlite-wal is there", self.refuse())
        self.assertEqual(b"acknowledged jobs", log.read_bytes())

    def test_killed_while_it_was_made(self) -> None:
        """
        What is left of a database that was never finished is in nobody's way.
        """
        self.directory.mkdir()
        for name in ("jobs.sqlite.new", "jobs.sqlite.new-journal"):
            (self.directory / name).write_bytes(b"half a database")
        self.fill()
        self.assertEqual(["jobs.sqlite", "lock"], self.names())

    def test_gap(self) -> None:
        """
        A schema with a gap is a mistake.
        """
        (self.schema / "0004.sql").write_text(VERSION_3)
        self.assertIn("without a gap", self.refuse())


class VersionTests(SynchronousTestCase):
    """
    The schemas as they are shipped: a released file is never changed, and these tests with it.
    """

    def shape(self, *versions: str) -> dict[str, str]:
        """
        The columns of each table that these files make.
        """
        with closing(sqlite3.connect(":memory:")) as connection:
            for version in versions:
                connection.executescript((SCHEMA / version).read_text(encoding="utf-8"))
            tables = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
            ).fetchall()
            return {
                table: " ".join(
                    row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})")
                )
                for (table,) in tables
            }

    def test_first(self) -> None:
        """
        The shape of version 1.
        """
        self.assertEqual(SHAPE, self.shape("0001.sql"))

    def test_second(self) -> None:
        """
        Version 2 adds names, tags and keys, ahead of what may be long.
        """
        second = {
            name: columns.replace("submitted", "submitted name tags") if name in NAMED else columns
            for name, columns in SHAPE.items()
        }
        self.assertEqual({**second, "keys": "key job digest"}, self.shape("0001.sql", "0002.sql"))

    def test_from_the_first(self) -> None:
        """
        A database of version 1 has all its jobs in version 2, none of them named; and they go on.
        """
        directory = Path(self.mktemp())
        schema = Path(self.mktemp())
        schema.mkdir()
        shutil.copy(SCHEMA / "0001.sql", schema)
        directory.mkdir()
        create(directory / "jobs.sqlite", schema)
        with closing(sqlite3.connect(directory / "jobs.sqlite")) as connection:
            connection.executescript(FIRST_JOBS)
        store = SqliteStore(directory, DirectPools())
        self.addCleanup(store.close)
        _, recovered = self.successResultOf(opened(store))
        self.assertEqual((Lane("", 1), Lane("gpu", 1)), recovered.lanes)
        self.assertEqual([1003], [question.id for question in recovered.questions])
        waiting = job(1001)._replace(attempts=(attempt(1001),))
        self.assertEqual((waiting,), self.successResultOf(store.load([1001])))
        self.successResultOf(store.commit([ended(1001), submitted(1006)]))
        views = self.successResultOf(store.views(Filter(), 0, 10))
        self.assertEqual([1001, 1002, 1003, 1004, 1005, 1006], [view.job for view in views])
        self.assertEqual(
            JobView(1004, "sleep", b"100", "ended", 6_004, 2, "node-a", outcome()), views[3]
        )
        self.assertEqual(("expired", ""), (views[4].state, views[0].name))


NAMED = ("ended", "open")

FIRST_JOBS = """
INSERT INTO open (id, kind, priority, requires, on_node_loss, submitted, cancelling, payload)
VALUES
    (1001, 'sleep', 0, '', 'again', 6001, 0, x'313030'),
    (1002, 'sleep', 0, 'gpu', 'again', 6002, 0, x'313030'),
    (1003, 'sleep', 0, '', 'again', 6003, 1, x'313030');
INSERT INTO attempt VALUES (1001, 1, 1, 'node-b', '', 6000, 0, '', 0);
INSERT INTO ended (
    id, kind, priority, requires, on_node_loss, submitted, attempts, status, code, detail, started,
    ended, node, value, out_size, err_size, out, err, payload
)
VALUES (
    1004, 'sleep', 0, '', 'again', 6004, 2, 'succeeded', 0, '', 9900, 10000, 'node-a',
    x'76616c7565', 0, 0, x'', x'', x'313030'
);
INSERT INTO expired VALUES (1005, 'sleep', 6005, 10000);
"""

SHAPE = {
    "attempt": "job incarnation serial node keeper started ended cause counted",
    "deadline": "id origin store incarnation serial job boot deadline started ends once",
    "ended": (
        "id kind priority requires on_node_loss submitted"
        " attempts status code detail started ended node value out_size err_size out err payload"
    ),
    "expired": "id kind submitted ended",
    "meta": "only name store incarnation draining last_job place",
    "open": (
        "id kind priority requires on_node_loss submitted cancelling"
        " bound_incarnation bound_serial bound_node bound_store held payload"
    ),
}
