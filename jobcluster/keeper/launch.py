"""
Giving a run its files and its environment, and starting its leader or having its function called.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from jobcluster.keeper.facts import process
from jobcluster.keeper.outputs import Outputs, WorkDirectories
from jobcluster.keeper.payloads import (
    COMMAND,
    FUNCTION,
    Command,
    Function,
    read_command,
    read_function,
)
from jobcluster.keeper.records import RUNNING, Run
from jobcluster.keeper.spawn import NotStartedError, enter, spawn
from jobcluster.keeper.workers import Workers

__all__ = ["Launch"]


class Launch:
    """
    Starts runs in the directories of one keeper.
    """

    def __init__(self, outputs: Outputs, work: WorkDirectories, workers: Workers) -> None:
        """Remember them, and what all runs have in common."""
        self._workers = workers
        self._outputs = outputs
        self._work = work
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.environment: dict[bytes, bytes] = {}
        """What every run gets."""
        self.allow_pickle = False
        """Whether functions are called that are pickled."""

    def start(self, run: Run, payload: bytes) -> None:
        """
        Start the leader of a run.

        @raise NotStartedError: if that is not possible, for reasons of its own.
        @raise OSError: if it cannot have files.
        """
        wanted = self._read(run.kind, payload)
        run.limit = wanted.limit
        opened = list(self._outputs.create(run.number))
        try:
            stdin = self._null
            if isinstance(wanted, Command) and wanted.stdin:
                stdin = self._outputs.stdin(run.number, wanted.stdin)
                opened.append(stdin)
            directory = wanted.directory
            if directory is None:
                directory = self._work.create(run.number)
                run.fresh = True
            self._begin(run, wanted, directory, (stdin, opened[0], opened[1]))
        finally:
            for descriptor in opened:
                os.close(descriptor)
        run.phase = RUNNING

    def _begin(
        self,
        run: Run,
        wanted: Command | Function,
        directory: bytes,
        streams: tuple[int, int, int],
    ) -> None:
        environment = self.environment | dict(wanted.environment)
        if isinstance(wanted, Function):
            enter(directory)
            self._workers.start(run, wanted, environment, directory, streams)
            return
        run.pid = spawn(wanted, environment | run.variables(), directory, streams)
        # It was not waited for, so that it is there, if only as a zombie.
        found = process(run.pid)
        run.start = 0 if found is None else found.start

    def leave(self) -> None:
        """
        Keep no directory of a run busy.
        """
        os.chdir(self._root)

    def _read(self, kind: str, payload: bytes) -> Command | Function:
        """What is to be run, if it may be."""
        readers: dict[str, Callable[[bytes], Command | Function]] = {
            COMMAND: read_command,
            FUNCTION: read_function,
        }
        if kind not in readers:
            raise NotStartedError("this keeper runs no jobs of that kind")
        try:
            wanted = readers[kind](payload)
        except ValueError as error:
            raise NotStartedError(str(error)) from error
        if isinstance(wanted, Function) and wanted.pickled and not self.allow_pickle:
            raise NotStartedError(
                "this node calls no pickled functions: it has to be started with --allow-pickle"
            )
        return wanted
