"""
What the functional tests are given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest
import pytest_twisted

from tests.functional.daemons import Daemons
from tests.functional.keepers import end_keepers

_FIGURES: Final[list[str]] = []


@pytest_twisted.async_yield_fixture
async def daemons(tmp_path: Path) -> AsyncIterator[Daemons]:
    """
    Start daemons with it: they end with the test.
    """
    made = Daemons(tmp_path)
    try:
        yield made
    finally:
        await made.end_all()
        await end_keepers(made.directory)


@pytest_twisted.async_yield_fixture(scope="module")
async def shared_daemons(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemons]:
    """
    Start daemons with it that all tests of a module use: they end with the last of these.
    """
    made = Daemons(tmp_path_factory.mktemp("shared"))
    try:
        yield made
    finally:
        await made.end_all()
        await end_keepers(made.directory)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """
    Report a figure that was measured: it is shown at the end of the run, whatever its outcome.
    """
    test = request.node.nodeid.rpartition("/")[2]
    return lambda figure: _FIGURES.append(f"{test}: {figure}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """
    Show what was measured.
    """
    if _FIGURES:
        terminalreporter.section("measured")
        for figure in _FIGURES:
            terminalreporter.write_line(figure)
