"""
The files of runs, without a run.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.keeper.outputs import Outputs, WorkDirectories


class FilesCase(SynchronousTestCase):
    """
    A directory, and its descriptor.
    """

    def setUp(self) -> None:
        """
        Make it.
        """
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name)
        self.descriptor = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, self.descriptor)

    def names(self) -> list[str]:
        """
        What is there.
        """
        return sorted(path.name for path in self.path.iterdir())


class OutputsTests(FilesCase):
    """
    Output and input.
    """

    def setUp(self) -> None:
        """
        Begin with nothing.
        """
        super().setUp()
        self.outputs = Outputs(self.descriptor)

    def write(self, number: int, out: bytes, err: bytes) -> None:
        """
        Be a run.
        """
        for descriptor, data in zip(self.outputs.create(number), (out, err), strict=True):
            os.write(descriptor, data)
            os.close(descriptor)

    def test_numbers(self) -> None:
        """
        The numbers in use are those of the files that are there.
        """
        self.assertEqual(set(), self.outputs.numbers())
        self.write(3, b"", b"")
        for name in ("12.err", "7.in", "x.out", "9.out.bak", "8"):
            (self.path / name).touch()
        self.assertEqual({3, 12, 7}, self.outputs.numbers())

    def test_never_twice(self) -> None:
        """
        The files of a run are not another's.
        """
        self.write(3, b"", b"")
        self.assertRaises(FileExistsError, self.outputs.create, 3)

    def test_body(self) -> None:
        """
        Both streams, one after the other; what has become shorter is not there.
        """
        self.write(3, b"out", b"err!")
        self.assertEqual((3, 4), self.outputs.sizes(3))
        self.assertEqual(b"outerr!", self.outputs.body(3, 3, 4))
        self.assertEqual(b"out", self.outputs.body(3, 3, 0))
        self.assertIsNone(self.outputs.body(3, 4, 4))
        self.outputs.remove(3)
        self.assertIsNone(self.outputs.body(3, 3, 4))
        self.assertEqual([], self.names())

    def test_remove_empty(self) -> None:
        """
        Only the streams that have nothing go.
        """
        self.write(1, b"x", b"")
        self.write(2, b"", b"x")
        for number in (1, 2):
            self.outputs.remove_empty(number, *self.outputs.sizes(number))
        self.assertEqual(["1.out", "2.err"], self.names())

    def test_cut(self) -> None:
        """
        Together they are no more than the limit, and what is less than half of it is kept whole.
        """
        for out, err, left in (
            (10, 0, (10, 0)),
            (11, 0, (10, 0)),
            (0, 11, (0, 10)),
            (3, 9, (3, 7)),
            (9, 3, (7, 3)),
            (9, 9, (5, 5)),
            (5, 6, (5, 5)),
            (4, 4, (4, 4)),
        ):
            self.write(1, b"o" * out, b"e" * err)
            self.assertEqual(left, self.outputs.cut(1, 10))
            self.assertEqual(left, self.outputs.sizes(1))
            self.outputs.remove(1)

    def test_stdin(self) -> None:
        """
        Input is read from its beginning, cannot be written to, and has no name.
        """
        descriptor = self.outputs.stdin(1, b"x" * 100_000)
        self.addCleanup(os.close, descriptor)
        self.assertEqual(100_000, len(os.read(descriptor, 200_000)))
        self.assertRaises(OSError, os.write, descriptor, b"x")
        self.assertEqual([], self.names())


class WorkTests(FilesCase):
    """
    Fresh directories.
    """

    def setUp(self) -> None:
        """
        Begin with nothing.
        """
        super().setUp()
        self.clock = Clock()
        self.work = WorkDirectories(bytes(self.path), self.descriptor, self.clock.seconds)

    def sweep(self) -> None:
        """
        Remove all that is to be removed.
        """
        self.assertFalse(self.work.sweep(1.0))

    def left(self) -> list[str]:
        """
        What is there beside the directories that are kept for later.
        """
        return [name for name in self.names() if not name.startswith("spare-")]

    def assertFresh(self, path: bytes) -> None:
        """
        It is an empty directory for its user alone.
        """
        self.assertEqual((0o40700, []), (os.lstat(path).st_mode, os.listdir(path)))  # noqa: PTH208

    def test_fresh(self) -> None:
        """
        It is there, empty, and for its user alone; afterwards it is not there.
        """
        path = Path(os.fsdecode(self.work.create(1)))
        self.assertEqual(self.path / "1", path)
        self.assertFresh(bytes(path))
        self.assertTrue(self.work.remove(1))
        self.assertFalse(path.exists())

    def test_used_again(self) -> None:
        """
        One that is as good as fresh is used again, under another name.
        """
        identity = os.stat(self.work.create(1)).st_ino  # noqa: PTH116
        self.work.remove(1)
        self.assertEqual(identity, os.stat(self.work.create(2)).st_ino)  # noqa: PTH116

    def test_not_used_again(self) -> None:
        """
        One that has other permissions, or is another one, is not; one that is emptied is.
        """
        for number, spoil in enumerate(
            (
                lambda path: (path / "x").touch(),
                lambda path: (path / "x").mkdir(),
                lambda path: path.chmod(0o755),
                lambda path: path.chmod(0),
                lambda path: os.setxattr(path, "user.x", b"y"),
                lambda path: (path.rmdir(), path.symlink_to("/")),
                lambda path: (path.rmdir(), path.touch()),
                lambda path: path.rmdir(),
            )
        ):
            spoil(Path(os.fsdecode(self.work.create(number))))
            self.work.remove(number)
            self.sweep()
            self.assertEqual([], self.left())
            self.assertFresh(self.work.create(100))
            self.work.remove(100)

    def test_whatever_is_there(self) -> None:
        """
        A whole tree goes, deeper than any path can be long, with what cannot be entered.
        """
        self.addCleanup(os.chdir, os.getcwd())  # noqa: PTH109
        os.chdir(self.work.create(1))
        for _ in range(60):
            os.mkdir("d" * 100)  # noqa: PTH102
            Path("file").touch()
            Path("link").symlink_to("/")
            os.chdir("d" * 100)
        (self.path / "1" / ("d" * 100) / ("d" * 100)).chmod(0)
        os.chdir("/")
        self.assertFalse(self.work.remove(1))
        self.sweep()
        self.assertEqual([], self.left())

    def test_bit_by_bit(self) -> None:
        """
        What takes long is removed in pieces.
        """
        path = Path(os.fsdecode(self.work.create(1)))
        for name in range(10):
            (path / str(name)).touch()
        clock = iter(range(1000))
        work = WorkDirectories(bytes(self.path), self.descriptor, lambda: float(next(clock)))
        work.remove(1)
        pieces = 1
        while work.sweep(3.0):
            pieces += 1
        self.assertGreater(pieces, 2)
        self.assertEqual([], self.left())

    def test_left_by_another(self) -> None:
        """
        All that another keeper has left goes, and its numbers are known.
        """
        for name in ("7", "spare-3", "removed-1-2", "x"):
            (self.path / name).mkdir()
        (self.path / "7" / "file").touch()
        self.assertEqual(7, self.work.remove_all())
        self.sweep()
        self.assertEqual([], self.left())
        for number in range(6):
            self.assertFresh(self.work.create(number))
