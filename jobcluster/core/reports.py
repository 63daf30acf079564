"""
What the balancer does with what a node reports: a function for each word.

Every word may come late, twice, or of an offer that nobody knows: then it is counted, and that is
all (rule 5).
"""

from __future__ import annotations

from collections.abc import Sequence

from jobcluster.core.books import Books
from jobcluster.core.ledger import Holding, OwnerBook, Stage, Waiting
from jobcluster.core.nodes import NodeRecord
from jobcluster.core.values import Outcome
from jobcluster.core.words import (
    Bind,
    Ended,
    Finished,
    Kept,
    Named,
    Offered,
    Question,
    Report,
    StartedAt,
    StartedBy,
    Told,
)

__all__ = ["offered", "take_report", "withdrawn"]


def take_report(books: Books, node: NodeRecord, report: Report) -> None:
    """
    Take in everything that a joined node says.
    """
    book = books.book((node.name, node.store))
    if report.load is not None:
        load = report.load
        node.beyond = load.beyond
        if (node.draining, node.stopping) != (load.draining, load.stopping):
            node.draining, node.stopping = load.draining, load.stopping
            books.changed(node)
    offered(books, book, report.offered)
    bound(books, book, report.bound)
    withdrawn(books, book, report.withdrawn)
    started(books, node, report.started)
    refused(books, node, report.refused)
    finished(books, node, report.finished)
    gone(books, node, report.gone)
    keep(books, book, report.keep)
    cancel(books, book, report.cancel)
    drop(books, book, report.drop)
    acknowledge(books, book, report.acknowledge)


# -- as origin -------------------------------------------------------------------------------------


def offered(books: Books, book: OwnerBook, rows: Sequence[Offered]) -> None:
    """
    Jobs to be placed; a newer offer replaces the one that waits.
    """
    for row in rows:
        entry = book.entry(row.job)
        before = entry.waiting
        if before is not None:
            if before.row.offer >= row.offer:
                books.old_news += 1
                continue
            if before.queued:
                books.ready.remove(before)
        if entry.question is not None:
            books.forget_question(entry)
        entry.waiting = Waiting(entry, row)
        books.settle(entry)


def bound(books: Books, book: OwnerBook, rows: Sequence[Bind]) -> None:
    """
    Offers that may be started now; of one that is dead by now nothing is known (rule 6).
    """
    for row in rows:
        holding = books.holding(book.owner, row.job, row.offer)
        if holding is None or holding.stage is not Stage.RESERVED or holding.row is None:
            books.old_news += 1
            continue
        offer, holding.row = holding.row, None
        books.advance(holding, Stage.GIVEN)
        books.start(holding, offer)


def withdrawn(books: Books, book: OwnerBook, rows: Sequence[Question]) -> None:
    """
    Jobs that must not be placed any more; the origin is told when nobody holds them (rule 7).
    """
    for row in rows:
        entry = book.entry(row.job)
        waiting = entry.waiting
        if waiting is not None:
            entry.waiting = None
            if waiting.queued:
                books.ready.remove(waiting)
        for holding in list(entry.holdings):
            if holding.stage is Stage.RESERVED:
                books.detach(holding)
            else:
                # It was told to be placed when the withdrawal was on its way.
                holding.told = False
        books.ask(entry, row)


def _answered(books: Books, book: OwnerBook, row: Told | Kept) -> Holding | None:
    """The offer that an origin speaks of, if anybody holds it; it is not to be asked of again."""
    holding = books.holding(book.owner, row.job, row.offer)
    if holding is None:
        books.old_news += 1
    else:
        holding.told = True
    return holding


def keep(books: Books, book: OwnerBook, rows: Sequence[Kept]) -> None:
    """
    Offers that are to go on; the one that still waits is void (rule 2), and a question answered.
    """
    for row in rows:
        entry = book.entries.get(row.job)
        waiting = None if entry is None else entry.waiting
        if entry is not None and waiting is not None and waiting.row.serial <= row.instead:
            entry.waiting = None
            if waiting.queued:
                books.ready.remove(waiting)
        if _answered(books, book, row) is not None and entry is not None:
            books.forget_question(entry)


def cancel(books: Books, book: OwnerBook, rows: Sequence[Told]) -> None:
    """
    Offers that are to be ended, and to tell how they ended.
    """
    for row in rows:
        holding = _answered(books, book, row)
        if holding is not None:
            books.forget_question(holding.entry)
            books.tell_executor(holding, "cancel")


def drop(books: Books, book: OwnerBook, rows: Sequence[Told]) -> None:
    """
    Offers that are to be ended and forgotten; they stand in nobody's way from now on.
    """
    for row in rows:
        holding = _answered(books, book, row)
        if holding is None:
            continue
        holding.dropped = True
        if holding.stage is Stage.RESERVED:
            books.detach(holding)
        else:
            books.tell_executor(holding, "drop")
        books.settle(holding.entry)


def acknowledge(books: Books, book: OwnerBook, rows: Sequence[Told]) -> None:
    """
    Offers whose outcome is on their origin's disk.
    """
    for row in rows:
        holding = books.holding(book.owner, row.job, row.offer)
        if holding is None:
            books.old_news += 1
            continue
        if holding.stage is not Stage.ENDED:
            # It was told as ended by an earlier process of its node, and goes on in this one.
            drop(books, book, (row,))
            continue
        if holding.node != book.name or books.nodes[holding.node].connection != book.connection:
            books.tell_executor(holding, "acknowledge")
        books.detach(holding)
        books.settle(holding.entry)


# -- as executor -----------------------------------------------------------------------------------


def _known(books: Books, node: NodeRecord, ref: tuple[str, str, int, int]) -> Holding | None:
    holding = node.holdings.get(ref)
    if holding is None:
        books.old_news += 1
    return holding


def started(books: Books, node: NodeRecord, rows: Sequence[StartedAt]) -> None:
    """
    Offers that run now.
    """
    for row in rows:
        holding = _known(books, node, (row.origin, row.store, row.incarnation, row.serial))
        if holding is None or holding.stage is not Stage.GIVEN:
            continue
        holding.started = row.at
        books.advance(holding, Stage.RUNNING)
        entry = holding.entry
        if entry.book.connection != node.connection:
            books.tell_origin(entry.book, "started", StartedBy(entry.job, *holding.offer, row.at))


def refused(books: Books, node: NodeRecord, rows: Sequence[Named]) -> None:
    """
    Offers that were not started, and will not be.
    """
    for row in rows:
        holding = _known(books, node, row.ref)
        if holding is not None:
            books.deny(holding)


def finished(books: Books, node: NodeRecord, rows: Sequence[Finished]) -> None:
    """
    Offers that ended, some told again since nobody acknowledged them.
    """
    for row in rows:
        holding = _known(books, node, (row.origin, row.store, row.incarnation, row.serial))
        if holding is None:
            continue
        if holding.stage is not Stage.ENDED:
            books.advance(holding, Stage.ENDED)
        outcome: Outcome | None = row.outcome
        if outcome is not None:
            # The word of its start may have been left out.
            holding.started = holding.started or outcome.started
        if outcome is not None and not holding.dropped:
            entry = holding.entry
            books.tell_origin(entry.book, "outcome", Ended(entry.job, *holding.offer, outcome))


def gone(books: Books, node: NodeRecord, rows: Sequence[Named]) -> None:
    """
    Offers of which nothing is left.
    """
    for row in rows:
        holding = _known(books, node, row.ref)
        if holding is None:
            continue
        if holding.dropped:
            books.detach(holding)
            books.settle(holding.entry)
        else:
            books.deny(holding)
