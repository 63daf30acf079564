"""
What makes one node different from another.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from jobcluster.core.node import NodeSettings

__all__ = ["Setup"]


@attrs.frozen
class Setup:
    """What makes one node different from another."""

    settings: NodeSettings
    name: str
    """Unless the store remembers another."""
    boot: str
    fresh_store: str
    """The store id to take if the store is new."""
    random: Callable[[], int]
    """Draws what an incarnation is told from its clones by."""
    first_job: int
    """The greatest job id that a new store claims to have given out."""
    min_free: int = 0
    """Bytes that must be free for jobs to be taken."""
    keep: bool = False
    """Whether what runs goes on when the node is stopped."""
    kill_after: float = 5.0
    """Seconds between a job's SIGTERM and its SIGKILL."""
    retention: float = 30.0
    """Days for which outcomes are kept."""
    verbose: bool = False
