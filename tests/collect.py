"""
What a runner finds in this package, one test a line.

A program, for a process that has chosen one runner cannot choose the other:

    python -m tests.collect trial|pytest FILE

A line of FILE is the id of a test and, after a tab, what keeps it from running under either runner;
nothing, most of the time.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import TestCase as AnyTestCase
from unittest import TestSuite

import pytest
from twisted.trial.runner import TestLoader
from twisted.trial.unittest import SynchronousTestCase, TestCase

FUNCTIONAL = "tests/functional"
"""Where the tests are that trial need not see."""


def fault_of(case: type[object] | None) -> str:
    """
    Say what is wrong with the class of a unit test.
    """
    if case is None:
        return "is a plain function, which trial does not see"
    if issubclass(case, TestCase):
        return "spins a reactor, which pytest-twisted has running"
    if issubclass(case, SynchronousTestCase):
        return ""
    if issubclass(case, AnyTestCase):
        return "is not a test case of trial's"
    return "is in no test case, or its module cannot be imported"


def flattened(suite: TestSuite) -> Iterator[AnyTestCase]:
    """
    Take suites within suites apart.
    """
    for part in suite:
        if isinstance(part, TestSuite):
            yield from flattened(part)
        else:
            yield part


def found_by_trial() -> list[tuple[str, str]]:
    """
    List what C{trial tests} runs.
    """
    suite = TestLoader().loadByName("tests", recurse=True)
    return [(test.id(), fault_of(type(test))) for test in flattened(suite)]


class Recorder:
    """
    A plugin of pytest's that notes what was collected.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """
        Note each test under the id that trial gives it, or its own if trial cannot have it.
        """
        for item in session.items:
            case = getattr(item, "cls", None)
            name = f"{case.__module__}.{case.__qualname__}.{item.name}" if case else item.nodeid
            self.found.append((name, fault_of(case)))


def found_by_pytest() -> list[tuple[str, str]]:
    """
    List what pytest runs, but for the functional tests.
    """
    recorder = Recorder()
    # The options that pyproject.toml adds are for runs of the tests; and what is loaded already,
    # this package's Hypothesis, can have no assertions rewritten.
    options = [
        "--override-ini=addopts=",
        "--assert=plain",
        "-pno:cacheprovider",
        "--collect-only",
        "-q",
    ]
    status = pytest.main([*options, f"--ignore={FUNCTIONAL}", "tests"], plugins=[recorder])
    if status:
        raise SystemExit(int(status))
    return recorder.found


def main(runner: str, to: Path) -> None:
    """
    Write down what the runner of this name finds.
    """
    lines = {"trial": found_by_trial, "pytest": found_by_pytest}[runner]()
    to.write_text("".join(f"{name}\t{fault}\n" for name, fault in sorted(lines)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
