"""
Commands that put out something while they run, in a cluster in memory.
"""

from __future__ import annotations

from typing import Final

import attrs

from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.values import Spec
from jobcluster.core.views import Piece
from jobcluster.services.transfers import PIECE
from jobcluster.testing.clusters import MemoryCluster
from jobcluster.testing.programs import Finished
from tests.services.cases import ServiceCase

SHORT: Final = b"".join(b"line %d\n" % number for number in range(100))
LONG: Final = bytes(range(256)) * 3000
"""Three pieces, the last of them short."""

SECONDS: Final = 4.0
"""How long a command runs."""


def command(stdin: bytes = b"") -> Spec:
    """
    A command with this standard input.
    """
    return Spec(COMMAND, pack_command(Command((b"cat",), stdin=stdin)))


def slow_cat(command: Command) -> Finished:
    """
    Write the standard input to the standard output, evenly in some seconds.
    """
    return Finished(out=command.stdin, err=b"slowly\n", seconds=SECONDS)


class FollowingCase(ServiceCase):
    """
    A cluster whose node C{a} takes the jobs, and others run them.
    """

    def apart(self, nodes: int = 3, slots: int = 2) -> MemoryCluster:
        """
        Start it.
        """
        cluster = self.cluster(nodes=nodes, slots=slots, hop=0.001)
        for name, node in cluster.nodes.items():
            node.program = slow_cat
            if name == "a":
                settings = attrs.evolve(node.setup.settings, slots=0)
                node.setup = attrs.evolve(node.setup, settings=settings)
            cluster.stop(name)
            cluster.restart(name)
        cluster.until(cluster.all_joined)
        return cluster

    def ask(
        self,
        cluster: MemoryCluster,
        ticket: str,
        offset: int = 0,
        *,
        at: str = "a",
        patience: float = 5.0,
        attempt: int = 0,
    ) -> Piece:
        """
        Ask a node for one piece of standard output.
        """
        asked = cluster.client(at).live(ticket, "out", offset, PIECE, patience, attempt)
        return cluster.result(asked)

    def rest(
        self, cluster: MemoryCluster, ticket: str, offset: int = 0, at: str = "a", attempt: int = 0
    ) -> tuple[bytes, int]:
        """
        Follow standard output from an offset to its end; what came, and in how many pieces.
        """
        found, count = b"", 0
        while True:
            piece = self.ask(cluster, ticket, offset + len(found), at=at, attempt=attempt)
            found += piece.data
            count += bool(piece.data)
            if piece.is_over:
                return found, count

    def runner_of(self, cluster: MemoryCluster, ticket: str) -> str:
        """
        Wait until a job runs; where it does.
        """
        view = cluster.client("a").view
        cluster.until(lambda: cluster.result(view(ticket)).state == "running")
        return cluster.result(view(ticket)).node
