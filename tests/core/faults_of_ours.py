"""
Cores with one rule taken out: what the checker of the rig, and the scenes, must find.

Each is the real core but for one method; C{KITS} has those that the rig is to be built with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from jobcluster.core.actions import NodeAction, Outcomes, Persist, Run
from jobcluster.core.cluster import Cluster, ClusterSettings
from jobcluster.core.endings import Endings
from jobcluster.core.events import JoinReceived, NodeEvent
from jobcluster.core.executor import Executor
from jobcluster.core.jobs import Occasion, OriginJob
from jobcluster.core.joining import Verdict
from jobcluster.core.lives import Lives
from jobcluster.core.node import Node, NodeSettings
from jobcluster.core.origin import Origin
from jobcluster.core.out import Out
from jobcluster.core.records import EndedJob, Identity, Recovered
from jobcluster.core.turns import Turns
from jobcluster.core.values import Adopted, Held, Now, Offer, RunState
from jobcluster.core.views import JobView
from jobcluster.core.words import Ended, JoinPart, Offered
from jobcluster.testing import FakeKeeper, FakeRunner
from jobcluster.testing.connections import KeeperConnection
from tests.core.rig.balancer import BalancerProcess
from tests.core.rig.node import NodeProcess
from tests.core.rig.shapes import Kit

__all__ = [
    "KITS",
    "AcknowledgesEarly",
    "AnyJoin",
    "BentNode",
    "BentOrigin",
    "BlindToSome",
    "ForgetsWishes",
    "HidesHanded",
    "LosesWishes",
    "NoGrace",
    "ObeysAnyone",
    "OffersTwice",
    "RecordsEarly",
    "SecondOutcome",
    "SeesTheLastPart",
    "SpeaksFirst",
    "StartsLate",
    "with_node",
]

_WINDOW: Final = 4000


# -- the balancer ----------------------------------------------------------------------------------


class NoGrace(Cluster):
    """A node whose connection ended is lost at once."""

    def __init__(self, settings: ClusterSettings, balancer: str, now: Now) -> None:
        """Tell the nodes of a grace time, and have none."""
        super().__init__(settings, balancer, now)
        self._settings = attrs.evolve(settings, grace=0.0)


class AnyJoin(Cluster):
    """Neither incarnations nor the serials of joins are compared."""

    def _judge(self, part: JoinPart) -> Verdict:
        verdict = super()._judge(part)
        compared = (Verdict.SUPERSEDED, Verdict.OLD, Verdict.PROBE)
        return Verdict.WELCOME if verdict in compared else verdict


class BlindToSome(Cluster):
    """What is not in the parts of an inventory that have come by now is denied."""

    def _join(self, event: JoinReceived) -> None:
        super()._join(event)
        joining = self._joins.get(event.connection)
        node = self._books.nodes.get(event.part.name)
        if joining is not None and node is not None and node.store == event.part.store:
            held = {row.ref for row in joining.inventory}
            for ref, holding in list(node.holdings.items()):
                if ref not in held:
                    self._books.missing(holding, forgotten=False)


class SeesTheLastPart(Cluster):
    """Of an inventory in parts, the last part is taken for all of it."""

    def _join(self, event: JoinReceived) -> None:
        joining = self._joins.get(event.connection)
        if joining is not None:
            joining.inventory.clear()
        super()._join(event)


# -- the node --------------------------------------------------------------------------------------


class BentOrigin(Origin):
    """An origin made of other parts."""

    makes: type[Lives] = Lives
    hears: type[Endings] = Endings

    def __init__(self, identity: Identity, recovered: Recovered, limit: int) -> None:
        """Take up what the store knows."""
        super().__init__(identity, recovered, limit)
        self.lives = self.makes(identity, self.window)
        self.jobs = self.lives.jobs
        self._turns = Turns(self.jobs, self.lives.reads)
        self.endings = self.hears(identity.name, self.lives, self._turns, self._held)
        for row in recovered.questions:
            self.lives.remember(row, put=True)


class BentNode(Node):
    """A node made of other parts."""

    originates: type[Origin] = Origin
    executes: type[Executor] = Executor

    def __init__(
        self,
        identity: Identity,
        recovered: Recovered,
        settings: NodeSettings,
        keeper: str,
        adopted: tuple[Adopted, ...],
        now: Now,
    ) -> None:
        """Put the other parts in."""
        super().__init__(identity, recovered, settings, keeper, adopted, now)
        self._origin = self.originates(identity, recovered, _WINDOW)
        self._executor = self.executes(identity, settings.slots, self._origin)
        self._executor.draining = recovered.draining


class SpeaksFirst(Node):
    """What follows a commit does not wait for it."""

    def handle(self, event: NodeEvent, now: Now) -> list[NodeAction]:
        """Put what is to be committed last."""
        actions = super().handle(event, now)
        return sorted(actions, key=lambda action: isinstance(action, Persist))


class _SameOffer(Lives):
    """A job has one offer, however often it is put before the balancer."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._firsts: dict[int, Offer] = {}

    def make_offer(self, job: OriginJob) -> Offered:
        """Give the offer out that was given out before."""
        offered = super().make_offer(job)
        job.offer = self._firsts.setdefault(job.row.id, offered.offer)
        return offered._replace(incarnation=job.offer[0], serial=job.offer[1])


class _SameOffers(BentOrigin):
    makes = _SameOffer


class OffersTwice(BentNode):
    """The id of an offer is used again."""

    originates = _SameOffers


