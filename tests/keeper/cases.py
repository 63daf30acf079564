"""
Test cases that have a keeper of their own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.keeper.client import Keeper, Node, below, of_node

__all__ = ["KeeperCase"]


class KeeperCase(SynchronousTestCase):
    """
    A state directory, and keepers that are gone afterwards, with all that they have started.
    """

    def setUp(self) -> None:
        """
        Make the directory, and a name that no other test has.
        """
        self.state = Path(tempfile.mkdtemp(prefix="keeper-"))
        self.addCleanup(shutil.rmtree, self.state, ignore_errors=True)
        self.directory = self.state / "keeper"
        self.name = f"n-{os.getpid()}-{os.urandom(4).hex()}"

    def keeper(self, *options: str, environment: dict[str, str] | None = None) -> Keeper:
        """
        A keeper that was just started.
        """
        keeper = Keeper(self.state, self.name, *options, environment=environment)
        self.addCleanup(keeper.clean_up)
        return keeper

    def node(self, keeper: Keeper, **settings: object) -> Node:
        """
        A node that has heard the inventory.
        """
        node = keeper.node(**settings)
        self.addCleanup(node.close)
        return node

    def wait_for(self, name: str) -> str:
        """
        What a shell does that waits for such a file in the state directory.
        """
        return f"while [ ! -e {self.state}/{name} ]; do sleep 0.01; done"

    def assertNothingLeft(self, keeper: Keeper) -> None:
        """
        No process of a run is there now, and no file but what is to be.
        """
        self.assertEqual([], of_node(self.name))
        self.assertEqual(set(), below(keeper.process.pid))

    def names(self, directory: str) -> list[str]:
        """
        What is in a directory of the keeper; without the directories that are kept for later.
        """
        return sorted(
            path.name
            for path in (self.directory / directory).iterdir()
            if not path.name.startswith("spare-")
        )
