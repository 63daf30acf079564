"""
A node as its clients have it over the protocol: the verbs, and connections that are lost.
"""

from __future__ import annotations

import doctest
from typing import cast

import attrs
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from jobcluster.core.values import Spec, Status, format_ticket
from jobcluster.core.views import Filter
from jobcluster.errors import (
    JobclusterError,
    MalformedTicketError,
    NodeAwayError,
    NodeUnreachableError,
    NotAcknowledgedError,
    OutputMissingError,
    StoreError,
    UnknownTicketError,
    UserError,
)
from jobcluster.interfaces import IClusterView
from jobcluster.testing import remotes
from tests.client.cases import ClientCase, command, outcome_of, sleep, submit

Asked = Deferred[object]
"""What a verb answers, whichever it is."""


class VerbTests(ClientCase):
    """
    Each verb, as it is in the node itself.
    """

    def test_documented(self) -> None:
        """
        What the docstring of the testing module shows is what happens.
        """
        result = doctest.testmod(remotes)
        self.assertGreater(result.attempted, 5)
        self.assertEqual(0, result.failed)

    def test_interface(self) -> None:
        """
        It is what a console needs of a node.
        """
        self.assertTrue(IClusterView.providedBy(self.node))

    def test_greeting(self) -> None:
        """
        The node says who it is; before, nobody knows.
        """
        self.assertEqual(("", "", ""), (self.node.name, self.node.store, self.node.joined()))
        greeting = self.get(self.node.connect())
        self.assertEqual(("a", "store-of-a", ""), (greeting.node, greeting.store, greeting.trouble))
        self.assertEqual(("a", "store-of-a"), (self.node.name, self.node.store))

    def test_not_joined(self) -> None:
        """
        A node that is not joined says why.
        """
        self.memory.kill_balancer()
        self.memory.advance(1)
        self.get(self.node.connect())
        self.assertIn("balancer", self.node.joined())

    def test_submit_and_view(self) -> None:
        """
        Jobs are submitted together, their tickets are those of their order, and each is shown.
        """
        one, two = self.get(self.submit([sleep(100), command(b"cat", stdin=b"x" * 9000)]))
        self.assertLess(one, two)
        self.assertEqual({"a"}, {ticket.partition(".")[0] for ticket in (one, two)})
        seen = self.get(self.node.view(one))
        self.assertEqual(("sleep", b"100", None), (seen.kind, seen.payload, seen.outcome))
        seen = self.get(self.node.view(two))
        # What is to be run is shown, and not what it is to read.
        self.assertEqual(b'{"argv":["cat"]}', seen.payload)

    def test_none_submitted(self) -> None:
        """
        Nothing is submitted at once.
        """
        self.assertEqual((), self.get(self.submit([])))

    def test_wait(self) -> None:
        """
        A wait lasts until the job has ended, and one for a job that has ended does not last.
        """
        [ticket] = self.get(self.submit([sleep(5000)]))
        first, second = self.node.wait(ticket), self.node.wait(ticket)
        self.memory.advance(4.9)
        self.assertNoResult(first)
        for wait in (first, second, self.node.wait(ticket)):
            outcome = outcome_of(self.get(wait, 0.2))
            self.assertEqual((Status.SUCCEEDED, b"slept 5000 ms"), (outcome.status, outcome.value))

    def test_wait_cancelled(self) -> None:
        """
        Who does not wait any more is not told, and others are.
        """
        [ticket] = self.get(self.submit([sleep(500)]))
        first, second = self.node.wait(ticket), self.node.wait(ticket)
        self.memory.advance(0.1)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.get(second)
        third = self.node.wait(ticket)
        third.cancel()
        self.failureResultOf(third, CancelledError)

    def test_run(self) -> None:
        """
        A job is run: its ticket comes when it is on the disk, and then itself when it has ended.
        """
        ticket, ended = self.node.run(command(b"cat", stdin=b"hello"))
        self.assertEqual("a", self.get(ticket).partition(".")[0])
        outcome = outcome_of(self.get(ended))
        self.assertEqual((Status.SUCCEEDED, b"hello"), (outcome.status, outcome.out))

    def test_output(self) -> None:
        """
        Recorded output is fetched in pieces.
        """
        ticket, ended = self.node.run(command(b"cat", stdin=b"0123456789" * 20_000))
        self.get(ended)
        asked = self.get(ticket)
        self.assertEqual(b"9012", self.get(self.node.output(asked, "out", 199_999 - 10, 4)))
        self.assertEqual(b"89", self.get(self.node.output(asked, "out", 199_998, 100)))
        self.assertEqual(b"", self.get(self.node.output(asked, "err", 0, 100)))
        with self.assertRaises(UserError):
            self.get(self.node.output(asked, "out", -1, 100))
        with self.assertRaises(OutputMissingError):
            self.get(self.node.output(asked, "in", 0, 100))

    def test_cancel(self) -> None:
        """
        A job that waits will never run; one that has ended is not cancelled.
        """
        tickets = self.get(self.submit([sleep(1000)] * 10))
        self.assertIn(self.get(self.node.cancel(tickets[-1])), {"cancelled", "cancelling"})
        outcome = outcome_of(self.get(self.node.wait(tickets[-1])))
        self.assertEqual(Status.CANCELLED, outcome.status)
        self.get(self.node.wait(tickets[0]))
        self.assertEqual("ended", self.get(self.node.cancel(tickets[0])))

    def test_jobs(self) -> None:
        """
        Jobs are listed a page at a time, in the order of their submission.
        """
        tickets = self.get(self.submit([sleep(10)] * 5))
        page = self.get(self.node.jobs(Filter(), 0, 3))
        rest = self.get(self.node.jobs(Filter(), page[-1].job, 3))
        self.assertEqual(list(tickets), [format_ticket("a", job.job) for job in (*page, *rest)])
        self.assertEqual((), self.get(self.node.jobs(Filter(), rest[-1].job, 3)))

    def test_cluster(self) -> None:
        """
        The cluster is shown.
        """
        view = self.get(self.node.cluster())
        self.assertEqual(["a", "b"], [node.name for node in view.nodes])

    def test_errors(self) -> None:
        """
        What cannot be shown, waited for or cancelled says why, and harms no other.
        """
        [ticket] = self.get(self.submit([sleep(10)]))
        unknown = format_ticket("a", 5)
        asks = (self.node.view, self.node.wait, self.node.cancel)
        for wrong, kind in (("x", MalformedTicketError), (unknown, UnknownTicketError)):
            for ask in asks:
                good, bad = cast("Asked", ask(ticket)), cast("Asked", ask(wrong))
                with self.assertRaises(kind):
                    self.get(bad)
                self.get(good)

    def test_refused(self) -> None:
        """
        A job that makes no sense is refused, and those that were submitted beside it are not.
        """
        good, bad = self.get(self.node.submit([sleep(1), Spec("nap", b"1")]))
        self.assertIsInstance(good, str)
        self.assertIsInstance(bad, UserError)
        self.assertIn("nap", str(bad))
        ticket, ended = self.node.run(command())
        for each in cast("tuple[Asked, ...]", (ticket, ended)):
            with self.assertRaisesRegex(UserError, "no command"):
                self.get(each)

    def test_other_origin(self) -> None:
        """
        A job of another node is shown, waited for and cancelled just so; while that is away, it is
        said.
        """
        [ticket] = self.memory.submit("b", [500])
        self.assertEqual("sleep", self.get(self.node.view(ticket)).kind)
        self.get(self.node.wait(ticket))
        self.assertEqual("ended", self.get(self.node.cancel(ticket)))
        self.memory.kill("b")
        self.memory.advance(1)
        for ask in (self.node.view, self.node.wait, self.node.cancel):
            with self.assertRaises(NodeAwayError):
                self.get(cast("Asked", ask(ticket)))

    def test_many(self) -> None:
        """
        Thousands are submitted, and watched, and none is missed.
        """
        pairs = [self.node.run(sleep(0)) for _ in range(2500)]
        tickets = self.get(gatherResults([ticket for ticket, _ in pairs]))
        self.assertEqual(2500, len(set(tickets)))
        views = self.get(gatherResults([ended for _, ended in pairs]))
        self.assertEqual(list(tickets), [format_ticket("a", view.job) for view in views])

    def test_large_results(self) -> None:
        """
        Results that together are more than a box takes come in several.
        """
        stdin = b"y" * 60_000
        pairs = [self.node.run(command(b"cat", stdin=stdin)) for _ in range(200)]
        views = self.get(gatherResults([ended for _, ended in pairs]), 600)
        outs = {view.outcome.out for view in views if view.outcome is not None}
        self.assertEqual({stdin}, outs)
        tickets = self.get(gatherResults([ticket for ticket, _ in pairs]))
        shown = self.get(gatherResults([self.node.view(ticket) for ticket in tickets]))
        self.assertEqual([view.job for view in views], [view.job for view in shown])


