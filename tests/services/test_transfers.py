"""
Payloads and outputs that are too long for a word.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import attrs
from twisted.internet.defer import Deferred, execute, fail
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.actions import CollectOutput
from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.events import OutputCollected, OutputMissed
from jobcluster.core.records import Identity
from jobcluster.core.values import Outcome, Ref, Spec, Status
from jobcluster.core.views import JobView
from jobcluster.errors import OutputMissingError, PeerError
from jobcluster.interfaces import IRunner
from jobcluster.services.transfers import PIECE, Transfers
from jobcluster.store.outputs import MemoryOutputs, OutputFiles
from jobcluster.testing.clusters import MemoryCluster
from jobcluster.testing.programs import Finished
from tests.services.cases import ServiceCase

LONG: Final = bytes(range(256)) * 3000
"""Three pieces, the last of them short."""


def command(stdin: bytes = b"") -> Spec:
    """
    A command with this standard input.
    """
    return Spec(COMMAND, pack_command(Command((b"cat",), stdin=stdin)))


def outcome_of(view: JobView) -> Outcome:
    """
    The outcome that is shown.
    """
    if view.outcome is None:
        raise AssertionError("no outcome")
    return view.outcome


class TransferTests(ServiceCase):
    """
    A cluster whose node C{a} takes the jobs, and C{b} runs them.
    """

    def apart(self, hop: float = 0.001) -> MemoryCluster:
        """
        Start it.
        """
        cluster = self.cluster(hop=hop)
        self.take_slots(cluster)
        return cluster

    def take_slots(self, cluster: MemoryCluster) -> None:
        """
        Let C{a} run nothing.
        """
        setup = cluster.nodes["a"].setup
        none = attrs.evolve(setup.settings, slots=0)
        cluster.nodes["a"].setup = attrs.evolve(setup, settings=none)
        self.again(cluster, "a")

    def again(self, cluster: MemoryCluster, name: str) -> None:
        """
        Stop a node and start it.
        """
        cluster.stop(name)
        cluster.restart(name)
        cluster.until(cluster.all_joined)

    def output(self, cluster: MemoryCluster, at: str, ticket: str, stream: str = "out") -> bytes:
        """
        Read a whole output, piece by piece.
        """
        found = bytearray()
        while True:
            piece = cluster.result(cluster.client(at).output(ticket, stream, len(found), PIECE))
            found += piece
            if len(piece) < PIECE:
                return bytes(found)

    def test_there_and_back(self) -> None:
        """
        A long payload reaches its executor, and a long output its origin and whoever asks for it.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [command(LONG)])
        outcome = outcome_of(cluster.wait(ticket))
        self.assertEqual((Status.SUCCEEDED, "b"), (outcome.status, outcome.node))
        self.assertEqual((len(LONG), 0, b""), (outcome.out_size, outcome.err_size, outcome.out))
        for at in ("a", "b"):
            self.assertEqual(LONG, self.output(cluster, at, ticket))
            self.assertEqual(b"", self.output(cluster, at, ticket, "err"))

    def test_forgotten_at_its_executor(self) -> None:
        """
        Once it is recorded, the executor keeps nothing of it.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [command(LONG)])
        cluster.wait(ticket)
        cluster.advance(5)
        self.assertEqual({}, cluster.nodes["b"].programs.kept)

    def test_own(self) -> None:
        """
        A node that runs its own job asks nobody.
        """
        cluster = self.cluster(["a"])
        [ticket] = cluster.submit("a", [command(LONG)])
        cluster.wait(ticket)
        self.assertEqual(LONG, self.output(cluster, "a", ticket))

    def test_short(self) -> None:
        """
        A short output is in the outcome, and is asked for in the same way.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [command(b"hello")])
        self.assertEqual(b"hello", outcome_of(cluster.wait(ticket)).out)
        for at in ("a", "b"):
            self.assertEqual(b"hello", self.output(cluster, at, ticket))

    def test_not_ended(self) -> None:
        """
        Of a job without an outcome there is none.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [60_000])
        for at in ("a", "b"):
            with self.assertRaises(OutputMissingError):
                self.output(cluster, at, ticket)

    def test_origin_is_full(self) -> None:
        """
        An origin whose disk cannot take it says so in the outcome, which is recorded all the same.
        """
        cluster = self.apart()
        cluster.nodes["a"].outputs = MemoryOutputs(room=PIECE + 1)
        self.again(cluster, "a")
        [ticket] = cluster.submit("a", [command(LONG)])
        outcome = outcome_of(cluster.wait(ticket))
        self.assertEqual((Status.SUCCEEDED, 0), (outcome.status, outcome.out_size))
        self.assertIn("cannot be kept: No space left", outcome.detail)
        self.assertEqual(b"", self.output(cluster, "b", ticket))

    def test_connection_ends(self) -> None:
        """
        A transfer that is cut is made again, and the job is not run again.
        """
        runs = []

        def program(command: Command) -> Finished:
            runs.append(command)
            return Finished(out=command.stdin)

        cluster = self.apart(hop=0.01)
        cluster.nodes["b"].program = program
        self.again(cluster, "b")
        [ticket] = cluster.submit("a", [command(LONG)])
        cluster.until(lambda: cluster.nodes["b"].programs.kept)
        cluster.advance(0.06)
        cluster.cut("a")
        cluster.wait(ticket)
        self.assertEqual(LONG, self.output(cluster, "b", ticket))
        self.assertEqual(1, len(runs))

    def test_executor_dies_meanwhile(self) -> None:
        """
        Losing the executor before the output is here is losing the attempt.
        """
        cluster = self.cluster(["a", "b", "c"], hop=0.01)
        self.take_slots(cluster)
        [ticket] = cluster.submit("a", [command(LONG)])
        cluster.until(lambda: any(cluster.nodes[name].programs.kept for name in "bc"))
        [first] = [name for name in "bc" if cluster.nodes[name].programs.kept]
        cluster.advance(0.06)
        cluster.kill(first)
        view = cluster.wait(ticket)
        self.assertEqual(({"b", "c"} - {first}), {outcome_of(view).node})
        self.assertEqual(2, view.attempts)
        self.assertEqual(LONG, self.output(cluster, "a", ticket))

    def test_payload_of_another_store(self) -> None:
        """
        A payload is given to those alone who know whose it is.
        """
        cluster = self.apart()
        [ticket] = cluster.submit("a", [command(LONG)])
        node = cluster.nodes["a"].service
        job = cluster.result(cluster.client("a").view(ticket)).job
        self.assertEqual(b"{", cluster.result(node.payload(job, "store-of-a", 0, 1)))
        with self.assertRaises(PeerError):
            cluster.result(node.payload(job, "store-of-b", 0, 1))


class TwoLivesTests(SynchronousTestCase):
    """
    The transfers of two lives of a node, the first of which was cut off in the middle.
    """

    def transfers(self, incarnation: int) -> tuple[Transfers, list[Callable[[], object]]]:
        """
        Those of one life, and what waits for a thread.
        """
        waiting: list[Callable[[], object]] = []

        def run(work: Callable[[], Any]) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            waiting.append(lambda: execute(work).chainDeferred(done))
            return done

        return Transfers(
            Identity("a", "store", incarnation, 0, "boot"),
            cast("IRunner", self),
            OutputFiles(self.state, run),
            lambda _: fail(PeerError()),
            lambda: 1 << 40,
            self.told.append,
        ), waiting

    def output(self, ref: Ref, stream: str, offset: int, limit: int) -> bytes:
        """
        As a runner has it.
        """
        whole = LONG if ref[3] == self.right else bytes(len(LONG))
        return whole[offset : offset + limit] if stream == "out" else b""

    def setUp(self) -> None:
        """
        In a state directory.
        """
        self.state = Path(self.mktemp())
        self.state.mkdir(parents=True)
        self.told: list[object] = []
        self.right = 1
        """The serial of the offer whose output is the right one."""

    def test_both_go_on(self) -> None:
        """
        However far the first one had come, and whatever of it is under way on a thread: what is
        recorded is complete.
        """
        action = CollectOutput(5, (1, 1), "a", Outcome(Status.SUCCEEDED, 0, out_size=len(LONG)))
        for done_before in range(5):
            first, of_first = self.transfers(1)
            second, of_second = self.transfers(2)
            first.collect(action)
            for _ in range(done_before):
                of_first.pop(0)()
            first.abandon()
            second.collect(action)
            of_second.pop(0)()
            while of_first:
                of_first.pop(0)()
            while of_second:
                of_second.pop(0)()
            last = self.told.pop()
            if isinstance(last, OutputCollected):
                self.assertEqual(LONG, (self.state / "output" / "5.out").read_bytes())
            else:
                self.assertEqual(OutputMissed(5, (1, 1)), last)
            self.told.clear()

    def test_a_later_attempt(self) -> None:
        """
        What is under way of an attempt that was lost does not replace the output of a later one.
        """
        self.right = 2
        how = Outcome(Status.SUCCEEDED, 0, out_size=len(LONG))
        for done_before in range(5):
            transfers, waiting = self.transfers(1)
            transfers.collect(CollectOutput(5, (1, 1), "a", how))
            for _ in range(done_before):
                waiting.pop(0)()
            transfers.collect(CollectOutput(5, (1, 2), "a", how))
            while waiting:
                waiting.pop(0)()
            if done_before < 3:  # the pieces; then it is being kept
                self.assertEqual([OutputMissed(5, (1, 1))], self.told[:1])
            self.assertIn(OutputCollected(5, (1, 2)), self.told)
            self.told.clear()
            self.assertEqual(LONG, (self.state / "output" / "5.out").read_bytes())
            self.assertEqual(2, len(list((self.state / "output").iterdir())))
