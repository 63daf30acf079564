"""
trial and pytest find the same unit tests, and each can run under either.
"""

import ast
import os
import subprocess
import sys
import unittest
from pathlib import Path
from textwrap import dedent

from twisted.trial import unittest as trial
from twisted.trial.unittest import SynchronousTestCase

from tests.collect import FUNCTIONAL, fault_of

CHECKOUT = Path(__file__).resolve().parent.parent


def collected(runner: str, to: Path) -> list[tuple[str, str]]:
    """
    Let a runner find the unit tests, in a process of its own.

    @param to: a file to make
    @return: the id of each test, and what is wrong with it, as L{tests.collect} says it
    """
    # Both are for this run and not for that one.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.collect", runner, to],
        cwd=CHECKOUT,
        env=inherited,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise AssertionError(f"{runner} could not collect the tests:\n{ended.stdout}")
    lines = to.read_text("utf-8").splitlines()
    return [(name, fault) for name, _, fault in (line.partition("\t") for line in lines)]


def plain_functions(source: str) -> list[str]:
    """
    Find the test functions that a module has outside its classes.
    """
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    ]


class RunnersTests(SynchronousTestCase):
    """
    The unit tests, as trial and pytest find them.
    """

    def test_find_the_same(self) -> None:
        """
        Both runners find the same tests, the same number of times.
        """
        by_trial = collected("trial", Path(self.mktemp()).absolute())
        by_pytest = collected("pytest", Path(self.mktemp()).absolute())
        self.assertIn((self.id(), ""), by_trial)
        self.assertEqual([], [entry for entry in by_trial + by_pytest if entry[1]])
        self.assertEqual(set(), set(by_trial) ^ set(by_pytest))
        self.assertEqual(len(by_trial), len(by_pytest))


class PlainFunctionTests(SynchronousTestCase):
    """
    Test functions outside of classes, which trial passes over in silence.
    """

    def test_unit_tests_have_none(self) -> None:
        """
        No module of unit tests has one.
        """
        modules = {
            str(path.relative_to(CHECKOUT)): path.read_text("utf-8")
            for path in sorted((CHECKOUT / "tests").rglob("test_*.py"))
            if not path.is_relative_to(CHECKOUT / FUNCTIONAL)
        }
        self.assertIn("tests/test_trial.py", modules)
        self.assertEqual(
            {}, {name: plain for name, text in modules.items() if (plain := plain_functions(text))}
        )

    def test_are_noticed(self) -> None:
        """
        Functions and coroutines count; methods, and functions that are no tests, do not.
        """
        source = """
            def test_one(): ...
            async def test_two(): ...
            def helper(): ...
            class Tests:
                def test_three(self): ...
        """
        self.assertEqual(["test_one", "test_two"], plain_functions(dedent(source)))


class FaultTests(SynchronousTestCase):
    """
    What is said about the class of a test.
    """

    def test_none(self) -> None:
        """
        A synchronous test case of trial's runs everywhere.
        """
        self.assertEqual("", fault_of(FaultTests))

    def test_each(self) -> None:
        """
        No class, trial's other class, the standard library's and any other have a fault.
        """
        faulty = (None, trial.TestCase, unittest.TestCase, object)
        self.assertEqual(len(faulty), len({fault_of(case) for case in faulty} - {""}))
