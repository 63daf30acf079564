"""
The cluster, as its balancer shows it to people.
"""

from __future__ import annotations

from collections.abc import Mapping

from jobcluster.core.books import Books
from jobcluster.core.nodes import NodeRecord
from jobcluster.core.views import ClusterView, NodeView

__all__ = ["show_cluster"]


def show_cluster(books: Books, refused: Mapping[str, str], mode: str) -> ClusterView:
    """
    Show every node that is there, or may come back, and those that were refused.

    @param refused: why, by the nodes' names.
    @param mode: C{"eager"} or C{"periodic"}.
    """
    nodes = [
        _show_node(books, node)
        for node in sorted(books.nodes.values(), key=lambda node: node.name)
        if node.seated
    ]
    nodes += [NodeView(name, "refused", 0, 0, 0, 0, 0, why) for name, why in refused.items()]
    waiting = sum(node.waiting for node in nodes)
    return ClusterView(tuple(nodes), books.meter.view(books.seconds, waiting), mode)


def _show_node(books: Books, node: NodeRecord) -> NodeView:
    return NodeView(
        name=node.name,
        state=_state_of(node),
        slots=node.slots,
        given=node.given,
        running=node.running,
        completed=node.completed,
        waiting=_waiting_of(books, node),
        remark=node.remark,
    )


def _state_of(node: NodeRecord) -> str:
    if node.connection is None:
        return "away"
    if node.stopping:
        return "stopping"
    return "draining" if node.draining else "joined"


def _waiting_of(books: Books, node: NodeRecord) -> int:
    """How many jobs of this origin wait for a slot, here and behind its window."""
    book = books.owners.get((node.name, node.store))
    if book is None or node.connection is None:
        return 0
    return node.beyond + sum(entry.waiting is not None for entry in book.entries.values())
