"""
Shipped doubles, for the tests of this package and of what is built on it.

None of them is a mock: each keeps the contract of what it stands for.
"""

from jobcluster.testing.clocks import HeapClock
from jobcluster.testing.clusters import MemoryCluster
from jobcluster.testing.keepers import FakeKeeper, Witness
from jobcluster.testing.runners import FakeRunner

__all__ = ["FakeKeeper", "FakeRunner", "HeapClock", "MemoryCluster", "Witness"]
