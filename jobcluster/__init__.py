"""
A scheduler for jobs on a handful to a few hundred machines.

Any node takes a job and gives a ticket for it; the nodes and one balancer share the load.
This module imports nothing, for every process of a cluster passes through it, the smallest too.
"""

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
