"""
A scheduler for jobs on a handful to a few hundred machines.

Any node takes a job and gives a ticket for it; the nodes and one balancer share the load.

    >>> from jobcluster import Cluster
    >>> with Cluster() as cluster:  # doctest: +SKIP
    ...     cluster.command(["uname", "-n"]).result().out

This module imports nothing until somebody asks for a L{Cluster}, for every process of a cluster
passes through it, the smallest too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobcluster.client.cluster import Cluster

__all__ = ["Cluster", "__version__"]

__version__ = "0.1.0.dev0"


def __getattr__(name: str) -> object:
    if name == "Cluster":
        from jobcluster.client import cluster  # noqa: PLC0415 - see above

        return cluster.Cluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
