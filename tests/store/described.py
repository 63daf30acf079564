"""
Names, tags and keys, in every store: a part of its contract, as tests.

Import the module, not the class: a test case is run wherever its name is.
"""

from __future__ import annotations

from jobcluster.core.records import Draining, JobsSubmitted, KeysTaken, Recovered
from jobcluster.core.values import Job, Keyed
from jobcluster.core.views import Filter
from jobcluster.errors import StoreFailedError
from tests.store import case
from tests.store.scenes import FIRST_JOB, ended, job, opened, submitted

ODD = "ключ, '\"%"
"""A key with letters that mean something elsewhere."""


def keyed(number: int, key: str = "") -> Keyed:
    """
    The key of a job.
    """
    return Keyed(key or f"key of {number}", number, b"digest of %d" % number)


def named(number: int, name: str = "", tags: str = "") -> Job:
    """
    A new job that is called something.
    """
    return job(number)._replace(name=name, tags=tags)


class DescribedContract(case.StoreCase):
    """
    What jobs are called.
    """

    def keys(self, *wanted: str) -> list[Keyed]:
        """
        Those keys that jobs have.
        """
        found: tuple[Keyed, ...] = self.result(self.store.keys(wanted))
        return sorted(found)

    def found(self, state: str = "", name: str = "", *tags: str) -> list[int]:
        """
        The jobs of which that is true.
        """
        views = self.result(self.store.views(Filter(state, name, tags), 0, 100))
        return [view.job for view in views]

    # -- keys --------------------------------------------------------------------------------------

    def test_keys(self) -> None:
        """
        Keys are there with their jobs, for the next process too; what nobody has is left out.
        """
        self.commit(submitted(1001, 1002, 1003), KeysTaken((keyed(1001), keyed(1003, ODD))))
        for _ in range(2):
            self.assertEqual([keyed(1001)], self.keys("key of 1001", "key of 1002"))
            self.assertEqual([keyed(1003, ODD)], self.keys("Key of 1001", ODD))
            self.assertEqual([], self.keys())
            self.result(self.store.close())
            self.store = self.make_store()
            self.result(opened(self.store))

    def test_many_keys(self) -> None:
        """
        Any number of them is taken and found at once.
        """
        rows = [keyed(number) for number in range(1001, 2338)]
        self.commit(submitted(*(row.job for row in rows)), KeysTaken(tuple(rows)))
        self.assertEqual(rows, self.keys(*(row.key for row in rows)))

    def test_known_key(self) -> None:
        """
        A key that is another job's cannot be stored, and nothing that comes with it is.
        """
        self.commit(submitted(1001), KeysTaken((keyed(1001, "k"),)))
        taken = KeysTaken((keyed(1002, "k"),))
        refused = self.store.commit([Draining(True), submitted(1002), taken])
        self.failureResultOf(refused, StoreFailedError)
        recovered = self.reopened()
        self.assertEqual((1001, False), (recovered.last_job, recovered.draining))
        twice = KeysTaken((keyed(1003, "l"), keyed(1004, "l")))
        self.failureResultOf(self.store.commit([submitted(1003, 1004), twice]), StoreFailedError)
        self.reopened()
        self.assertEqual([keyed(1001, "k")], self.keys("k", "l"))

    def test_keys_stay(self) -> None:
        """
        A key stays when its job has ended and has expired, and is forgotten with the ticket.
        """
        self.now = 20.0  # what is kept for 5 s, and so expires when it is 5 s old
        self.commit(submitted(1001, 1002), KeysTaken((keyed(1001), keyed(1002))))
        self.commit(ended(1001, at=14_000))
        self.assertEqual(2, len(self.keys("key of 1001", "key of 1002")))
        self.assertEqual(1, self.expire(15_000))
        self.assertEqual("expired", self.view(1001).state)
        self.assertEqual([keyed(1001)], self.keys("key of 1001"))
        self.now = 24.5
        self.assertEqual(1, self.expire(19_500))
        self.assertEqual([keyed(1002)], self.keys("key of 1001", "key of 1002"))
        self.commit(submitted(1003), KeysTaken((keyed(1003, "key of 1001"),)))
        self.assertEqual([keyed(1003, "key of 1001")], self.keys("key of 1001"))

    # -- names and tags ----------------------------------------------------------------------------

    def test_named(self) -> None:
        """
        Names and tags are the job's, and shown, until it expires.
        """
        new = named(1001, "étude, no. 1", "a,b")
        self.commit(JobsSubmitted((new, named(1002))))
        self.assertEqual((new, job(1002)), self.load(1001, 1002))
        self.assertEqual((new, job(1002)), self.result(self.store.page("", case.BEST, 2)))
        for state in ("waiting", "ended"):
            view, plain = self.view(1001), self.view(1002)
            self.assertEqual(
                (state, "étude, no. 1", ("a", "b")), (view.state, view.name, view.tags)
            )
            self.assertEqual(("", ()), (plain.name, plain.tags))
            self.commit(ended(1001, at=10_000))
        self.now = 20.0
        self.expire(12_000)
        self.assertEqual(("", ()), (self.view(1001).name, self.view(1001).tags))

    def test_filters(self) -> None:
        """
        Jobs are found by state, name and tags: all that is said has to be true.
        """
        self.now = 20.0
        jobs = (
            named(1001, "n", "a,b"),
            named(1002, "n"),
            named(1003, "N", "b"),
            named(1004, "", "ab,b.c"),
            named(1005, "n", "a,b"),
            named(1006, "n", "b"),
            named(1007, "n", "b"),
        )
        self.commit(JobsSubmitted(jobs), ended(1005), ended(1006, status="failed"))
        self.commit(ended(1007, at=1_000))
        self.expire(2_000)
        self.assertEqual([1001, 1002, 1005, 1006], self.found("", "n"))
        self.assertEqual([1001, 1002], self.found("open", "n"))
        self.assertEqual([1006], self.found("failed", "n"))
        self.assertEqual([1001, 1003, 1005, 1006], self.found("", "", "b"))
        self.assertEqual([1001, 1005], self.found("", "n", "b", "a"))
        self.assertEqual([1004], self.found("open", "", "b.c"))
        self.assertEqual([1005], self.found("succeeded", "", "a"))
        for tag in ("c", "B", "%", "b.", "a,", "_"):
            self.assertEqual([], self.found("", "", tag))
        after = self.result(self.store.views(Filter(name="n"), 1001, 2))
        self.assertEqual([1002, 1005], [view.job for view in after])

    def test_no_names(self) -> None:
        """
        A store without jobs finds none.
        """
        self.assertEqual([], self.found("", "n", "a"))
        self.assertEqual(Recovered(last_job=FIRST_JOB), self.reopened())
