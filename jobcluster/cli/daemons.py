"""
Daemons in the foreground.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["run_daemon"]


def run_daemon(name: str, options: Sequence[str]) -> None:
    """
    Be C{twistd -n NAME}, with these options.
    """
    from twisted.scripts.twistd import run  # noqa: PLC0415 - it is to choose the reactor

    sys.argv = ["twistd", "--nodaemon", name, *options]
    run()
