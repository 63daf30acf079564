"""
C{docs/design.rst}, held against the code in what a program can compare.
"""

import importlib
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.core.cluster import ClusterSettings
from jobcluster.core.words import Dispatch, Report
from jobcluster.store.schema import SCHEMA

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = CHECKOUT / "jobcluster"


def rows(page: str, *headings: str) -> list[list[str]]:
    """
    The rows of the simple tables of a page that have these first headings.
    """
    found: list[list[str]] = []
    table = re.compile(r"^(=+(?: +=+)+)\n([^\n]*)\n\1\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
    for ruler, head, body in table.findall(page):
        columns = [match.span() for match in re.finditer(r"=+", ruler)]
        # The last column may be wider than its ruler.
        spans = [*columns[:-1], (columns[-1][0], None)]

        def cells(line: str, spans: list[tuple[int, int | None]] = spans) -> list[str]:
            return [line[start:end].strip() for start, end in spans]

        if tuple(cells(head)[: len(headings)]) == headings:
            found += [cells(line) for line in body.splitlines()]
    return found


def quoted(cell: str) -> list[str]:
    """
    What is set as code.
    """
    return re.findall(r"``([^`]+)``", cell)


class PageTests(SynchronousTestCase):
    """
    The page, and what it is about.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        self.page = (CHECKOUT / "docs" / "design.rst").read_text("utf-8")

    def test_references(self) -> None:
        """
        Every part and rule that a comment in the code refers to is there.
        """
        parts = set(re.findall(r"^(\d+)\. .*\n-+$", self.page, re.MULTILINE))
        rules = set(re.findall(r"^\*\*(\d+)\. ", self.page, re.MULTILINE))
        self.assertEqual({str(number) for number in range(1, 9)}, rules)
        text = "\n".join(path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py")))
        said = set(re.findall(r"\bpart (\d+)", text))
        self.assertNotEqual(set(), said)
        self.assertEqual(set(), said - parts)
        self.assertEqual(set(), set(re.findall(r"\brules? (\d+)", text)) - rules)

    def test_modules_of_the_core(self) -> None:
        """
        Every module of the core is in the table of them, once, and no other is.
        """
        named = [name for row in rows(self.page, "module") for name in quoted(row[0])]
        there = {path.stem for path in (PACKAGE / "core").glob("*.py")} - {"__init__"}
        self.assertEqual(sorted(there), sorted(named))

    def test_packages(self) -> None:
        """
        Every module and package of the top is in the picture of them.
        """
        there = {
            f"{path.name}/" if path.is_dir() else path.name
            for path in PACKAGE.iterdir()
            if (path.is_dir() and (path / "__init__.py").exists())
            or (path.suffix == ".py" and path.name != "__init__.py")
        }
        self.assertEqual(set(), {name for name in there if name not in self.page})

    def test_words(self) -> None:
        """
        The words of reports and dispatches are those that there are.
        """
        for batch, other in ((Report, "said as"), (Dispatch, "said to")):
            named = [quoted(row[0])[0] for row in rows(self.page, "word", other)]
            self.assertEqual({field.name for field in attrs.fields(batch)}, set(named))
            self.assertEqual(len(named), len(set(named)))

    def test_times(self) -> None:
        """
        Each constant of the table of times stands where it is said to, and has that value.
        """
        checked = 0
        for time, where, *_ in rows(self.page, "time", "where it stands"):
            *names, path = quoted(where)
            if not path.endswith(".py") or not names[0].isupper():
                continue
            module = importlib.import_module(
                f"jobcluster.{path.removesuffix('.py').replace('/', '.')}"
            )
            for name, value in zip(names, re.findall(r"[\d.]+(?= s)", time), strict=True):
                self.assertEqual(float(value), getattr(module, name), name)
                checked += 1
        self.assertGreater(checked, 5)

    def test_times_that_follow(self) -> None:
        """
        Grace, lease and the telling of outcomes are as said by default.
        """
        settings = ClusterSettings()
        self.assertEqual((3.0, 2.5, 3.0), (settings.grace, settings.lease, settings.retell))

    def test_schema(self) -> None:
        """
        The tables of the database are those that there are.
        """
        with closing(sqlite3.connect(":memory:")) as connection:
            for script in sorted(SCHEMA.glob("*.sql")):
                connection.executescript(script.read_text("utf-8"))
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            there = {name for (name,) in found}
        self.assertEqual(there, {quoted(row[0])[0] for row in rows(self.page, "table")})


class RowsTests(SynchronousTestCase):
    """
    How tables are read.
    """

    def test_rows(self) -> None:
        """
        Tables are found by their first headings, and cells by the ruler.
        """
        page = (
            "==  ===\na   b\n==  ===\n1   two three\n    4\n==  ===\n\n"
            "==  ==\nb   c\n==  ==\n5\n==  ==\n"
        )
        self.assertEqual([["1", "two three"], ["", "4"]], rows(page, "a", "b"))
        self.assertEqual([["5", ""]], rows(page, "b"))
        self.assertEqual([], rows(page, "c"))
