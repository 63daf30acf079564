"""
What every L{IOutputs} does, as tests.

Import the module, not the class: a test case is run wherever its name is.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from jobcluster.errors import OutputMissingError
from jobcluster.interfaces import IOutputs

JOB = 1234567890123
FIRST, SECOND = (3, 7), (3, 8)


class OutputsCase(SynchronousTestCase):
    """
    What the tests do.
    """

    outputs: IOutputs

    def write(self, offer: tuple[int, int], stream: str, *pieces: bytes) -> None:
        """
        Write a stream.
        """
        offset = 0
        for piece in pieces:
            self.successResultOf(self.outputs.write(JOB, offer, stream, offset, piece))
            offset += len(piece)

    def keep(self, offer: tuple[int, int]) -> None:
        """
        Keep what was written.
        """
        self.successResultOf(self.outputs.keep(JOB, offer))

    def read(self, stream: str, offset: int, limit: int) -> bytes:
        """
        Read a piece.
        """
        piece: bytes = self.successResultOf(self.outputs.read(JOB, stream, offset, limit))
        return piece


class OutputsContract(OutputsCase):
    """
    L{IOutputs}, all of it.
    """

    def test_interface(self) -> None:
        """
        It provides the interface.
        """
        self.assertTrue(verifyObject(IOutputs, self.outputs))

    def test_read(self) -> None:
        """
        What was written in pieces and is kept is read in pieces, shorter at the end only.
        """
        self.write(FIRST, "out", b"abcde", b"fgh")
        self.write(FIRST, "err", b"\xff\x00")
        self.keep(FIRST)
        self.assertEqual([b"abcd", b"efgh", b""], [self.read("out", at, 4) for at in (0, 4, 8)])
        self.assertEqual(b"\xff\x00", self.read("err", 0, 100))

    def test_empty(self) -> None:
        """
        A stream of which nothing was written is empty, and not missing.
        """
        self.write(FIRST, "out", b"a")
        self.keep(FIRST)
        self.assertEqual(b"", self.read("err", 0, 100))

    def test_missing(self) -> None:
        """
        Of a job of which nothing is kept there is none, even if some was written.
        """
        self.write(FIRST, "out", b"a")
        self.failureResultOf(self.outputs.read(JOB, "out", 0, 1), OutputMissingError)

    def test_strange_stream(self) -> None:
        """
        There are two streams; what somebody else calls one is no path.
        """
        self.write(FIRST, "out", b"a")
        self.keep(FIRST)
        self.failureResultOf(self.outputs.read(JOB, "../out", 0, 1), OutputMissingError)

    def test_begun_anew(self) -> None:
        """
        What was written of the same offer before is replaced, a longer one too.
        """
        self.write(FIRST, "out", b"abcdef")
        self.write(FIRST, "out", b"xy")
        self.keep(FIRST)
        self.assertEqual(b"xy", self.read("out", 0, 100))

    def test_kept_meanwhile(self) -> None:
        """
        What is kept or discarded is not gone on with: the beginning would be missing.
        """
        for end in (self.outputs.keep, self.outputs.discard):
            self.write(FIRST, "out", b"abc")
            self.successResultOf(end(JOB, FIRST))
            self.failureResultOf(
                self.outputs.write(JOB, FIRST, "out", 3, b"def"), OutputMissingError
            )
        self.assertEqual(b"abc", self.read("out", 0, 100))

    def test_two_offers(self) -> None:
        """
        Two offers of one job are written at the same time, and the one that is kept counts.
        """
        self.write(FIRST, "out", b"first")
        self.write(SECOND, "out", b"second")
        self.successResultOf(self.outputs.discard(JOB, FIRST))
        self.keep(SECOND)
        self.assertEqual(b"second", self.read("out", 0, 100))

    def test_tidy(self) -> None:
        """
        What was not kept is forgotten, and what was is not.
        """
        self.assertEqual(0, self.successResultOf(self.outputs.tidy()))
        self.write(FIRST, "out", b"first")
        self.keep(FIRST)
        self.write(SECOND, "out", b"second")
        self.write(SECOND, "err", b"")
        self.assertEqual(2, self.successResultOf(self.outputs.tidy()))
        self.assertEqual(b"first", self.read("out", 0, 100))
        self.keep(SECOND)
        self.assertEqual(b"", self.read("out", 0, 100))

    def test_discard(self) -> None:
        """
        What is discarded is not kept afterwards; what is not there may be discarded.
        """
        self.write(FIRST, "out", b"first")
        self.successResultOf(self.outputs.discard(JOB, FIRST))
        self.successResultOf(self.outputs.discard(JOB, SECOND))
        self.keep(FIRST)
        self.assertEqual(b"", self.read("out", 0, 100))
