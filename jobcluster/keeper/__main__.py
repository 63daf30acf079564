"""
C{python -m jobcluster.keeper STATE}: start the keeper of a node.
"""

from __future__ import annotations

import os
import sys

from jobcluster.keeper.directory import DirectoryError, LockedError
from jobcluster.keeper.life import Life
from jobcluster.keeper.notes import note

_USAGE = "Usage: python -m jobcluster.keeper [--idle SECONDS] STATE"


def _arguments(arguments: list[str]) -> tuple[bytes, float | None]:
    """The state directory, and the seconds that C{--idle} says."""
    idle = None
    if arguments[:1] == ["--idle"]:
        try:
            idle = float(arguments[1])
        except (ValueError, IndexError):
            raise SystemExit(_USAGE) from None
        del arguments[:2]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise SystemExit(_USAGE)
    return os.fsencode(arguments[0]), idle


def main() -> None:
    """
    Be the keeper until there is nothing to do any more.
    """
    state, idle = _arguments(sys.argv[1:])
    try:
        life = Life(state) if idle is None else Life(state, idle)
    except LockedError as error:
        note(str(error))
        raise SystemExit(3) from None
    except DirectoryError as error:
        note(str(error))
        raise SystemExit(1) from None
    except OSError as error:
        where = "" if error.filename is None else f" ({os.fsdecode(error.filename)})"
        note(f"the keeper cannot start: {error.strerror}{where}")
        raise SystemExit(1) from None
    life.live()


if __name__ == "__main__":
    main()
