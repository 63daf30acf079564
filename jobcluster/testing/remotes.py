"""
Clients that are processes of their own, of a cluster in memory.

    >>> from jobcluster.core.values import SLEEP, Spec
    >>> from jobcluster.testing import MemoryCluster
    >>> from jobcluster.testing.remotes import Remote
    >>> cluster = MemoryCluster(nodes=2)
    >>> remote = Remote(cluster, "a")
    >>> ticket, ended = remote.node.run(Spec(SLEEP, b"100"))
    >>> cluster.result(ended).outcome.value
    b'slept 100 ms'
    >>> cluster.close()
"""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from jobcluster.client.link import PATIENCE
from jobcluster.client.remote import RemoteNode
from jobcluster.consoles.amp import ClientFactory
from jobcluster.testing.clusters import MemoryCluster
from jobcluster.testing.processes import ADDRESS, Process, connect

__all__ = ["Remote"]


@implementer(IStreamClientEndpoint)
class _ToNode:
    """The way from a client to whatever process of a node there is."""

    def __init__(self, cluster: MemoryCluster, name: str, process: Process) -> None:
        self._cluster = cluster
        self._name = name
        self._process = process

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connected: Deferred[IProtocol] = Deferred(lambda _: call.cancel())
        call = self._process.callLater(self._cluster.hop, self._arrive, protocolFactory, connected)
        return connected

    def _arrive(self, factory: IProtocolFactory, connected: Deferred[IProtocol]) -> None:
        node = self._cluster.nodes[self._name]
        client = factory.buildProtocol(ADDRESS)
        if not node.process.alive or client is None:
            connected.errback(error.ConnectionRefusedError())
            return
        server = ClientFactory(node.client, node.process).buildProtocol(ADDRESS)
        connect((self._process, client), (node.process, server), self._cluster.hop)
        connected.callback(client)


class Remote:
    """
    A process that is a client of a node.
    """

    def __init__(self, cluster: MemoryCluster, *names: str, patience: float = PATIENCE) -> None:
        """
        Start it; it connects when something is asked.

        @param names: of the nodes that it may find, in order.
        @param patience: as for L{RemoteNode}.
        """
        self.process = Process(cluster.clock)
        places = [(name, _ToNode(cluster, name, self.process)) for name in names]
        self.node = RemoteNode(self.process, places, patience)
        """The node, as the client has it."""

    def cut(self) -> None:
        """
        End its connections.
        """
        for end in list(self.process.ends):
            end.cut()
