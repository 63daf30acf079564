"""
What commands put out, while they run.
"""

from __future__ import annotations

from jobcluster.core.values import Ref
from jobcluster.errors import OutputMissingError
from tests.runners.keeper_rig import KeeperCase

_MOST = 1 << 20
"""Bytes of output that end a command (as the rig has it)."""


class LiveTests(KeeperCase):
    """
    A runner that has met its keeper.
    """

    def setUp(self) -> None:
        """
        Meet it.
        """
        super().setUp()
        self.meet()

    def live(self, ref: Ref, offset: int = 0, limit: int = 100) -> bytes:
        """
        Standard output as far as it is there.
        """
        return self.runner.live(ref, "out", offset, limit)

    def test_growing(self) -> None:
        """
        What a command has written by now can be read, from anywhere, and more of it later.
        """
        [ref] = self.running(3)
        self.assertEqual(b"", self.live(ref))
        self.place.files[3, "out"] = b"0123"
        self.assertEqual(b"0123", self.live(ref))
        self.assertEqual(b"", self.live(ref, 4))
        self.place.files[3, "out"] = b"0123456789"
        self.assertEqual(b"456", self.live(ref, 4, 3))
        self.assertEqual(b"", self.runner.live(ref, "err", 0, 3))

    def test_ended(self) -> None:
        """
        All of it is there when it has ended, long or not, until it is dropped.
        """
        [ref] = self.running(3)
        self.place.files[3, "out"] = b"01"
        self.keeper.end(ref, body=b"01", out=2)
        self.settle()
        self.take()
        self.assertEqual(b"01", self.live(ref))
        self.runner.drop([ref])
        self.settle()
        self.take()
        self.assertRaises(OutputMissingError, self.live, ref)

    def test_unknown(self) -> None:
        """
        Of what was never started here there is nothing.
        """
        self.assertRaises(OutputMissingError, self.live, self.run_of(9).ref)

    def test_may_be_cut_off(self) -> None:
        """
        What may be cut off, because it is too much, is given when it was not.
        """
        [ref] = self.running(3)
        self.place.files[3, "out"] = bytes(_MOST)
        self.assertEqual(bytes(60), self.live(ref, _MOST // 2 - 60))
        self.assertEqual(b"", self.live(ref, _MOST // 2))
        self.assertEqual(b"", self.live(ref, _MOST // 2 + 1))
        self.keeper.end(ref, out=_MOST, run=3)
        self.settle()
        self.take()
        self.assertEqual(bytes(100), self.live(ref, _MOST // 2))

    def test_adopted(self) -> None:
        """
        The next process of a node reads on, of what runs and of what has ended meanwhile.
        """
        first, second = self.running(3, 4)
        self.place.files = {(3, "out"): b"0123", (4, "out"): b"4567"}
        self.runner.close()
        self.keeper.end(second, out=4, run=4)
        self.settle()
        self.runner = self.make_runner()
        self.meet()
        self.assertEqual(b"23", self.live(first, 2))
        self.assertEqual(b"67", self.live(second, 2))

    def test_replaced(self) -> None:
        """
        So does one whose keeper was replaced: what that had written is there until it is dropped.
        """
        [ref] = self.running(3)
        self.place.files[3, "out"] = b"0123"
        self.place.die()
        self.go_on(1.0)
        self.take()
        self.assertEqual(b"23", self.live(ref, 2))

    def test_older_keeper(self) -> None:
        """
        Of a run whose number is not said there is nothing before its end, and then what is long.
        """
        self.keeper.is_old = True
        [ref] = self.running(3)
        self.place.files[7, "out"] = b"0123"
        self.assertRaises(OutputMissingError, self.live, ref)
        self.keeper.end(ref, out=4, run=7)
        self.settle()
        self.take()
        self.assertEqual(b"0123", self.live(ref))
