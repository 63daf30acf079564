"""
What is fetched from other nodes, in a while: output and payloads that are too long for a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from jobcluster.core.actions import CollectOutput, FetchPayload
from jobcluster.core.events import NodeEvent, OutputCollected, OutputMissed, PayloadCame
from jobcluster.errors import OutputMissingError
from tests.core.rig.balancer import BalancerProcess
from tests.core.rig.ground import Ground
from tests.core.rig.node import NodeProcess
from tests.core.rig.truth import Truth

__all__ = ["Errands"]

_DURATIONS: Final = (0.02, 0.5, 5.0)
"""Seconds that it takes at most."""

_TROUBLE: Final = 0.05
"""How often an origin's disk cannot take what was said."""

Came = Callable[[NodeEvent], None]


class Errands:
    """
    Questions from node to node, through the balancer.
    """

    def __init__(
        self,
        ground: Ground,
        truth: Truth,
        nodes: Callable[[], Iterable[NodeProcess]],
        balancer: Callable[[], BalancerProcess | None],
    ) -> None:
        """
        Nothing was asked.

        @param nodes: the processes that there are.
        """
        self._ground = ground
        self._truth = truth
        self._nodes = nodes
        self._balancer = balancer

    # -- output ------------------------------------------------------------------------------------

    def collect(self, origin: NodeProcess, action: CollectOutput, came: Came) -> None:
        """
        Bring what a job has said to its origin's disk.
        """
        origin.callLater(self._ground.latency(), self._begin, origin, action, came)

    def _begin(self, origin: NodeProcess, action: CollectOutput, came: Came) -> None:
        """The first chunk is asked for."""
        if self._holds(origin, action):
            origin.callLater(self._duration(), self._complete, origin, action, came)
        else:
            came(OutputMissed(action.job, action.offer))

    def _complete(self, origin: NodeProcess, action: CollectOutput, came: Came) -> None:
        """So is the last."""
        if not self._holds(origin, action):
            came(OutputMissed(action.job, action.offer))
            return
        self._ground.counts["outputs collected"] += 1
        if self._ground.rng.random() < _TROUBLE:
            came(OutputCollected(action.job, action.offer, "its output does not fit on the disk"))
            return
        self._truth.collected(origin.disk, action.job, action.offer, action.outcome)
        came(OutputCollected(action.job, action.offer))

    def _holds(self, origin: NodeProcess, action: CollectOutput) -> bool:
        """Whether whoever ran it can be asked, and has all that it has said."""
        ref = (origin.disk.name, origin.disk.store, *action.offer)
        outcome = action.outcome
        node = self._reach(origin, action.node)
        if node is None or node.runner is None:
            return False
        try:
            last = node.runner.output(ref, "out", outcome.out_size - 1, 10)
            last += node.runner.output(ref, "err", outcome.err_size - 1, 10)
        except OutputMissingError:
            return False
        return len(last) == sum(bool(size) for size in (outcome.out_size, outcome.err_size))

    # -- payloads ----------------------------------------------------------------------------------

    def fetch(self, executor: NodeProcess, action: FetchPayload, came: Came) -> None:
        """
        Ask an origin what is to be run.
        """
        executor.callLater(self._duration(), self._fetched, executor, action, came)

    def _fetched(self, executor: NodeProcess, action: FetchPayload, came: Came) -> None:
        name, store, _, __ = action.ref
        origin = self._reach(executor, name, store)
        found = () if origin is None else origin.disk.tables.load((action.job,))
        self._ground.counts["payloads fetched"] += len(found)
        came(PayloadCame(action.ref, found[0].payload if found else None))

    # -- the way -----------------------------------------------------------------------------------

    def _duration(self) -> float:
        rng = self._ground.rng
        return self._ground.latency() + rng.random() * rng.choice(_DURATIONS)

    def _reach(self, asker: NodeProcess, name: str, store: str = "") -> NodeProcess | None:
        """The node of that name, if it can be asked now."""
        if name == asker.disk.name:
            return asker
        balancer = self._balancer()
        if balancer is None or not balancer.alive or balancer.frozen or not _is_joined(asker):
            return None
        for node in self._nodes():
            if node.disk.name == name and store in ("", node.disk.store) and _is_joined(node):
                return node
        return None


def _is_joined(node: NodeProcess) -> bool:
    return node.ready and node.core is not None and node.core.is_joined
