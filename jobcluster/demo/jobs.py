"""
The jobs of the demonstration: sleeps, and checksums over a handful of files.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

__all__ = ["SLOW", "Files", "Job", "make_jobs"]

_SLEEPS: Final = tuple(250 + 377 * number % 1500 for number in range(36))
"""Milliseconds: some dozens of jobs, the shortest of a quarter of a second."""

_FILES: Final = 6
"""As many as there are slots, for each is the work of a slow checksum too."""

_FILE_SIZE: Final = 256 * 1024

SLOW: Final = 4
"""
Seconds that a slow checksum takes at least: longer than any sleep, so that there is a time when
slow checksums alone run, and than it takes to start a node again.
"""

_STARTS: Final = "starts"
"""Where each slow checksum writes a line when it starts: its process, and its ticket."""

_SLOWLY: Final = f'echo $$ $JOBCLUSTER_TICKET >>{_STARTS}; sleep {SLOW}; exec sha256sum -- "$1"'


@attrs.frozen
class Job:
    """Something that is typed into a console, and what is to come of it."""

    typed: str
    kind: str
    """What to call it."""
    result: str
    """How the line of its result begins."""
    output: bytes | None = None
    """The output of a command."""
    is_slow: bool = False


class Files:
    """
    A directory with a handful of files, of which checksums are to be made.
    """

    def __init__(self, directory: Path) -> None:
        """
        Make the directory, and files of chance.
        """
        self._directory = directory
        directory.mkdir()
        for number in range(1, _FILES + 1):
            (directory / f"part-{number}.bin").write_bytes(os.urandom(_FILE_SIZE))

    def checksums(self, *, slow: bool) -> Iterator[Job]:
        """
        A job for each file: the program that anybody would take, or one that rests first.
        """
        for path in sorted(self._directory.glob("part-*")):
            command = ["sh", "-c", _SLOWLY, "sh"] if slow else ["sha256sum", "--"]
            typed = shlex.join(["run", "-d", str(self._directory), *command, path.name])
            # The same sum, made by something else.
            output = f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n".encode()
            yield Job(typed, "checksum", "Result: exit code 0, ", output, is_slow=slow)

    def starts(self) -> list[tuple[int, str]]:
        """
        Every start of a slow checksum so far: the number of its process, and its ticket.
        """
        path = self._directory / _STARTS
        lines = path.read_text("ascii").splitlines() if path.exists() else []
        return [(int(pid), ticket) for pid, ticket in map(str.split, lines)]


def make_jobs(files: Files) -> Sequence[Job]:
    """
    All jobs, in the order in which they are typed.
    """
    sleeps = [Job(str(sleep), "sleep", f"Result: slept {sleep} ms") for sleep in _SLEEPS]
    first = len(sleeps) // 3
    # The slow ones follow each other, so that there is one for each slot at the same time.
    return [
        *sleeps[:first],
        *files.checksums(slow=False),
        *files.checksums(slow=True),
        *sleeps[first:],
    ]
