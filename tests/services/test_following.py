"""
The output of jobs, followed while they run.
"""

from __future__ import annotations

import attrs

from jobcluster.core.values import Spec
from jobcluster.core.views import Piece
from jobcluster.errors import (
    MalformedTicketError,
    OutputMissingError,
    UnknownTicketError,
)
from tests.services.following import LONG, SECONDS, SHORT, FollowingCase, command, slow_cat


class RunningTests(FollowingCase):
    """
    Jobs that run.
    """

    def test_whole(self) -> None:
        """
        From the beginning to the end all comes once, in many pieces, whoever asks and runs it,
        also where it is collected in the end because it is long.
        """
        cluster = self.apart()
        for whole in (SHORT, LONG):
            for at in ("a", "b", "c"):
                [ticket] = cluster.submit("a", [command(whole)])
                found, count = self.rest(cluster, ticket, at=at)
                self.assertEqual(whole, found)
                self.assertTrue(count > 10, count)

    def test_own(self) -> None:
        """
        So it does where a node runs what it took.
        """
        cluster = self.cluster(nodes=1)
        cluster.nodes["a"].program = slow_cat
        cluster.restart("a")
        [ticket] = cluster.submit("a", [command(SHORT)])
        found, count = self.rest(cluster, ticket)
        self.assertEqual(SHORT, found)
        self.assertTrue(count > 10, count)

    def test_at_once(self) -> None:
        """
        What is there is given at once, and what comes soon after it came.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [command(SHORT)])
        self.runner_of(cluster, ticket)
        cluster.advance(SECONDS / 2)
        began = cluster.clock.seconds()
        first = self.ask(cluster, ticket, at="b")
        self.assertTrue(cluster.clock.seconds() < began + 0.01)
        self.assertEqual((SHORT[: len(first.data)], 1, False), attrs.astuple(first))
        self.assertTrue(len(SHORT) / 3 < len(first.data) < len(SHORT))
        second = self.ask(cluster, ticket, len(first.data), at="b")
        self.assertTrue(cluster.clock.seconds() < began + 0.2)
        self.assertTrue(SHORT.startswith(first.data + second.data))

    def test_streams(self) -> None:
        """
        Both streams can be followed, from any offset, and no more comes than was asked for.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [command(SHORT)])
        self.runner_of(cluster, ticket)
        cluster.advance(SECONDS / 2)
        live = cluster.client("b").live
        for stream, offset, limit, data in (("out", 7, 10, SHORT[7:17]), ("err", 1, 2, b"lo")):
            piece = cluster.result(live(ticket, stream, offset, limit, 0))
            self.assertEqual(Piece(data, 1), piece)
        self.assertRaises(OutputMissingError, cluster.result, live(ticket, "in", 0, 1, 0))

    def test_silent(self) -> None:
        """
        Where nothing comes the answer does when the patience is over, and in no more than 5 s.
        """
        cluster = self.apart()
        for job, attempt in ((command(), 1), (Spec("sleep", b"60000"), 1)):
            [ticket] = cluster.submit("a", [job])
            self.runner_of(cluster, ticket)
            for patience, least, most in ((0, 0, 0.1), (1.0, 1.0, 1.1), (99.0, 2.0, 5.1)):
                began = cluster.clock.seconds()
                piece = self.ask(cluster, ticket, at="b", patience=patience)
                self.assertEqual((b"", attempt), (piece.data, piece.attempt))
                self.assertTrue(least <= cluster.clock.seconds() - began < most)

    def test_sleep(self) -> None:
        """
        A sleep puts out nothing, and is over at its end.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [1500])
        began = cluster.clock.seconds()
        self.assertEqual(Piece(b"", 1, is_over=True), self.ask(cluster, ticket, at="c"))
        self.assertTrue(1.5 <= cluster.clock.seconds() - began < 1.6)

    def test_waiting(self) -> None:
        """
        A job that waits has no attempt and nothing to say, and is followed on when it starts.
        """
        cluster = self.apart(nodes=2, slots=1)
        first, second = cluster.submit("a", [3000, command(SHORT)])
        self.assertEqual(Piece(), self.ask(cluster, second, at="b", patience=0.5))
        self.assertEqual((SHORT), self.rest(cluster, second, at="b")[0])
        self.assertIsNotNone(cluster.result(cluster.client("a").view(first)).outcome)

    def test_cancelled(self) -> None:
        """
        A job that is cancelled while it is followed is over; so is one that never ran.
        """
        cluster = self.apart(nodes=2, slots=1)
        first, second = cluster.submit("a", [command(SHORT), command(SHORT)])
        self.runner_of(cluster, first)
        cluster.advance(1)
        asked = cluster.client("b").live(second, "out", 0, 10, 5)
        cluster.result(cluster.client("a").cancel(second))
        self.assertEqual(Piece(b"", 0, is_over=True), cluster.result(asked))
        had = self.ask(cluster, first).data
        asked = cluster.client("b").live(first, "out", len(had), 1000, 5, 1)
        cluster.result(cluster.client("a").cancel(first))
        had += cluster.result(asked).data + self.rest(cluster, first, len(had))[0]
        outcome = cluster.wait(first).outcome
        self.assertEqual(had, outcome.out if outcome is not None else None)
        self.assertTrue(0 < len(had) < len(SHORT))


class EndedTests(FollowingCase):
    """
    Jobs that have ended.
    """

    def test_ended(self) -> None:
        """
        The same is given of what is recorded, short or long, from any offset.
        """
        cluster = self.apart()
        for whole in (SHORT, LONG, b""):
            [ticket] = cluster.submit("a", [command(whole)])
            cluster.wait(ticket)
            for at in ("a", "b"):
                self.assertEqual(whole, self.rest(cluster, ticket, at=at)[0])
                self.assertEqual(whole[500:], self.rest(cluster, ticket, 500, at=at)[0])
                end = self.ask(cluster, ticket, len(whole), at=at)
                self.assertEqual(Piece(b"", 1, is_over=True), end)
                self.assertEqual(end, self.ask(cluster, ticket, len(whole) + 9, at=at, attempt=1))

    def test_many_large(self) -> None:
        """
        Of very many long ones as well, each its own.
        """
        cluster = self.apart(slots=100)
        wholes = [bytes([number]) * 70_000 for number in range(70)]
        tickets = cluster.submit("a", [command(whole) for whole in wholes])
        for ticket, whole in zip(tickets, wholes, strict=True):
            cluster.wait(ticket)
            self.assertEqual(whole, self.rest(cluster, ticket)[0])

    def test_unknown(self) -> None:
        """
        What is no ticket, or of no job, is said at once.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [0])
        for wrong, error in (
            ("x", MalformedTicketError),
            (ticket[:-1] + ("1" if ticket[-1] == "0" else "0"), UnknownTicketError),
        ):
            for at in ("a", "b"):
                began = cluster.clock.seconds()
                asked = cluster.client(at).live(wrong, "out", 0, 1, 5)
                self.assertRaises(error, cluster.result, asked)
                self.assertTrue(cluster.clock.seconds() < began + 0.1)
