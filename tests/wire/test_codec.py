"""
The words as bytes, and back.
"""

import contextlib  # by its name: trial takes a module's "suppress" for its own
from collections.abc import Iterator
from typing import Any, get_type_hints

import attrs
import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.values import Outcome, Terms
from jobcluster.core.views import Ask, JobView, Reply
from jobcluster.core.words import Dispatch, Finished, JoinPart, Report, StartedAt
from jobcluster.errors import MalformedBatchError
from jobcluster.wire.codec import pack, unpack
from tests.wire.golden import GOLDEN
from tests.wire.samples import SAMPLES, anything, row_types

Words = JoinPart | Report | Dispatch | Ask | Reply | Terms
KINDS = (JoinPart, Report, Dispatch, Ask, Reply, Terms)

encode = msgspec.msgpack.Encoder().encode

INTEGER = 1 << 63


class RoundTripTests(SynchronousTestCase):
    """What is packed comes out as it was."""

    @given(st.one_of([anything(kind) for kind in KINDS]))
    def test_anyBatch(self, batch: Words) -> None:
        """Every batch of every type comes back equal."""
        self.assertEqual(unpack(type(batch), pack(batch)), batch)

    def test_typesOfRows(self) -> None:
        """Rows come back as the types that they were, rows in rows too."""
        for sample in SAMPLES:
            self.assertEqual(repr(unpack(type(sample), pack(sample))), repr(sample))

    def test_golden(self) -> None:
        """
        The shape of the words on the wire is what it was in this version of the protocol.

        If this fails, raise C{jobcluster.wire.VERSION} and run C{python -m tests.wire.golden}.
        """
        self.assertEqual({type(sample).__name__ for sample in SAMPLES}, set(GOLDEN))
        for sample in SAMPLES:
            golden = bytes.fromhex(GOLDEN[type(sample).__name__])
            self.assertEqual(pack(sample).hex(), golden.hex(), type(sample).__name__)
            self.assertEqual(unpack(type(sample), golden), sample)

    def test_emptyFieldsAreLeftOut(self) -> None:
        """An empty batch takes one byte, and one word no more than itself and its name."""
        self.assertEqual(pack(Report()), b"\x80")
        self.assertEqual(pack(Dispatch()), b"\x80")
        word = StartedAt("a", "s", 1, 2, 3)
        self.assertEqual(pack(Report(started=(word,))), encode({"started": [list(word)]}))

    def test_scalars(self) -> None:
        """The version and the wish to keep are packed as they are."""
        self.assertEqual(unpack(int, pack(1)), 1)
        self.assertIs(unpack(bool, pack(True)), True)


def with_large_integers(row: Any) -> Iterator[tuple[Any, str]]:  # noqa: ANN401 - any row
    """
    The row with an integer over 63 bits in each place that takes one, and the path of that.
    """
    for column, (name, hint) in enumerate(get_type_hints(type(row)).items()):
        value = getattr(row, name)
        if hint is int or hint == int | None:
            yield row._replace(**{name: INTEGER}), f"[{column}]"
        elif isinstance(value, Outcome):
            for bad, path in with_large_integers(value):
                yield row._replace(**{name: bad}), f"[{column}]{path}"


