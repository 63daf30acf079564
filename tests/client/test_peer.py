"""
The node's side of the client protocol: what strangers, hasty and greedy clients get.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols import amp
from twisted.python.failure import Failure

from jobcluster.client.connection import NodeConnection
from jobcluster.consoles import amp as consoles_amp
from jobcluster.consoles.amp import ClientFactory
from jobcluster.core.client_words import Listing, Shown
from jobcluster.core.values import format_ticket
from jobcluster.core.views import Filter
from jobcluster.errors import (
    JobclusterError,
    MalformedBatchError,
    MalformedTicketError,
    NotGreetedError,
    PeerError,
    UserError,
    VersionMismatchError,
)
from jobcluster.testing.processes import ADDRESS, Process, connect
from jobcluster.wire import client_commands as commands
from tests.client.cases import ClientCase, command, outcome_of, sleep


class _Stranger(Protocol):
    """Somebody who says what he likes."""

    def __init__(self) -> None:
        self.heard = b""
        self.is_lost = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True


class PeerCase(ClientCase):
    """
    A test of what a node answers to the calls of one client.
    """

    def setUp(self) -> None:
        """
        Connect, and say nothing yet.
        """
        super().setUp()
        self.changes: list[Shown] = []
        self.ends: list[str] = []
        self.raw = self.connect(
            NodeConnection(
                self.remote.process,
                self.changes.extend,
                lambda connection: self.ends.append(connection.ending),
            )
        )

    def connect(self, protocol: Any) -> Any:  # noqa: ANN401 - what is given comes back
        """
        Connect this to the node a.
        """
        node = self.memory.nodes["a"]
        self.factory = ClientFactory(node.client, node.process)
        server = self.factory.buildProtocol(ADDRESS)
        process = Process(self.memory.clock)
        self.addCleanup(process.die)
        connect((process, protocol), (node.process, server), 0.001)
        return protocol

    def call(self, command: type[amp.Command], **arguments: object) -> Deferred[dict[str, Any]]:
        """
        Call the node.
        """
        called: Deferred[dict[str, Any]] = self.raw.call(command, arguments)
        return called

    def assert_refused(
        self, kind: type[JobclusterError], says: str, command: type[amp.Command], **wrong: object
    ) -> None:
        """
        A call is answered with that error, and the connection goes on.
        """
        with self.assertRaisesRegex(kind, says):
            self.get(self.call(command, **wrong))
        self.assertEqual([], self.ends)
        self.get(self.call(commands.Query, tickets=[]))


class BeginningTests(PeerCase):
    """
    The first words.
    """

    def test_hello_first(self) -> None:
        """
        Before a hello nothing is answered, and the connection ends by it.
        """
        with self.assertRaises(NotGreetedError):
            self.get(self.call(commands.Submit, jobs=[sleep(1)], watch=False))
        self.memory.advance(0.1)
        self.assertEqual(1, len(self.ends))
        self.assertEqual((), self.get(self.node.jobs(Filter(), 0, 10)))

    def test_other_version(self) -> None:
        """
        A client of another version is told which one it is, and not listened to.
        """
        with self.assertRaisesRegex(VersionMismatchError, "version 1 of the client protocol.*99"):
            self.get(self.call(commands.Hello, version=99))
        self.memory.advance(0.1)
        self.assertEqual(1, len(self.ends))

    def test_other_protocols(self) -> None:
        """
        What is no AMP ends its own connection, and nothing of it is run.
        """
        for said in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"sleep 100\n", b"\xff" * 5000):
            stranger = self.connect(_Stranger())
            stranger.transport.write(said)
            self.memory.advance(0.1)
            self.assertTrue(stranger.is_lost, said)
            self.assertEqual(set(), self.factory.peers)
        self.assertEqual((), self.get(self.node.jobs(Filter(), 0, 10)))


class BadInputTests(PeerCase):
    """
    Calls that make no sense: each is answered with what is wrong, and the connection goes on.
    """

    def setUp(self) -> None:
        """
        Say hello.
        """
        super().setUp()
        self.get(self.raw.hello())

    def submit_raw(self, jobs: object) -> Deferred[Any]:
        """
        Submit what no client of ours would.
        """
        box = amp.AmpBox(
            _ask=b"x1", _command=b"Submit", jobs=msgspec.msgpack.encode(jobs), watch=b"\xc2"
        )
        answer: Deferred[Any] = Deferred()
        self.raw._outstandingRequests[b"x1"] = answer  # noqa: SLF001 - where AMP looks for it
        self.raw.sendBox(box)
        return answer

    def test_wrong_fields(self) -> None:
        """
        A job with a field that nobody knows, or of a wrong type, is refused by the field's name.
        """
        good = {"kind": "sleep", "payload": b"1"}
        for wrong, says in (
            ([{**good, "retires": 3}], "unknown field `retires`"),
            ([good, {**good, "priority": "high"}], r"Expected `int`, got `str` - at `\$\[1\]"),
            ([{"kind": "sleep"}], "missing required field `payload`"),
            ({"kind": "sleep"}, "Expected `array`"),
            ([{**good, "priority": 2**63}], "out of range"),
        ):
            refused: list[Failure] = []
            self.submit_raw(wrong).addErrback(refused.append)
            self.memory.advance(0.1)
            error = refused[0].value
            assert isinstance(error, amp.RemoteAmpError)  # noqa: S101 - for the types
            self.assertEqual(MalformedBatchError.__name__.encode(), error.errorCode)
            self.assertRegex(error.description, says)
            self.get(self.call(commands.Query, tickets=[]))
        self.assertEqual((), self.get(self.node.jobs(Filter(), 0, 10)))
        self.flushLoggedErrors()

    def test_too_many(self) -> None:
        """
        More than one call may have is refused.
        """
        many = ["a.0000000000000"] * (consoles_amp.TICKETS_AT_ONCE + 1)
        for asked in (commands.Query, commands.Watch, commands.Cancel):
            self.assert_refused(UserError, "send at most", asked, tickets=many)
        self.assert_refused(UserError, "send at most", commands.Wait, tickets=many, patience=1.0)
        jobs = [sleep(1)] * (consoles_amp.JOBS_AT_ONCE + 1)
        self.assert_refused(UserError, "send at most", commands.Submit, jobs=jobs, watch=False)

    def test_greedy(self) -> None:
        """
        Who leaves a thousand calls unanswered is told to wait.
        """
        [ticket] = self.get(self.submit([sleep(5000)]))
        waits = [
            self.call(commands.Wait, tickets=[ticket], patience=2.0)
            for _ in range(consoles_amp._CALLS)  # noqa: SLF001 - the limit is what is tried
        ]
        with self.assertRaisesRegex(PeerError, "wait for some answers"):
            self.get(self.call(commands.Nodes))
        for wait in waits:
            self.assertEqual((), self.get(wait)["rows"])
        self.get(self.call(commands.Nodes))

    def test_bad_listing(self) -> None:
        """
        A page behind what is no ticket is refused.
        """
        from_nowhere = Listing(after="nowhere")
        self.assert_refused(MalformedTicketError, "looks like", commands.List, listing=from_nowhere)

    def test_rows_of_errors(self) -> None:
        """
        Each row says for itself what is wrong with it.
        """
        [ticket] = self.get(self.submit([sleep(1)]))
        rows = self.get(self.call(commands.Query, tickets=["x", ticket, format_ticket("a", 1)]))
        bad, good, unknown = rows["rows"]
        self.assertEqual(("x", "MalformedTicketError"), (bad.ticket, bad.error))
        self.assertEqual((ticket, ""), (good.ticket, good.error))
        self.assertEqual("UnknownTicketError", unknown.error)


class WatchTests(PeerCase):
    """
    Jobs that are watched, and waited for with C{Wait}.
    """

    def setUp(self) -> None:
        """
        Say hello.
        """
        super().setUp()
        self.get(self.raw.hello())

    def test_watch(self) -> None:
        """
        What is watched is told when it ends, once; what had ended is told at once.
        """
        early, late, other = self.get(self.submit([sleep(10), sleep(500), sleep(700)]))
        self.get(self.node.wait(early))
        self.get(self.call(commands.Watch, tickets=[early, late, other, late]))
        self.memory.advance(0.1)
        self.assertEqual([early], [row.ticket for row in self.changes])
        self.get(self.call(commands.Unwatch, tickets=[other]))
        self.memory.advance(2)
        self.assertEqual([early, late], [row.ticket for row in self.changes])
        view = self.changes[1].view
        assert view is not None  # noqa: S101 - for the types
        self.assertEqual(b"slept 500 ms", outcome_of(view).value)

    def test_slow(self) -> None:
        """
        A client that takes its time gets everything in the end, and the node keeps little for it.
        """
        answers: list[Deferred[dict[str, object]]] = []

        def hear(rows: tuple[Shown, ...]) -> Deferred[dict[str, object]]:
            self.changes.extend(rows)
            answers.append(Deferred())
            return answers[-1]

        self.raw.responders[commands.Changed] = hear
        stdin = b"y" * 60_000
        tickets = self.get(self.submit([command(b"cat", stdin=stdin) for _ in range(400)]), 600)
        self.get(self.call(commands.Watch, tickets=tickets))
        self.get(gatherResults([self.node.wait(ticket) for ticket in tickets]), 600)
        self.assertLess(len(self.changes), 200)
        answered = 0
        while answered < len(answers):
            answers[answered].callback({})
            answered += 1
            self.memory.advance(0.1)
        self.assertEqual(set(tickets), {row.ticket for row in self.changes})
        self.assertEqual(400, len(self.changes))
        views = [row.view for row in self.changes if row.view is not None]
        self.assertEqual({stdin}, {outcome_of(view).out for view in views})

    def test_bad_watch(self) -> None:
        """
        What cannot be watched is told with its error.
        """
        self.get(self.call(commands.Watch, tickets=["x"]))
        self.memory.advance(0.1)
        self.assertEqual([("x", "MalformedTicketError")], [row[::2] for row in self.changes])

    def test_wait(self) -> None:
        """
        A wait is answered with those that have ended as soon as one has, or with none.
        """
        early, same, late = self.get(self.submit([sleep(300), sleep(300), sleep(5000)]))
        answer = self.get(self.call(commands.Wait, tickets=[late], patience=0.1))
        self.assertEqual((), answer["rows"])
        waiting = self.call(commands.Wait, tickets=[late, early, same], patience=10.0)
        rows = self.get(waiting, 1)["rows"]
        self.assertLessEqual({row.ticket for row in rows}, {early, same})
        self.assertTrue(rows)

    def test_left(self) -> None:
        """
        Of a client that has gone nothing is left, and the jobs go on.
        """
        [ticket] = self.get(self.submit([sleep(500)]))
        self.get(self.call(commands.Watch, tickets=[ticket]))
        waiting = self.call(commands.Wait, tickets=[ticket], patience=10.0)
        self.raw.end("enough", quietly=True)
        with self.assertRaises(JobclusterError):
            self.get(waiting)
        self.memory.advance(0.1)
        self.assertEqual(set(), self.factory.peers)
        self.get(self.node.wait(ticket))
        self.assertEqual([], self.changes)
