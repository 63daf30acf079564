"""
Connections between processes: a prefix of what was said arrives, in order and late.

A live connection loses nothing in the middle.
When it is cut, what is on its way arrives or not, from some word on nothing does; and each end sees
the cut at a time of its own, or never.
"""

from __future__ import annotations

from collections import deque

import attrs

from jobcluster.core.values import Terms
from jobcluster.core.words import Dispatch, JoinPart, Report
from tests.core.rig.ground import Ground
from tests.core.rig.machines import Process

__all__ = [
    "Box",
    "Dispatches",
    "End",
    "Ending",
    "Joined",
    "Leaving",
    "Link",
    "Okay",
    "Peer",
    "Ping",
    "Pong",
    "Refused",
    "Reports",
]


@attrs.frozen
class Joined:
    """The answer to the last part of a join that was accepted."""

    serial: int
    terms: Terms


@attrs.frozen
class Refused:
    """The answer to a join that was not."""

    serial: int
    reason: str
    superseded: bool


@attrs.frozen
class Leaving:
    """A node says that it ends."""

    keep: bool


@attrs.frozen
class Reports:
    """What a node says at once."""

    words: tuple[Report, ...]


@attrs.frozen
class Dispatches:
    """What the balancer says to a node at once."""

    words: tuple[Dispatch, ...]


@attrs.frozen
class Okay:
    """The answer to a report, a dispatch or a leave: it was taken."""


@attrs.frozen
class Ping:
    """Asks whether anybody is there."""


@attrs.frozen
class Pong:
    """Yes."""


@attrs.frozen
class Ending:
    """The end of all that was said: the other side has closed the connection, or died."""


Box = JoinPart | Reports | Dispatches | Joined | Refused | Leaving | Okay | Ping | Pong | Ending

_ENDING = Ending()


class Peer(Process):
    """
    A process that has connections.
    """

    def receive(self, end: End, box: Box) -> None:
        """
        Something was read from a connection.
        """
        raise NotImplementedError


class End:
    """
    One end of a connection, and what is on its way there.
    """

    __slots__ = (
        "_arrives_at",
        "_ground",
        "_owed",
        "accepted",
        "closed",
        "flight",
        "inbox",
        "link",
        "number",
        "owner",
        "peer",
        "stalled",
    )

    link: Link
    peer: End

    def __init__(self, ground: Ground, owner: Peer, number: int) -> None:
        """
        An end that L{Link} joins to its peer.
        """
        self._ground = ground
        self.owner = owner
        self.number = number
        """What the owner calls this connection."""
        self.closed = False
        self.accepted = False
        """Whether, at this end, the join on this connection counts as accepted."""
        self.stalled = False
        """Whether what is on its way here stays on its way."""
        self.flight: deque[Box] = deque()
        self.inbox: deque[Box] = deque()
        self._owed = 0
        self._arrives_at = 0.0

    def say(self, box: Box) -> None:
        """
        Send something to the other end.
        """
        if self.closed or self.link.cut:
            return
        if "said" in self._ground.traps:
            self._ground.spring("said", self, box)
        peer = self.peer
        if not peer.closed:
            peer.flight.append(box)
            peer.arrange()

    def arrange(self) -> None:
        """
        Let one more word arrive, after those before it.
        """
        if self.stalled:
            self._owed += 1
            return
        clock = self._ground.clock
        now = clock.seconds()
        at = self._arrives_at = max(self._arrives_at, now + self._ground.latency())
        clock.callLater(at - now, self._arrive)

    def stall(self) -> None:
        """
        Hold up what is on its way here.
        """
        self.stalled = True

    def release(self) -> None:
        """
        Let it go on.
        """
        self.stalled = False
        owed, self._owed = self._owed, 0
        for _ in range(owed):
            self.arrange()

    def _arrive(self) -> None:
        if self.stalled:
            self._owed += 1
        elif self.flight:
            self.take(self.flight.popleft())

    def take(self, box: Box) -> None:
        """
        Something is in the buffer of this end.
        """
        owner = self.owner
        if "arriving" in self._ground.traps and not owner.frozen and not self.closed:
            self._ground.spring("arriving", self, box)
        if self.closed or not owner.alive:
            return
        if owner.frozen:
            self.inbox.append(box)
            owner.unread[self] = None
        else:
            self.read(box)

    def read_next(self) -> bool:
        """
        See L{tests.core.rig.machines.Readable.read_next}.
        """
        if self.inbox and not self.closed:
            self.read(self.inbox.popleft())
        return bool(self.inbox) and not self.closed

    def read(self, box: Box) -> None:
        """
        The owner reads this.
        """
        if isinstance(box, Ending):
            self.shut()
        self.owner.receive(self, box)

    def shut(self) -> None:
        """
        Nothing is read or said here any more.
        """
        self.closed = True
        self.flight.clear()
        self.inbox.clear()
        self.owner.unread.pop(self, None)
        self.link.changed()

    def close(self) -> None:
        """
        End the connection, unread; the other end sees it after what was said before.
        """
        if self.closed:
            return
        self.shut()
        if not self.link.cut and not self.peer.closed:
            self.peer.flight.append(_ENDING)
            self.peer.arrange()

    def vanish(self) -> None:
        """
        The owner was killed: the last that it said may be lost with it.
        """
        flight = self.peer.flight
        for _ in range(self._ground.rng.choice((0, 0, 1, len(flight)))):
            if flight:
                flight.pop()
        self.close()

    def give_up(self) -> None:
        """
        The owner sees the connection end, though all that it has said is still to arrive.
        """
        if not self.closed:
            peer = self.peer
            self.notice()
            if not peer.closed:
                peer.flight.append(_ENDING)
                peer.arrange()

    def notice(self) -> None:
        """
        See that the connection is cut, whatever was still to be read.
        """
        if not self.closed:
            self.flight.clear()
            self.take(_ENDING)


class Link:
    """
    A connection between a node and a balancer.
    """

    __slots__ = ("_both", "balancer", "cut", "node", "watcher")

    def __init__(self, node: End, balancer: End, watcher: LinkWatcher) -> None:
        """
        Both ends are open, and nothing was said.
        """
        self.node = node
        self.balancer = balancer
        self.cut = False
        self.watcher = watcher
        self._both = False
        node.peer, balancer.peer = balancer, node
        node.link = balancer.link = self

    @property
    def open(self) -> bool:
        """Whether anything can still happen here."""
        return not (self.node.closed and self.balancer.closed)

    def changed(self) -> None:
        """
        An end was closed, or takes the join on this connection for accepted.
        """
        node, balancer = self.node, self.balancer
        both = node.accepted and balancer.accepted and not node.closed and not balancer.closed
        if both != self._both:
            self._both = both
            self.watcher.link_changed(self, joined=both)

    def sever(self, node_sees: float | None, balancer_sees: float | None) -> None:
        """
        Cut it: of what is on its way a prefix arrives, nothing that is said from now on does.

        @param node_sees: seconds until the node's end sees it; C{None} for never.
        @param balancer_sees: the same for the other end.
        """
        if self.cut or not self.open:
            return
        self.cut = True
        for end, sees in ((self.node, node_sees), (self.balancer, balancer_sees)):
            if end.closed:
                continue
            lost = end.owner.ground.rng.randint(0, len(end.flight))
            for _ in range(lost):
                end.flight.pop()
            if sees is not None:
                end.owner.ground.clock.callLater(sees, end.notice)


class LinkWatcher:
    """
    Who wants to know when both ends of a connection take its join for accepted.
    """

    def link_changed(self, link: Link, *, joined: bool) -> None:
        """
        That has changed.
        """
        raise NotImplementedError
