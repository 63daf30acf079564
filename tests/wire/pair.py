"""
A node and a balancer on the two ends of a connection in memory, each with a clock of its own.
"""

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol, ITCPTransport
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.test.iosim import FakeTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer, provider

from jobcluster.core.values import Terms
from jobcluster.core.views import Ask, Reply
from jobcluster.core.words import Dispatch, JoinPart, Report
from jobcluster.errors import RefusedError
from jobcluster.wire.balancer_peer import BalancerPeer
from jobcluster.wire.node_peer import NodePeer
from tests.wire.samples import JOIN, TERMS

BUFFER: Final = 65_536
"""Bytes from which a transport of Twisted's asks its producer to pause."""


@implementer(ITCPTransport)
class Line(FakeTransport):
    """One end of a TCP connection: it can be aborted, and tells its producer when it is full."""

    def __init__(self, protocol: IProtocol, *, is_server: bool) -> None:
        """
        One end.
        """
        super().__init__(protocol, is_server)
        self.no_delay = False
        self.paused = False
        self.losing = False

    @property
    def waiting(self) -> int:
        """Bytes that the other end has not read."""
        return sum(map(len, self.stream))

    def write(self, data: bytes) -> None:
        """Take bytes for the other end."""
        super().write(data)
        if self.waiting > BUFFER and not self.paused and self.producer is not None:
            self.paused = True
            self.producer.pauseProducing()

    def getOutBuffer(self) -> bytes | None:
        """What the other end reads."""
        data: bytes | None = super().getOutBuffer()
        if self.paused and self.producer is not None:
            self.paused = False
            self.producer.resumeProducing()
        self.disconnecting = self.disconnecting or self.losing
        return data

    def loseConnection(self) -> None:
        """End when everything that was written has been read."""
        self.losing = True
        if not self.stream:
            self.disconnecting = True

    def abortConnection(self) -> None:
        """End at once; what was written is lost."""
        self.stream = []
        self.disconnecting = True

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: FBT001 - Twisted's signature
        """Note it."""
        self.no_delay = enabled


class NodeShellDouble:
    """Writes down what its peer tells."""

    def __init__(self, told: list[Any]) -> None:
        """
        Write it down there.
        """
        self.told = told
        self.answer: Callable[[Ask], Deferred[Reply]] = lambda ask: succeed(Reply(text=ask.verb))
        self.on_dispatch: Callable[[Dispatch], None] = lambda dispatch: None

    def connected(self, peer: NodePeer, /) -> None:
        """See L{NodeShell}."""
        self.told.append("node connected")

    def disconnected(self, peer: NodePeer, reason: str, /) -> None:
        """See L{NodeShell}."""
        self.told.append(("node disconnected", reason))

    def dispatched(self, peer: NodePeer, dispatch: Dispatch, /) -> None:
        """See L{NodeShell}; empty ones are not written down."""
        if dispatch != Dispatch():
            self.told.append(dispatch)
        self.on_dispatch(dispatch)

    def asked(self, peer: NodePeer, ask: Ask, /) -> Deferred[Reply]:
        """See L{NodeShell}."""
        self.told.append(("node asked", ask))
        return self.answer(ask)

    def report_answered(self, peer: NodePeer, sent: float, /) -> None:
        """See L{NodeShell}."""
        self.told.append(("answered", round(sent, 3)))


class BalancerShellDouble:
    """Writes down what its peer tells, and accepts every join that it is not told to refuse."""

    def __init__(self, told: list[Any]) -> None:
        """
        Write it down there.
        """
        self.told = told
        self.answer: Callable[[Ask], Deferred[Reply]] = lambda ask: succeed(Reply(text=ask.verb))
        self.on_part: Callable[[JoinPart], Deferred[Terms | None]] = self.accept
        self.on_report: Callable[[Report], None] = lambda report: None

    def accept(self, part: JoinPart) -> Deferred[Terms | None]:
        """Accept a join."""
        return succeed(TERMS if part.last else None)

    def refuse(self, part: JoinPart) -> Deferred[Terms | None]:
        """Refuse one."""
        return fail(RefusedError("ten nodes are here already, see MAX_NUM_NODES"))

    def join_part(self, peer: BalancerPeer, part: JoinPart, /) -> Deferred[Terms | None]:
        """See L{BalancerShell}."""
        self.told.append(part)
        return self.on_part(part)

    def reported(self, peer: BalancerPeer, report: Report, /) -> None:
        """See L{BalancerShell}; empty ones are not written down."""
        if report != Report():
            self.told.append(report)
        self.on_report(report)

    def asked(self, peer: BalancerPeer, ask: Ask, /) -> Deferred[Reply]:
        """See L{BalancerShell}."""
        self.told.append(("balancer asked", ask))
        return self.answer(ask)

    def left(self, peer: BalancerPeer, keep: bool, /) -> None:  # noqa: FBT001 - the interface's
        """See L{BalancerShell}."""
        self.told.append(("left", keep))

    def disconnected(self, peer: BalancerPeer, reason: str, /) -> None:
        """See L{BalancerShell}."""
        self.told.append(("balancer disconnected", reason))


