"""
A whole cluster in memory, on a clock that is turned by hand.

Balancer, nodes, protocols, runners and clients are the real ones; machines, disks, connections and
time are not.  So what is built on a cluster can be tried with one, kills included, in no time:

    >>> from jobcluster.testing import MemoryCluster
    >>> cluster = MemoryCluster(nodes=3, slots=2)
    >>> first, second = cluster.submit("a", [100, 200])
    >>> cluster.wait(first).outcome.value
    b'slept 100 ms'
    >>> cluster.kill("a")
    >>> cluster.advance(1)
    >>> cluster.restart("a")
    >>> cluster.until(cluster.all_joined)
    >>> cluster.wait(second, at="b").outcome.status
    'succeeded'
    >>> cluster.close()

Nothing happens but while L{MemoryCluster.advance}, C{until}, C{result} or what is built on these
runs, and L{MemoryCluster.close} leaves no call on the clock.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.commands import COMMAND
from jobcluster.core.node import NodeSettings
from jobcluster.core.values import SLEEP, Now, Spec
from jobcluster.core.views import ClusterView, JobView
from jobcluster.errors import JobclusterError
from jobcluster.interfaces import IClusterView
from jobcluster.runners.kinds import KindsRunner
from jobcluster.runners.sleep import SleepRunner
from jobcluster.services.balancer import BalancerService, PeerFactory
from jobcluster.services.balancer_link import BalancerLink
from jobcluster.services.clients import ClusterClient
from jobcluster.services.node import NodeService, Parts, Setup
from jobcluster.store.memory import Tables
from jobcluster.store.outputs import MemoryOutputs
from jobcluster.testing.clocks import HeapClock
from jobcluster.testing.disks import DiskStore, MemoryDisk
from jobcluster.testing.processes import ADDRESS, Process, connect
from jobcluster.testing.programs import Program, ProgramRunner, cat
from jobcluster.wire import VERSION

__all__ = ["MemoryCluster", "MemoryDisk", "MemoryNode", "all_taken"]

_Result = TypeVar("_Result")

_EPOCH: Final = 1_764_000_000.0
"""What the wall clocks show in the beginning, in seconds."""

_BOOTED: Final = 1000.0
"""Seconds for which the machines have been up, suspended ones included, in the beginning."""


def all_taken(answers: Iterable[_Result | JobclusterError]) -> tuple[_Result, ...]:
    """
    The tickets or ids of jobs that were submitted.

    @raise JobclusterError: if one was not taken.
    """
    tickets = []
    for answer in answers:
        if isinstance(answer, JobclusterError):
            raise answer
        tickets.append(answer)
    return tuple(tickets)


@implementer(IStreamClientEndpoint)
class _ToBalancer:
    """The way from a node to whatever balancer there is."""

    def __init__(self, cluster: MemoryCluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connected: Deferred[IProtocol] = Deferred(lambda _: call.cancel())
        call = self._process.callLater(self._cluster.hop, self._arrive, protocolFactory, connected)
        return connected

    def _arrive(self, factory: IProtocolFactory, connected: Deferred[IProtocol]) -> None:
        server = self._cluster.answer_call()
        client = factory.buildProtocol(ADDRESS)
        if server is None or client is None:
            connected.errback(error.ConnectionRefusedError())
            return
        connect((self._process, client), server, self._cluster.hop)
        connected.callback(client)


class MemoryNode:
    """
    A node: what outlives its process, and the process that runs or ran last.
    """

    service: NodeService
    client: ClusterClient
    """The node as its clients see it: what a console is given."""
    programs: ProgramRunner
    """What runs its commands."""

    def __init__(self, cluster: MemoryCluster, setup: Setup) -> None:
        """
        A node whose process has not been started.
        """
        self._cluster = cluster
        self.name = setup.name
        self.setup = setup
        """What it is started with; may be changed for the next start."""
        self.tables = Tables()
        """What it has committed."""
        self.outputs = MemoryOutputs()
        """The long outputs that it has recorded."""
        self.program: Program = cat
        """What each of its commands does; may be changed for the next start."""
        self.disk = MemoryDisk()
        self.process = Process(cluster.clock)
        self.last_words: list[str] = []
        """Each line with which a process of this node said that it cannot go on."""

    def start(self) -> None:
        """
        Start a process; one that still runs is killed.
        """
        self.process.die()
        cluster = self._cluster
        process = self.process = Process(cluster.clock)
        store = DiskStore(self.tables, self.disk, process, lambda: cluster.now().wall)
        service = self.service = NodeService(
            Parts(process, cluster.now, store, self.outputs, self.setup),
            lambda: self._make_runner(process),
            partial(self._end, process),
        )
        self.client = ClusterClient(service, process)
        service.link = BalancerLink(
            service.handle, self.client.asked, _ToBalancer(cluster, process), process, cluster.now
        )
        service.startService()

    def _make_runner(self, process: Process) -> KindsRunner:
        now = self._cluster.now
        self.programs = ProgramRunner(process, now, self.program)
        return KindsRunner({SLEEP: SleepRunner(process, now), COMMAND: self.programs}, now)

    def stop(self) -> Deferred[None]:
        """
        Stop the process in order; fires when it has ended.
        """
        process = self.process
        return self.service.stopService().addBoth(lambda _: process.die())

    def _end(self, process: Process, reason: str) -> None:
        self.last_words.append(reason)
        process.callLater(0, self.stop)


class MemoryCluster:
    """
    A balancer and some nodes.
    """

    def __init__(
        self,
        nodes: int | Sequence[str] = 3,
        slots: int = 2,
        settings: ClusterSettings | None = None,
        hop: float = 0.0,
    ) -> None:
        """
        Start everything, and wait until all nodes have joined.

        @param nodes: their names; or how many, then they are C{a}, C{b}, C{c}…
        @param slots: of each node.
        @param settings: of the balancer.
        @param hop: seconds that everything takes from one process to another.
        """
        self.clock = HeapClock()
        self.hop = hop
        self.settings = ClusterSettings() if settings is None else settings
        """Of the balancer; may be changed for its next start."""
        self._randoms = count(1)
        self._balancers = count(1)
        self._balancer_process = Process(self.clock)
        self.start_balancer()
        names = string.ascii_lowercase[:nodes] if isinstance(nodes, int) else nodes
        self.nodes = {name: MemoryNode(self, self._setup(name, slots)) for name in names}
        """By their names."""
        for node in self.nodes.values():
            node.start()
        self.until(self.all_joined)

    def _setup(self, name: str, slots: int) -> Setup:
        return Setup(
            settings=NodeSettings(slots=slots, version=VERSION),
            name=name,
            boot=f"boot-of-{name}",
            fresh_store=f"store-of-{name}",
            random=lambda: next(self._randoms),
            first_job=0,
        )

    # -- time --------------------------------------------------------------------------------------

    def now(self) -> Now:
        """
        The three clocks of all machines.
        """
        seconds = self.clock.seconds()
        return Now(seconds, _BOOTED + seconds, _EPOCH + seconds)

    def advance(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.clock.advance(seconds)

    def until(self, condition: Callable[[], object], within: float = 60.0) -> None:
        """
        Let time pass until something is so.

        @raise AssertionError: if it is not within so many seconds.
        """
        end = self.clock.seconds() + within
        while not condition():
            following = self.clock.next_time()
            if following is None or following > end:
                raise AssertionError(f"not so within {within:g} s")
            self.clock.step()

    def result(self, waiting: Deferred[_Result], within: float = 60.0) -> _Result:
        """
        Let time pass until a Deferred has a result, and return that, or raise its failure.
        """
        results: list[Any] = []
        waiting.addBoth(results.append)
        try:
            self.until(lambda: results, within)
        except AssertionError:
            waiting.cancel()
            raise
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: _Result = results[0]
        return result

    # -- as a client -------------------------------------------------------------------------------

    def client(self, name: str) -> IClusterView:
        """
        A node, as its clients see it.
        """
        return self.nodes[name].client

    def submit(self, name: str, jobs: Iterable[int | Spec]) -> tuple[str, ...]:
        """
        Hand jobs to a node, numbers as sleeps of so many milliseconds; returns the tickets.

        @raise JobclusterError: if one is not taken.
        """
        specs = [Spec(SLEEP, b"%d" % job) if isinstance(job, int) else job for job in jobs]
        return self.result(self.client(name).submit(specs).addCallback(all_taken))

    def wait(self, ticket: str, at: str = "", within: float = 60.0) -> JobView:
        """
        Let time pass until a job has its outcome.

        @param at: the node to ask; by default that of the ticket.
        """
        return self.result(self.client(at or ticket.partition(".")[0]).wait(ticket), within)

    # -- faults ------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """
        Kill a node's process; what it has committed stays.
        """
        self.nodes[name].process.die()

    def restart(self, name: str) -> None:
        """
        Start a node's process again; one that still runs is killed.
        """
        self.nodes[name].start()

    def stop(self, name: str) -> None:
        """
        Stop a node in order, and let time pass until its process has ended.
        """
        self.result(self.nodes[name].stop())

    def cut(self, name: str) -> None:
        """
        End a node's connections.
        """
        for end in list(self.nodes[name].process.ends):
            end.cut()

    def kill_balancer(self) -> None:
        """
        Kill the balancer's process; connecting is refused from then on.
        """
        self._balancer_process.die()

    def start_balancer(self) -> None:
        """
        Start a balancer that knows nothing; one that still runs is killed.
        """
        self._balancer_process.die()
        process = self._balancer_process = Process(self.clock)
        name = f"balancer-{next(self._balancers)}"
        self.balancer = BalancerService(process, self.now, self.settings, name)
        self.balancer.startService()

    def close(self) -> None:
        """
        Kill everything.
        """
        self.kill_balancer()
        for node in self.nodes.values():
            node.process.die()

    # -- what is to be seen ------------------------------------------------------------------------

    def view(self) -> ClusterView:
        """
        The cluster as the balancer sees it.
        """
        return self.balancer.cluster.view(self.now())

    def all_joined(self) -> bool:
        """
        Whether every node whose process runs has joined.
        """
        return all(not node.client.joined() for node in self.nodes.values() if node.process.alive)

    def running(self) -> dict[str, int]:
        """
        For each node whose process runs, how many jobs run there.
        """
        cores = {name: node.service.core for name, node in self.nodes.items() if node.process.alive}
        return {name: core.load().running for name, core in cores.items() if core is not None}

    def answer_call(self) -> tuple[Process, IProtocol] | None:
        """
        What a node that connects finds: the balancer's process, and the protocol of the connection.
        """
        process = self._balancer_process
        peer = PeerFactory(self.balancer).buildProtocol(ADDRESS) if process.alive else None
        return None if peer is None else (process, peer)
