"""
The README, held against the settings that there are.
"""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from jobcluster.config import BALANCER, NODE, Setting

README = Path(__file__).resolve().parent.parent / "README.rst"

COLUMNS = 5
"""Of a table of settings: option, variable, bare name, default, meaning."""


def tables(page: str) -> list[list[list[str]]]:
    """
    The tables of a page that are written as lists: for each its rows, without the headings.
    """
    found: list[list[list[str]]] = []
    within = False
    for line in page.splitlines():
        if line.startswith(".. list-table::"):
            found.append([])
            within = True
        elif line and not line.startswith(" "):
            within = False
        elif within and (cell := re.match(r"   ([* ]) -(?: (.*))?\Z", line)):
            if cell[1] == "*":
                found[-1].append([])
            found[-1][-1].append(cell[2] or "")
    return [rows[1:] for rows in found]


def documented(option: str, page: str) -> list[list[str]]:
    """
    The rows of the first table that has this option.
    """
    return next(
        (rows for rows in tables(page) if any(row[0] == f"``--{option}``" for row in rows)), []
    )


def expected(setting: Setting[Any]) -> list[str]:
    """
    The cells of a setting that can be said by a program: all but default and meaning.
    """
    bare = f"``{setting.bare}``" if setting.bare else ""
    return [f"``--{setting.name}``", f"``{setting.variable}``", bare]


class SettingsTests(SynchronousTestCase):
    """
    The tables of options and variables.
    """

    def test_complete(self) -> None:
        """
        Every setting of each daemon is there with its variable and bare name, in order, and nothing
        else is.
        """
        page = README.read_text("utf-8")
        for settings in (BALANCER, NODE):
            rows = documented(settings[0].name, page)
            self.assertEqual([expected(setting) for setting in settings], [row[:3] for row in rows])

    def test_defaults(self) -> None:
        """
        Every default is there; of one that is not a fixed text, it is said in words.
        """
        page = README.read_text("utf-8")
        for settings in (BALANCER, NODE):
            for setting, row in zip(settings, documented(settings[0].name, page), strict=True):
                self.assertEqual(COLUMNS, len(row), row)
                _, _, _, default, meaning = row
                if setting.default:
                    self.assertTrue(default.startswith(f"``{setting.default}``"), row)
                self.assertNotEqual("", default, row)
                self.assertNotEqual("", meaning, row)


class TablesTests(SynchronousTestCase):
    """
    How tables are read.
    """

    def test_rows(self) -> None:
        """
        Cells may be empty, and what is not in such a table does not count.
        """
        page = """
            .. list-table::
               :header-rows: 1

               * - option
                 - default
               * - ``--one``
                 -
               * - ``--two``
                 - ``2``

            Words.

               * - ``--three``
                 - 3
        """
        self.assertEqual([[["``--one``", ""], ["``--two``", "``2``"]]], tables(dedent(page)))

    def test_which(self) -> None:
        """
        The table is found by an option in it; without one there are no rows.
        """
        page = ".. list-table::\n\n   * - a\n   * - ``--b``\n\n.. list-table::\n\n   * - c\n"
        self.assertEqual([["``--b``"]], documented("b", page))
        self.assertEqual([], documented("c", page))
