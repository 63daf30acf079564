"""
L{Cluster}: jobs from a program that blocks.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, as_completed
from typing import Any, cast

from jobcluster import Cluster
from jobcluster.client.finding import find_places
from jobcluster.client.results import CommandResult
from jobcluster.client.thread import ReactorThread
from jobcluster.core.views import Filter
from jobcluster.errors import (
    JobFailedError,
    KeyTakenError,
    MalformedTicketError,
    NodeUnreachableError,
    UserError,
)
from tests.client.live import LiveCase

LIMIT = 30.0
"""Seconds in which a job ends, on a machine that is busy."""


class ClusterTests(LiveCase):
    """
    Everything that a program can ask.
    """

    def setUp(self) -> None:
        """
        Connect.
        """
        super().setUp()
        self.cluster = Cluster(self.live.socket("a"))
        self.addCleanup(self.cluster.shutdown, wait=False)

    def test_command(self) -> None:
        """
        A command's result has its exit code, and what it has put out.
        """
        future = self.cluster.command(["cat"], stdin="hello")
        result = future.result(LIMIT)
        self.assertIsInstance(result, CommandResult)
        self.assertEqual(
            (0, b"hello", b"", 1), (result.code, result.out, result.err, result.attempts)
        )
        self.assertEqual(future.ticket, result.ticket)
        self.assertLessEqual(result.started, result.ended)
        self.assertIn(f"{future.ticket}: exit code 0", repr(result))

    def test_failed(self) -> None:
        """
        One that fails raises what says so, which has its result all the same.
        """
        future = self.cluster.command(["fail", "3", "oops"])
        with self.assertRaisesRegex(JobFailedError, "failed with exit code 3: oops") as caught:
            future.result(LIMIT)
        self.assertEqual(
            (future.ticket, "failed"), (caught.exception.ticket, caught.exception.status)
        )
        result: Any = caught.exception.result
        self.assertEqual((3, b"oops\n"), (result.code, result.err))

    def test_large_output(self) -> None:
        """
        Long output is fetched when it is asked for.
        """
        result = self.cluster.command(["zeros", "600000"]).result(LIMIT)
        self.assertEqual(bytes(600_000), result.out)
        self.assertEqual(b"", result.err)

    def test_many(self) -> None:
        """
        Many are handed in, and each is told when it has ended.
        """
        futures = [self.cluster.command(["echo", str(number)]) for number in range(300)]
        outs = {future.result().out for future in as_completed(futures, LIMIT)}
        self.assertEqual({b"%d\n" % number for number in range(300)}, outs)

    def test_job(self) -> None:
        """
        A job that was handed in by another program is waited for by its ticket, at any node.
        """
        ticket = self.cluster.sleep(50).ticket
        with Cluster(self.live.socket("b")) as other:
            self.assertEqual("b", other.name)
            self.assertEqual("slept 50 ms", other.job(ticket).result(LIMIT))
            self.assertEqual("sleep", other.status(ticket).kind)
            self.assertEqual("ended", other.cancel(ticket))

    def test_cancel(self) -> None:
        """
        A job is cancelled, and whoever waits hears of it; one that has ended is not.
        """
        future = self.cluster.sleep(1_000_000)
        self.assertTrue(future.cancel())
        self.assertTrue(future.cancelled())
        with self.assertRaises(CancelledError):
            future.result(LIMIT)
        with self.assertRaises(CancelledError):
            self.cluster.job(future.ticket).result(LIMIT)
        ended = self.cluster.sleep(0)
        ended.result(LIMIT)
        self.assertFalse(ended.cancel())

    def test_nodes(self) -> None:
        """
        The cluster is shown.
        """
        self.assertEqual(["a", "b"], [node.name for node in self.cluster.nodes().nodes])

    def test_wrong_types(self) -> None:
        """
        What is of a wrong type is refused in words.
        """
        for says, wrong in (
            ("list of words", lambda: self.cluster.command("ls -l")),
            ("list of texts", lambda: self.cluster.command(["ls"], tags="abc")),
            ("list of texts", lambda: self.cluster.command(["ls"], require="abc")),
            ("number of seconds", lambda: self.cluster.command(["ls"], timeout=-1)),
            ("number of seconds", lambda: self.cluster.command(["ls"], timeout=float("nan"))),
            ("whole number", lambda: self.cluster.command(["ls"], priority=cast("int", "9"))),
            ("A key is a text", lambda: self.cluster.command(["ls"], key=cast("str", 5))),
        ):
            with self.assertRaisesRegex(UserError, says):
                wrong()

    def test_nonsense(self) -> None:
        """
        What makes no sense is refused at once.
        """
        for wrong in (lambda: self.cluster.command([]), lambda: self.cluster.sleep(-1)):
            with self.assertRaises(UserError):
                wrong()
        with self.assertRaises(MalformedTicketError):
            self.cluster.job("x").result(LIMIT)

    def test_key(self) -> None:
        """
        The same key is the same job; another job with it is refused, and has no ticket.
        """
        one, same, other = (
            self.cluster.command(["echo", word], key="k") for word in ("1", "1", "2")
        )
        self.assertEqual(one.ticket, same.ticket)
        for ask in (lambda: other.ticket, other.result):
            with self.assertRaises(KeyTakenError):
                ask()
        self.assertFalse(other.cancel())

    def test_requirements(self) -> None:
        """
        What is required is said in any order, and must be labels.
        """
        future = self.cluster.command(["echo"], require=["b", "a", "b"])
        self.assertEqual("waiting", self.cluster.status(future.ticket).state)
        future.cancel()
        with self.assertRaisesRegex(UserError, "label"):
            self.cluster.command(["echo"], require=["No Label"])

    def test_node_restarted(self) -> None:
        """
        A node that is killed and comes back costs a pause.
        """
        futures = [self.cluster.command(["slow", "0.3", str(number)]) for number in range(10)]
        tickets = [future.ticket for future in futures[:5]]
        self.live.kill("a")
        late = self.cluster.command(["echo", "late"])
        self.assertFalse(late.done())
        self.live.restart("a")
        self.assertEqual(b"late\n", late.result(LIMIT).out)
        outs = [future.result(LIMIT).out for future in futures]
        self.assertEqual([b"%d" % number for number in range(10)], outs)
        self.assertEqual(tickets, [future.ticket for future in futures[:5]])

    def test_asyncio(self) -> None:
        """
        A future can be awaited.
        """

        async def wait() -> bytes:
            result = await asyncio.wrap_future(self.cluster.command(["echo", "1"]))
            return result.out

        self.assertEqual(b"1\n", asyncio.run(asyncio.wait_for(wait(), LIMIT)))

    def test_callbacks(self) -> None:
        """
        A callback may take its time, ask the cluster and hand jobs in: nobody waits for it.
        """
        told: list[bytes] = []
        may_end, done = threading.Event(), threading.Event()

        def call_back(_: object) -> None:
            may_end.wait(LIMIT)
            self.cluster.nodes()
            future = self.cluster.command(["echo", "again"])
            told.append(future.result(LIMIT).out if future.ticket else b"")
            done.set()

        future = self.cluster.sleep(0)
        future.add_done_callback(call_back)
        future.result(LIMIT)
        self.assertEqual(b"1\n", self.cluster.command(["echo", "1"]).result(LIMIT).out)
        may_end.set()
        self.assertTrue(done.wait(LIMIT))
        self.assertEqual([b"again\n"], told)

    def test_flush(self) -> None:
        """
        What was handed in can be waited for until it is on the disk of its node.
        """
        futures = [self.cluster.sleep(0) for _ in range(50)]
        self.assertEqual(0, self.cluster.flush(LIMIT))
        self.assertTrue(all(future.has_ticket for future in futures))
        self.live.kill("a")
        late = self.cluster.sleep(0)
        self.assertEqual(1, self.cluster.flush(0.1))
        self.live.restart("a")
        self.assertEqual(0, self.cluster.flush(LIMIT))
        late.result(LIMIT)

    def test_left_open(self) -> None:
        """
        A program that ends without a shutdown has handed everything in that it was to hand in.
        """
        program = (
            "from jobcluster import Cluster\n"
            "cluster = Cluster()\n"
            "for _ in range(500): cluster.command(['echo'], name='left')\n"
        )
        environ = {"JOBCLUSTER_CONNECT": self.live.socket("a")}
        ended = subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, check=False
        )
        self.assertEqual((0, b"", b""), (ended.returncode, ended.stdout, ended.stderr))
        left = self.cluster.ask(lambda node: node.jobs(Filter(name="left"), 0, 1000))
        self.assertEqual(500, len(left))

    def test_shutdown(self) -> None:
        """
        It waits for what was handed in, and takes nothing more.
        """
        future = self.cluster.command(["slow", "0.2", "x"])
        self.cluster.shutdown()
        self.assertTrue(future.done())
        with self.assertRaises(RuntimeError):
            self.cluster.sleep(1)

    def test_shutdown_at_once(self) -> None:
        """
        Whoever waits still is told that there is no connection any more; the job goes on.
        """
        future = self.cluster.command(["slow", "1000", "x"])
        ticket = future.ticket
        self.cluster.shutdown(wait=False)
        with self.assertRaisesRegex(NodeUnreachableError, "closed"):
            future.result(LIMIT)
        with Cluster(self.live.socket("b")) as other:
            self.assertIsNone(other.status(ticket).outcome)
            other.cancel(ticket)

    def test_shutdown_and_cancel(self) -> None:
        """
        What has not ended is cancelled, if that is wished.
        """
        future = self.cluster.sleep(1_000_000)
        self.cluster.shutdown(cancel_futures=True)
        self.assertTrue(future.cancelled())

    def test_timeout(self) -> None:
        """
        A question may have a limit.
        """
        ticket = self.cluster.sleep(1_000_000).ticket
        with self.assertRaises(TimeoutError):
            self.cluster.ask(lambda node: node.wait(ticket), timeout=0.05)


class FindingTests(LiveCase):
    """
    Where the node is.
    """

    def described(self, connect: str, **environ: str) -> list[str]:
        """
        The places, in words.
        """
        reactor = ReactorThread.shared().reactor
        return [described for described, _ in find_places(reactor, connect, environ)]

    def test_said(self) -> None:
        """
        What is said counts, and then the variable.
        """
        for place in ("tcp:127.0.0.1:9001", "127.0.0.1:9001", "host-1.lan:1", "/a:b/c", "unix:/x"):
            self.assertEqual([place], self.described(place, JOBCLUSTER_CONNECT="y:1"))
            self.assertEqual([place], self.described("", JOBCLUSTER_CONNECT=place))

    def test_nonsense(self) -> None:
        """
        What is no place is refused in one line.
        """
        for place in ("nonsense", "tcp:", "a b:1", "tcp:x:y"):
            with self.assertRaisesRegex(UserError, "is no place of a node: use an endpoint"):
                self.described(place)

    def test_local(self) -> None:
        """
        By default it is a node of this machine: whoever has a socket in its state directory, or
        listens where nodes do.
        """
        home = os.path.dirname(self.live.socket("a"))  # noqa: PTH120 - a string it is
        for name in ("one", "two"):
            os.makedirs(f"{home}/jobcluster/{name}")  # noqa: PTH103 - likewise
        with open(f"{home}/jobcluster/two/client", "wb"):  # noqa: PTH123 - likewise
            pass
        self.assertEqual(
            [f"unix:{home}/jobcluster/two/client", "tcp:127.0.0.1:9001"],
            self.described("", XDG_STATE_HOME=home),
        )

    def test_nobody(self) -> None:
        """
        Where no node answers it is said at once, with what to do.
        """
        with self.assertRaisesRegex(NodeUnreachableError, "No node answers .*start one"):
            Cluster(self.live.socket("nobody"))
