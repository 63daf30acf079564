"""
The keeper's log: one line for each thing that an operator should know.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

__all__ = ["note", "printable"]

_LONGEST = 300
"""Characters of a name that are shown."""


def note(text: str) -> None:
    """
    Put a line into the log; where that cannot be written, nothing happens.
    """
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with suppress(OSError, ValueError):
        sys.stdout.write(f"{at} {text}\n")
        sys.stdout.flush()


def printable(name: bytes) -> str:
    """
    A name that users gave, in one line that can be shown.
    """
    text = name.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = text.encode("unicode_escape").decode("ascii")
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
