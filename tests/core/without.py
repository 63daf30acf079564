"""
The parts of a stage without a rule, a constant for each; the scenes show that each is needed.
"""

from __future__ import annotations

from typing import Final

import attrs

from jobcluster.core.actions import NodeAction, Persist, StartRuns
from jobcluster.core.balance import BalanceMeter
from jobcluster.core.books import Books
from jobcluster.core.cluster import Cluster, ClusterSettings
from jobcluster.core.events import (
    JoinAccepted,
    JoinReceived,
    KeeperReplaced,
    NodeEvent,
    ReportAnswered,
    ReportReceived,
)
from jobcluster.core.executions import Execution
from jobcluster.core.executor import Executor
from jobcluster.core.jobs import OriginJob
from jobcluster.core.ledger import Entry, Holding, OwnerBook, Stage, Waiting
from jobcluster.core.lives import Lives
from jobcluster.core.losses import Losses
from jobcluster.core.node import Node, NodeSettings
from jobcluster.core.nodes import NodeRecord
from jobcluster.core.origin import Origin
from jobcluster.core.out import Out
from jobcluster.core.policy import EqualCounts
from jobcluster.core.records import Change, DeadlinesSet, Identity, Recovered
from jobcluster.core.rounds import Rounds
from jobcluster.core.values import Adopted, Now, Offer
from jobcluster.core.window import Window
from jobcluster.core.words import Bind, Offered, Question
from tests.core.actor import Parts
from tests.core.faults_of_ours import BentNode, BentOrigin, with_node
from tests.core.rig.shapes import Kit

__all__ = [
    "ADOPTION",
    "ANSWERS",
    "BACKUPS",
    "CANCELLING_IS_A_STATE",
    "DEAD_KEEPERS",
    "DENIED_IS_DEAD",
    "GIVING_BACK",
    "GONE",
    "HOLDERS_BLOCK",
    "JOBS_COUNT_AS_PUT",
    "LEASE_FROM_READING",
    "LEASE_LOOKED_AT_EARLY",
    "LONG_LEASE",
    "OLD_INTENTS",
    "QUESTIONS",
    "REPLACEMENT",
    "SHORT_INTENTS",
    "SUSPICION",
    "TAKING_BACK",
    "WHAT_WAS_HELD_BACK",
]

_WEEK: Final = 7 * 86_400.0


# -- the balancer ----------------------------------------------------------------------------------


class _LongLease(ClusterSettings):
    @property
    def lease(self) -> float:
        return self.grace + 2.0


class _BentCluster(Cluster):
    books_made: type[Books] = Books

    def __init__(self, settings: ClusterSettings, balancer: str, now: Now) -> None:
        super().__init__(settings, balancer, now)
        policy = EqualCounts(unlimited=settings.periodic)
        self._books = self.books_made(policy, BalanceMeter(0.0))
        self._rounds = Rounds(settings, self._books)


class _FreeBooks(Books):
    def _blocks(self, holding: Holding) -> bool:
        return False


class _HoldersDoNotBlock(_BentCluster):
    books_made = _FreeBooks


class _MuteBooks(Books):
    def ask(self, entry: Entry, question: Question) -> None:
        self.settle(entry)


class _AnswersNothing(_BentCluster):
    books_made = _MuteBooks


class _HearsNoQuestions(Cluster):
    def _join(self, event: JoinReceived) -> None:
        super()._join(attrs.evolve(event, part=attrs.evolve(event.part, questions=())))


class _Trusting(Books):
    def missing(self, holding: Holding, *, forgotten: bool) -> None:
        del forgotten
        super().missing(holding, forgotten=False)

    def _is_gone(self, question: Question) -> bool | None:
        node = self.nodes.get(question.node)
        if node is not None and node.store == question.memory.partition("~")[0]:
            question = question._replace(memory=node.memory)
        return super()._is_gone(question)


class _BelievesBackups(_BentCluster):
    books_made = _Trusting


