"""
What the tests of the clients begin and end with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred

from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.values import SLEEP, Outcome, Spec
from jobcluster.core.views import JobView
from jobcluster.interfaces import IClusterView
from jobcluster.testing.clusters import MemoryCluster, all_taken
from jobcluster.testing.remotes import Remote
from tests.services.cases import ServiceCase

T = TypeVar("T")


def sleep(milliseconds: int) -> Spec:
    """
    A sleep.
    """
    return Spec(SLEEP, b"%d" % milliseconds)


def command(*argv: bytes, stdin: bytes = b"") -> Spec:
    """
    A command.
    """
    return Spec(COMMAND, pack_command(Command(argv, stdin=stdin)))


def submit(node: IClusterView, specs: Sequence[Spec]) -> Deferred[tuple[str, ...]]:
    """
    Submit jobs, of which none is refused; fires with their tickets.
    """
    return node.submit(specs).addCallback(all_taken)


def outcome_of(view: JobView) -> Outcome:
    """
    The outcome of a job, which must have one.
    """
    if view.outcome is None:
        raise AssertionError(f"{view} has not ended")
    return view.outcome


class ClientCase(ServiceCase):
    """
    A test with a cluster of the nodes a and b, and a client of a.
    """

    def setUp(self) -> None:
        """
        Start them.
        """
        self.memory: MemoryCluster = self.cluster(hop=0.001)
        self.remote = self.client("a")
        self.node = self.remote.node

    def client(self, *names: str, patience: float = 60.0) -> Remote:
        """
        Start another client; it is closed with the test, and leaves nothing.
        """
        remote = Remote(self.memory, *names, patience=patience)

        def end() -> None:
            remote.node.close()
            self.memory.advance(1)
            self.assertEqual([], list(remote.process.getDelayedCalls()))
            remote.process.die()

        self.addCleanup(end)
        return remote

    def submit(self, specs: Sequence[Spec]) -> Deferred[tuple[str, ...]]:
        """
        Submit jobs, of which none is refused; fires with their tickets.
        """
        return submit(self.node, specs)

    def get(self, waiting: Deferred[T], within: float = 60.0) -> T:
        """
        Let time pass until there is a result.
        """
        return self.memory.result(waiting, within)
