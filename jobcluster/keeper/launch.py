"""
Giving a run its files and its environment, and starting its leader.
"""

from __future__ import annotations

import os

from jobcluster.keeper.facts import process
from jobcluster.keeper.outputs import Outputs, WorkDirectories
from jobcluster.keeper.records import RUNNING, Run
from jobcluster.keeper.spawn import NotStartedError, spawn
from jobcluster.keeper.words import Command, read_command

__all__ = ["Launch"]


class Launch:
    """
    Starts runs in the directories of one keeper.
    """

    def __init__(self, outputs: Outputs, work: WorkDirectories) -> None:
        """Remember them, and what all runs have in common."""
        self._outputs = outputs
        self._work = work
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.environment: dict[bytes, bytes] = {}
        """What every run gets."""

    def start(self, run: Run, payload: bytes) -> None:
        """
        Start the leader of a run.

        @raise NotStartedError: if that is not possible, for reasons of its own.
        @raise OSError: if it cannot have files.
        """
        try:
            command = read_command(payload)
        except ValueError as error:
            raise NotStartedError(str(error)) from error
        run.limit = command.limit
        opened = list(self._outputs.create(run.number))
        try:
            stdin = self._null
            if command.stdin:
                stdin = self._outputs.stdin(run.number, command.stdin)
                opened.append(stdin)
            directory = command.directory
            if directory is None:
                directory = self._work.create(run.number)
                run.fresh = True
            streams = (stdin, opened[0], opened[1])
            run.pid = spawn(command, self._environment_of(run, command), directory, streams)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        # It was not waited for, so that it is there, if only as a zombie.
        found = process(run.pid)
        run.start = 0 if found is None else found.start
        run.phase = RUNNING

    def leave(self) -> None:
        """
        Keep no directory of a run busy.
        """
        os.chdir(self._root)

    def _environment_of(self, run: Run, command: Command) -> dict[bytes, bytes]:
        return self.environment | dict(command.environment) | run.variables()
