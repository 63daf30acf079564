"""
The output of jobs, followed while something fails.
"""

from __future__ import annotations

import attrs

from jobcluster.core.values import parse_ticket
from jobcluster.core.views import Ask, Piece
from jobcluster.errors import (
    BalancerAwayError,
    JobclusterError,
    NodeAwayError,
    OutputMissingError,
)
from jobcluster.services.transfers import PIECE
from jobcluster.testing.clusters import MemoryCluster
from tests.services.following import SECONDS, SHORT, FollowingCase, command, slow_cat


class FaultTests(FollowingCase):
    """
    What happens while a job is followed.
    """

    def begun(self, cluster: MemoryCluster) -> tuple[str, str, bytes]:
        """
        A job of which half is out: its ticket, where it runs, and what came of it.
        """
        [ticket] = cluster.submit("a", [command(SHORT)])
        runner = self.runner_of(cluster, ticket)
        cluster.advance(SECONDS / 2)
        return ticket, runner, self.ask(cluster, ticket, at="c").data

    def test_cut(self) -> None:
        """
        Whoever's connection is cut, nothing is missing or comes twice, and nobody hears of it.
        """
        for victim in ("origin", "executor", "asker", "balancer"):
            cluster = self.apart(nodes=3, slots=1)
            cluster.submit("a", [9000])
            cluster.advance(1)
            ticket, runner, had = self.begun(cluster)
            asker = "c" if runner == "b" else "b"
            names = {"origin": "a", "executor": runner, "asker": asker}
            if victim == "balancer":
                cluster.kill_balancer()
                cluster.start_balancer()
            else:
                cluster.cut(names[victim])
            rest, _ = self.rest(cluster, ticket, len(had), at=asker, attempt=1)
            self.assertEqual(SHORT, had + rest)

    def test_executor_killed(self) -> None:
        """
        The next attempt is told of without data, and its bytes are asked for from the beginning.
        """
        cluster = self.apart()
        ticket, runner, had = self.begun(cluster)
        self.assertNotEqual(b"", had)
        cluster.kill(runner)
        asker = "c" if runner == "b" else "b"
        seen = []
        while True:
            seen.append(self.ask(cluster, ticket, len(had), at=asker, attempt=1))
            if seen[-1].attempt != 1:
                break
        self.assertTrue(all(attrs.astuple(piece) == (b"", 1, False) for piece in seen[:-1]))
        self.assertEqual(Piece(b"", 2), seen[-1])
        self.assertEqual(SHORT, self.rest(cluster, ticket, at=asker, attempt=2)[0])
        # Also for those who come late.
        self.assertEqual(Piece(b"", 2), self.ask(cluster, ticket, len(had), attempt=1))

    def test_origin_restarted(self) -> None:
        """
        The origin may be killed and come back: no question fails, and nothing is missing.
        """
        cluster = self.apart()
        ticket, runner, had = self.begun(cluster)
        asker = "c" if runner == "b" else "b"
        asked = cluster.client(asker).live(ticket, "out", len(had), PIECE, 5, 1)
        cluster.kill("a")
        cluster.advance(1)
        cluster.restart("a")
        had += cluster.result(asked).data
        self.assertEqual(SHORT, had + self.rest(cluster, ticket, len(had), at=asker, attempt=1)[0])

    def test_origin_away(self) -> None:
        """
        An origin that stays away is told of when the patience is over, and so is a balancer.
        """
        cluster = self.apart()
        ticket, runner, _ = self.begun(cluster)
        asker = "c" if runner == "b" else "b"
        cluster.kill("a")
        cluster.advance(0.1)
        self.fails_after(cluster, asker, ticket, NodeAwayError)
        cluster.kill_balancer()
        cluster.advance(0.1)
        self.fails_after(cluster, asker, ticket, BalancerAwayError)

    def fails_after(
        self, cluster: MemoryCluster, at: str, ticket: str, error: type[JobclusterError]
    ) -> None:
        """
        See that a question fails when its patience is over.
        """
        for patience in (0.0, 2.0, 5.0):
            began = cluster.clock.seconds()
            asked = cluster.client(at).live(ticket, "out", 0, 1, patience)
            self.assertRaises(error, cluster.result, asked)
            self.assertTrue(patience <= cluster.clock.seconds() - began < patience + 0.1)

    def test_without_balancer(self) -> None:
        """
        What a node runs of its own it shows without a balancer, too.
        """
        cluster = self.cluster(nodes=1)
        cluster.nodes["a"].program = slow_cat
        cluster.restart("a")
        cluster.until(cluster.all_joined)
        [ticket] = cluster.submit("a", [command(SHORT)])
        had = self.ask(cluster, ticket).data
        cluster.kill_balancer()
        cluster.advance(1.0)
        piece = self.ask(cluster, ticket, len(had), attempt=1)
        self.assertTrue(SHORT.startswith(had + piece.data))
        self.assertTrue(len(piece.data) > len(SHORT) / 5)

    def test_no_longer_wanted(self) -> None:
        """
        A question that is no longer wanted leaves nothing behind, at the latest when its patience
        is over.
        """
        cluster = self.apart(nodes=2)
        [ticket] = cluster.submit("a", [60_000])
        self.runner_of(cluster, ticket)
        cluster.advance(1)
        idle = len(cluster.clock.getDelayedCalls())
        asked = [cluster.client(at).live(ticket, "out", 0, 1, 5) for at in "ab" * 50]
        cluster.advance(1)
        self.assertTrue(len(cluster.clock.getDelayedCalls()) > idle + 50)
        for each in asked:
            each.cancel()
            self.failureResultOf(each)
        cluster.advance(8)
        self.assertTrue(len(cluster.clock.getDelayedCalls()) <= idle + 5)

    def test_nonsense(self) -> None:
        """
        Another node may ask whatever it likes.
        """
        cluster = self.apart()
        ticket, runner, _ = self.begun(cluster)
        node, origin = cluster.nodes[runner], cluster.nodes["a"].service
        assert origin.core is not None  # noqa: S101 - for mypy
        assert origin.identity is not None  # noqa: S101 - for mypy
        found = origin.core.running((parse_ticket(ticket) or ("", 0))[1])
        assert found is not None  # noqa: S101 - for mypy
        ref = ("a", origin.identity.store, *found.offer)
        good = Ask(runner, "live", 0, 0, "out", 0, 10, *ref)
        asked = node.client.asked
        self.assertEqual(SHORT[:10], cluster.result(asked(good)).data)
        for odd in (
            attrs.evolve(good, offset=-5),
            attrs.evolve(good, limit=-5),
            attrs.evolve(good, limit=1 << 62),
            attrs.evolve(good, patience=-1.0),
        ):
            data = cluster.result(asked(odd)).data
            self.assertTrue(data and SHORT.startswith(data))
        for wrong in (
            attrs.evolve(good, serial=0),
            attrs.evolve(good, stream="in"),
            attrs.evolve(good, origin="x"),
        ):
            self.assertRaises(OutputMissingError, cluster.result, asked(wrong))