class _AnyOutcome(Endings):
    def _record(self, row: Ended, out: Out, now: Now) -> None:
        if row.job in self._lives.jobs:
            super()._record(row, out, now)
            return
        out.ended(EndedJob(row.job, row.outcome, 1))
        view = JobView(row.job, "", b"", "ended", 0, outcome=row.outcome)
        out.after(Outcomes((view,)))
        told = Occasion((row.incarnation, row.serial), job=row.job)
        self._lives.say("acknowledge", told, out)


class _Believing(BentOrigin):
    """An origin that takes any outcome."""

    hears = _AnyOutcome


class SecondOutcome(BentNode):
    """An outcome of a job that has one is taken for another."""

    originates = _Believing


class ForgetsWishes(Node):
    """A job that is cancelling is taken for one that waits when the node starts."""

    def __init__(
        self,
        identity: Identity,
        recovered: Recovered,
        settings: NodeSettings,
        keeper: str,
        adopted: tuple[Adopted, ...],
        now: Now,
    ) -> None:
        """Forget what was wished."""
        rows = tuple(row._replace(cancelling=False) for row in recovered.questions)
        forgetful = attrs.evolve(recovered, questions=rows)
        super().__init__(identity, forgetful, settings, keeper, adopted, now)


class LosesWishes(Node):
    """A job that is cancelling is not taken up when the node starts."""

    def __init__(
        self,
        identity: Identity,
        recovered: Recovered,
        settings: NodeSettings,
        keeper: str,
        adopted: tuple[Adopted, ...],
        now: Now,
    ) -> None:
        """Forget the jobs with their wishes."""
        rows = tuple(row for row in recovered.questions if not row.cancelling)
        forgetful = attrs.evolve(recovered, questions=rows)
        super().__init__(identity, forgetful, settings, keeper, adopted, now)


class HidesHanded(Executor):
    """What was handed over and not confirmed is not said to be held."""

    def inventory(self) -> list[Held]:
        """Leave it out."""
        return [row for row in super().inventory() if row.state != RunState.HANDED]


class _SaysNothingOfHanded(BentNode):
    executes = HidesHanded


class _AcknowledgesEarly(Endings):
    def outcomes(self, rows: Iterable[Ended], out: Out, now: Now) -> None:
        rows = list(rows)
        super().outcomes(rows, out, now)
        for row in rows:
            told = Occasion((row.incarnation, row.serial), job=row.job)
            self._lives.say("acknowledge", told, out)


class _Hasty(BentOrigin):
    """An origin that acknowledges an outcome whose output it has still to collect."""

    hears = _AcknowledgesEarly


class AcknowledgesEarly(BentNode):
    """An outcome is acknowledged when it is heard."""

    originates = _Hasty


class _TakesStopsForWishes(Endings):
    def _was_stopped(self, row: Ended) -> bool:
        return False


class _Obliging(BentOrigin):
    """An origin that records whatever was ended as cancelled."""

    hears = _TakesStopsForWishes


class _Obliges(BentNode):
    originates = _Obliging


class _RecordsEarly(Endings):
    def _must_be_collected(self, row: Ended) -> bool:
        return False


class _Careless(BentOrigin):
    """An origin that records an outcome without its output."""

    hears = _RecordsEarly


class RecordsEarly(BentNode):
    """No output is collected."""

    originates = _Careless


class ObeysAnyone(FakeKeeper):
    """A keeper that goes on reading what was said on older connections."""

    def close_older(self, connection: KeeperConnection) -> None:
        """Close none."""

    def obeys(self, connection: KeeperConnection, word: str) -> bool:
        """Obey all."""
        return True


class StartsLate(FakeKeeper):
    """A keeper that does not look at the lease."""

    def start(self, connection: KeeperConnection, run: Run, until: float) -> None:
        """Start it, whatever the time is."""
        super().start(connection, run, float("inf"))


class NoLease(FakeRunner):
    """Whoever runs jobs starts them at any time."""

    def lease(self, until: float) -> None:
        """Take it for one that never ends."""
        super().lease(float("inf"))


# -- the rig with them -----------------------------------------------------------------------------


def with_cluster(core: type[Cluster]) -> Kit:
    """
    A rig whose balancers have this core.
    """

    class Process(BalancerProcess):
        def make_core(self, settings: ClusterSettings, name: str) -> Cluster:
            return core(settings, name, self.now())

    return Kit(balancer=Process)


def with_node(core: type[Node]) -> Kit:
    """
    A rig whose nodes have this core.
    """

    class Process(NodeProcess):
        def make_core(
            self,
            identity: Identity,
            recovered: Recovered,
            keeper: str,
            adopted: tuple[Adopted, ...],
        ) -> Node:
            return core(identity, recovered, self.settings, keeper, adopted, self.now())

    return Kit(node=Process)


KITS: Final[Mapping[str, Kit]] = {
    "send before commit": with_node(SpeaksFirst),
    "no grace": with_cluster(NoGrace),
    "an offer id used twice": with_node(OffersTwice),
    "no incarnation check": with_cluster(AnyJoin),
    "a second outcome accepted": with_node(SecondOutcome),
    "an incomplete inventory believed": with_cluster(SeesTheLastPart),
    "no lease at the executor": Kit(runner=NoLease),
    "cancel forgotten at a restart": with_node(LosesWishes),
    "an old connection obeyed": Kit(keeper=ObeysAnyone),
    "no lease at the keeper": Kit(keeper=StartsLate),
    "handed over not held": with_node(_SaysNothingOfHanded),
    "output acknowledged early": with_node(AcknowledgesEarly),
    "a stop taken for a wish": with_node(_Obliges),
    "output not collected": with_node(RecordsEarly),
}
"""The rig with a fault in it."""
