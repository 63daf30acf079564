"""
Backups: what is in them, what they are once they are used, and that there is no half of one.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from unittest import SkipTest

from jobcluster.core.records import KeysTaken
from jobcluster.core.values import Keyed
from jobcluster.errors import StoreTooNewError
from jobcluster.store.backup import Backup, back_up
from jobcluster.store.schema import SCHEMA, create
from tests.store.backup_case import LONG, OFFER, BackupCase
from tests.store.scenes import ended, opened, submitted


class BackupTests(BackupCase):
    """
    Backups of a store that is in use.
    """

    def test_content(self) -> None:
        """
        It has what was committed before it, and nothing that came later.
        """
        self.commit(submitted(1001, 1002, 1003))
        self.commit(ended(1001))
        self.end_with_output(1002)
        made = back_up(self.directory, self.place)
        self.commit(submitted(1004))
        self.assertEqual(Backup("node-a", 1, 2, 2, (), made.size), made)
        files = [path for path in self.place.rglob("*") if path.is_file()]
        self.assertEqual(sum(path.stat().st_size for path in files), made.size)
        self.assertEqual([1001, 1002, 1003], self.ids_in(self.place))
        self.assertEqual(LONG, self.read_output(self.place, 1002))
        self.assertEqual([1001, 1002, 1003, 1004], self.ids())

    def test_keys(self) -> None:
        """
        It has the keys of its jobs.
        """
        rows = [Keyed("k", 1001, b"1"), Keyed("l", 1002, b"2")]
        self.commit(submitted(1001), KeysTaken((rows[0],)))
        back_up(self.directory, self.place)
        self.commit(submitted(1002), KeysTaken((rows[1],)))
        store = self.make_store(self.place)
        self.successResultOf(opened(store))
        self.assertEqual((rows[0],), self.successResultOf(store.keys(["k", "l"])))

    def test_files(self) -> None:
        """
        The files are a database without companions and the output that it speaks of: not what is
        still being collected, was left behind, or is the keeper's.
        """
        self.commit(submitted(1001, 1002))
        self.end_with_output(1001)
        self.successResultOf(self.outputs.write(1002, OFFER, "out", 0, LONG))
        (self.directory / "output" / "999.out").write_bytes(b"of a job that is forgotten")
        (self.directory / "keeper").mkdir()
        (self.directory / "keeper" / "spool").write_bytes(b"")
        back_up(self.directory, self.place)
        found = {str(path.relative_to(self.place)) for path in self.place.rglob("*")}
        names = ["jobs.sqlite", "jobs.sqlite-wal"]
        expected = {*names, "output", "output/1001.err", "output/1001.out"}
        self.assertEqual(expected, found)

    def test_private(self) -> None:
        """
        Nobody else may read it.
        """
        self.commit(submitted(1001))
        self.end_with_output(1001)
        back_up(self.directory, self.place)
        for path in [self.place, *self.place.rglob("*")]:
            self.assertEqual(0, path.stat().st_mode & 0o077, path)

    def test_restored(self) -> None:
        """
        The incarnation of whoever uses it is raised, however it came to its place, and once.
        """
        back_up(self.directory, self.place)
        copy = self.place.with_name("copy")
        subprocess.check_call(["cp", "-a", self.place, copy])
        for state in (self.place, copy):
            store = self.make_store(state)
            self.assert_restored(1, store)
            self.successResultOf(store.close())
            self.assert_restored(2, store)

    def test_marked(self) -> None:
        """
        It says itself that it is one, and not only by where it is found.
        """
        back_up(self.directory, self.place)
        with closing(sqlite3.connect(self.place / "jobs.sqlite")) as connection:
            self.assertEqual([("",)], connection.execute("SELECT place FROM meta").fetchall())

    def test_moved_into_place(self) -> None:
        """
        The backup that takes the place of the state directory is a restored one too.
        """
        back_up(self.directory, self.place)
        self.successResultOf(self.store.close())
        shutil.rmtree(self.directory)
        self.place.rename(self.directory)
        self.assert_restored(1, self.make_store())

    def test_copied_into_the_old_one(self) -> None:
        """
        Nothing that lies there gets into the backup that is copied into an old state directory.
        """
        self.commit(submitted(1001))
        back_up(self.directory, self.place)
        self.commit(submitted(1002))
        killed = self.directory.with_name("killed")
        shutil.copytree(self.directory, killed)  # with a write-ahead log that nobody moved
        self.assertTrue((killed / "jobs.sqlite-wal").stat().st_size)
        subprocess.check_call(["cp", "-a", f"{self.place}/.", killed])
        restored = self.make_store(killed)
        self.assert_restored(1, restored)
        self.successResultOf(restored.close())
        self.assertEqual([1001], self.ids_in(killed))

    def test_original(self) -> None:
        """
        The node that was backed up does not notice.
        """
        back_up(self.directory, self.place)
        self.commit(submitted(1001))
        self.assertEqual(2, self.incarnation_of(self.store))

    def test_of_a_backup(self) -> None:
        """
        There can be a backup of a backup, and of what a node that was killed has left.
        """
        self.commit(submitted(1001))
        killed = self.directory.with_name("killed")
        shutil.copytree(self.directory, killed)  # with a write-ahead log that nobody moved
        self.assertTrue((killed / "jobs.sqlite-wal").stat().st_size)
        back_up(killed, self.place)
        second = self.place.with_name("second")
        back_up(self.place, second)
        self.assertEqual([1001], self.ids_in(second))

    def test_stopped(self) -> None:
        """
        A node that was stopped is backed up, and starts as before.
        """
        self.commit(submitted(1001))
        self.successResultOf(self.store.close())
        back_up(self.directory, self.place)
        self.assertEqual([1001], self.ids_in(self.place))
        self.assertEqual(2, self.incarnation_of(self.store))

    def test_expired_output(self) -> None:
        """
        Files that are gone, one by one or with their directory, are named.
        """
        self.commit(submitted(1001))
        self.end_with_output(1001, written=False)
        missing = ("1001.out", "1001.err")
        made = back_up(self.directory, self.place)
        self.assertEqual((0, missing), (made.files, made.missing))
        (self.directory / "output").mkdir()
        made = back_up(self.directory, self.place.with_name("second"))
        self.assertEqual((0, missing), (made.files, made.missing))

    def test_no_file_of_others(self) -> None:
        """
        What stands in the place of output, and is no file, is not followed.
        """
        self.commit(submitted(1001))
        self.end_with_output(1001)
        (self.directory / "output" / "1001.out").unlink()
        (self.directory / "output" / "1001.out").symlink_to("/etc/hostname")
        made = back_up(self.directory, self.place)
        self.assertEqual((1, ("1001.out",)), (made.files, made.missing))
        self.assertFalse(os.path.lexists(self.place / "output" / "1001.out"))

    def test_owner(self) -> None:
        """
        What root makes belongs to the user of the node.
        """
        if os.geteuid():
            raise SkipTest("only root can make files of others")
        self.commit(submitted(1001))
        self.end_with_output(1001)
        for path in [self.directory, *self.directory.rglob("*")]:
            os.chown(path, 1234, 1235)
        back_up(self.directory, self.place)
        for path in [self.place, *self.place.rglob("*")]:
            status = path.stat()
            self.assertEqual((1234, 1235), (status.st_uid, status.st_gid), path)


class RefusedTests(BackupCase):
    """
    What cannot be backed up leaves one line, and nothing else.
    """

    def test_no_state(self) -> None:
        """
        There is no such directory, or it is another.
        """
        before = self.around()
        self.place.mkdir()
        missing = self.directory / "missing"
        for state in (missing, self.place):
            self.assertEqual(
                f"There is no state of a node in {state}: it has no jobs.sqlite.",
                self.refused(state, self.directory.with_name("new")),
            )
        self.place.rmdir()
        self.assertEqual(before, self.around())

    def test_not_readable(self) -> None:
        """
        It is of somebody who lets nobody look.
        """
        if os.geteuid() == 0:
            self.patch(Path, "stat", self.forbid)
        else:
            self.directory.chmod(0)
            self.addCleanup(self.directory.chmod, 0o700)
        wrong = f"{self.directory} cannot be backed up to {self.place}: Permission denied."
        self.assertEqual(wrong, self.refused())

    @staticmethod
    def forbid(*_: object, **__: object) -> None:
        """
        Root may look everywhere.
        """
        raise PermissionError(errno.EACCES, "Permission denied")

    def test_not_ours(self) -> None:
        """
        The database is of another program, or no database.
        """
        state = self.directory.with_name("other")
        state.mkdir()
        with closing(sqlite3.connect(state / "jobs.sqlite")) as other:
            other.execute("CREATE TABLE t (x)")
        before = self.around()
        wrong = f"{state.absolute() / 'jobs.sqlite'} is not a database of jobcluster."
        self.assertEqual(wrong, self.refused(state))
        (state / "jobs.sqlite").write_bytes(b"nothing of the kind" * 100)
        self.assertEqual(wrong, self.refused(state))
        self.assertEqual(before, self.around())

    def test_not_begun(self) -> None:
        """
        The node that would make it is just starting for the first time.
        """
        state = self.directory.with_name("fresh")
        state.mkdir()
        create(state / "jobs.sqlite", SCHEMA)
        self.assertEqual(
            f"No node has begun with {state} yet: there is nothing in it.", self.refused(state)
        )
        self.assertFalse(self.place.exists())

    def test_newer(self) -> None:
        """
        The database is of a newer version.
        """
        self.successResultOf(self.store.close())
        with closing(sqlite3.connect(self.database)) as other:
            other.execute("PRAGMA user_version = 99")
        self.assertRaises(StoreTooNewError, back_up, self.directory, self.place)

    def test_place_taken(self) -> None:
        """
        Nothing is replaced: no directory, be it empty, no file, and no link that leads nowhere.
        """
        wrong = f"{self.place} is there already: choose another name."
        self.place.mkdir()
        self.assertEqual(wrong, self.refused())
        self.place.rmdir()
        self.place.symlink_to("nowhere")
        self.assertEqual(wrong, self.refused())

    def test_within(self) -> None:
        """
        It cannot be within the state directory, whatever that is called.
        """
        link = self.directory.with_name("link")
        link.symlink_to(self.directory.absolute())
        for place in (self.directory / "backup", link / "deep" / "backup"):
            self.assertEqual(
                f"{place} is within {self.directory}: choose a place outside.",
                self.refused(place=place),
            )

    def test_no_parent(self) -> None:
        """
        The directory that it is to be in is not there.
        """
        place = self.place / "deep"
        self.assertEqual(
            f"{self.directory} cannot be backed up to {place}: No such file or directory.",
            self.refused(place=place),
        )

    def test_damaged(self) -> None:
        """
        Of a damaged database there is no backup that would be found damaged when it is needed.
        """
        self.commit(submitted(*range(1001, 1400)))
        self.successResultOf(self.store.close())
        with self.database.open("r+b") as file:
            # The pages of a table and its index: the rest is as it was.
            file.seek(self.database.stat().st_size - 3 * 4096)
            file.write(b"\xff" * 3 * 4096)
        self.assertIn("there is no backup of it", self.refused())
        self.assertFalse(self.place.exists())
        self.assertNotIn("unfinished", " ".join(self.around()))
