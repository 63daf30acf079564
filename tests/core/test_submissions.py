"""
New jobs, and those that turn out to be known, without a store.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.actions import Answer, LoadKeys, NodeAction, Persist
from jobcluster.core.description import digest_of
from jobcluster.core.events import JobsRequested
from jobcluster.core.out import Out
from jobcluster.core.records import JobsSubmitted, KeysTaken
from jobcluster.core.submissions import Submissions
from jobcluster.core.values import SLEEP, Job, Keyed, Now, Spec, format_ticket
from jobcluster.core.words import Load
from jobcluster.errors import KeyTakenError, StoreFullError, UserError

NOW = Now(0.0, 0.0, 0.0)


def sleep(milliseconds: int = 5, key: str = "", name: str = "") -> Spec:
    """
    A sleep.
    """
    return Spec(SLEEP, b"%d" % milliseconds, key=key, name=name)


class SubmissionsTests(SynchronousTestCase):
    """
    L{Submissions}.
    """

    def setUp(self) -> None:
        """
        Nothing was submitted.
        """
        self.submissions = Submissions("a", self.take)
        self.taken: list[Spec] = []
        self.room = True

    def take(self, spec: Spec, out: Out, _: Now) -> int:
        """
        Take a job: the first has the id 1.
        """
        self.taken.append(spec)
        number = len(self.taken)
        out.submitted(Job(number, spec.kind, spec.payload, 0, "", "again", 0))
        return number

    def submit(self, request: int, *specs: Spec) -> list[NodeAction]:
        """
        What is to be done when these are submitted.
        """
        out = Out()
        self.submissions.submit(JobsRequested(request, specs, self.room), out, NOW)
        return out.actions(None, lambda: Load(0, 0, 0, draining=False, stopping=False))

    def loaded(self, *found: Keyed) -> list[NodeAction]:
        """
        What is to be done when the store knows these keys.
        """
        out = Out()
        self.submissions.loaded(found, out, NOW)
        return out.actions(None, lambda: Load(0, 0, 0, draining=False, stopping=False))

    def answers(self, actions: list[NodeAction]) -> dict[int, tuple[object, ...]]:
        """
        What is answered, by the requests.
        """
        return {action.request: action.value for action in actions if isinstance(action, Answer)}

    def test_without_keys(self) -> None:
        """
        Jobs without keys are taken at once, and nothing is read for them.
        """
        persist, answer = self.submit(1, sleep(), sleep())
        self.assertIsInstance(persist, Persist)
        self.assertEqual(Answer(1, (1, 2)), answer)

    def test_none(self) -> None:
        """
        No jobs are answered, too.
        """
        self.assertEqual([Answer(1, ())], self.submit(1))

    def test_new(self) -> None:
        """
        A key that nobody has is committed with its job, and the ticket is answered after that.
        """
        self.assertEqual([LoadKeys(("k",))], self.submit(1, sleep(key="k"), sleep()))
        self.assertEqual([], self.taken)
        persist, answer = self.loaded()
        self.assertEqual(Answer(1, (1, 2)), answer)
        assert isinstance(persist, Persist)  # noqa: S101 - for the type checker
        submitted, keys = persist.changes
        assert isinstance(submitted, JobsSubmitted)  # noqa: S101 - for the type checker
        self.assertEqual([1, 2], [job.id for job in submitted.jobs])
        self.assertEqual(KeysTaken((Keyed("k", 1, digest_of(sleep())),)), keys)

    def test_known(self) -> None:
        """
        With a key that the store knows the job is the one that has it, and nothing is committed.
        """
        self.submit(1, sleep(key="k"))
        self.assertEqual([Answer(1, (77,))], self.loaded(Keyed("k", 77, digest_of(sleep()))))
        self.assertEqual([], self.taken)

    def test_twice_in_a_batch(self) -> None:
        """
        Within a batch a key has one job.
        """
        self.assertEqual([LoadKeys(("k", "l"))], self.submit(1, *map(self.keyed, "klk")))
        self.assertEqual({1: (1, 2, 1)}, self.answers(self.loaded()))

    @staticmethod
    def keyed(key: str) -> Spec:
        """
        A sleep with a key.
        """
        return sleep(key=key)

    def test_reads_are_merged(self) -> None:
        """
        What comes during a read is read with the next one, and is one job with the same key.
        """
        self.assertEqual([LoadKeys(("k",))], self.submit(1, sleep(key="k")))
        self.assertEqual([], self.submit(2, sleep(key="k"), sleep(key="l")))
        self.assertEqual([], self.submit(3, sleep(key="l")))
        first = self.loaded()
        self.assertEqual({1: (1,)}, self.answers(first))
        self.assertEqual(LoadKeys(("k", "l")), first[-1])
        # The read stands behind the commit, so that it knows the key.
        self.assertIsInstance(first[0], Persist)
        second = self.loaded(Keyed("k", 1, digest_of(sleep())))
        self.assertEqual({2: (1, 2), 3: (2,)}, self.answers(second))
        self.assertEqual([Answer(4, (3,))], self.submit(4, sleep())[1:])

    def test_another_job(self) -> None:
        """
        Another job with the key is refused in words that name the ticket, be that job in the store
        or in the batch; the others are taken.
        """
        self.submit(1, sleep(6, "k"), sleep(5, "l"), sleep(5, "l", "n"), sleep())
        answers = self.answers(self.loaded(Keyed("k", 77, digest_of(sleep()))))[1]
        self.assertEqual((1, 2), answers[1::2])
        for refusal, job in ((answers[0], 77), (answers[2], 1)):
            self.assertIsInstance(refusal, KeyTakenError)
            self.assertIn(f"another job, {format_ticket('a', job)}", str(refusal))

    def test_faults(self) -> None:
        """
        What cannot be is refused by itself, and its key is not asked for.
        """
        wrong = sleep(key="\udc80")
        self.assertEqual([LoadKeys(("k",))], self.submit(1, wrong, sleep(key="k")))
        refusal, job = self.answers(self.loaded())[1]
        self.assertIsInstance(refusal, UserError)
        self.assertEqual(1, job)
        one, refusal = self.answers(self.submit(2, sleep(), sleep(name="n" * 256)))[2]
        self.assertIsInstance(refusal, UserError)
        self.assertEqual(2, one)

    def test_no_room(self) -> None:
        """
        Where there is no room for new jobs those that are known are told all the same.
        """
        self.room = False
        self.submit(1, sleep(key="k"), sleep(key="l"), sleep(), sleep(6, "k"))
        self.room = True
        known, *others = self.answers(self.loaded(Keyed("k", 77, digest_of(sleep()))))[1]
        self.assertEqual(77, known)
        self.assertEqual(
            [StoreFullError, StoreFullError, KeyTakenError], [type(other) for other in others]
        )
        self.assertEqual([], self.taken)

    def test_as_it_was(self) -> None:
        """
        The job that is taken is what was submitted.
        """
        spec = attrs.evolve(sleep(key="k", name="n"), tags=("a",))
        self.submit(1, spec)
        self.loaded()
        self.assertEqual([spec], self.taken)
