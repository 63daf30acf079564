"""
The balancer's books: which offers wait, who holds which, and what follows when that changes.

Here are rules 2 to 4 of the design's part 3: when a job may be placed, when a question is answered,
and what an origin is told of the offers of its jobs.
"""

from __future__ import annotations

from jobcluster.core.balance import BalanceMeter
from jobcluster.core.ledger import Entry, Holding, OwnerBook, Stage, Waiting
from jobcluster.core.letters import Letters
from jobcluster.core.nodes import NodeRecord
from jobcluster.core.policy import EqualCounts
from jobcluster.core.ready import ReadyQueue
from jobcluster.core.values import Cause, Held, Offer, Owner
from jobcluster.core.words import (
    HeldBy,
    LostBy,
    Named,
    Nobody,
    Offered,
    Placed,
    Question,
    Start,
)

__all__ = ["Books"]


class Books:
    """
    Everything the balancer knows of jobs.
    """

    def __init__(self, policy: EqualCounts, meter: BalanceMeter) -> None:
        """
        Nothing is known, and as long as L{blocked} says so nothing is concluded from that.
        """
        self.letters = Letters()
        self.policy = policy
        self.meter = meter
        self.seconds = 0.0
        """The present, in observed seconds; set by the cluster with each event."""
        self.ready = ReadyQueue()
        self.nodes: dict[str, NodeRecord] = {}
        self.owners: dict[Owner, OwnerBook] = {}
        self.blocked = True
        """While somebody may hold what nobody has spoken of yet: rule 3."""
        self.old_news = 0
        """Words about offers that nobody knows, counted."""
        self._asked: dict[Entry, None] = {}
        self._touched: dict[str, NodeRecord] = {}
        """The nodes whose change policy and meter are to be told of; once for many changes."""

    # -- looking up --------------------------------------------------------------------------------

    def book(self, owner: Owner) -> OwnerBook:
        """
        The book of an origin, made if need be.
        """
        book = self.owners.get(owner)
        if book is None:
            book = self.owners[owner] = OwnerBook(owner)
        return book

    def holding(self, owner: Owner, job: int, offer: Offer) -> Holding | None:
        """
        Who holds this offer, or C{None}.
        """
        book = self.owners.get(owner)
        entry = book.entries.get(job) if book is not None else None
        if entry is not None:
            for holding in entry.holdings:
                if holding.offer == offer:
                    return holding
        return None

    def is_joined(self, name: str) -> bool:
        """
        Whether this node is joined.
        """
        node = self.nodes.get(name)
        return node is not None and node.connection is not None

    # -- telling -----------------------------------------------------------------------------------

    def tell_origin(self, book: OwnerBook, word: str, row: tuple[object, ...]) -> None:
        """
        Say this to an origin, if it is joined.
        """
        if book.connection is not None:
            self.letters.add(book.connection, word, row)

    def tell_executor(self, holding: Holding, word: str) -> None:
        """
        Say C{cancel}, C{drop} or C{acknowledge} to the node that holds an offer, if it is joined.
        """
        connection = self.nodes[holding.node].connection
        if connection is not None:
            self.letters.add(connection, word, Named(*holding.ref))

    def tell_held(self, holding: Holding) -> None:
        """
        Tell an origin who holds an offer of its, once, when both are joined (rule 2).
        """
        book = holding.entry.book
        if holding.told or holding.dropped or book.connection is None:
            return
        if not self.is_joined(holding.node):
            return
        holding.told = True
        row = HeldBy(
            holding.entry.job,
            *holding.offer,
            holding.node,
            holding.keeper,
            holding.stage.value,
            holding.started,
        )
        self.letters.add(book.connection, "held", row)

    # -- what executors hold -----------------------------------------------------------------------

    def place(self, waiting: Waiting, node: NodeRecord) -> None:
        """
        Give an offer to a node; one that is to be bound is reserved for it (rule 6).
        """
        row, entry = waiting.row, waiting.entry
        entry.waiting = None
        stage = Stage.RESERVED if row.once else Stage.GIVEN
        holding = Holding(entry, row.offer, node.name, node.keeper, stage)
        holding.told = True
        holding.suspect = row.suspect
        self._attach(holding, node)
        self.policy.update(node)
        placed = Placed(row.job, *row.offer, node.name, node.memory, node.keeper)
        self.tell_origin(entry.book, "placed", placed)
        if row.once:
            holding.row = row
        else:
            self.start(holding, row)

    def start(self, holding: Holding, row: Offered) -> None:
        """
        Tell a node to start what it was given.
        """
        node = self.nodes[holding.node]
        if node.connection is None:
            return
        book = holding.entry.book
        own = book.connection == node.connection
        start = Start(
            *book.owner,
            row.job,
            *row.offer,
            row.kind,
            b"" if own else row.payload,
            row.attempt,
            row.once,
            row.suspect,
            0 if own else row.size,
        )
        self.letters.add(node.connection, "start", start)

    def believe(self, node: NodeRecord, row: Held) -> None:
        """
        Take in one row of a complete inventory.
        """
        holding = node.holdings.get(row.ref)
        if holding is not None:
            self.detach(holding)
        entry = self.book((row.origin, row.store)).entry(row.job)
        holding = Holding(entry, (row.incarnation, row.serial), node.name, node.keeper, Stage.GIVEN)
        holding.update(row)
        self._attach(holding, node)

    def detach(self, holding: Holding) -> None:
        """
        Nobody holds this any more; L{settle} is the caller's.
        """
        node = self.nodes[holding.node]
        holding.entry.holdings.remove(holding)
        del node.holdings[holding.ref]
        self._count(holding, node, -1)

    def advance(self, holding: Holding, stage: Stage) -> None:
        """
        A held offer was started, or has ended.
        """
        node = self.nodes[holding.node]
        before, holding.stage = holding.stage, stage
        if before is Stage.RUNNING:
            node.running -= 1
        if stage is Stage.RUNNING:
            node.running += 1
        elif stage is Stage.ENDED and before is not Stage.ENDED:
            node.completed += 1
            node.given -= 1
            node.suspects -= holding.suspect
        self._touched[node.name] = node

    def _attach(self, holding: Holding, node: NodeRecord) -> None:
        entry = holding.entry
        entry.holdings.append(holding)
        node.holdings[holding.ref] = holding
        if entry.waiting is not None and entry.waiting.queued:
            self.ready.remove(entry.waiting)
        self._count(holding, node, +1)

    def _count(self, holding: Holding, node: NodeRecord, change: int) -> None:
        if holding.stage is Stage.ENDED:
            return
        node.given += change
        if holding.suspect:
            node.suspects += change
        if holding.stage is Stage.RUNNING:
            node.running += change
        self._touched[node.name] = node

    def changed(self, node: NodeRecord) -> None:
        """
        Something about a node has changed that policy or meter look at.
        """
        self._touched[node.name] = node

    def refresh(self) -> None:
        """
        Let policy and meter know what the nodes are like now.
        """
        touched, self._touched = self._touched, {}
        for node in touched.values():
            self.policy.update(node)
            takes_part = node.open and node.slots > 0
            self.meter.node(self.seconds, node.name, node.running if takes_part else None)

    # -- what follows ------------------------------------------------------------------------------

    def deny(self, holding: Holding) -> None:
        """
        An offer was not started, and will not be by whoever held it.
        """
        entry = holding.entry
        self.detach(holding)
        self.tell_origin(entry.book, "nobody", Nobody(entry.job, *holding.offer))
        self.settle(entry)

    def lose(self, holding: Holding, cause: str) -> None:
        """
        Whoever held this is lost (rule 4); what was not acknowledged is lost with it.
        """
        entry = holding.entry
        self.detach(holding)
        if holding.stage is Stage.RESERVED:
            self.tell_origin(entry.book, "nobody", Nobody(entry.job, *holding.offer))
        else:
            row = LostBy(
                entry.job, *holding.offer, holding.node, holding.keeper, cause, holding.started
            )
            self.tell_origin(entry.book, "lost", row)
        self.settle(entry)

    def missing(self, holding: Holding, *, forgotten: bool) -> None:
        """
        A complete inventory does not have this any more.

        @param forgotten: it is that of a restored backup, which cannot deny what came after it.
        """
        if (holding.started or forgotten) and not holding.dropped:
            self.lose(holding, Cause.NOT_HELD)
        else:
            self.deny(holding)

    def settle(self, entry: Entry) -> None:
        """
        Look again whether a job may be placed, and whether its question can be answered.
        """
        waiting = entry.waiting
        if waiting is not None and not waiting.queued and self._clear(entry):
            self.ready.add(waiting)
        if entry.question is not None:
            self._reply(entry, entry.question)
        if entry.idle:
            entry.book.entries.pop(entry.job, None)
            if not entry.book.entries and entry.book.connection is None:
                self.owners.pop(entry.book.owner, None)

    def ask(self, entry: Entry, question: Question) -> None:
        """
        An origin wants to know whether anybody holds a job.
        """
        entry.question = question
        self._asked[entry] = None
        self.settle(entry)

    def forget_question(self, entry: Entry) -> None:
        """
        Nobody wants to know any more.
        """
        entry.question = None
        self._asked.pop(entry, None)

    def review_questions(self) -> None:
        """
        Try again to answer what could not be answered yet.
        """
        for entry in list(self._asked):
            self.settle(entry)

    @property
    def asked(self) -> int:
        """How many questions are open."""
        return len(self._asked)

    def _blocks(self, holding: Holding) -> bool:
        """Whether this stands in the way of other offers: rule 3."""
        return not (holding.dropped and self.is_joined(holding.node))

    def _clear(self, entry: Entry) -> bool:
        return not any(map(self._blocks, entry.holdings))

    def _reply(self, entry: Entry, question: Question) -> None:
        if not self._clear(entry):
            # The answer is who does; it is open until the origin wants that run, or it is over.
            for holding in list(entry.holdings):
                self.tell_held(holding)
            return
        gone = self._is_gone(question) if question.node else False
        if gone is None or (self.blocked and not question.node):
            return
        self.forget_question(entry)
        self.tell_origin(entry.book, "nobody", Nobody(entry.job, *question.offer, gone))

    def _is_gone(self, question: Question) -> bool | None:
        """
        Whether the node that a job is bound to is gone; C{False}: it denies; C{None}: not yet.
        """
        node = self.nodes.get(question.node)
        if node is not None and node.memory == question.memory:
            if node.connection is not None:
                return False
            if node.seated:
                return None
        return None if self.blocked else True
