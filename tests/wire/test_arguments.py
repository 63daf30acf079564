"""
One argument over many AMP values.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.values import Terms
from jobcluster.errors import MalformedBatchError
from jobcluster.wire.arguments import PIECE, Batch, Spread
from tests.wire.samples import TERMS


class Carry(amp.Command):
    """Has one of each."""

    arguments = [
        (b"data", Spread()),
        (b"more", Spread(optional=True)),
        (b"terms", Batch(Terms, optional=True)),
    ]


def there_and_back(**values: object) -> tuple[amp.AmpBox, dict[str, object]]:
    """
    The box that carries these arguments, and what comes out of it at the other side.
    """
    box = Carry.makeArguments(values, None)
    (received,) = amp.parseString(box.serialize())
    return box, Carry.parseArguments(received, None)


class SpreadTests(SynchronousTestCase):
    """Bytes of any length arrive as they were."""

    @given(
        st.one_of(
            st.sampled_from([0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 11 * PIECE]),
            st.integers(0, 3 * PIECE),
        )
    )
    def test_anyLength(self, length: int) -> None:
        """Below, at and over the bounds of a value."""
        data = bytes(range(256)) * (length // 256 + 1)
        data = data[:length]
        box, arguments = there_and_back(data=data)
        self.assertEqual(arguments, {"data": data, "more": None, "terms": None})
        self.assertEqual(len(box), max(1, -(-length // PIECE)))
        self.assertTrue(all(len(value) <= PIECE for value in box.values()))

    def test_twoInABox(self) -> None:
        """Two arguments of one command do not get in each other's way."""
        first, second = b"a" * (2 * PIECE), b"b" * (3 * PIECE + 1)
        _, arguments = there_and_back(data=first, more=second, terms=TERMS)
        self.assertEqual(arguments, {"data": first, "more": second, "terms": TERMS})

    def test_missing(self) -> None:
        """A missing argument is a declared error that names it."""
        error = self.assertRaises(MalformedBatchError, Carry.parseArguments, amp.AmpBox(), None)
        self.assertIn("data", str(error))

    def test_missingPiece(self) -> None:
        """What follows a missing piece is not taken for what is missing."""
        box = amp.AmpBox({b"data": b"a", b"data.2": b"c"})
        self.assertEqual(Carry.parseArguments(box, None)["data"], b"a")


class BatchTests(SynchronousTestCase):
    """Values of the codec arrive as they were."""

    def test_malformed(self) -> None:
        """What cannot be unpacked is a declared error."""
        box = amp.AmpBox({b"data": b"", b"terms": b"\xc1"})
        self.assertRaises(MalformedBatchError, Carry.parseArguments, box, None)
