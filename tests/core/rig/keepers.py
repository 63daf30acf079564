"""
The process of a keeper: it can be stopped and continued apart from that of its node.
"""

from __future__ import annotations

from tests.core.rig.machines import Process

__all__ = ["KeeperProcess"]


class KeeperProcess(Process):
    """
    What a keeper runs in.

    Jobs are processes of their own, but how they end is seen here.
    """

    def thaw(self) -> None:
        """
        SIGCONT: what lies in the sockets is read, each in its order, but one before the other in
        any.
        """
        self.ground.rng.shuffle(self._overdue)
        super().thaw()
