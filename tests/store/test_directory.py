"""
What a state directory is on.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.store.directory import network_file_system


class NetworkFileSystemTests(SynchronousTestCase):
    """
    L{network_file_system}, by tables of mounts.
    """

    def kind(self, path: str, *mounts: str) -> str:
        """
        The type of the network file system that a path is on.
        """
        table = Path(self.mktemp())
        table.write_text("".join(f"{mount} rw,relatime 0 0\n" for mount in mounts))
        return network_file_system(Path(path), table)

    def test_local(self) -> None:
        """
        A directory on a local file system is on none, whatever is mounted elsewhere.
        """
        self.assertEqual(
            "", self.kind("/srv/state", "/dev/sda1 / ext4", "server:/x /srv/states nfs4")
        )

    def test_network(self) -> None:
        """
        The innermost mount point counts, and the last of several mounts there.
        """
        mounts = ("/dev/sda1 / ext4", "server:/x /srv nfs4", "tmpfs /srv/fast tmpfs")
        self.assertEqual("nfs4", self.kind("/srv/state/node", *mounts))
        self.assertEqual("nfs4", self.kind("/srv", *mounts))
        self.assertEqual("", self.kind("/srv/fast/node", *mounts))
        self.assertEqual("cifs", self.kind("/srv/fast", *mounts, "//server/x /srv/fast cifs"))

    def test_strange_names(self) -> None:
        """
        Mount points are written with escapes.
        """
        self.assertEqual(
            "nfs", self.kind("/a b/state", "/dev/sda1 / ext4", "server:/x /a\\040b nfs")
        )

    def test_no_table(self) -> None:
        """
        Where there is no such table, nothing is said.
        """
        self.assertEqual("", network_file_system(Path("/srv"), Path(self.mktemp())))
