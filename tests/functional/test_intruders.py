"""
Strangers at the balancer's port: none is taken for a node, and none does any harm.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Final

import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IPullProducer, IReactorTCP, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, within
from tests.functional.sessions import connect

_Report = Callable[[str], None]

_NAMES: Final = ["n1", "n2"]

_LIMIT: Final = 30.0
_MUCH: Final = 512 * 2**20
"""Bytes after which an endless box has been taken for too long."""


@implementer(IPullProducer)
class _Flood(Protocol):
    """Sends a beginning, and then ever new keys, as fast as they are taken."""

    def __init__(self, beginning: bytes, value: bytes) -> None:
        self._beginning = beginning
        self._value = len(value).to_bytes(2, "big") + value
        self._keys = count(10**9)
        self.sent = 0
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        transport = ITransport(self.transport)
        transport.write(self._beginning)
        # A pull producer is asked for more whenever what it wrote has left.
        transport.registerProducer(self, False)  # type: ignore[attr-defined]

    def resumeProducing(self) -> None:
        """Send some more."""
        if self.sent > _MUCH:
            ITransport(self.transport).loseConnection()
            return
        many = 2**16 // len(self._value) or 1
        data = b"".join(b"\x00\x0a%d%s" % (next(self._keys), self._value) for _ in range(many))
        self.sent += len(data)
        ITransport(self.transport).write(data)

    def stopProducing(self) -> None:
        """The connection is gone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


@pytest_twisted.async_yield_fixture(scope="module")
async def cluster(shared_daemons: Daemons) -> AsyncIterator[Cluster]:
    """
    Two nodes and their balancer, used by all tests of this module.
    """
    made = Cluster(shared_daemons)
    await made.start(_NAMES)
    yield made


async def _see_unharmed(cluster: Cluster) -> None:
    """
    See that only the nodes are taken for nodes, that they are there, and that jobs run.
    """
    session = await cluster.session("n1")
    table = await session.nodes()
    assert not isinstance(table, str)
    assert list(table.nodes) == _NAMES
    assert table.has_joined(_NAMES)
    jobs = await session.submit([1] * 8)
    answers = await session.ask_all([f"wait {job.ticket}" for job in jobs])
    assert answers == [f"Result: {job.result}" for job in jobs]
    session.drop()
    said = cluster.balancer.said
    assert "Traceback" not in said
    assert "Unhandled" not in said
    assert said.count("a node joined") == len(_NAMES)


async def _sent(cluster: Cluster, data: bytes) -> None:
    """
    Send something to the balancer, and wait until it ends the connection.
    """
    session = await connect(cluster.balancer_port)
    session.send(data)
    await session.ended()


@pytest_twisted.ensureDeferred
async def test_probes(cluster: Cluster) -> None:
    """
    Who connects and hangs up is nobody.
    """
    for _ in range(50):
        session = await connect(cluster.balancer_port)
        session.drop()
    for _ in range(50):
        session = await connect(cluster.balancer_port)
        session.half_close()
        assert await session.ended() == ([], b"")
    await _see_unharmed(cluster)


@pytest_twisted.ensureDeferred
async def test_other_protocols(cluster: Cluster) -> None:
    """
    Who speaks HTTP, TLS, SSH or the console's language is cut off.
    """
    await _sent(cluster, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await _sent(cluster, b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n100\n")
    await _sent(cluster, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    await _sent(cluster, b"SSH-2.0-OpenSSH_9.2\r\n")
    await _sent(cluster, b"100\nnodes\n")
    await _see_unharmed(cluster)


@pytest_twisted.ensureDeferred
async def test_random_bytes(cluster: Cluster) -> None:
    """
    Random bytes are no box: who sends them is cut off.
    """
    chance = random.Random(9)
    for _ in range(30):
        await _sent(cluster, chance.randbytes(100_000))
    # As AMP has them: a key's length has two bytes, of which the first is zero.
    for _ in range(30):
        await _sent(cluster, b"\x00\x08" + chance.randbytes(100_000))
    await _see_unharmed(cluster)


@pytest_twisted.ensureDeferred
async def test_boxes_of_nobody(cluster: Cluster) -> None:
    """
    Boxes that are well made and mean nothing here are nobody's join.
    """
    for command in (b"Join", b"Report", b"Dispatch", b"Ask", b"Leave", b"Nonsense"):
        session = await connect(cluster.balancer_port)
        fields = {b"_ask": b"1", b"_command": command, b"junk": b"\xc1" * 100}
        for key, value in fields.items():
            session.send(len(key).to_bytes(2, "big") + key)
            session.send(len(value).to_bytes(2, "big") + value)
        session.send(b"\x00\x00")
        session.half_close()
        await session.ended()
    for box in (
        b"\x00\x00",
        b"\x00\x07_answer\x00\x011\x00\x00",
        b"\x00\x06_error\x00\x019\x00\x00",
    ):
        await _sent(cluster, box)
    await _see_unharmed(cluster)


@pytest_twisted.ensureDeferred
async def test_endless_box(cluster: Cluster, report: _Report) -> None:
    """
    A box that does not end is cut off before it has cost much memory, whatever it is made of.
    """
    before = cluster.balancer.memory()
    join = b"\x00\x04_ask\x00\x011\x00\x08_command\x00\x04Join"
    floods = [
        _Flood(beginning, value)
        for beginning in (b"", join)
        for value in (b"v" * 65535, b"")
        for _ in range(3)
    ]
    for flood in floods:
        endpoint = TCP4ClientEndpoint(IReactorTCP(installed), "127.0.0.1", cluster.balancer_port)
        await endpoint.connect(_Factory(flood))
    for flood in floods:
        await within(_LIMIT, flood.ended, "an endless box is taken")
    grown = cluster.balancer.peak() - before
    taken = max(flood.sent for flood in floods) / 2**20
    report(f"{taken:.1f} MiB were sent at most; balancer {grown:+.1f} MiB")
    assert all(flood.sent < _MUCH for flood in floods)
    assert grown < 200
    await _see_unharmed(cluster)


@pytest_twisted.ensureDeferred
async def test_silence(cluster: Cluster) -> None:
    """
    Who says nothing, or only begins to, is cut off after a while.
    """
    before = cluster.balancer.memory()
    mute = [await connect(cluster.balancer_port) for _ in range(100)]
    for session in mute[50:]:
        session.send(b"\x00\x04_ask\x00\x01")
    for session in mute:
        await session.ended()
    assert cluster.balancer.memory() - before < 20
    await _see_unharmed(cluster)


class _Factory(Factory):
    """Makes the one protocol that it was given."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._made = protocol

    def buildProtocol(self, address: object) -> Protocol:
        """Return it."""
        return self._made
