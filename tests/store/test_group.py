"""
Group commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.records import Change
from jobcluster.errors import StateGoneError, StoreFailedError
from jobcluster.store.group import GroupCommit
from tests.store.scenes import ended, submitted


class GroupCommitTests(SynchronousTestCase):
    """
    L{GroupCommit}, with a disk that takes as long as the test wants.
    """

    def setUp(self) -> None:
        """
        Nothing is written yet.
        """
        self.written: list[list[Change]] = []
        self.writes: list[Deferred[None]] = []
        self.told: list[str] = []
        self.commits = GroupCommit(self.write)

    def write(self, changes: Sequence[Change]) -> Deferred[None]:
        """
        Begin to write.
        """
        self.written.append(list(changes))
        self.writes.append(Deferred())
        return self.writes[-1]

    def commit(self, name: str, *changes: Change) -> None:
        """
        Commit these changes, and note under that name what becomes of them.
        """
        self.commits.commit(changes).addCallbacks(
            lambda _: self.told.append(name),
            lambda failure: self.told.append(f"{name}: {failure.type.__name__}"),
        )

    def test_alone(self) -> None:
        """
        A commit is written at once, and told when it is on the disk.
        """
        self.commit("a", submitted(1))
        self.assertEqual([[submitted(1)]], self.written)
        self.assertEqual([], self.told)
        self.writes[0].callback(None)
        self.assertEqual(["a"], self.told)

    def test_crowd(self) -> None:
        """
        What comes while a commit is under way is one transaction, told in its order.
        """
        self.commit("a", submitted(1))
        self.commit("b", submitted(2), ended(1))
        self.commit("c", submitted(3))
        self.commit("d")
        self.assertEqual(1, len(self.written))
        self.writes[0].callback(None)
        self.assertEqual(["a"], self.told)
        self.assertEqual([submitted(2), ended(1), submitted(3)], self.written[1])
        self.writes[1].callback(None)
        self.assertEqual(["a", "b", "c", "d"], self.told)
        self.commit("e", submitted(5))
        self.assertEqual([submitted(5)], self.written[2])

    def test_disk_first(self) -> None:
        """
        The disk works on while those who have waited are told; what they want is written after.
        """
        first = self.commits.commit([submitted(1)])
        first.addCallback(lambda _: self.commit("c", submitted(3)))
        self.commit("b", submitted(2))
        self.writes[0].callback(None)
        self.assertEqual([submitted(2)], self.written[1])
        self.writes[1].callback(None)
        self.assertEqual([submitted(3)], self.written[2])

    def test_failure(self) -> None:
        """
        When a transaction fails, so does everything in it and behind it, in order, and for ever.
        """
        for name in "abc":
            self.commit(name, submitted(1))
        self.writes[0].callback(None)
        self.commit("d", submitted(4))
        self.writes[1].errback(StateGoneError())
        self.commit("e", submitted(5))
        self.assertEqual(["a", *(f"{name}: StateGoneError" for name in "bcde")], self.told)
        self.assertEqual(2, len(self.written))
        self.assertIsInstance(self.commits.refusal, StateGoneError)

    def test_unexpected_failure(self) -> None:
        """
        Whatever fails, those who wait see an error of the store.
        """
        self.commit("a", submitted(1))
        self.writes[0].errback(ZeroDivisionError("oops"))
        self.assertEqual(["a: StoreFailedError"], self.told)
        self.assertEqual("oops", str(self.commits.refusal))

    def test_refuse(self) -> None:
        """
        When it is to refuse, what waits fails, and what is under way is told as it comes.
        """
        self.commit("a", submitted(1))
        self.commit("b", submitted(2))
        self.commits.refuse(StoreFailedError())
        self.assertEqual(["b: StoreFailedError"], self.told)
        self.writes[0].callback(None)
        self.assertEqual(["b: StoreFailedError", "a"], self.told)

    def test_idle(self) -> None:
        """
        It is idle when nothing is under way and nothing waits.
        """
        self.successResultOf(self.commits.idle())
        self.commit("a", submitted(1))
        self.commit("b", submitted(2))
        idle = self.commits.idle()
        self.writes[0].callback(None)
        self.assertNoResult(idle)
        self.writes[1].callback(None)
        self.successResultOf(idle)
        self.assertEqual(["a", "b"], self.told)

    def test_idle_after_failure(self) -> None:
        """
        A failure ends the work, too.
        """
        self.commit("a", submitted(1))
        idle = self.commits.idle()
        self.writes[0].errback(StoreFailedError())
        self.successResultOf(idle)
