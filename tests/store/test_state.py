"""
Whose a state directory is, whether it is still there, and whether it is the same.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from jobcluster.core.records import Cancelling, JobsSubmitted, Lane
from jobcluster.core.values import Cause, OnNodeLoss, Outcome, Status, memory_of, restored_as
from jobcluster.core.views import Filter
from jobcluster.errors import StateGoneError, StateLockedError, StoreError, StoreFailedError
from jobcluster.store import directory as directories
from jobcluster.store.directory import StateDirectory
from jobcluster.store.writing import disown
from tests.store import sqlite_case
from tests.store.scenes import bound, job, opened, submitted


class DirectoryTests(sqlite_case.SqliteCase):
    """
    One node has a state directory, as long as it is there.
    """

    def test_locked(self) -> None:
        """
        A second store is refused, until the first is closed.
        """
        second = self.make_store()
        failure = self.failureResultOf(opened(second), StateLockedError)
        self.assertIn(f"{self.directory.absolute()}", failure.getErrorMessage())
        self.successResultOf(self.store.close())
        self.assertEqual(2, self.incarnation_of(second))

    def test_locked_while_open_again(self) -> None:
        """
        A store that is opened again keeps its lock.
        """
        self.successResultOf(opened(self.store))
        self.failureResultOf(opened(self.make_store()), StateLockedError)

    def test_removed(self) -> None:
        """
        Nothing is committed to a directory that was removed, not even when it is opened again.
        """
        shutil.rmtree(self.directory)
        self.failureResultOf(self.store.commit([submitted(1001)]), StateGoneError)
        self.failureResultOf(self.store.commit([submitted(1002)]), StateGoneError)
        self.failureResultOf(opened(self.store), StateGoneError)
        self.assertFalse(self.directory.exists())

    def test_removed_while_idle(self) -> None:
        """
        A commit of nothing finds out whether the directory is there.
        """
        self.commit()
        shutil.rmtree(self.directory)
        self.failureResultOf(self.store.commit([]), StateGoneError)

    def test_replaced(self) -> None:
        """
        Nothing is committed beside a directory that was put into the place of ours.
        """
        moved = self.directory.rename(self.directory.with_name("moved"))
        shutil.copytree(moved, self.directory)
        self.failureResultOf(self.store.commit([submitted(1001)]), StateGoneError)

    def test_parts(self) -> None:
        """
        Each of the files is missed, and so is a file that was replaced by another.
        """
        for name in ("jobs.sqlite", "jobs.sqlite-wal", "lock"):
            path = self.directory / name
            path.rename(path.with_name("elsewhere"))
            path.write_bytes(b"")
            failure = self.failureResultOf(self.store.commit([submitted(1001)]), StateGoneError)
            self.assertEqual(
                f"{path.absolute()} was replaced while the node was running.",
                failure.getErrorMessage(),
            )
            path.with_name("elsewhere").replace(path)
            self.successResultOf(opened(self.store))
        (self.directory / "lock").unlink()
        failure = self.failureResultOf(self.store.commit([submitted(1001)]), StateGoneError)
        self.assertIn("lock was removed while", failure.getErrorMessage())

    def test_unusable(self) -> None:
        """
        A path that cannot be a directory fails with one line.
        """
        failure = self.failureResultOf(opened(self.make_store(self.database)), StoreError)
        self.assertEqual(
            f"{self.database.absolute()} cannot be the state directory: Not a directory.",
            failure.getErrorMessage(),
        )

    def test_free(self) -> None:
        """
        Free is what the file system says; nothing is free outside of the directory.
        """
        self.assertGreater(self.store.free(), 0)
        self.successResultOf(self.store.close())
        self.assertEqual(0, self.store.free())


class RestoredTests(sqlite_case.SqliteCase):
    """
    The incarnation of a restored backup is raised.
    """

    def setUp(self) -> None:
        """
        Close the store, after its second incarnation, and keep a backup of the first.
        """
        super().setUp()
        self.successResultOf(self.store.close())
        self.backup = Path(shutil.copytree(self.directory, self.directory.with_name("backup")))
        self.assertEqual(2, self.incarnation_of(self.store))
        self.successResultOf(self.store.close())

    def test_moved(self) -> None:
        """
        A directory that was moved is the same one.
        """
        moved = self.directory.rename(self.directory.with_name("moved"))
        self.assertEqual(3, self.incarnation_of(self.make_store(moved)))

    def test_copied(self) -> None:
        """
        The copy of a directory is a restored one, once.
        """
        restored = self.make_store(self.backup)
        self.assert_restored(1, restored)
        self.successResultOf(restored.close())
        self.assert_restored(2, restored)
        self.assertEqual(3, self.incarnation_of(self.store))

    def test_copied_over(self) -> None:
        """
        A database that was copied over its successor, into the same file, is a restored one.
        """
        shutil.copyfile(self.backup / "jobs.sqlite", self.database)
        self.assert_restored(1, self.store)

    def test_again(self) -> None:
        """
        One that is restored later has a greater incarnation, though it is the same backup.
        """
        earlier = restored_as(5, 1_800_000_000, 7)
        self.assertGreater(restored_as(5, 1_800_000_001, 1), earlier + 65_536)
        self.assertGreater(restored_as(earlier, 1_800_000_000, 1), earlier + 65_536)
        # Be it by chance, where the clock stands still.
        self.assertNotEqual(memory_of(restored_as(5, 0, 1)), memory_of(restored_as(5, 0, 2)))
        self.assertEqual(memory_of(earlier), memory_of(earlier + 1))
        self.assertEqual(0, memory_of(5))
        # Whatever the clocks say, it is a number that can be stored.
        for seconds in (0, 1 << 40):
            self.assertIn(restored_as(5, seconds, 65_535), range(1 << 32, 1 << 63))

    def test_jobs_that_run_once(self) -> None:
        """
        What may run at most once is not run by a restored backup: nobody knows whether it was
        since. What waited is lost, and what was bound can be denied by nobody.
        """
        once = [job(number)._replace(on_node_loss=OnNodeLoss.FAIL) for number in (1001, 1002, 1003)]
        self.successResultOf(opened(self.store))
        self.commit(JobsSubmitted((*once, job(1004))))
        self.commit(bound(1002), Cancelling((1003,)))
        self.successResultOf(self.store.close())
        restored = self.make_store(self.directory.with_name("copied"))
        shutil.copytree(self.directory, self.directory.with_name("copied"))
        recovered = self.successResultOf(opened(restored))[1]
        asked = [(question.id, question.bound) for question in recovered.questions]
        self.assertEqual([(1002, (1, 1, "node-b", "")), (1003, None)], asked)
        [view] = self.successResultOf(restored.views(Filter("lost"), 0, 1000))
        lost = view.outcome or self.fail()
        ended = lost.ended
        self.assertEqual(1001, view.job)
        self.assertEqual(Outcome(Status.LOST, None, Cause.RESTORED, ended=ended), lost)
        self.assertLess(abs(time.time() - ended / 1000), 60)
        self.assertEqual((Lane("", 1),), recovered.lanes)

    def test_said_to_be(self) -> None:
        """
        What cannot be known may be said.
        """
        with closing(sqlite3.connect(self.database)) as connection:
            disown(connection.cursor())
            connection.commit()
        self.assert_restored(1, self.store)

    def test_failed_opening(self) -> None:
        """
        A store that fails to open, or fails at its work, is not taken for a restored one.
        """
        with closing(sqlite3.connect(self.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.failureResultOf(opened(self.store), StoreFailedError)
        self.assertEqual(3, self.incarnation_of(self.store))
        self.assertEqual(4, self.incarnation_of(self.store))

    def test_failed_on_the_way(self) -> None:
        """
        Nor is one whose opening fails, or whose process is killed, at any step of it.
        """
        move = StateDirectory.move
        full = OSError(errno.ENOSPC, "No space left on device")

        def fail_before(_: StateDirectory) -> None:
            raise full

        def fail_after(directory: StateDirectory) -> None:
            move(directory)
            raise full

        for fail in (fail_before, fail_after, fail_after):
            with self.patched_move(fail):
                self.failureResultOf(opened(self.store), StoreFailedError)
                self.successResultOf(self.store.close())
        self.assertEqual(3, self.incarnation_of(self.store))

    @contextmanager
    def patched_move(self, move: Callable[[StateDirectory], None]) -> Iterator[None]:
        """
        While this lasts directories get another place, or not, by this.
        """
        patch = self.patch(StateDirectory, "move", move)
        try:
            yield
        finally:
            patch.restore()

    def test_restored_and_failed(self) -> None:
        """
        A restored one stays so until it was opened.
        """
        restored = self.make_store(self.backup)
        failing = OSError(errno.EIO, "Input/output error")

        def fail(_: StateDirectory) -> None:
            raise failing

        with self.patched_move(fail):
            self.failureResultOf(opened(restored), StoreFailedError)
        self.successResultOf(restored.close())
        self.assert_restored(1, restored)

    def test_copied_on_the_way(self) -> None:
        """
        Where an opening has failed, only a lock that was touched at that time is that of the
        original, and not one that is made a minute later, though all else may agree.
        """
        directory = StateDirectory(self.directory)
        directory.enter()
        self.addCleanup(directory.leave)
        for limit, here in ((directories.MOVE_LIMIT, True), (-(10**9), False)):
            self.patch(directories, "MOVE_LIMIT", limit)
            place, before = directory.place(), directory.next_place()
            self.assertTrue(directory.is_here(before))
            while directory.place() == place:  # the clock of files may go in ticks
                directory.move()
            self.assertEqual(here, directory.is_here(before))
