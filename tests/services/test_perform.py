"""
Persist, then speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.actions import (
    Answer,
    CloseConnection,
    ExtendLease,
    NodeAction,
    Note,
    Persist,
    Stopped,
)
from jobcluster.core.records import Change, Draining
from jobcluster.errors import StateGoneError, StoreFailedError
from jobcluster.services.perform import Performer

FIRST = Persist((Draining(True),))
SECOND = Persist((Draining(False),))


def answer(number: int) -> Answer:
    """
    Some action that waits its turn.
    """
    return Answer(number, ())


class Scene:
    """
    A performer, what it did in one list, and the commits that are under way.
    """

    def __init__(self) -> None:
        """
        Nothing is to be done yet.
        """
        self.told: list[Any] = []
        self.commits: list[Deferred[None]] = []
        self.at_once: Deferred[None] | None = None
        """What the next commit returns."""
        self.nested: dict[int, list[NodeAction]] = {}
        """What the answer of a number leads to."""
        self.raises: NodeAction | None = None
        self.performer = Performer(self.commit, self.do, self.failed)

    def commit(self, changes: Sequence[Change]) -> Deferred[None]:
        """
        Begin a commit.
        """
        self.told.append(("commit", changes))
        at_once, self.at_once = self.at_once, None
        if at_once is not None:
            return at_once
        self.commits.append(Deferred())
        return self.commits[-1]

    def do(self, action: NodeAction) -> None:
        """
        Carry out an action, and all that this leads to.
        """
        self.told.append(action)
        if action == self.raises:
            raise ZeroDivisionError
        if isinstance(action, Answer) and action.request in self.nested:
            self.performer.perform(self.nested[action.request])
            self.told.append(("done", action.request))

    def failed(self, failure: Failure) -> None:
        """
        A commit failed.
        """
        self.told.append(failure.value)

    def take(self) -> list[Any]:
        """
        What has happened since this was called last.
        """
        told, self.told = self.told, []
        return told


class OrderTests(SynchronousTestCase):
    """
    When each action is carried out.
    """

    def setUp(self) -> None:
        """
        Begin with nothing to do.
        """
        self.scene = Scene()
        self.perform = self.scene.performer.perform

    def test_at_once(self) -> None:
        """
        Where there is nothing to commit, everything is done at once and in order.
        """
        self.perform([answer(1), answer(2), Stopped()])
        self.assertEqual([answer(1), answer(2), Stopped()], self.scene.take())

    def test_behind_a_commit(self) -> None:
        """
        A commit is begun, and what stands before it done, at once; what stands behind it when it is
        done.
        """
        self.perform([answer(1), FIRST, answer(2), answer(3)])
        self.assertEqual([("commit", FIRST.changes), answer(1)], self.scene.take())
        self.scene.commits[0].callback(None)
        self.assertEqual([answer(2), answer(3)], self.scene.take())

    def test_one_queue(self) -> None:
        """
        What comes later waits too, though its own event had nothing to commit.
        """
        self.perform([FIRST, answer(1)])
        self.perform([answer(2)])
        self.assertEqual([("commit", FIRST.changes)], self.scene.take())
        self.assertEqual(3, self.scene.performer.waiting)
        self.scene.commits[0].callback(None)
        self.assertEqual([answer(1), answer(2)], self.scene.take())
        self.assertEqual(0, self.scene.performer.waiting)

    def test_commits_are_begun_at_once(self) -> None:
        """
        A commit does not wait for the one before it; what follows each waits for that one only.
        """
        self.perform([FIRST, answer(1)])
        self.perform([SECOND, answer(2)])
        self.assertEqual([("commit", FIRST.changes), ("commit", SECOND.changes)], self.scene.take())
        self.scene.commits[0].callback(None)
        self.assertEqual([answer(1)], self.scene.take())
        self.scene.commits[1].callback(None)
        self.assertEqual([answer(2)], self.scene.take())

    def test_commits_out_of_order(self) -> None:
        """
        A later commit that is done first lets nothing pass the earlier one.
        """
        self.perform([FIRST, answer(1), SECOND, answer(2)])
        self.scene.take()
        self.scene.commits[1].callback(None)
        self.assertEqual([], self.scene.take())
        self.scene.commits[0].callback(None)
        self.assertEqual([answer(1), answer(2)], self.scene.take())

    def test_commit_without_delay(self) -> None:
        """
        A commit that is done before the call returns holds nothing up.
        """
        self.scene.at_once = succeed(None)
        self.perform([FIRST, answer(1)])
        self.assertEqual([("commit", FIRST.changes), answer(1)], self.scene.take())

    def test_never_waits(self) -> None:
        """
        Notes, the end of a connection and a longer lease say nothing that a commit could prove
        wrong: they wait neither for a commit nor for what waits for one.
        """
        hasty: list[NodeAction] = [
            Note("info", "joined"),
            CloseConnection(1, "silent"),
            ExtendLease(7.5),
        ]
        self.perform([FIRST, answer(1)])
        self.scene.take()
        self.perform(hasty)
        self.assertEqual(hasty, self.scene.take())
        self.scene.commits[0].callback(None)
        self.assertEqual([answer(1)], self.scene.take())

    def test_nested(self) -> None:
        """
        What an action leads to is done after it and after what was to be done before, never
        within it.
        """
        self.scene.nested = {1: [answer(3), SECOND, answer(4)]}
        self.perform([answer(1), answer(2)])
        self.assertEqual(
            [
                answer(1),
                ("commit", SECOND.changes),
                ("done", 1),
                answer(2),
                answer(3),
            ],
            self.scene.take(),
        )
        self.scene.commits[0].callback(None)
        self.assertEqual([answer(4)], self.scene.take())

    def test_nested_in_a_commit(self) -> None:
        """
        The same, where the action has waited for a commit.
        """
        self.scene.nested = {1: [answer(3)]}
        self.perform([FIRST, answer(1), answer(2)])
        self.scene.take()
        self.scene.commits[0].callback(None)
        self.assertEqual([answer(1), ("done", 1), answer(2), answer(3)], self.scene.take())

    def test_fault_in_an_action(self) -> None:
        """
        An action that raises is not tried again, and does not hold up the others for ever.
        """
        self.scene.raises = answer(1)
        self.assertRaises(ZeroDivisionError, self.perform, [answer(1), answer(2)])
        self.perform([answer(3)])
        self.assertEqual([answer(1), answer(2), answer(3)], self.scene.take())


class FailureTests(SynchronousTestCase):
    """
    A commit that fails: nobody knows what is on the disk.
    """

    def setUp(self) -> None:
        """
        Let two commits be under way, and something wait for each.
        """
        self.scene = Scene()
        self.scene.performer.perform([FIRST, answer(1), SECOND, answer(2)])
        self.scene.take()

    def test_forgets(self) -> None:
        """
        What waited for it is never done, and whoever owns the performer hears why.
        """
        error = StoreFailedError("no space left")
        self.scene.commits[0].errback(error)
        self.assertEqual([error], self.scene.take())
        self.scene.commits[1].callback(None)
        self.assertEqual([], self.scene.take())
        self.assertEqual(0, self.scene.performer.waiting)

    def test_told_once(self) -> None:
        """
        Each later commit fails too, and nobody is told again.
        """
        error = StateGoneError()
        self.scene.commits[0].errback(error)
        self.scene.commits[1].errback(StoreFailedError())
        self.assertEqual([error], self.scene.take())

    def test_later_commit(self) -> None:
        """
        When a later commit fails, what waited for the earlier one is not done either: the core
        that wanted it is gone.
        """
        error = StoreFailedError()
        self.scene.commits[1].errback(error)
        self.scene.commits[0].callback(None)
        self.assertEqual([error], self.scene.take())

    def test_nothing_more(self) -> None:
        """
        Afterwards nothing is done or committed.
        """
        self.scene.commits[0].errback(StoreFailedError())
        self.scene.take()
        self.scene.performer.perform([answer(3), FIRST, Note("info", "joined")])
        self.assertEqual([], self.scene.take())
        self.assertEqual(2, len(self.scene.commits))

    def test_within_the_call(self) -> None:
        """
        Where a commit fails before the call returns, the rest of the same event is not done.
        """
        error = StoreFailedError()
        scene = Scene()
        scene.at_once = fail(error)
        scene.performer.perform([answer(1), FIRST, answer(2), SECOND, Note("info", "joined")])
        self.assertEqual([("commit", FIRST.changes), error], scene.take())

    def test_abandon(self) -> None:
        """
        One that was abandoned does nothing more, and says nothing of how its commits end.
        """
        self.scene.performer.abandon()
        self.assertEqual(0, self.scene.performer.waiting)
        self.scene.commits[0].callback(None)
        self.scene.commits[1].errback(StoreFailedError())
        self.assertEqual([], self.scene.take())
