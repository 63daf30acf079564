"""
A stage for the scenes: the real cores, a clock that is set by hand, words that wait to be read.

Nothing happens here by chance.  Unless it is held up, what is said is read at once, in order; who
is frozen reads nothing; and a round of placement follows whatever the balancer reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.actions import Accept, CloseConnection, Refuse, SendDispatch, WantRound
from jobcluster.core.cluster import Cluster
from jobcluster.core.events import (
    BalancerEvent,
    ConnectionEnded,
    DispatchReceived,
    JoinAccepted,
    JoinReceived,
    JoinRefused,
    ReportAnswered,
    ReportReceived,
    RoundDue,
    Ticked,
)
from jobcluster.core.words import Dispatch, JoinPart, Report
from tests.core.actor import Actor, Okay, Parts, Scenery, Wire

__all__ = ["PromiseBrokenError", "Scene", "Stage"]

_TICK: Final = 0.25


class PromiseBrokenError(Exception):
    """What a scene must not come to."""


class Stage(Scenery):
    """
    A balancer and some nodes.
    """

    def __init__(self, parts: Parts, nodes: Mapping[str, int]) -> None:
        """
        Start the balancer.

        @param nodes: how many slots each has; they are there when they are started.
        """
        super().__init__(parts)
        self._wires: list[Wire] = []
        self._flowing = False
        self.cluster = self._new_cluster()
        self.actors = {name: Actor(self, name, slots) for name, slots in nodes.items()}

    def _new_cluster(self) -> Cluster:
        return self.parts.cluster(self.parts.settings, f"balancer-{self.seconds}", self.now)

    def start(self, *names: str) -> None:
        """
        Start these nodes, and wait until the balancer has been listening for long enough.
        """
        for name in names:
            self.actors[name].start()
        self.wait(self.parts.settings.grace + 1.0)

    def wait(self, seconds: float) -> None:
        """
        Let time pass; everybody is heard of again and again, but for the frozen.
        """
        for _ in range(round(seconds / _TICK)):
            self.seconds += _TICK
            self._feed(Ticked())
            for actor in self.actors.values():
                actor.beat()
            self.flow()

    # -- connections -------------------------------------------------------------------------------

    def new_wire(self, actor: Actor) -> Wire:
        """
        See L{Scenery.new_wire}.
        """
        self._wires.append(Wire(actor, len(self._wires) + 1))
        return self._wires[-1]

    def hang_up(self, wire: Wire) -> None:
        """
        See L{Scenery.hang_up}.
        """
        if wire.read_by_balancer:
            wire.read_by_balancer = False
            self._feed(ConnectionEnded(wire.number))
            self.flow()

    def restart_balancer(self) -> None:
        """
        Kill the balancer and start another; nobody is connected to it, who is not frozen knows.
        """
        for wire in self._wires:
            wire.read_by_balancer = False
        self.cluster = self._new_cluster()
        for actor in self.actors.values():
            if actor.wire is not None and not actor.frozen:
                actor.give_up()

    def flow(self) -> None:
        """
        See L{Scenery.flow}.
        """
        if self._flowing:
            return
        self._flowing = True
        while any(list(map(self._read_one, self._wires))):
            pass
        self._flowing = False

    def deliver(self, wire: Wire) -> None:
        """
        Let the balancer read one thing more on a connection that is held up, and see what follows.
        """
        self._read_up(wire, *wire.up.popleft())
        self.flow()

    def _read_one(self, wire: Wire) -> bool:
        actor = wire.actor
        if wire.up and wire.read_by_balancer and not wire.up_held:
            self._read_up(wire, *wire.up.popleft())
        elif wire.down and actor.wire is wire and not wire.down_held and not actor.frozen:
            self._read_down(wire, wire.down.popleft())
        else:
            return False
        return True

    def _read_up(self, wire: Wire, box: JoinPart | Report, sent: float) -> None:
        if isinstance(box, Report):
            self._feed(ReportReceived(wire.number, box))
            wire.down.append(Okay(sent))
        else:
            self._feed(JoinReceived(wire.number, box))

    def _read_down(self, wire: Wire, box: Dispatch | Accept | Refuse | Okay | None) -> None:
        feed, number = wire.actor.feed, wire.number
        if box is None:
            wire.actor.give_up()
            wire.actor.connect()
        elif isinstance(box, Accept):
            feed(JoinAccepted(number, box.serial, wire.joined_at, box.terms))
        elif isinstance(box, Refuse):
            feed(JoinRefused(number, box.serial, box.reason, box.superseded))
        elif isinstance(box, Okay):
            feed(ReportAnswered(number, box.sent))
        else:
            feed(DispatchReceived(number, box))

    def _feed(self, event: BalancerEvent) -> None:
        wanted = False
        for action in self.cluster.handle(event, self.now):
            if isinstance(action, SendDispatch):
                self._wires[action.connection - 1].down.append(action.dispatch)
            elif isinstance(action, (Accept, Refuse)):
                self._wires[action.connection - 1].down.append(action)
            elif isinstance(action, CloseConnection):
                self._wires[action.connection - 1].read_by_balancer = False
                self._wires[action.connection - 1].down.append(None)
            wanted = wanted or isinstance(action, WantRound)
        if wanted:
            self._feed(RoundDue())

    # -- what is promised --------------------------------------------------------------------------

    def started(self, job: int) -> list[str]:
        """
        Where a job was started, each time.
        """
        return [name for started, name in self.starts if started == job]

    def promise(self, origin: str, job: int, status: str, starts: int, within: float) -> None:
        """
        A job reaches this outcome in time, after so many starts, and no slot stays taken.
        """
        actor = self.actors[origin]
        until = self.seconds + within
        while actor.outcome(job) is None and self.seconds < until:
            self.wait(_TICK)
        outcome = actor.outcome(job)
        if outcome is None:
            raise PromiseBrokenError("there is no outcome")
        self.wait(2.0)
        if len(self.started(job)) != starts:
            raise PromiseBrokenError(f"it was started at {self.started(job)}")
        if outcome.status != status:
            raise PromiseBrokenError(f"it is {outcome.status}")
        for node in self.cluster.books().nodes.values():
            if any(ref[0] == origin for ref in node.holdings):
                raise PromiseBrokenError(f"a slot of {node.name} is not freed")


class Scene(SynchronousTestCase):
    """
    What is common to all scenes.
    """

    def stage(self, parts: Parts, *names: str) -> Stage:
        """
        A stage with an origin that runs nothing, and two executors; only those named are there.
        """
        stage = Stage(parts, {"a": 0, "e": 1, "f": 1})
        stage.start(*names)
        return stage

    def check(self, scene: Callable[[Parts], None], without: Parts, fails: str) -> None:
        """
        A scene keeps its promise, but for the parts without its rule, which break it like this.
        """
        scene(Parts())
        error = self.assertRaises(PromiseBrokenError, scene, without)
        self.assertEqual(fails, str(error))
