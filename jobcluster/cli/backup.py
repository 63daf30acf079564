"""
C{jobcluster-backup STATE PLACE}: back up the state of a node, while it runs or not.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from jobcluster import __version__
from jobcluster.errors import StoreError
from jobcluster.store.backup import Backup, back_up

__all__ = ["main"]

_MIB: Final = 1024 * 1024

_DESCRIPTION: Final = """
Back up the state directory of a node, while the node runs or not.
The backup has every job that the node had acknowledged when this was called, with its result and
its output. To restore it, stop the node, move the state directory away, put the backup in its place
(cp -a), and start the node; or start it with the backup as --state. What was acknowledged after the
backup is gone then.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Do it.

    @param arguments: those of the command line by default.
    @raise SystemExit: with one line, if it cannot be done.
    """
    parser = argparse.ArgumentParser("jobcluster-backup", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("state", type=Path, metavar="STATE", help="the node's state directory")
    parser.add_argument(
        "place", type=Path, metavar="PLACE", help="where the backup is to be; nothing may be there"
    )
    wanted = parser.parse_args(arguments)
    # So that what is half done is removed.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        made = back_up(wanted.state, wanted.place)
    except StoreError as error:
        raise SystemExit(f"jobcluster-backup: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    print(described(made, wanted.place))
    if made.missing:
        print(
            f"jobcluster-backup: {len(made.missing)} files of output were not there, the first"
            f" {made.missing[0]}: they had expired, or were removed.",
            file=sys.stderr,
        )


def described(made: Backup, place: Path) -> str:
    """
    What is said of a backup.
    """
    return (
        f"Backed up {made.node} into {place}: {made.ended} jobs with an outcome, {made.waiting}"
        f" without, {made.files} files of output, {made.size / _MIB:.1f} MiB."
    )


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
