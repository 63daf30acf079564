"""
What a job puts out, followed piece by piece.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.consoles.outputs import PIECE, Followed, Follower
from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.values import Outcome, Spec, Status
from jobcluster.errors import NodeAwayError
from tests.consoles.rig import FIRST_JOB, FakeCluster, ticket


class FollowerCase(SynchronousTestCase):
    """
    A cluster in which a command runs.
    """

    def setUp(self) -> None:
        """
        Submit it.
        """
        self.clock = Clock()
        self.cluster = FakeCluster(self.clock)
        self.cluster.submit([Spec(COMMAND, pack_command(Command((b"true",))))])

    def follow(self, offsets: Mapping[str, int] | None = None, attempt: int = 0) -> Follower:
        """
        Follow it; at the end nobody waits, and nothing is on the clock.
        """
        if offsets is None:
            follower = Follower(self.cluster, ticket(0))
        else:
            follower = Follower(self.cluster, ticket(0), offsets, attempt)

        def end() -> None:
            follower.stop()
            self.assertEqual([], self.cluster.speech.listeners)
            self.assertEqual([], self.clock.getDelayedCalls())

        self.addCleanup(end)
        return follower

    def say(self, data: bytes, stream: str = "out") -> None:
        """
        Have it put out something.
        """
        self.cluster.speech.say(FIRST_JOB, stream, data)

    def end(self, out: bytes = b"", err: bytes = b"") -> None:
        """
        Have it end.
        """
        self.cluster.end(FIRST_JOB, Outcome(Status.SUCCEEDED, 0, out=out, err=err))

    def begin_anew(self) -> None:
        """
        Have it be lost, and started again.
        """
        row = self.cluster.table[FIRST_JOB]
        self.cluster.table[FIRST_JOB] = attrs.evolve(row, attempts=row.attempts + 1)
        self.cluster.speech.forget(FIRST_JOB)

    def come(self, follower: Follower) -> Deferred[Followed | None]:
        """
        Fires with the next piece.
        """
        return Deferred.fromCoroutine(follower.next_piece())

    def now(self, follower: Follower) -> Followed | None:
        """
        The next piece, which is there.
        """
        return self.successResultOf(self.come(follower))


class PieceTests(FollowerCase):
    """
    What comes, and when.
    """

    def test_both(self) -> None:
        """
        The pieces of both streams come as they are put out, and none when the job has ended.
        """
        follower = self.follow()
        coming = self.come(follower)
        self.assertNoResult(coming)
        self.say(b"one")
        self.assertEqual(Followed("out", 0, b"one", 1), self.successResultOf(coming))
        self.say(b"two")
        self.say(b"bad", "err")
        found = [self.now(follower), self.now(follower)]
        wanted = [Followed("out", 3, b"two", 1), Followed("err", 0, b"bad", 1)]
        self.assertEqual(wanted, sorted(filter(None, found), key=lambda piece: -piece.offset))
        coming = self.come(follower)
        self.say(b"!")
        self.assertEqual(Followed("out", 6, b"!", 1), self.successResultOf(coming))
        coming = self.come(follower)
        self.end()
        self.assertIsNone(self.successResultOf(coming))
        self.assertIsNone(self.now(follower))

    def test_last_words(self) -> None:
        """
        What comes together with the end is not lost.
        """
        follower = self.follow()
        coming = self.come(follower)
        self.end(b"out", b"err")
        self.assertEqual(Followed("out", 0, b"out", 1), self.successResultOf(coming))
        self.assertEqual(Followed("err", 0, b"err", 1), self.now(follower))
        self.assertIsNone(self.now(follower))

    def test_ended(self) -> None:
        """
        Of a job that has ended all comes, in pieces.
        """
        self.say(b"x" * (PIECE + 5))
        self.end()
        follower = self.follow({"out": 0})
        pieces = [self.now(follower), self.now(follower)]
        self.assertEqual(
            [Followed("out", 0, b"x" * PIECE, 1), Followed("out", PIECE, b"x" * 5, 1)], pieces
        )
        self.assertIsNone(self.now(follower))

    def test_resumed(self) -> None:
        """
        It goes on from the offsets that it is given, in these streams alone.
        """
        self.say(b"0123")
        self.say(b"4567", "err")
        self.assertEqual(Followed("err", 3, b"7", 1), self.now(self.follow({"err": 3}, 1)))
        self.assertEqual({"err"}, {stream for stream, _, _ in self.cluster.speech.asked})

    def test_patience(self) -> None:
        """
        However long nothing comes, it goes on; few questions are asked meanwhile.
        """
        follower = self.follow({"out": 0})
        coming = self.come(follower)
        for _ in range(100):
            self.clock.advance(1)
        self.assertNoResult(coming)
        self.assertTrue(15 < len(self.cluster.speech.asked) < 25)
        self.say(b"at last")
        self.assertEqual(Followed("out", 0, b"at last", 1), self.successResultOf(coming))

    def test_one_ahead(self) -> None:
        """
        For whoever takes nothing, one piece of each stream is asked for.
        """
        for stream in ("out", "err"):
            self.say(b"x" * 10 * PIECE, stream)
        follower = self.follow()
        self.now(follower)
        self.assertEqual([("out", 0, 0), ("err", 0, 0)], self.cluster.speech.asked)


class OtherAttemptTests(FollowerCase):
    """
    A job that is lost and started again.
    """

    def test_begun_anew(self) -> None:
        """
        Each stream begins anew, whatever the other one knows.
        """
        follower = self.follow()
        self.say(b"first")
        self.say(b"FIRST", "err")
        self.assertEqual(b"first", getattr(self.now(follower), "data", None))
        self.assertEqual(b"FIRST", getattr(self.now(follower), "data", None))
        coming = self.come(follower)
        self.begin_anew()
        self.say(b"second")
        self.assertEqual(Followed("out", 0, b"second", 2), self.successResultOf(coming))
        coming = self.come(follower)
        self.say(b"SECOND", "err")
        self.assertEqual(Followed("err", 0, b"SECOND", 2), self.successResultOf(coming))
        self.end()

    def test_between(self) -> None:
        """
        What was put out by the attempt that is over, and was on its way, is not mixed into it.
        """
        follower = self.follow()
        self.say(b"first")
        self.assertEqual(Followed("out", 0, b"first", 1), self.now(follower))
        self.say(b"FIRST", "err")
        self.begin_anew()
        self.say(b"2", "err")
        self.say(b"second")
        found = []
        for _ in range(3):
            found.append(self.now(follower))
            if sum(piece is not None and piece.attempt == 2 for piece in found) == 2:
                break
        new = [piece for piece in found if piece is not None and piece.attempt == 2]
        self.assertEqual(
            {("out", 0, b"second"), ("err", 0, b"2")},
            {(piece.stream, piece.offset, piece.data) for piece in new},
        )

    def test_begun_anew_while_away(self) -> None:
        """
        Whoever goes on later names the attempt whose bytes he has, and gets all of the next one.
        """
        self.say(b"first")
        self.begin_anew()
        self.say(b"a second one")
        self.assertEqual(
            Followed("out", 0, b"a second one", 2), self.now(self.follow({"out": 5}, 1))
        )


class EndTests(FollowerCase):
    """
    What comes to an end.
    """

    def test_failure(self) -> None:
        """
        What is wrong is told to whoever asks for the next piece.
        """
        follower = self.follow()
        self.say(b"one")
        self.assertIsNotNone(self.now(follower))
        self.cluster.failure = NodeAwayError()
        while not (coming := self.come(follower)).called:
            self.clock.advance(5)
        self.failureResultOf(coming, NodeAwayError)

    def test_stopped(self) -> None:
        """
        One that is stopped asks for nothing any more, and leaves nobody who waits.
        """
        follower = self.follow()
        coming = self.come(follower)
        self.clock.advance(1)
        coming.cancel()
        self.failureResultOf(coming)
        follower.stop()
        asked = len(self.cluster.speech.asked)
        self.say(b"more")
        self.clock.advance(60)
        self.assertEqual(asked, len(self.cluster.speech.asked))
