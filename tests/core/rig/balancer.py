"""
The balancer's process: what its service does, done by simulated means.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobcluster.core.actions import (
    Accept,
    BalancerAction,
    CloseConnection,
    Note,
    Probe,
    Refuse,
    SendDispatch,
    WantRound,
)
from jobcluster.core.cluster import Cluster, ClusterSettings
from jobcluster.core.events import (
    BalancerEvent,
    ConnectionEnded,
    JoinReceived,
    NodeLeft,
    PeerProbed,
    ReportReceived,
    RoundDue,
    Ticked,
)
from jobcluster.core.words import Dispatch, JoinPart
from tests.core.rig.ground import BrokenPromiseError, Ground
from tests.core.rig.links import (
    Box,
    Dispatches,
    End,
    Ending,
    Joined,
    Leaving,
    Okay,
    Peer,
    Ping,
    Pong,
    Refused,
    Reports,
)
from tests.core.rig.machines import Machine, Sleep
from tests.core.rig.placements import Placements, rows_of
from tests.core.rig.speakers import Speaker
from tests.core.rig.truth import Truth

__all__ = ["BalancerProcess", "Peering"]

_PULSE = 0.5
_LATE = 1.0
_SILENCE = 11.0
_IDLE = 1.0
_PROBE = 1.0


class Peering:
    """
    A connection as the balancer's process sees it.
    """

    __slots__ = ("end", "gone", "heard_at", "joined", "owner", "parts", "probe", "speaker")

    def __init__(self, end: End, speaker: Speaker[Dispatch], heard_at: float) -> None:
        """
        Nothing was heard yet.
        """
        self.end = end
        self.speaker = speaker
        self.heard_at = heard_at
        """Of the monotonic clock, moved on by what the process did not see of it."""
        self.parts: list[JoinPart] = []
        self.owner: tuple[str, str] | None = None
        self.joined = False
        self.gone = False
        """Whether it is closed, which the core is about to hear."""
        self.probe = 0
        """Which probe of it is not answered; 0 if none is."""


class BalancerProcess(Peer):
    """
    A balancer: it keeps nothing when it dies.
    """

    def __init__(
        self, ground: Ground, machine: Machine, settings: ClusterSettings, truth: Truth, serial: int
    ) -> None:
        """
        Begin to listen.

        @param serial: tells the balancers of one world apart.
        """
        super().__init__(ground, machine, f"balancer-{serial}")
        self.truth = truth
        self.peerings: dict[int, Peering] = {}
        self.cluster = self.make_core(settings, self.name)
        self.placements = Placements(eager=not settings.periodic)
        self._connections = 0
        self._probes = 0
        self._round_wanted = False
        self._pulsed_at = self.now().mono
        self._sleep = Sleep()
        self._frozen_at = 0.0
        truth.balancer_started()
        self.callLater(_PULSE, self._pulse)
        self._arm()

    def make_core(self, settings: ClusterSettings, name: str) -> Cluster:
        """
        The core of this process; mutants make another.
        """
        return Cluster(settings, name, self.now())

    # -- the process -------------------------------------------------------------------------------

    def freeze(self) -> None:
        """
        See L{Process.freeze<tests.core.rig.machines.Process.freeze>}.
        """
        if self.alive and not self.frozen:
            self._frozen_at = self.seconds()
        super().freeze()

    def thaw(self) -> None:
        """
        See L{Process.thaw<tests.core.rig.machines.Process.thaw>}.
        """
        if self.frozen:
            self.truth.balancer_thawed(self._frozen_at)
        super().thaw()

    def die(self) -> None:
        """
        See L{Process.die<tests.core.rig.machines.Process.die>}.
        """
        super().die()
        self.truth.balancer_died()
        for peering in self.peerings.values():
            peering.end.vanish()

    def accept(self) -> End:
        """
        Somebody connects.
        """
        self._connections += 1
        end = End(self.ground, self, self._connections)
        now = self.now()
        self.peerings[end.number] = Peering(end, Speaker(end, Dispatches, now), now.mono)
        return end

    # -- the core ----------------------------------------------------------------------------------

    def feed(self, event: BalancerEvent) -> None:
        """
        Let the core react.
        """
        self.note("event", event)
        self._do(self.cluster.handle(event, self.now()))

    def _do(self, actions: Iterable[BalancerAction]) -> None:
        now = self.now()
        spoken = []
        for action in actions:
            self.note("action", action)
            peering = self.peerings.get(getattr(action, "connection", 0))
            if isinstance(action, SendDispatch):
                if peering is not None:
                    peering.speaker.add(action.dispatch)
                    spoken.append(peering)
            elif isinstance(action, WantRound):
                self._want_round()
            elif isinstance(action, Note):
                continue
            elif isinstance(action, CloseConnection):
                self.placements.ended(action.connection)
                if peering is not None:
                    self._close(peering)
            elif peering is not None:
                self._answer(peering, action)
        for peering in spoken:
            peering.speaker.flush(now)
        self._arm()

    def _answer(self, peering: Peering, action: BalancerAction) -> None:
        if isinstance(action, Accept):
            self._accept(peering, action)
        elif isinstance(action, Refuse):
            peering.end.say(Refused(action.serial, action.reason, action.superseded))
            self._close(peering)
        elif isinstance(action, Probe):
            self._probes += 1
            peering.probe = self._probes
            peering.end.say(Ping())
            self.callLater(_PROBE, self._unanswered, peering, self._probes)

    def _accept(self, peering: Peering, action: Accept) -> None:
        part = peering.parts[-1]
        if not part.last or part.serial != action.serial:
            raise BrokenPromiseError("rule 1", f"accepted {action}, heard {peering.parts}")
        peering.joined = True
        peering.owner = (part.name, part.store)
        self.truth.seat(peering.owner).accepted_at = self.seconds()
        self.placements.accepted(peering.end.number, peering.parts)
        peering.end.accepted = True
        peering.end.link.changed()
        peering.end.say(Joined(action.serial, action.terms))

    def _close(self, peering: Peering) -> None:
        if not peering.end.closed:
            peering.end.close()
            self._gone(peering)

    def _gone(self, peering: Peering) -> None:
        """A connection is closed; the core hears of it in a turn of its own."""
        if not peering.gone:
            peering.gone = True
            self._probed(peering, alive=False)
            self.callLater(0, self._ended, peering.end.number)

    def _ended(self, number: int) -> None:
        del self.peerings[number]
        self.placements.ended(number)
        self.feed(ConnectionEnded(number))

    def _unanswered(self, peering: Peering, probe: int) -> None:
        if peering.probe == probe:
            self._probed(peering, alive=False)

    def _probed(self, peering: Peering, *, alive: bool) -> None:
        if peering.probe:
            peering.probe = 0
            self.callLater(0, self.feed, PeerProbed(peering.end.number, alive))

    # -- what is read ------------------------------------------------------------------------------

    def receive(self, end: End, box: Box) -> None:
        """
        See L{Peer.receive}.
        """
        peering = self.peerings.get(end.number)
        if peering is None:
            return
        now = self.now()
        peering.heard_at = now.mono
        if isinstance(box, Reports):
            for report in box.words:
                self.placements.reported(end.number, report)
                self.feed(ReportReceived(end.number, report))
            end.say(Okay())
        elif isinstance(box, Okay):
            peering.speaker.answered(now)
        elif isinstance(box, JoinPart):
            peering.parts.append(box)
            self.feed(JoinReceived(end.number, box))
        elif isinstance(box, Leaving):
            self.feed(NodeLeft(end.number, box.keep))
            end.say(Okay())
        elif isinstance(box, Pong):
            self._probed(peering, alive=True)
        elif isinstance(box, Ending):
            self._gone(peering)

    # -- time --------------------------------------------------------------------------------------

    def _pulse(self) -> None:
        now = self.now()
        late = now.mono - self._pulsed_at - _PULSE
        self._pulsed_at = now.mono
        self.callLater(_PULSE, self._pulse)
        for peering in list(self.peerings.values()):
            if peering.gone:
                continue
            if late > _LATE:
                peering.heard_at += late
            if now.mono - peering.heard_at >= _SILENCE or (
                late <= _LATE and peering.speaker.overdue(now.mono)
            ):
                self.note("silent", peering.end.number)
                self._close(peering)
            elif peering.joined and now.mono - peering.speaker.said_at >= _IDLE:
                self._say_nothing(peering)
        if not self._round_wanted:
            self.placements.check_left(rows_of(self.cluster), self.truth.copies)

    def _say_nothing(self, peering: Peering) -> None:
        now = self.now()
        if peering.speaker.free:
            peering.speaker.add(Dispatch())
            peering.speaker.flush(now)

    def _want_round(self) -> None:
        if not self._round_wanted:
            self._round_wanted = True
            self.callLater(0, self._round)

    def _round(self) -> None:
        self._round_wanted = False
        before = rows_of(self.cluster)
        self.note("event", "RoundDue")
        actions = self.cluster.handle(RoundDue(), self.now())
        self.ground.counts["rounds"] += 1
        self.ground.counts["placed"] += self.placements.check(before, actions)
        self.placements.check_left(rows_of(self.cluster), self.truth.copies)
        self._do(actions)

    def _arm(self) -> None:
        seconds = self.cluster.wake(self.now())
        if seconds is not None:
            self._sleep.until(self, seconds, self._tick)

    def _tick(self) -> None:
        self._do(self.cluster.handle(Ticked(), self.now()))
