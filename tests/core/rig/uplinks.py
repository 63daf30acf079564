"""
A node's way to its balancer: connecting, joining, being heard, and noticing silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from jobcluster.core.actions import CloseConnection, Leave, NodeAction, SendJoin, SendReport
from jobcluster.core.events import (
    BalancerConnected,
    BalancerDisconnected,
    DispatchReceived,
    JoinAccepted,
    JoinRefused,
    NodeEvent,
    ReportAnswered,
)
from jobcluster.core.words import JoinPart, Report
from tests.core.rig.links import (
    Box,
    Dispatches,
    End,
    Ending,
    Joined,
    Okay,
    Peer,
    Ping,
    Pong,
    Refused,
    Reports,
)
from tests.core.rig.speakers import Speaker

__all__ = ["Uplink", "Wiring"]

_SILENCE: Final = 8.0
_GRACE: Final = 3.0
_SPLITTING: Final = 0.5


@attrs.frozen
class Wiring:
    """
    What an uplink needs of the process that it belongs to.
    """

    dial: Callable[[Callable[[End], None]], None]
    """Try to connect; nothing comes of it where that is impossible."""
    feed: Callable[[NodeEvent], None]
    """Let the core react."""
    wanted: Callable[[], bool]
    """Whether there is a core that wants to be connected."""


class _Connection:
    """A connection as the node's process sees it."""

    __slots__ = ("accepted", "beat", "end", "heard_at", "joins", "number", "speaker")

    def __init__(self, number: int, end: End, speaker: Speaker[Report], heard_at: float) -> None:
        self.number = number
        self.end = end
        self.speaker = speaker
        self.heard_at = heard_at
        """Of the boot-time clock."""
        self.joins: dict[int, float] = {}
        """When the last part of each join was sent, by its serial."""
        self.accepted = False
        self.beat = 1.0