class Pair:
    """
    The two ends, and time.

    An end that is frozen reads nothing and has no time; when it goes on, all the time that it
    missed passes at once.
    """

    def __init__(
        self, node: dict[str, Any] | None = None, balancer: dict[str, Any] | None = None
    ) -> None:
        """
        Connect them.

        @param node: settings for the L{NodePeer}.
        @param balancer: settings for the L{BalancerPeer}.
        """
        self.told: list[Any] = []
        self.node_clock, self.balancer_clock = Clock(), Clock()
        self.suspended = 1000.0
        """How much further the node's boot-time clock is than its monotonic one."""
        self.node_shell = NodeShellDouble(self.told)
        self.balancer_shell = BalancerShellDouble(self.told)
        self.node = NodePeer(self.node_shell, self.node_clock, self.boot, **(node or {}))
        self.balancer = BalancerPeer(self.balancer_shell, self.balancer_clock, **(balancer or {}))
        self.node_line = Line(self.node, is_server=False)
        self.balancer_line = Line(self.balancer, is_server=True)
        self.frozen: set[str] = set()
        """Which ends neither read nor have time: C{"node"}, C{"balancer"}."""
        self.balancer.makeConnection(self.balancer_line)
        self.node.makeConnection(self.node_line)
        self.take("node connected")

    def boot(self) -> float:
        """
        The node's boot-time clock.
        """
        return self.node_clock.seconds() + self.suspended

    def take(self, *expected: object) -> None:
        """
        What was told, and nothing else, since this was called last.
        """
        told, self.told[:] = list(self.told), []
        if told != list(expected):
            raise AssertionError(f"told {told!r} instead of {list(expected)!r}")

    # -- time and bytes ----------------------------------------------------------------------------

    def pump(self) -> bool:
        """
        Carry what was written to those that read, and pass no time; say whether there was any.
        """
        moved = False
        for here, there, name in (
            (self.node_line, self.balancer_line, "balancer"),
            (self.balancer_line, self.node_line, "node"),
        ):
            if name in self.frozen or there.disconnected:
                continue
            data = here.getOutBuffer() if here.stream else None
            if data:
                there.bufferReceived(data)
            elif there.disconnecting or here.disconnected:
                there.disconnecting = there.disconnected = True
                there.reportDisconnect()
            else:
                continue
            moved = True
        return moved

    def flush(self) -> None:
        """
        Let everything happen that needs no time.
        """
        for _ in range(1000):
            for clock, name in self._clocks():
                if name not in self.frozen:
                    clock.advance(0)
            if not self.pump():
                return
        raise AssertionError("they never stop")

    def run(self, seconds: float, step: float = 0.1) -> None:
        """
        Let time pass for those that are not frozen.
        """
        self.flush()
        for _ in range(round(seconds / step)):
            for clock, name in self._clocks():
                if name not in self.frozen:
                    clock.advance(step)
            self.flush()

    def thaw(self, name: str, missed: float) -> None:
        """
        Let an end go on: all that time passes for it at once, before it reads anything.
        """
        self.frozen.discard(name)
        {"node": self.node_clock, "balancer": self.balancer_clock}[name].advance(missed)

    def _clocks(self) -> tuple[tuple[Clock, str], tuple[Clock, str]]:
        return (self.node_clock, "node"), (self.balancer_clock, "balancer")

    # -- scenes ------------------------------------------------------------------------------------

    def join(self) -> None:
        """
        Let the node join.
        """
        joined = self.node.join([JOIN])
        self.flush()
        self.take(JOIN)
        if not joined.called or not self.node.joined or not self.balancer.joined:
            raise AssertionError("not joined")

    def cut(self) -> None:
        """
        End the connection from outside.
        """
        self.frozen.clear()
        self.node_line.disconnecting = self.balancer_line.disconnecting = True
        self.flush()


class WireCase(SynchronousTestCase):
    """A test with pairs, which leave nothing behind."""

    def pair(self, **settings: dict[str, Any]) -> Pair:
        """
        Connect a node and a balancer; see L{Pair}.
        """
        pair = Pair(**settings)
        self.addCleanup(self._end, pair)
        return pair

    def joined(self, **settings: dict[str, Any]) -> Pair:
        """
        Connect a node and a balancer, and let the node join.
        """
        pair = self.pair(**settings)
        pair.join()
        return pair

    def _end(self, pair: Pair) -> None:
        self.assertEqual(pair.told, [], "not consumed")
        pair.cut()
        ends = {told[0] for told in pair.told}
        self.assertLessEqual(ends, {"node disconnected", "balancer disconnected"})
        self.assertEqual(len(ends), len(pair.told), pair.told)
        self.assertEqual(pair.node_clock.getDelayedCalls(), [])
        self.assertEqual(pair.balancer_clock.getDelayedCalls(), [])

    def warnings(self) -> Callable[[], list[str]]:
        """
        Begin to collect what is logged by the wire as a warning or worse; call it for the lines.
        """
        lines: list[str] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_level"] >= LogLevel.warn:
                lines.append(str(event["log_format"]).format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

        def taken() -> list[str]:
            taken = list(lines)
            lines.clear()
            return taken

        return taken
