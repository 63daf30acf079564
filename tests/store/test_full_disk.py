"""
A disk that is really full: a file system of 2 MB, filled and freed.
"""

from __future__ import annotations

import errno
import random
import subprocess
from pathlib import Path
from unittest import SkipTest

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import JobsSubmitted
from jobcluster.core.views import Filter
from jobcluster.errors import StoreFailedError
from jobcluster.store.sqlite import SqliteStore
from tests.store.direct import DirectPools
from tests.store.scenes import FIRST_JOB, ended, job, opened

BALLAST = 700_000
"""Bytes that somebody else takes up, until there is no room for us."""


class FullDiskTests(SynchronousTestCase):
    """
    What was acknowledged before the disk was full is there afterwards, and the store goes on.
    """

    def setUp(self) -> None:
        """
        Mount a small file system, which takes root.
        """
        self.mounted = Path(self.mktemp()).absolute()
        self.mounted.mkdir()
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", self.mounted],
            capture_output=True,
            check=False,
            text=True,
        )
        if mount.returncode:
            raise SkipTest(f"a small file system cannot be mounted: {mount.stderr.strip()}")
        self.addCleanup(subprocess.check_call, ["umount", self.mounted])
        self.store = SqliteStore(self.mounted / "state", DirectPools())
        self.addCleanup(self.store.close)
        self.last = FIRST_JOB
        self.acknowledged: set[int] = set()

    def take_room(self) -> None:
        """
        Somebody else takes what he can get of the ballast.
        """
        with (self.mounted / "ballast").open("wb", buffering=0) as ballast:
            try:
                for _ in range(BALLAST // 1000):
                    ballast.write(bytes(1000))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def give_room(self) -> None:
        """
        He deletes it.
        """
        (self.mounted / "ballast").unlink()

    def submit_until_full(self, chance: random.Random) -> None:
        """
        Submit jobs, a few at a time, and end some, until that fails.
        """
        while True:
            count = chance.choice((1, 3, 20))
            numbers = range(self.last + 1, self.last + 1 + count)
            self.last += count
            size = chance.choice((10, 1000, 8000))
            jobs = tuple(job(number, payload=bytes(size)) for number in numbers)
            told: list[str] = []
            self.store.commit([JobsSubmitted(jobs), ended(numbers[0])]).addCallbacks(
                lambda _, told=told: told.append(""),
                lambda failure, told=told: told.append(failure.getErrorMessage()),
            )
            [reason] = told
            if reason:
                self.assertIn("full", reason)
                return
            self.acknowledged.update(numbers)

    def check(self) -> None:
        """
        All that was acknowledged is there; what was not may be there, and was never called so.
        """
        found = self.successResultOf(self.store.views(Filter(), 0, 100_000))
        self.assertEqual(set(), self.acknowledged - {view.job for view in found})
        self.assertTrue({view.job for view in found} <= set(range(FIRST_JOB, self.last + 1)))

    def test_filled_and_freed(self) -> None:
        """
        However often the disk is filled and freed, nothing acknowledged is lost.
        """
        chance = random.Random(7)
        self.take_room()
        self.successResultOf(opened(self.store))
        incarnation = 1
        for _ in range(3):
            self.submit_until_full(chance)
            self.failureResultOf(self.store.commit([]), StoreFailedError)
            self.give_room()
            identity, _ = self.successResultOf(opened(self.store))
            self.assertGreater(identity.incarnation, incarnation)
            incarnation = identity.incarnation
            self.check()
            self.take_room()

    def test_opened_while_full(self) -> None:
        """
        On a disk that is still full, opening fails or finds everything; when there is room, it
        finds everything.
        """
        self.take_room()
        self.successResultOf(opened(self.store))
        self.submit_until_full(random.Random(8))
        with (self.mounted / "more").open("wb") as more:
            more.write(bytes(self.store.free() // 4096 * 4096))
        told: list[Failure] = []
        opened(self.store).addCallbacks(lambda _: self.check(), told.append)
        for failure in told:
            self.assertIsInstance(failure.value, StoreFailedError)
        self.give_room()
        self.successResultOf(opened(self.store))
        self.check()
        self.successResultOf(self.store.commit([ended(self.last)]))

    def test_filled_by_the_jobs_alone(self) -> None:
        """
        A small disk holds jobs, not the log of how they came; it may be made larger.
        """
        self.successResultOf(opened(self.store))
        size = 0
        told: list[Failure] = []
        while not told:
            new = JobsSubmitted((job(self.last + 1, payload=bytes(1000)),))
            self.store.commit([new]).addErrback(told.append)
            self.last += 1
            size += 1000
        self.assertGreater(size, 1_200_000)
        self.acknowledged = set(range(FIRST_JOB + 1, self.last))
        subprocess.check_call(["mount", "-o", "remount,size=3m", self.mounted])
        self.successResultOf(opened(self.store))
        self.check()

    def test_no_room_at_all(self) -> None:
        """
        A database that cannot even be made is made when there is room.
        """
        self.take_room()
        with (self.mounted / "more").open("wb", buffering=0) as more:
            more.write(bytes(2 << 20))
        self.failureResultOf(opened(self.store), StoreFailedError)
        (self.mounted / "more").unlink()
        self.assertEqual(1, self.successResultOf(opened(self.store))[0].incarnation)