class LostTests(ClientCase):
    """
    Connections, nodes and patience that end.
    """

    def test_nobody_there(self) -> None:
        """
        Who has never seen a node is told at once, and may try again.
        """
        self.memory.kill("a")
        before = self.memory.clock.seconds()
        for _ in range(2):
            with self.assertRaisesRegex(NodeUnreachableError, "No node answers .*start one"):
                self.get(self.submit([sleep(1)]))
        self.assertLess(self.memory.clock.seconds() - before, 0.1)
        self.memory.restart("a")
        self.get(self.submit([sleep(1)]))

    def test_first_of_places(self) -> None:
        """
        Of some places the first where a node answers is taken, and kept.
        """
        self.memory.kill("a")
        both = self.client("a", "b")
        self.assertEqual("b", self.get(both.node.connect()).node)
        self.memory.restart("a")
        both.cut()
        self.memory.advance(1)
        self.assertEqual("b", self.get(both.node.connect()).node)

    def test_cut(self) -> None:
        """
        Over a connection that is cut nothing is lost that was asked: it is asked again.
        """
        [ticket] = self.get(self.submit([sleep(3000)]))
        wait = self.node.wait(ticket)
        self.memory.advance(1)
        self.remote.cut()
        view = self.node.view(ticket)
        self.assertEqual("sleep", self.get(view).kind)
        self.remote.cut()
        self.get(wait)

    def test_node_restarted(self) -> None:
        """
        A node that is killed and comes back costs its clients a pause.
        """
        [ticket] = self.get(self.submit([sleep(3000)]))
        wait = self.node.wait(ticket)
        self.memory.advance(1)
        self.memory.kill("a")
        view = self.node.view(ticket)
        self.memory.advance(2)
        self.assertNoResult(view)
        self.memory.restart("a")
        self.assertEqual("sleep", self.get(view).kind)
        self.get(wait)

    def test_not_acknowledged(self) -> None:
        """
        A job without a key is not submitted twice: nobody knows whether it was.
        """
        self.get(self.node.connect())
        ticket, ended = self.node.run(sleep(1))
        self.memory.advance(0.0005)
        self.remote.cut()
        for each in cast("tuple[Asked, ...]", (ticket, ended)):
            with self.assertRaisesRegex(NotAcknowledgedError, "may exist or not"):
                self.get(each)

    def test_key(self) -> None:
        """
        A job with a key is submitted again until it is known to be there, and is one job.
        """
        self.get(self.node.connect())
        for delay in (0.0005, 0.0015, 0.0025):
            spec = attrs.evolve(sleep(1), key=f"after {delay}")
            ticket, ended = self.node.run(spec)
            self.memory.advance(delay)
            self.remote.cut()
            known = format_ticket("a", self.get(ended).job)
            self.assertEqual(known, self.get(ticket))
            self.assertEqual((known,), self.get(self.submit([spec])))
        self.assertEqual(3, len(self.get(self.node.jobs(Filter(), 0, 10))))

    def test_sick_disk(self) -> None:
        """
        A node whose disk fails, and which begins anew, costs those who wait a pause.
        """
        tickets = self.get(self.submit([sleep(3000), sleep(3000)]))
        node = self.memory.nodes["a"]
        waits = [self.node.wait(ticket) for ticket in tickets]
        self.memory.advance(0.5)
        node.disk.sick = True
        with self.assertRaises(StoreError):
            self.get(self.submit([sleep(1)]))
        self.assertFalse(node.client.is_open)
        waits.append(self.node.wait(tickets[0]))
        self.memory.advance(3)
        for wait in waits:
            self.assertNoResult(wait)
        node.disk.sick = False
        for wait in waits:
            self.get(wait)

    def test_patience(self) -> None:
        """
        A node that does not come back is waited for as long as was said.
        """
        remote = self.client("a", patience=5)
        [ticket] = self.get(submit(remote.node, [sleep(60_000)]))
        wait = remote.node.wait(ticket)
        self.memory.kill("a")
        before = self.memory.clock.seconds()
        with self.assertRaises(NodeUnreachableError):
            self.get(wait)
        self.assertApproximates(5, self.memory.clock.seconds() - before, 1.5)

    def test_silent(self) -> None:
        """
        A connection over which nothing comes any more is noticed while something is waited for.
        """
        [ticket] = self.get(self.submit([sleep(3000)]))
        wait = self.node.wait(ticket)
        self.memory.advance(0.5)
        for end in self.remote.process.ends:
            end.deafen()
        self.get(wait, 30)

    def test_another_node(self) -> None:
        """
        Where another node answers than the one that has the jobs, it is said.
        """
        self.get(self.node.connect())
        self.memory.kill("a")
        self.memory.advance(1)
        tables = self.memory.nodes["b"].tables
        self.memory.kill("b")
        self.memory.nodes["a"].tables = tables
        self.memory.restart("a")
        with self.assertRaisesRegex(JobclusterError, "node b now, and no longer the node a"):
            self.get(self.node.view(format_ticket("a", 5)))

    def test_closed(self) -> None:
        """
        After it is closed nothing is asked, and whoever waits is told.
        """
        [ticket] = self.get(self.submit([sleep(3000)]))
        waits = [self.node.wait(ticket), self.node.view(ticket)]
        self.node.close()
        waits.append(self.node.view(ticket))
        for wait in waits:
            with self.assertRaisesRegex(NodeUnreachableError, "closed"):
                self.get(wait)

    def test_node_stops(self) -> None:
        """
        A node that is stopped in order ends its connections, and what waits goes on at the next.
        """
        [ticket] = self.get(self.submit([sleep(30_000)]))
        wait = self.node.wait(ticket)
        self.memory.advance(1)
        self.memory.stop("a")
        self.memory.restart("a")
        self.get(wait, 120)
