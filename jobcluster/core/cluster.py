"""
The balancer without sockets.

It hears nodes join, report and fall silent, keeps the L{books<jobcluster.core.books.Books>}, and
makes a round of placement when something has changed.
It keeps nothing on disk: what it knows is what the nodes told it when they joined.
"""

from __future__ import annotations

from typing import Final

import attrs

from jobcluster.core.actions import (
    Accept,
    BalancerAction,
    CloseConnection,
    Note,
    Probe,
    Refuse,
    WantRound,
)
from jobcluster.core.balance import BalanceMeter
from jobcluster.core.books import Books
from jobcluster.core.events import (
    BalancerEvent,
    ConnectionEnded,
    JoinReceived,
    NodeLeft,
    PeerProbed,
    ReportReceived,
    RoundDue,
)
from jobcluster.core.joining import Joining, JoinsUnderWay, Verdict, judge
from jobcluster.core.ledger import Stage
from jobcluster.core.nodes import Effect, NodeRecord
from jobcluster.core.observed import PERIOD, ObservedTime
from jobcluster.core.policy import EqualCounts
from jobcluster.core.reports import offered, take_report, withdrawn
from jobcluster.core.rounds import Rounds
from jobcluster.core.showing import show_cluster
from jobcluster.core.values import Cause, Now, Terms
from jobcluster.core.views import ClusterView
from jobcluster.core.words import JoinPart

__all__ = ["LONG_GRACE", "Cluster", "ClusterSettings"]

LONG_GRACE: Final = 60.0
"""Seconds a node may be away that said it would come back (part 3: after a C{Leave})."""

_REFUSALS_SHOWN: Final = 20


@attrs.frozen
class ClusterSettings:
    """What the balancer is told when it is started; times in seconds."""

    grace: float = 3.0
    """How long a node whose connection ended may take to join again."""
    periodic: bool = False
    """Whether jobs move only every C{dispatch_period}: the original's behaviour."""
    dispatch_period: float = 5.0
    max_jobs_dispatch: int = 30
    retell: float = 3.0
    """Outcomes that were not acknowledged are told again this often."""
    max_nodes: int = 10
    window: int = 4000
    """The most offers of one set of requirements that an origin may have waiting here."""

    @property
    def lease(self) -> float:
        """How long a node may start offers after the sending of an answered report."""
        return self.grace - 0.5