class _LongMemory(Books):
    """Books that know what was reserved for whom, long after that was denied."""

    def __init__(self, policy: EqualCounts, meter: BalanceMeter) -> None:
        super().__init__(policy, meter)
        self._reserved: dict[tuple[int, int, int], tuple[Waiting, str]] = {}

    def place(self, waiting: Waiting, node: NodeRecord) -> None:
        super().place(waiting, node)
        row = waiting.row
        self._reserved[row.job, row.incarnation, row.serial] = (waiting, node.name)

    def revive(self, book: OwnerBook, row: Bind) -> None:
        found = self._reserved.get((row.job, row.incarnation, row.serial))
        if found is not None and self.holding(book.owner, row.job, row.offer) is None:
            waiting, name = found
            holding = Holding(book.entry(row.job), row.offer, name, "", Stage.GIVEN)
            self._attach(holding, self.nodes[name])
            self.start(holding, waiting.row)


class _RevivesTheDead(Cluster):
    def __init__(self, settings: ClusterSettings, balancer: str, now: Now) -> None:
        super().__init__(settings, balancer, now)
        self._long = _LongMemory(EqualCounts(unlimited=False), BalanceMeter(0.0))
        self._books = self._long
        self._rounds = Rounds(settings, self._books)

    def _report(self, event: ReportReceived) -> None:
        node = self._peers.get(event.connection)
        if node is not None:
            for row in event.report.bound:
                self._long.revive(self._long.book((node.name, node.store)), row)
        super()._report(event)


# -- the node --------------------------------------------------------------------------------------


class _RenewsAtReading(Node):
    def _report_answered(self, event: ReportAnswered, out: Out, now: Now) -> None:
        super()._report_answered(attrs.evolve(event, sent=now.boot), out, now)


class _LooksEarly(Node):
    """The lease is looked at when a start is decided; whoever carries it out does not ask again."""

    def handle(self, event: NodeEvent, now: Now) -> list[NodeAction]:
        actions = super().handle(event, now)
        if now.boot > self._link.lease_until:
            return actions
        return [
            StartRuns(tuple(run._replace(adopted=True) for run in action.runs))
            if isinstance(action, StartRuns)
            else action
            for action in actions
        ]


class _ForgetsWhatWasHeldBack(Node):
    def _accepted(self, event: JoinAccepted, out: Out, now: Now) -> None:
        self._held_back.clear()
        super()._accepted(event, out, now)


class _WritesNoShortIntent(Node):
    def handle(self, event: NodeEvent, now: Now) -> list[NodeAction]:
        return [
            Persist(tuple(change for change in action.changes if not _is_short(change)))
            if isinstance(action, Persist)
            else action
            for action in super().handle(event, now)
        ]


def _is_short(change: Change) -> bool:
    if not isinstance(change, DeadlinesSet):
        return False
    return all(row.ends - row.started <= 1000 for row in change.deadlines)


class _NeverPut(Origin):
    def __init__(self, identity: Identity, recovered: Recovered, limit: int) -> None:
        super().__init__(identity, recovered, limit)
        self._old_jobs = 0


class _ForgetsWhatWasPut(BentNode):
    originates = _NeverPut


class _OnlyWrites(Origin):
    def _cancel(self, id_: int, out: Out, now: Now) -> str:
        out.cancelling(id_)
        return "cancelling"


class _WishesAreNoState(BentNode):
    originates = _OnlyWrites


class _Ages(Executor):
    def tick(self, out: Out, now: Now) -> None:
        for execution in self.retelling.due(now):
            outcome = execution.outcome
            if outcome is not None and now.wall - outcome.ended / 1000 > _WEEK:
                self._gone(execution, out)
        super().tick(out, now)


class _ForgetsOldIntents(BentNode):
    executes = _Ages


class _Quiet(Executor):
    def _gone(self, execution: Execution, out: Out) -> None:
        self._forget(execution, out)


class _NeverSaysGone(BentNode):
    executes = _Quiet


class _KeepsWhatWaits(Executor):
    def give_back(self, out: Out) -> None:
        if self.stopping:
            super().give_back(out)


class _StartsWhatWaited(BentNode):
    executes = _KeepsWhatWaits


class _KnowsOneKeeper(Node):
    def _keeper_replaced(self, event: KeeperReplaced, out: Out, now: Now) -> None:
        """It is the keeper that is meant, whoever that is."""


