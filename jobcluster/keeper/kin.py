"""
Whose processes these are: everything below the keeper belongs to a run.

What leaves the group of its run, or is orphaned, is followed by its ancestors; what was not seen
while it had any is known by its group, its session or its environment.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress

from jobcluster.keeper.facts import Births, Process, environment_of, kill_exactly, process
from jobcluster.keeper.facts import processes as all_processes
from jobcluster.keeper.notes import note
from jobcluster.keeper.records import Run

__all__ = ["Ends", "Family", "Suspects"]

Suspects = frozenset[int]
"""The numbers of the runs that a process may belong to; mostly one."""

Ends = list[tuple[Run, int]]
"""Runs whose leaders have ended, with the exit codes of these (negative: a signal)."""


class Family:
    """
    The processes below this one.
    """

    def __init__(self) -> None:
        """There are none yet, and this one is the subreaper already."""
        self._births = Births()
        self._me = os.getpid()
        self._leaders: dict[int, Run] = {}
        """Those that were not waited for, by pid."""
        self._groups: dict[int, Run] = {}
        """The groups of all runs that have not ended, by their numbers."""
        self._resting: dict[int, Suspects] = {}
        """Workers that call no function, by pid, and whose it is what is found below them."""
        self._spawned: set[int] = set()
        """Our own since the births were looked at last."""
        self._kin: dict[int, tuple[Process, Suspects]] = {}
        """All the others that were found, by pid."""
        self._sessions: dict[int, Suspects] = {}
        self._immortal: set[tuple[int, int]] = set()
        """Pid and start of what may not be killed."""

    # -- leaders -----------------------------------------------------------------------------------

    def add(self, run: Run) -> None:
        """
        A run was started, in a process of its own or in a worker.
        """
        if self._resting.pop(run.pid, None) is None:
            self._spawned.add(run.pid)
        self._leaders[run.pid] = self._groups[run.pid] = run

    def rest(self, run: Run) -> bool:
        """
        The function of a run has come to its end, and its worker waits for another one.

        @return: whether that can be: nothing is below the worker, or was.
        """
        self.look()
        for pid in [pid for pid, (_, whose) in self._kin.items() if run.number in whose]:
            self._refresh(pid)
        if any(run.number in whose for _, whose in self._kin.values()):
            return False
        del self._leaders[run.pid]
        self._resting[run.pid] = frozenset({run.number})
        return True

    def signal(self, run: Run, number: int) -> None:
        """
        Send a signal to the group of a run, if its leader was not waited for: then it is its group.
        """
        if self._leaders.get(run.pid) is run:
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(run.pid) != run.pid:
                    # It has put itself into another group, the keeper's own perhaps.
                    os.kill(run.pid, number)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(run.pid, number)

    def has_ended(self, run: Run) -> bool:
        """
        Whether the leader of a run has ended, waited for or not.
        """
        if self._leaders.get(run.pid) is not run:
            return True
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, run.pid, options) is not None

    def reap(self) -> tuple[Ends, list[int]]:
        """
        Wait for all that has ended; with a leader or a worker goes all its group.

        @return: the runs whose leaders have ended, and the pids of workers that have.
        """
        ends, workers = [], []
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            pid = found.si_pid
            run = self._leaders.pop(pid, None)
            if self._resting.pop(pid, None) is not None:
                workers.append(pid)
            if run is not None or pid in workers[-1:]:
                # The leader is not waited for yet, so that its group cannot be another's.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            if run is not None:
                code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
                ends.append((run, code))
            os.waitpid(pid, 0)
        return ends, workers

    @property
    def leads(self) -> bool:
        """Whether there are leaders or workers that were not waited for."""
        return bool(self._leaders) or bool(self._resting)

    def forget(self, run: Run) -> None:
        """
        Nothing of a run is left.
        """
        self._groups.pop(run.pid, None)
        if not self._groups:
            self._sessions.clear()

    # -- all the others ----------------------------------------------------------------------------

    def look(self) -> None:
        """
        Find out whose the processes are that were created since this was done last.
        """
        births = self._births.new(self._spawned)
        if births is None:
            self._place({found.pid: found for found in all_processes()})
        elif births:
            others = [pid for pid in births if pid not in self._spawned]
            found = {pid: one for pid in others if (one := process(pid)) is not None}
            if found:
                self._place(found)
        self._spawned.clear()

    def prune(self) -> None:
        """
        Forget those that have gone.
        """
        for pid in list(self._kin):
            self._refresh(pid)

    def left(self, leaving: Iterable[Run]) -> set[int]:
        """
        Kill what is left of runs whose leaders have ended.

        (What cannot be told from the processes of a run that goes on is not killed before that one
        ends, and is not waited for.)

        @return: the numbers of those runs of which something was left just now.
        """
        self.look()
        if not self._kin:
            return set()
        running = {run.number for run in self._leaders.values()}
        wanted = {run.number for run in leaving}
        left: set[int] = set()
        for pid, (_, suspects) in list(self._kin.items()):
            if suspects & running:
                continue
            one = self._refresh(pid)
            if one is not None:
                left |= suspects
                self._kill(one)
        return left & wanted

    def kill_all(self) -> bool:
        """
        Kill every process that is not a leader.

        @return: whether there was one.
        """
        self.look()
        found = [one for pid in list(self._kin) if (one := self._refresh(pid)) is not None]
        for one in found:
            self._kill(one)
        return bool(found)

    def describe(self, number: int) -> str:
        """
        The pids of what is left of a run.
        """
        return ", ".join(str(pid) for pid, (_, whose) in self._kin.items() if number in whose)

    def _refresh(self, pid: int) -> Process | None:
        """What a process is now, if it is still there and may be waited for."""
        before, suspects = self._kin[pid]
        now = process(pid)
        if now is None or now.start != before.start or (pid, now.start) in self._immortal:
            del self._kin[pid]
            return None
        if len(suspects) > 1 and now.parent == self._me:
            # What is just being loaded has no environment for a moment.
            found = self._attribute(now)
            suspects = found if len(found) == 1 and found <= suspects else suspects
        self._keep(now, suspects)
        return now

    def _keep(self, one: Process, suspects: Suspects) -> None:
        self._kin[one.pid] = (one, suspects)
        if one.session == one.pid:
            self._sessions[one.pid] = suspects

    def _place(self, found: dict[int, Process]) -> None:
        """Take in those of these that are below this one."""
        # Parents first, so that nothing is looked up through many generations.
        for one in sorted(found.values(), key=lambda one: (one.start, one.pid)):
            self._belongs(one, found, set())

    def _belongs(
        self, one: Process, found: Mapping[int, Process], asked: set[int]
    ) -> Suspects | None:
        """The runs that a process may belong to, or C{None} if it is none of ours."""
        pid = one.pid
        if (whose := self._led(pid)) is not None:
            return whose
        known = self._kin.get(pid)
        if known is not None and known[0].start == one.start:
            return known[1]
        if one.parent == self._me:
            suspects = self._attribute(one)
        else:
            above = self._above(one.parent, found, asked | {pid})
            if above is None:
                return None
            suspects = above
        self._keep(one, suspects)
        return suspects

    def _led(self, pid: int) -> Suspects | None:
        """Whose a process is that is a leader or a worker."""
        run = self._leaders.get(pid)
        return self._resting.get(pid) if run is None else frozenset({run.number})

    def _above(self, parent: int, found: Mapping[int, Process], asked: set[int]) -> Suspects | None:
        if (whose := self._led(parent)) is not None:
            return whose
        if parent in found and parent not in asked:
            return self._belongs(found[parent], found, asked)
        known = self._kin.get(parent)
        return None if known is None else known[1]

    def _attribute(self, one: Process) -> Suspects:
        """The runs that an orphan may belong to."""
        run = self._groups.get(one.group)
        if run is not None:
            return frozenset({run.number})
        environment = environment_of(one.pid)
        for run in self._groups.values():
            if run.marks() <= environment or run.worker in environment:
                return frozenset({run.number})
        if one.session in self._sessions:
            return self._sessions[one.session]
        return frozenset(run.number for run in self._groups.values())

    def _kill(self, one: Process) -> None:
        try:
            if one.group == one.pid and one.parent == self._me and one.state != "Z":
                # A child that was not waited for: the group is its own.
                with suppress(ProcessLookupError):
                    os.killpg(one.pid, signal.SIGKILL)
            else:
                kill_exactly(one.pid, one.start)
        except OSError as error:
            note(
                f"process {one.pid}, left over of a run that has ended, cannot be killed:"
                f" {error.strerror}; it goes on"
            )
            self._immortal.add((one.pid, one.start))