class MalformedTests(SynchronousTestCase):
    """Whatever is no batch is refused with one error that names the field."""

    def refused(self, kind: type, data: bytes) -> str:
        """
        What the error says.
        """
        text = str(self.assertRaises(MalformedBatchError, unpack, kind, data))
        self.assertIn(kind.__name__, text)
        return text

    def finished(self, *row: object) -> bytes:
        """
        A report of one end.
        """
        return encode({"finished": [row]})

    @given(st.sampled_from(KINDS), st.binary())
    def test_anyBytes(self, kind: type, data: bytes) -> None:
        """Any bytes are a batch, or they are malformed."""
        with contextlib.suppress(MalformedBatchError):
            self.assertIsInstance(unpack(kind, data), kind)

    @given(st.sampled_from(SAMPLES), st.data())
    def test_oneByteWrong(self, sample: Words, data: st.DataObject) -> None:
        """So are the bytes of a batch of which one has changed."""
        good = pack(sample)
        place = data.draw(st.integers(0, len(good) - 1))
        bad = good[:place] + bytes([data.draw(st.integers(0, 255))]) + good[place + 1 :]
        with contextlib.suppress(MalformedBatchError):
            unpack(type(sample), bad)

    def test_cutOff(self) -> None:
        """A batch that ends early is refused, wherever it ends; so is one that goes on."""
        for sample in SAMPLES:
            good = pack(sample)
            for length in range(len(good)):
                self.refused(type(sample), good[:length])
            self.refused(type(sample), good + b"\x00")

    def test_wrongType(self) -> None:
        """The error names the field, the row and the column."""
        self.assertIn(
            "finished[0][2]", self.refused(Report, self.finished("a", "s", "x", 1, 1, None))
        )
        self.assertIn(
            "finished[0][2]", self.refused(Report, self.finished("a", "s", True, 1, 1, None))
        )
        self.assertIn(
            "finished[0][2]", self.refused(Report, self.finished("a", "s", 1.0, 1, 1, None))
        )
        self.assertIn(
            "finished[0][0]", self.refused(Report, self.finished(b"a", "s", 1, 1, 1, None))
        )
        self.assertIn("finished[0]", self.refused(Report, self.finished("a", "s", 1)))
        self.assertIn("finished", self.refused(Report, encode({"finished": 1})))

    def test_missingField(self) -> None:
        """What has no default must be there."""
        self.assertIn("name", self.refused(JoinPart, encode({"version": 1})))

    def test_unknownField(self) -> None:
        """A word that this version does not know is not dropped in silence."""
        self.assertIn("finnished", self.refused(Report, encode({"finnished": []})))
        self.refused(Report, encode({1: 2}))

    def test_largeIntegers(self) -> None:
        """SQLite takes 63 bits and a sign, so nothing else is taken."""
        most = Report(finished=(Finished("a", "s", INTEGER - 1, -INTEGER, 1, None),))
        self.assertEqual(unpack(Report, pack(most)), most)
        self.assertIn(
            "finished[0][4]", self.refused(Report, self.finished("a", "s", 1, 1, INTEGER, None))
        )
        nested = self.finished("a", "s", 1, 1, 1, ["failed", None, "", 2**64 - 1])
        self.assertIn("finished[0][5][3]", self.refused(Report, nested))
        view = JobView(INTEGER, "sleep", b"", "waiting", 0)
        self.assertIn("view.job", self.refused(Reply, pack(Reply(view=view))))

    def test_everyColumn(self) -> None:
        """No row has a place where a large integer would not be seen."""
        rows = 0
        for sample in SAMPLES:
            for name, field in row_types(type(sample)).items():
                row = getattr(sample, name)[0]
                for bad, path in with_large_integers(row):
                    change: Any = {name: (row, bad)}
                    data = pack(attrs.evolve(sample, **change))
                    self.assertIn(f"{name}[1]{path}", self.refused(type(sample), data), field)
                    rows += 1
        self.assertGreater(rows, 60)

    def test_payloadsThatLookLikeIntegers(self) -> None:
        """Payloads are opaque: they may have the bytes with which a large integer begins."""
        outcome = Outcome("succeeded", value=b"\xcf\xff" * 100)
        report = Report(finished=(Finished("a", "s", 1, 1, 1, outcome),))
        self.assertEqual(unpack(Report, pack(report)), report)

    def test_floatsThatAreNotFinite(self) -> None:
        """A timer takes neither infinity nor what is not a number."""
        for number in (float("inf"), float("-inf"), float("nan")):
            self.assertIn("patience", self.refused(Ask, pack(Ask("", "wait", 1, number))))
        short = b"\x83\xa4node\xa0\xa4verb\xa4wait\xa8patience\xca\x7f\x80\x00\x00"
        self.assertIn("patience", self.refused(Ask, short))
        self.assertEqual(unpack(Ask, pack(Ask("", "wait", 1, -1.5))).patience, -1.5)

    def test_deepNesting(self) -> None:
        """Nesting without end is refused wherever it stands."""
        for key in (b"finished", b"nonsense"):
            self.refused(Report, b"\x81" + encode(key.decode()) + b"\x91" * 100_000 + b"\xc0")
        self.refused(Report, b"\x91" * 100_000)

    def test_hugeClaims(self) -> None:
        """A claim of four thousand million rows takes no memory."""
        for head in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
            self.refused(Report, b"\x81" + encode("finished") + head)
            self.refused(Report, head)

    def test_textThatIsNone(self) -> None:
        """Half a surrogate pair is no text, neither coming nor going."""
        data = self.finished("???", "s", 1, 1, 1, None).replace(b"???", b"\xed\xa0\x80")
        self.refused(Report, data)

    def test_whatCannotBeSent(self) -> None:
        """What has no form on the wire is refused before it is sent, with its field's name."""
        text = Report(finished=(Finished("\ud800", "s", 1, 1, 1, None),))
        self.assertIn("finished", str(self.assertRaises(MalformedBatchError, pack, text)))
        number = Report(started=(StartedAt("a", "s", 1, 1, 2**64),))
        self.assertIn("started", str(self.assertRaises(MalformedBatchError, pack, number)))
        things: Any = (object(),)
        thing = Report(gone=things)
        self.assertIn("gone", str(self.assertRaises(MalformedBatchError, pack, thing)))
        self.assertRaises(MalformedBatchError, pack, 2**64)
