"""
Frames, cut anywhere.
"""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.keeper.frames import Frame, FrameError, FrameReader, pack_frame

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FRAMES = st.builds(
    Frame,
    st.text(max_size=8),
    st.dictionaries(st.text().filter(lambda name: name != "word"), _JSON, max_size=4),
    st.binary(max_size=40),
)


class FrameTests(SynchronousTestCase):
    """
    What goes in comes out.
    """

    @given(st.lists(_FRAMES, max_size=4), st.data())
    def test_cut_anywhere(self, frames: list[Frame], data: st.DataObject) -> None:
        """
        However the bytes are split, the same frames come, each as soon as it is complete.
        """
        packed = [pack_frame(*frame) for frame in frames]
        whole = b"".join(packed)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        reader = FrameReader()
        found: list[Frame] = []
        for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            found += reader.feed(whole[begin:end])
            complete = sum(sum(map(len, packed[: i + 1])) <= end for i in range(len(packed)))
            self.assertEqual(frames[:complete], found)

    def test_form(self) -> None:
        """
        The bytes of a frame are what the page about the keeper says.
        """
        self.assertEqual(
            b'\0\0\0\x14\0\0\0\x04{"word":"x","n":[1]}body', pack_frame("x", {"n": [1]}, b"body")
        )

    def test_surrogates(self) -> None:
        """
        What was no UTF-8 stays what it was.
        """
        text = b"\xff\xfea\xc3".decode("utf-8", "surrogateescape")
        [frame] = FrameReader().feed(pack_frame("x", {"text": text}))
        self.assertEqual(text, frame.head["text"])

    def test_no_frames(self) -> None:
        """
        Bytes that are no frame are refused.
        """
        for bad in (
            struct.pack("!II", 16 * 2**20 + 1, 0),
            struct.pack("!II", 2, 64 * 2**20 + 1),
            struct.pack("!II", 2, 0) + b"{}",
            struct.pack("!II", 2, 0) + b"[]",
            struct.pack("!II", 4, 0) + b"null",
            struct.pack("!II", 2, 0) + b"\xff\xff",
            struct.pack("!II", 10, 0) + b'{"word":1}',
            struct.pack("!II", 0, 0),
            struct.pack("!II", 200_000, 0) + b"[" * 200_000,
        ):
            self.assertRaises(FrameError, FrameReader().feed, bad)
