"""
What pytest has to be told, so that it does for the tests what trial does.
"""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_working_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Run in a directory made for this run, as trial does: C{mktemp} makes its paths where it is.
    """
    before = os.getcwd()  # noqa: PTH109 - exactly what chdir takes back
    os.chdir(tmp_path_factory.mktemp("run"))
    yield
    os.chdir(before)
