"""
C{docs/operations.rst}, held against the lines that the code may log; and the examples of the pages.
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from tests.log_lines import lines_in, lines_of

CHECKOUT = Path(__file__).resolve().parent.parent

PAGES = CHECKOUT / "docs"


def documented(page: str) -> list[str]:
    """
    The lines that the page explains: each stands alone, as a term or an item.
    """
    section = page[page.index("\nLog lines\n---") :]
    return re.findall(r"^(?:- )?``(.+)``$", section, re.MULTILINE)


class LogLinesTests(SynchronousTestCase):
    """
    The tables of log lines.
    """

    def setUp(self) -> None:
        """
        Read the page.
        """
        self.page = documented((PAGES / "operations.rst").read_text("utf-8"))

    def test_complete(self) -> None:
        """
        Every line that an operator may have to act on is there.
        """
        self.assertEqual([], sorted(lines_of(CHECKOUT / "jobcluster") - {*self.page}))

    def test_true(self) -> None:
        """
        No line is there that is not said any more, and none is there twice.
        """
        self.assertEqual([], sorted({*self.page} - lines_of(CHECKOUT / "jobcluster")))
        self.assertEqual(len(self.page), len({*self.page}))


class ReadingTests(SynchronousTestCase):
    """
    How lines are read out of the code.
    """

    def read(self, source: str) -> list[str]:
        """
        The lines of a module.
        """
        return list(lines_in(dedent(source)))

    def test_logged(self) -> None:
        """
        What is logged as a warning or worse, with an ellipsis for each field.
        """
        source = """
            self._log.warn("a commit failed: {reason}", reason=1)
            _log.critical("{one} {two}" " is bad", one=1)
            log.failure("broken")
            self._log.info("well")
            self._log.warn("{reason}", reason=1)
            other.warn("no logger")
        """
        self.assertEqual(["a commit failed: …", "… … is bad", "broken"], self.read(source))

    def test_noted(self) -> None:
        """
        What a core notes with its details, and what a keeper does.
        """
        source = """
            Note("warn", "refused", {"node": 1, "reason": 2})
            Note("info", "joined", {})
            note(f"run {number}" if a else "none")
            note(str(error))
        """
        expected = ["refused (node: …, reason: …)", "run …", "none"]
        self.assertEqual(expected, self.read(source))

    def test_raised(self) -> None:
        """
        What is raised where it ends up in a log.
        """
        source = """
            raise StoreError(f"{path} is bad: {why}.") from error
            raise ValueError("another matter")
            raise SystemExit(3)
        """
        self.assertEqual(["… is bad: …."], self.read(source))
        self.assertEqual([], list(lines_in(dedent(source), silent=True)))

    def test_documented(self) -> None:
        """
        Terms and items count, and what stands within a sentence does not.
        """
        page = "``before``\n\nLog lines\n---------\n\n``one: …``\n    See ``two``.\n\n- ``three``\n"
        self.assertEqual(["one: …", "three"], documented(page))


class ExamplesTests(SynchronousTestCase):
    """
    The examples in the pages.
    """

    def test_pages(self) -> None:
        """
        They are true.
        """
        tried = 0
        for page in sorted(PAGES.glob("*.rst")):
            result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
            self.assertEqual(0, result.failed, page)
            tried += result.attempted
        self.assertGreater(tried, 0)
