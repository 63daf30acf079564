"""
The examples of the pages, run as they stand there, against a real node.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, within

_CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent

_LIMIT: Final = 60.0
"""Seconds in which a program ends, on a machine that is busy."""


def _run(cluster: Cluster, *arguments: str) -> Deferred[tuple[bytes, bytes, int]]:
    """
    Run Python with these arguments, as a client of alpha; fires with what it has put out, what is
    wrong, and its exit code.
    """
    environ = {"JOBCLUSTER_CONNECT": _socket(cluster), "PATH": os.defpath}
    running: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(
        sys.executable, arguments, environ, str(cluster.state_of("alpha")), reactor
    )
    return within(_LIMIT, running, "the program does not end")


def _socket(cluster: Cluster) -> str:
    return str(cluster.state_of("alpha") / "client")


def _example(page: str) -> tuple[str, str]:
    """
    The program of a page, and what it is said to print.
    """
    program, _, rest = page.partition(".. code-block:: python\n\n")[2].partition("\n(")
    session = rest.partition(".. code-block:: text\n\n")[2].partition("\n\n")[0]
    return dedent(program), dedent(session).partition("\n")[2] + "\n"


@pytest_twisted.ensureDeferred
async def test_examples(daemons: Daemons, tmp_path: Path) -> None:
    """
    The examples of the README do what they show, and the client that knows nothing but the protocol
    prints what its page says (the jobs may end in another order).
    """
    cluster = Cluster(daemons)
    await cluster.start(["alpha"], "--client=none", "--allow-pickle")
    readme = _run(cluster, "-m", "doctest", "-o", "ELLIPSIS", str(_CHECKOUT / "README.rst"))
    program, expected = _example((_CHECKOUT / "docs" / "protocol.rst").read_text("utf-8"))
    client = tmp_path / "client.py"
    client.write_text(program, "utf-8")
    out, err, code = await _run(cluster, str(client), _socket(cluster))
    assert (err, code) == (b"", 0)
    assert sorted(out.decode().splitlines()) == sorted(expected.splitlines())
    assert await readme == (b"", b"", 0)