class _AdoptsNothing(Node):
    def __init__(
        self,
        identity: Identity,
        recovered: Recovered,
        settings: NodeSettings,
        keeper: str,
        adopted: tuple[Adopted, ...],
        now: Now,
    ) -> None:
        super().__init__(identity, recovered, settings, keeper, (), now)


class _Unforgiving(Losses):
    def returned(self, job: OriginJob, offer: Offer, keeper: str, out: Out) -> None:
        """Whatever was counted stays so."""


class _Forgiving(Losses):
    def returned(self, job: OriginJob, offer: Offer, keeper: str, out: Out) -> None:
        attempt = job.attempts[offer]
        if attempt.counted and keeper and attempt.keeper == keeper:
            job.attempts[offer] = attempt = attempt._replace(counted=False)
            out.attempt(attempt)


class _NeverForgives(Lives):
    def __init__(self, identity: Identity, window: Window) -> None:
        super().__init__(identity, window)
        self.losses = _Unforgiving()


class _ForgivesAll(Lives):
    def __init__(self, identity: Identity, window: Window) -> None:
        super().__init__(identity, window)
        self.losses = _Forgiving()


class _SuspectsNobody(Lives):
    def make_offer(self, job: OriginJob) -> Offered:
        return super().make_offer(job)._replace(suspect=False)


def _with_lives(lives: type[Lives]) -> Kit:
    class Bent(BentOrigin):
        makes = lives

    class Core(BentNode):
        originates = Bent

    return with_node(Core)


LONG_LEASE: Final = Parts(settings=_LongLease())
"""Scene 1: the lease is longer than the grace time."""
LEASE_FROM_READING: Final = Parts(node=_RenewsAtReading)
"""Scene 2: the lease counts from the reading of an answer."""
LEASE_LOOKED_AT_EARLY: Final = Parts(node=_LooksEarly)
"""Scene 3: nobody looks at the lease after the commit."""
HOLDERS_BLOCK: Final = Parts(cluster=_HoldersDoNotBlock)
"""Scene 4: a joined holder blocks nothing."""
DENIED_IS_DEAD: Final = Parts(cluster=_RevivesTheDead)
"""Scene 7: what was denied is started when it is bound."""
QUESTIONS: Final = Parts(cluster=_HearsNoQuestions)
"""Scene 8: there are no questions in a join."""
CANCELLING_IS_A_STATE: Final = Parts(node=_WishesAreNoState)
"""Scene 9: a wish is written down, and that is all."""
ANSWERS: Final = Parts(cluster=_AnswersNothing)
"""Scene 10: what is withdrawn is not placed, and nobody says so."""
BACKUPS: Final = Parts(cluster=_BelievesBackups)
"""A node that was restored from a backup may deny what it was given since."""
JOBS_COUNT_AS_PUT: Final = Parts(node=_ForgetsWhatWasPut)
"""Scene 11: what was put before a balancer is known in memory only."""
SHORT_INTENTS: Final = Parts(node=_WritesNoShortIntent)
"""Scene 12: only sleeps of more than a second have a row."""
WHAT_WAS_HELD_BACK: Final = Parts(node=_ForgetsWhatWasHeldBack)
"""Scene 13: what happens between an inventory and its acceptance is never said."""
OLD_INTENTS: Final = Parts(node=_ForgetsOldIntents)
"""Scene 14: whatever has ended is forgotten after a week."""
GONE: Final = Parts(node=_NeverSaysGone)
"""Scene 16: what was dropped is not said to be gone."""

# -- of the rig, for the scenes with keepers -------------------------------------------------------

GIVING_BACK: Final = with_node(_StartsWhatWaited)
"""What waits when the lease is over is started when there is a new one."""
REPLACEMENT: Final = with_node(_KnowsOneKeeper)
"""A node does not say that it has another keeper."""
ADOPTION: Final = with_node(_AdoptsNothing)
"""What an earlier process of a node has started is not taken up."""
TAKING_BACK: Final = _with_lives(_NeverForgives)
"""A count is not taken back when the keeper returns that ran the job."""
DEAD_KEEPERS: Final = _with_lives(_ForgivesAll)
"""A count is taken back when a keeper tells how one before it died."""
SUSPICION: Final = _with_lives(_SuspectsNobody)
"""A node is given any number of jobs with two counts."""