class Cluster:
    """
    The balancer's core: L{handle} takes events and answers with actions.
    """

    def __init__(self, settings: ClusterSettings, balancer: str, now: Now) -> None:
        """
        A balancer that has just begun to listen.

        @param balancer: a random id of this process.
        """
        self._settings = settings
        self._terms = Terms(
            balancer, settings.grace, settings.lease, settings.retell, settings.window
        )
        self._time = ObservedTime(now.mono)
        self._books = Books(EqualCounts(unlimited=settings.periodic), BalanceMeter(0.0))
        self._rounds = Rounds(settings, self._books)
        self._joins: dict[int, Joining] = {}
        self._under_way = JoinsUnderWay()
        self._peers: dict[int, NodeRecord] = {}
        self._away: dict[str, NodeRecord] = {}
        """The nodes that have their grace time to come back."""
        self._refused: dict[str, str] = {}
        self._out: list[BalancerAction] = []

    # -- the interface -----------------------------------------------------------------------------

    def handle(self, event: BalancerEvent, now: Now) -> list[BalancerAction]:
        """
        Take in what happened, and say what is to be done.
        """
        self._books.seconds = self._time.advance(now.mono)
        self._look_at_the_time()
        if isinstance(event, ReportReceived):
            self._report(event)
        elif isinstance(event, RoundDue):
            self._rounds.make()
        elif isinstance(event, JoinReceived):
            self._join(event)
        elif isinstance(event, ConnectionEnded):
            self._connection_ended(event.connection)
        elif isinstance(event, PeerProbed):
            self._probed(event)
        elif isinstance(event, NodeLeft):
            self._left(event)
        return self._take(wanted=not isinstance(event, RoundDue))

    def wake(self, now: Now) -> float:
        """
        In how many seconds it wants to be given a L{Ticked}.

        That is soon even when nothing is due: an observer must not seem to have stood still.
        """
        seconds = self._books.seconds + max(0.0, now.mono - self._time.last)
        due = [node.away_until for node in self._away.values()]
        if self._books.blocked:
            due.append(self._unblocked_at())
        if self._settings.periodic:
            due.append(self._rounds.next_due)
        return min(PERIOD, *(max(0.0, when - seconds) for when in due)) if due else PERIOD

    def connection_of(self, name: str) -> int | None:
        """
        The connection of a joined node, or C{None}.
        """
        node = self._books.nodes.get(name)
        return None if node is None else node.connection

    def name_of(self, connection: int) -> str:
        """
        The node at the other end of a connection; empty if none has joined over it.
        """
        node = self._peers.get(connection)
        return "" if node is None else node.name

    def books(self) -> Books:
        """
        What is known, for tests and for the figures; not to be changed.
        """
        return self._books

    def capacity(self, node: NodeRecord) -> int | None:
        """
        The most that a node may be given; C{None} for no limit.
        """
        return self._books.policy.capacity(node)

    def view(self, now: Now) -> ClusterView:
        """
        The cluster as a person may see it.
        """
        self._books.seconds = self._time.advance(now.mono)
        mode = "periodic" if self._settings.periodic else "eager"
        return show_cluster(self._books, self._refused, mode)

    # -- time --------------------------------------------------------------------------------------

    def _look_at_the_time(self) -> None:
        seconds = self._books.seconds
        for node in list(self._away.values()):
            if node.away_until <= seconds:
                del self._away[node.name]
                self._apply(node, node.presence.overdue(), Cause.NODE_LOST)
        blocked = self._unblocked_at() > seconds
        if blocked != self._books.blocked:
            self._books.blocked = blocked
        if not blocked and self._books.asked:
            self._books.review_questions()
        self._rounds.look_at_the_time()

    def _unblocked_at(self) -> float:
        """When nobody can hold any more what nobody has spoken of (rule 3)."""
        return max(self._settings.grace, self._under_way.until(self._books.seconds) or 0.0)

    def _take(self, *, wanted: bool) -> list[BalancerAction]:
        actions, self._out = self._out, []
        actions.extend(self._books.letters.take())
        self._books.refresh()
        if wanted and self._rounds.wanted():
            actions.append(WantRound())
        return actions

    # -- joining -----------------------------------------------------------------------------------

    def _join(self, event: JoinReceived) -> None:
        connection, part = event.connection, event.part
        joining = self._joins.get(connection)
        if joining is None:
            if part.part or connection in self._peers:
                self._close(connection, "a join out of order")
                return
            if not self._admit(connection, part):
                return
            joining = self._joins[connection]
        if not joining.add(part):
            self._close(connection, "a join out of order")
        elif joining.complete and joining.probing is None:
            self._complete(connection, joining)

    def _admit(self, connection: int, part: JoinPart) -> bool:
        """Look at the first part of a join."""
        verdict = self._judge(part)
        if verdict is Verdict.PROBE or verdict is Verdict.WELCOME:
            joining = self._joins[connection] = Joining(part)
            self._under_way.begun(part.name, self._books.seconds)
            older = self.connection_of(part.name)
            if older is not None and verdict is Verdict.PROBE:
                joining.probing = older
                self._out.append(Probe(older))
            elif older is not None:
                self._close(older, "the node has connected anew")
            return True
        self._refuse(connection, part, verdict)
        return False

    def _judge(self, part: JoinPart) -> Verdict:
        nodes = self._books.nodes
        full = sum(node.seated for node in nodes.values()) >= self._settings.max_nodes
        return judge(nodes.get(part.name), part, full=full)

    def _refuse(self, connection: int, part: JoinPart, verdict: Verdict) -> None:
        reason = verdict.value.format(name=part.name)
        self._joins.pop(connection, None)
        self._under_way.ended(part.name)
        superseded = verdict is Verdict.SUPERSEDED
        self._out.append(Refuse(connection, part.serial, reason, superseded))
        if self._refused.get(part.name) != reason:
            # It tries again and again; once is enough to read.
            self._out.append(Note("warn", "refused a node", {"node": part.name, "reason": reason}))
        if verdict is not Verdict.OLD:
            self._refused.pop(part.name, None)
            self._refused[part.name] = reason
            while len(self._refused) > _REFUSALS_SHOWN:
                del self._refused[next(iter(self._refused))]

    def _probed(self, event: PeerProbed) -> None:
        """The older connection of a node that joins anew has answered, or has not."""
        for connection, joining in list(self._joins.items()):
            if joining.probing != event.connection:
                continue
            if event.alive:
                self._refuse(connection, joining.first, Verdict.CLONE)
                continue
            joining.probing = None
            if event.connection in self._peers:
                self._close(event.connection, "the node was started anew")
            if joining.complete:
                self._complete(connection, joining)

    def _complete(self, connection: int, joining: Joining) -> None:
        """All parts are there: look again whether it may join, and believe it."""
        part = joining.first
        verdict = self._judge(part)
        if verdict is not Verdict.WELCOME:
            if verdict is Verdict.PROBE:
                verdict = Verdict.CLONE
            self._refuse(connection, part, verdict)
            return
        del self._joins[connection]
        older = self.connection_of(part.name)
        if older is not None:
            self._close(older, "the node has connected anew")
        self._under_way.ended(part.name)
        self._refused.pop(part.name, None)
        self._out.append(Accept(connection, part.serial, self._terms))
        self._welcome(connection, joining)

    def _welcome(self, connection: int, joining: Joining) -> None:
        books, part = self._books, joining.first
        node = books.nodes.get(part.name)
        if node is None:
            node = books.nodes[part.name] = NodeRecord(part.name)
        before = node.memory
        node.take(part, connection)
        node.presence.accepted()
        self._away.pop(node.name, None)
        self._peers[connection] = node
        self._believe(node, joining, forgotten=node.memory != before)
        book = books.book((part.name, part.store))
        book.connection = connection
        for entry in list(book.entries.values()):
            for holding in entry.holdings:
                holding.told = False
                books.tell_held(holding)
        offered(books, book, joining.offered)
        withdrawn(books, book, joining.questions)
        books.changed(node)
        note = {"node": node.name, "slots": node.slots, "holds": len(node.holdings)}
        self._out.append(Note("info", "a node joined", note))

    def _believe(self, node: NodeRecord, joining: Joining, *, forgotten: bool) -> None:
        """Only now is the inventory complete: what is not in it is denied."""
        books = self._books
        held = {row.ref for row in joining.inventory}
        for ref, holding in list(node.holdings.items()):
            if ref not in held:
                books.missing(holding, forgotten=forgotten)
        for row in joining.inventory:
            books.believe(node, row)
        for holding in list(node.holdings.values()):
            books.tell_held(holding)
        for row in joining.inventory:
            books.settle(node.holdings[row.ref].entry)

    # -- what nodes say and do ---------------------------------------------------------------------

    def _report(self, event: ReportReceived) -> None:
        node = self._peers.get(event.connection)
        if node is None:
            self._books.old_news += 1
        else:
            take_report(self._books, node, event.report)

    def _left(self, event: NodeLeft) -> None:
        node = self._peers.get(event.connection)
        if node is None:
            return
        node.stopping = True
        if event.keep:
            node.presence.paused()
        else:
            node.presence.retired()
        self._books.changed(node)
        self._out.append(Note("info", "a node leaves", {"node": node.name, "keep": event.keep}))

    def _close(self, connection: int, reason: str) -> None:
        self._out.append(CloseConnection(connection, reason))
        self._connection_ended(connection)

    def _connection_ended(self, connection: int) -> None:
        self._joins.pop(connection, None)
        node = self._peers.pop(connection, None)
        if node is None:
            return
        books = self._books
        node.connection = None
        self._part(node)
        for holding in list(node.holdings.values()):
            if holding.stage is Stage.RESERVED:
                books.deny(holding)
        books.changed(node)
        self._apply(node, node.presence.ended(), Cause.NODE_STOPPED)
        self._out.append(Note("info", "a node's connection ended", {"node": node.name}))

    def _part(self, node: NodeRecord) -> None:
        """An origin is away: what waits leaves with it, what runs goes on."""
        books = self._books
        book = books.owners.get((node.name, node.store))
        if book is None:
            return
        book.connection = None
        for entry in list(book.entries.values()):
            if entry.waiting is not None:
                if entry.waiting.queued:
                    books.ready.remove(entry.waiting)
                entry.waiting = None
            books.forget_question(entry)
            for holding in list(entry.holdings):
                holding.told = False
                if holding.stage is Stage.RESERVED:
                    books.detach(holding)
            books.settle(entry)
        books.ready.forget(node.name)

    def _apply(self, node: NodeRecord, effects: tuple[Effect, ...], cause: str) -> None:
        for effect in effects:
            if effect is Effect.LOSE:
                for holding in list(node.holdings.values()):
                    self._books.lose(holding, cause)
                self._out.append(Note("warn", "a node is gone", {"node": node.name}))
            else:
                long = effect is Effect.AWAIT_LONG
                grace = LONG_GRACE if long else self._settings.grace
                node.away_until = self._books.seconds + grace
                self._away[node.name] = node
