"""
The README, held against the settings, the verbs and the exit codes that there are.
"""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
from twisted.trial.unittest import SynchronousTestCase

from jobcluster.cli.common import Exit
from jobcluster.cli.main import main
from jobcluster.client.finding import VARIABLE
from jobcluster.config import BALANCER, NODE, Setting
from jobcluster.consoles.grammar import parse
from jobcluster.consoles.requests import Say
from jobcluster.consoles.run import RUN_USAGE

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


def typed_lines(page: str) -> list[str]:
    """
    What is typed into a console in the sessions of a page: at its prompt, or through C{nc}.
    """
    found = []
    for line in page.splitlines():
        if at_prompt := re.match(r"    [a-z]+> (.+)", line):
            found.append(at_prompt[1])
        elif piped := re.match(r"    \$ (?:printf|echo) '(.+)' \| nc ", line):
            found += [part for part in piped[1].split("\\n") if part]
    return found


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


class SessionsTests(SynchronousTestCase):
    """
    The sessions that are shown.
    """

    def setUp(self) -> None:
        """
        Read the page.
        """
        self.page = README.read_text("utf-8")
        self.typed = typed_lines(self.page)

    def test_understood(self) -> None:
        """
        A node understands every line that is typed in them.
        """
        self.assertGreater(len(self.typed), 20)
        for line in self.typed:
            parse(line)

    def test_verbs(self) -> None:
        """
        Every verb is named, most of them by being used.
        """
        said = parse("help")
        assert isinstance(said, Say)  # noqa: S101 - for mypy
        verbs = re.findall(r"^  ([a-z]+)", said.text, re.MULTILINE)
        self.assertLess({"run", "output", "cancel", "exit"}, {*verbs})
        words = {line.split()[0] for line in self.typed}
        words |= {*re.findall(r"``([a-z]+)[` ]", self.page)}
        self.assertEqual([], [verb for verb in verbs if verb not in words])

    def test_run(self) -> None:
        """
        How C{run} is used is said as the console says it.
        """
        self.assertEqual([RUN_USAGE], re.findall(r"``(run \[.*?)``", self.page))


class CommandLineTests(SynchronousTestCase):
    """
    The section about the command line.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        page = README.read_text("utf-8")
        self.section = page.partition("\nThe command line\n---")[2].partition("\nFrom Python\n---")[
            0
        ]

    def test_verbs(self) -> None:
        """
        Every verb is there, in the order of the help, and no other is used.
        """
        verbs = main.list_commands(click.Context(main))
        self.assertEqual(verbs, re.findall(r"(?m)^``(\w+)``  ", self.section))
        used = re.findall(r"(?:\$ |\| |\$\()jobcluster (\w+)", self.section)
        self.assertGreater(len(used), 10)
        self.assertLessEqual({*used}, {*verbs})

    def test_exit_codes(self) -> None:
        """
        Every exit code is there, and the variable that says where the node is.
        """
        codes = [code for name, code in vars(Exit).items() if name.isupper()]
        self.assertEqual(codes, [*map(int, re.findall(r"(?m)^(\d+)  ", self.section))])
        self.assertIn(f"``{VARIABLE}``", self.section)


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


class TypedTests(SynchronousTestCase):
    """
    How sessions are read.
    """

    def test_lines(self) -> None:
        """
        What is typed at a prompt counts, and what is piped; answers and other programs do not.
        """
        page = """
            ::

                alpha> run a
                Ticket ID: alpha.1
                $ printf 'one\\ntwo\\n' | nc -q1 127.0.0.1 9000
                $ echo 'three' | nc -N 127.0.0.1 9000
                $ cat file
        """
        self.assertEqual(["run a", "one", "two", "three"], typed_lines(dedent(page)))
