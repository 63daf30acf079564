"""
What the wire costs: jobs a second and the time of a round trip, over TCP on this machine.

A node in this process offers jobs, and a balancer in a child process tells it to start each; both
speak through the real protocols, with joins, flow control and the watch over silence.

  python benchmarks/wire.py [SECONDS]

Every figure is the median of three runs of so many seconds (1 by default).
Beside them stands a bare AMP echo, for the ratio says more than the figure.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar, TypeAlias

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater, react
from twisted.protocols import amp

from jobcluster.core.values import SLEEP, Terms
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, JoinPart, Offered, Report, Start
from jobcluster.wire import VERSION
from jobcluster.wire.balancer_peer import BalancerPeer
from jobcluster.wire.batches import Room
from jobcluster.wire.node_peer import NodePeer

Reactor: TypeAlias = Any
"""All of a reactor: TCP and time."""

JOB = 3_700_000_000_000_000_000
STORE = "0123456789abcdef"
JOIN = JoinPart(VERSION, "node-a", STORE, 1, 1, 1, 0, True, "boot", "", 2)
SIZE = 4 * 2**20


class Echo(amp.Command):
    """The bare thing."""

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"text", amp.String())]
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = [(b"text", amp.String())]


class Echoing(amp.AMP):
    """Answers with what it is asked."""

    @Echo.responder
    def echo(self, text: bytes) -> dict[str, bytes]:
        """
        Answer.
        """
        return {"text": text}


class Balancer:
    """Tells the node to start whatever it offers."""

    def join_part(self, peer: BalancerPeer, part: JoinPart, /) -> Deferred[Terms | None]:
        """
        Accept.
        """
        return succeed(Terms("b", 3.0, 2.5, 3.0))

    def reported(self, peer: BalancerPeer, report: Report, /) -> None:
        """
        Have it all started.
        """
        if report.offered:
            starts = [
                Start("node-a", STORE, row[0], row[1], row[2], row[3], row[4], 1, False)
                for row in report.offered
            ]
            peer.say(Dispatch(start=tuple(starts)))

    def asked(self, peer: BalancerPeer, ask: Ask, /) -> Deferred[Reply]:
        """
        Answer.
        """
        return succeed(Reply())

    def left(self, peer: BalancerPeer, keep: bool, /) -> None:  # noqa: FBT001 - as it is called
        """
        Nothing.
        """

    def disconnected(self, peer: BalancerPeer, reason: str, /) -> None:
        """
        Nothing.
        """


class Node:
    """Keeps so many boxes of so many jobs under way."""

    def __init__(self, box: int, boxes: int) -> None:
        """
        Begin when connected.
        """
        self.batch = Report(
            offered=tuple(
                Offered(JOB + serial, 7, serial, SLEEP, b"250", 0, "", 1, True, False, False)
                for serial in range(box)
            )
        )
        self.boxes = boxes
        self.started = 0
        self.joined: Deferred[object] = Deferred()

    def connected(self, peer: NodePeer, /) -> None:
        """
        Join, and begin.
        """
        peer.join([JOIN]).addCallback(self.begin, peer).chainDeferred(self.joined)

    def begin(self, _: object, peer: NodePeer) -> None:
        """
        Offer the first boxes.
        """
        for _turn in range(self.boxes):
            peer.say(self.batch)

    def dispatched(self, peer: NodePeer, dispatch: Dispatch, /) -> None:
        """
        Offer as many as were started.
        """
        size = len(self.batch.offered)
        before = self.started // size
        self.started += len(dispatch.start)
        for _turn in range(self.started // size - before):
            peer.say(self.batch)

    def asked(self, peer: NodePeer, ask: Ask, /) -> Deferred[Reply]:
        """
        Answer.
        """
        return succeed(Reply())

    def report_answered(self, peer: NodePeer, sent: float, /) -> None:
        """
        Nothing.
        """

    def disconnected(self, peer: NodePeer, reason: str, /) -> None:
        """
        Nothing.
        """


async def joined(reactor: Reactor, port: int, node: Node, box: int) -> NodePeer:
    """
    Connect a node that puts no more than so many jobs into a box.
    """
    peer = NodePeer(node, reactor, time.monotonic, room=Room(box, SIZE))
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), peer)
    await node.joined
    return peer


async def rate(reactor: Reactor, port: int, seconds: float, box: int, boxes: int) -> float:
    """
    Jobs a second: offered, told to be started, and both boxes answered.
    """
    node = Node(box, boxes)
    peer = await joined(reactor, port, node, box)
    await deferLater(reactor, 0.2)
    before, begin = node.started, time.perf_counter()
    await deferLater(reactor, seconds)
    done, took = node.started - before, time.perf_counter() - begin
    peer.abandon("measured")
    assert done > 0
    return done / took


async def asks(reactor: Reactor, port: int, seconds: float) -> float:
    """
    Questions a second, one after the other.
    """
    peer = await joined(reactor, port, Node(1, 0), 1)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        await peer.ask(Ask("", "cluster"))
        count += 1
    peer.abandon("measured")
    return count / (time.perf_counter() - begin)


async def echoes(reactor: Reactor, port: int, seconds: float) -> float:
    """
    Calls of bare AMP a second, one after the other.
    """
    peer = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), amp.AMP())
    peer.transport.setTcpNoDelay(True)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        await peer.callRemote(Echo, text=b"a text like a question")
        count += 1
    peer.transport.abortConnection()
    return count / (time.perf_counter() - begin)


async def median(measure: Callable[[], Awaitable[float]]) -> float:
    """
    The median of three runs.
    """
    return statistics.median([await measure() for _ in range(3)])


async def measure_all(reactor: Reactor, port: int, echo_port: int, seconds: float) -> None:
    """
    Measure, and print.
    """
    count = await median(partial(echoes, reactor, echo_port, seconds))
    print(f"{'bare AMP echo, one at a time':40}{count:12,.0f} calls/s")
    count = await median(partial(asks, reactor, port, seconds))
    print(f"{'questions, one at a time':40}{count:12,.0f} calls/s")
    for box, boxes in ((1, 1), (1, 100), (10, 10), (100, 1), (100, 10), (1000, 4)):
        jobs = await median(partial(rate, reactor, port, seconds, box, boxes))
        text = f"boxes of {box}, {box * boxes} jobs under way"
        print(f"{text:40}{jobs:12,.0f} jobs/s{1e6 * box * boxes / jobs:10,.0f} us a round")


def serve(reactor: Reactor) -> None:
    """
    Be the balancer, and the bare echo, until killed.
    """
    balancer = Balancer()
    for make in (lambda: BalancerPeer(balancer, reactor), Echoing):
        factory = Factory.forProtocol(make)
        TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory).addCallback(
            lambda port: print(port.getHost().port, flush=True)
        )
    reactor.run()


def main() -> None:
    """
    Start the balancer, and measure.
    """
    seconds = float(sys.argv[1]) if sys.argv[1:] else 1.0
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            ports = int(child.stdout.readline()), int(child.stdout.readline())
            react(
                lambda reactor: Deferred.fromCoroutine(measure_all(reactor, *ports, seconds)),
            )
        finally:
            child.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve(global_reactor)
    else:
        main()