class Uplink:
    """
    At most one connection at a time, numbered.
    """

    def __init__(self, process: Peer, wiring: Wiring) -> None:
        """
        Not connected, and not trying to be.
        """
        self._process = process
        self._wiring = wiring
        self._connection: _Connection | None = None
        self._connections = 0
        self._attempts = 0
        self._grace = _GRACE

    @property
    def idle(self) -> bool:
        """Whether all that was to be said has been said and answered, or never will be."""
        return self._connection is None or self._connection.speaker.idle

    # -- connecting --------------------------------------------------------------------------------

    def connect(self) -> None:
        """
        Try now; and again, if nothing has come of it when the limit of an attempt is over.
        """
        if self._connection is None and self._wiring.wanted():
            self._attempts += 1
            attempt = self._attempts
            self._wiring.dial(lambda end: self._connected(end, attempt))
            self._process.callLater(self._jitter(), self._retry, attempt)

    def _jitter(self) -> float:
        return self._grace / 3 * self._process.ground.rng.uniform(0.3, 1.0)

    def _retry(self, attempt: int) -> None:
        if attempt == self._attempts:
            self.connect()

    def _connected(self, end: End, attempt: int) -> None:
        if attempt != self._attempts or not self._wiring.wanted() or self._connection is not None:
            end.close()
            return
        self._connections += 1
        now = self._process.now()
        speaker = Speaker(end, Reports, now)
        connection = _Connection(self._connections, end, speaker, now.boot)
        self._connection = connection
        end.number = connection.number
        self._process.callLater(connection.beat, self._pulse, connection)
        self._wiring.feed(BalancerConnected(connection.number))

    # -- speaking ----------------------------------------------------------------------------------

    def say(self, number: int, action: NodeAction) -> None:
        """
        Carry an action out on the connection of that number, if it is the present one.
        """
        connection = self._connection
        if connection is None or number != connection.number:
            return
        if isinstance(action, SendReport):
            connection.speaker.add(action.report)
        elif isinstance(action, SendJoin):
            self._join(connection, action.parts)
        elif isinstance(action, Leave):
            connection.speaker.leave(keep=action.keep)
        elif isinstance(action, CloseConnection):
            self._close(connection)

    def flush(self) -> None:
        """
        A turn of the reactor is over: say what there is to be said.
        """
        if self._connection is not None:
            self._connection.speaker.flush(self._process.now())

    def _join(self, connection: _Connection, parts: Sequence[JoinPart]) -> None:
        if self._process.ground.rng.random() < _SPLITTING:
            parts = _split(parts)
        for part in parts:
            connection.end.say(part)
        connection.joins[parts[-1].serial] = self._process.machine.boot_time()

    def _pulse(self, connection: _Connection) -> None:
        """Look at the silence, and say something if only to be heard."""
        if self._connection is not connection:
            return
        now = self._process.now()
        silent = now.boot - connection.heard_at
        if silent >= _SILENCE or connection.speaker.overdue(now.mono):
            self._process.note("silent", connection.number)
            self._close(connection)
            return
        beat = min(connection.beat, max(0.001, _SILENCE - silent))
        self._process.callLater(beat, self._pulse, connection)
        if connection.accepted and connection.speaker.free:
            connection.speaker.add(Report())
            connection.speaker.flush(now)

    # -- ending ------------------------------------------------------------------------------------

    def drop(self) -> None:
        """
        Close the connection without telling the core, for there is none any more.
        """
        if self._connection is not None:
            self._connection.end.close()
            self._connection = None

    def vanish(self) -> None:
        """
        The process was killed.
        """
        if self._connection is not None:
            self._connection.end.vanish()

    def _close(self, connection: _Connection) -> None:
        """Close it, unread."""
        connection.end.close()
        self._lost(connection)

    def _lost(self, connection: _Connection) -> None:
        if self._connection is not connection:
            return
        self._connection = None
        self._process.callLater(0, self._wiring.feed, BalancerDisconnected(connection.number))
        # At once, if it had been good for anything.
        delay = 0.001 if connection.accepted else self._jitter()
        self._process.callLater(delay, self.connect)

    # -- hearing -----------------------------------------------------------------------------------

    def receive(self, end: End, box: Box) -> None:
        """
        Something was read from a connection.
        """
        connection = self._connection
        if connection is None or connection.end is not end:
            return
        feed = self._wiring.feed
        now = self._process.now()
        connection.heard_at = now.boot
        if isinstance(box, Okay):
            sent = connection.speaker.answered(now)
            if sent is not None:
                feed(ReportAnswered(connection.number, sent.boot))
        elif isinstance(box, Dispatches):
            self._take(connection, box)
        elif isinstance(box, Ping):
            end.say(Pong())
        elif isinstance(box, Joined):
            self._joined(connection, box)
        elif isinstance(box, Refused):
            feed(JoinRefused(connection.number, box.serial, box.reason, box.superseded))
        elif isinstance(box, Ending):
            self._lost(connection)

    def _take(self, connection: _Connection, box: Dispatches) -> None:
        ground = self._process.ground
        for dispatch in box.words:
            self._wiring.feed(DispatchReceived(connection.number, dispatch))
            if "taken" in ground.traps:
                ground.spring("taken", self._process, dispatch)
        connection.end.say(Okay())

    def _joined(self, connection: _Connection, box: Joined) -> None:
        sent = connection.joins[box.serial]
        self._grace = box.terms.grace
        connection.beat = box.terms.lease / 3
        connection.accepted = True
        connection.end.accepted = True
        connection.end.link.changed()
        self._wiring.feed(JoinAccepted(connection.number, box.serial, sent, box.terms))


def _split(parts: Sequence[JoinPart]) -> Sequence[JoinPart]:
    """The same join in as many parts as there are rows in it."""
    pieces = [piece for part in parts for piece in _pieces(part)]
    last = len(pieces) - 1
    return [
        attrs.evolve(piece, part=index, last=index == last) for index, piece in enumerate(pieces)
    ]


def _pieces(part: JoinPart) -> list[JoinPart]:
    bare = attrs.evolve(part, inventory=(), offered=(), questions=())
    pieces = [attrs.evolve(bare, inventory=(row,)) for row in part.inventory]
    pieces += [attrs.evolve(bare, offered=(row,)) for row in part.offered]
    pieces += [attrs.evolve(bare, questions=(row,)) for row in part.questions]
    return pieces or [bare]
