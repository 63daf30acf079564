"""
The balancer as a node sees it: away, being joined, or joined.
"""

from __future__ import annotations

from typing import Protocol

from automat import TypeMachineBuilder

from jobcluster.core.values import Terms

__all__ = ["Link", "LinkRecord", "link"]


class LinkRecord:
    """
    What a node knows of its connection to the balancer.
    """

    __slots__ = ("connection", "lease_until", "machine", "reason", "serial", "state", "terms")

    def __init__(self) -> None:
        """
        There is no connection.
        """
        self.connection: int | None = None
        self.serial = 0
        """Of the last join that was sent; only grows."""
        self.terms: Terms | None = None
        """Of the last join that was accepted."""
        self.lease_until = 0.0
        """No offer is started later, in seconds of the boot-time clock."""
        self.reason = "no balancer has been reached yet"
        """Why this node is not joined, in words for people."""
        self.state = "away"
        """The state's name, which every transition sets."""
        self.machine: Link = link(self)

    def is_current(self, connection: int) -> bool:
        """
        Whether this is the connection that is obeyed; all others are old news.
        """
        return self.connection == connection

    def renew(self, sent: float) -> bool:
        """
        The balancer has answered what was sent at that time, by the boot-time clock.

        @return: whether the lease has grown.
        """
        if self.terms is None or sent + self.terms.lease <= self.lease_until:
            return False
        self.lease_until = sent + self.terms.lease
        return True


class Link(Protocol):
    """
    What happens to the connection to the balancer.
    """

    def connected(self, connection: int, /) -> bool:
        """There is a new connection; C{True}: a join is to be sent on it."""

    def accepted(self, terms: Terms, /) -> bool:
        """The join was accepted; C{True}: what was held back may be said."""

    def refused(self, reason: str, /) -> bool:
        """The join was refused; C{True}: the connection is of no use any more."""

    def disconnected(self) -> bool:
        """The connection ended; C{True}: this node was joined, or joining."""


_builder = TypeMachineBuilder(Link, LinkRecord)
_away = _builder.state("away")
_joining = _builder.state("joining")
_joined = _builder.state("joined")
_refused = _builder.state("refused")


def _join(_: Link, record: LinkRecord, connection: int, /) -> bool:
    """Begin a join that no earlier one can overtake."""
    record.connection = connection
    record.serial += 1
    record.reason = "the balancer has not answered yet"
    record.state = "joining"
    return True


def _accept(_: Link, record: LinkRecord, terms: Terms, /) -> bool:
    """Take the balancer's terms."""
    record.terms = terms
    record.reason = ""
    record.state = "joined"
    return True


def _refuse(_: Link, record: LinkRecord, reason: str, /) -> bool:
    """Remember why, for the user."""
    record.reason = reason
    record.state = "refused"
    return True


def _part(_: Link, record: LinkRecord) -> bool:
    """There is no balancer; why a join was refused is remembered until the next answer."""
    record.connection = None
    record.reason = "the balancer cannot be reached"
    record.state = "away"
    return True


def _part_refused(_: Link, record: LinkRecord) -> bool:
    """There is no balancer, and the last one has said why."""
    record.connection = None
    record.state = "away"
    return False


for _state in (_away, _joining, _joined, _refused):
    _state.upon(Link.connected).to(_joining)(_join)
_joining.upon(Link.accepted).to(_joined)(_accept)
_joining.upon(Link.refused).to(_refused)(_refuse)
for _state in (_away, _joined, _refused):
    _state.upon(Link.accepted).loop().returns(False)
    _state.upon(Link.refused).loop().returns(False)
for _state in (_joining, _joined):
    _state.upon(Link.disconnected).to(_away)(_part)
_refused.upon(Link.disconnected).to(_away)(_part_refused)
_away.upon(Link.disconnected).loop().returns(False)

link = _builder.build()
