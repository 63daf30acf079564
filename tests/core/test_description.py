"""
What may be said about a job.
"""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.description import digest_of, fault_of, join_tags, split_tags
from jobcluster.core.values import SLEEP, OnNodeLoss, Spec

PLAIN = Spec(SLEEP, b"5")

MOST = attrs.evolve(
    PLAIN,
    priority=1000,
    key="k" * 255,
    name="ñ" * 255,
    tags=tuple(f"{number:063}" for number in range(32)),
)


class FaultTests(SynchronousTestCase):
    """
    L{fault_of}.
    """

    def assert_fault(self, words: str, **said: Any) -> None:  # noqa: ANN401
        """
        Have a job refused in one line with these words, and with nothing unprintable in it.
        """
        fault = str(fault_of(attrs.evolve(PLAIN, **said)))
        self.assertIn(words, fault)
        self.assertTrue(fault.isprintable())
        self.assertLess(len(fault), 250)

    def test_none(self) -> None:
        """
        Nothing is wrong with saying nothing, with any letters, and with the most of everything.
        """
        for spec in (PLAIN, MOST, attrs.evolve(PLAIN, priority=-1000, name="une nuit, à deux 🌙")):
            self.assertIsNone(fault_of(spec))

    def test_too_long(self) -> None:
        """
        Keys, names and tags have a limit, and so has the number of tags.
        """
        self.assert_fault("A key has 255 characters at most: 'kkk", key="k" * 256)
        self.assert_fault("A name has 255 characters at most", name="n" * 100_000)
        self.assert_fault("A tag has 63 characters at most", tags=("a", "t" * 64))
        self.assert_fault("A job has 32 tags at most, and not 33.", tags=("a",) * 33)

    def test_unprintable(self) -> None:
        """
        What cannot be printed, or stored, is in none of them.
        """
        for letter in "\n\0\x7f\u202e\udc80":
            self.assert_fault("A key has printable characters only", key=f"a{letter}")
            self.assert_fault("A name has printable characters only", name=f"a{letter}")
            self.assert_fault("A tag has printable characters only", tags=(f"a{letter}",))

    def test_tags(self) -> None:
        """
        A tag is a word.
        """
        self.assert_fault("A tag is empty", tags=("",))
        self.assert_fault("A tag has no blanks and commas: 'a b' does", tags=("a b",))
        self.assert_fault("A tag has no blanks and commas: 'a,b' does", tags=("a,b",))

    def test_labels(self) -> None:
        """
        What is required is a sorted list of labels, each once.
        """
        for good in ("gpu", "a,b", "mem=big", "x.y_z-1"):
            self.assertIsNone(fault_of(attrs.evolve(PLAIN, requires=good)))
        for wrong in ("GPU", "a b", "-a", "ä", "a" * 64, ",", "a,"):
            self.assert_fault("A label has lower-case letters", requires=wrong)
        for wrong in ("b,a", "a,a"):
            self.assert_fault("sorted, each label once", requires=wrong)
        many = ",".join(f"{number:02}" for number in range(33))
        self.assert_fault("A job requires 32 labels at most, and not 33.", requires=many)

    def test_priority(self) -> None:
        """
        A priority is within its limits.
        """
        for priority in (-1001, 1001, 1 << 70):
            self.assert_fault("a number from -1000 to 1000", priority=priority)


class TagsTests(SynchronousTestCase):
    """
    L{join_tags} and L{split_tags}.
    """

    def test_stored(self) -> None:
        """
        Tags are stored sorted, each once.
        """
        self.assertEqual("a,b", join_tags(("b", "a", "b")))
        self.assertEqual(("a", "b"), split_tags("a,b"))
        self.assertEqual(((), ""), (split_tags(""), join_tags(())))


class DigestTests(SynchronousTestCase):
    """
    L{digest_of}.
    """

    def test_same(self) -> None:
        """
        The key itself, and the order of the tags, make no other job.
        """
        tagged = attrs.evolve(PLAIN, tags=("a", "b"))
        self.assertEqual(digest_of(PLAIN), digest_of(attrs.evolve(PLAIN, key="k")))
        self.assertEqual(digest_of(tagged), digest_of(attrs.evolve(tagged, tags=("b", "a", "b"))))

    def test_stays(self) -> None:
        """
        It is stored, and so stays what it is in later versions.
        """
        self.assertEqual("26bd", digest_of(PLAIN).hex()[:4])

    def test_other(self) -> None:
        """
        Whatever else is said makes another job.
        """
        jobs = [
            PLAIN,
            Spec("command", b"5"),
            Spec(SLEEP, b"6"),
            Spec(SLEEP, b"5", 1),
            Spec(SLEEP, b"5", requires="a"),
            Spec(SLEEP, b"5", on_node_loss=OnNodeLoss.FAIL),
            Spec(SLEEP, b"5", name="a"),
            Spec(SLEEP, b"5", tags=("a",)),
            Spec(SLEEP, b"5", name="a", tags=("a",)),
            Spec(SLEEP, b"5", name="atags 1 a"),
        ]
        self.assertEqual(len(jobs), len({digest_of(spec) for spec in jobs}))

    @given(st.text(), st.binary(), st.lists(st.text()))
    def test_anything(self, name: str, payload: bytes, tags: list[str]) -> None:
        """
        Any job has one, half surrogate pairs or not.
        """
        spec = Spec("\udc80", payload, name=name, tags=tuple(tags))
        self.assertEqual(32, len(digest_of(spec)))
