"""
A node's runner and the real keeper: commands, and keepers that die, freeze and are found again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import pytest
import pytest_twisted

from jobcluster.core.actions import Run
from jobcluster.core.commands import COMMAND, Command, pack_command
from jobcluster.core.events import (
    KeeperReplaced,
    RunnerEvent,
    RunsDropped,
    RunsEnded,
    RunsRefused,
    RunsStarted,
)
from jobcluster.core.values import Adopted, Cause, Outcome, Ref, RunState, Status
from jobcluster.errors import OutputMissingError
from jobcluster.runners.keeper import KeeperRunner, KeeperSettings
from jobcluster.runners.keeper_place import KeeperDirectory
from jobcluster.services.clocks import machine_clocks
from tests.functional.daemons import clock, pause, until, within

_LIMIT: Final = 20.0
"""Seconds in which whatever is waited for happens, on a machine that is busy."""

_SILENCE: Final = 2.0
"""Seconds after which a keeper that does not answer is replaced here."""

_Event = TypeVar("_Event", RunsStarted, RunsRefused, RunsEnded, RunsDropped, KeeperReplaced)


def run_of(serial: int, *argv: str, stdin: bytes = b"") -> Run:
    """
    A command that is to be run.
    """
    payload = pack_command(Command(tuple(map(os.fsencode, argv)), stdin=stdin))
    return Run("a", "store", 1, serial, 1000 + serial, COMMAND, payload, 1, False, 0.0, False)


class Watched:
    """
    A runner of a node, and all that it tells.
    """

    def __init__(self, place: KeeperDirectory) -> None:
        """
        Begin with a lease of a minute.
        """
        settings = KeeperSettings(
            lambda: "a", 0.5, 1 << 20, {"PATH": os.environ["PATH"]}, silence=_SILENCE
        )
        self.place = place
        self.told: list[RunnerEvent] = []
        self.runner = KeeperRunner(clock, machine_clocks, place, settings)
        self.runner.told = self.told.append
        self.runner.lease(machine_clocks().boot + 60)
        self.keeper = ""

    async def meet(self) -> tuple[Adopted, ...]:
        """
        Take the inventory.
        """
        self.keeper, adopted = await within(_LIMIT, self.runner.inventory(), "no inventory")
        return adopted

    @property
    def pid(self) -> int:
        """
        Of the keeper.
        """
        sighting = self.place.named()
        assert sighting is not None
        return sighting.pid

    def those(self, kind: type[_Event]) -> list[_Event]:
        """
        What was told of one kind.
        """
        return [event for event in self.told if isinstance(event, kind)]

    def outcomes(self) -> dict[Ref, Outcome]:
        """
        How runs have ended.
        """
        ended = [run for event in self.those(RunsEnded) for run in event.runs]
        assert len({run.ref for run in ended}) == len(ended), "an end was told twice"
        return {run.ref: run.outcome for run in ended}

    def started(self) -> set[Ref]:
        """
        What was told to have started.
        """
        return {ref for event in self.those(RunsStarted) for ref in event.refs}

    async def start(self, *runs: Run) -> None:
        """
        Start these; wait until that is told.
        """
        self.runner.start(runs)
        refs = {run.ref for run in runs}
        await until(_LIMIT, "not everything has started", lambda: refs <= self.started())

    async def ended(self, *runs: Run) -> list[Outcome]:
        """
        Wait until these have ended.
        """
        refs = {run.ref for run in runs}
        await until(_LIMIT, "not everything has ended", lambda: refs <= set(self.outcomes()))
        return [self.outcomes()[run.ref] for run in runs]


@asynccontextmanager
async def a_keeper(directory: Path) -> AsyncIterator[Watched]:
    """
    A runner that has met its keeper, which ends with it.
    """
    watched = Watched(KeeperDirectory(clock, directory))
    try:
        assert await watched.meet() == ()
        yield watched
    finally:
        await finish(watched)


async def finish(watched: Watched) -> None:
    """
    End the keeper in order.
    """
    await within(_LIMIT, watched.runner.finish(), "the keeper does not end")
    watched.runner.close()
    assert watched.place.named() is None
    assert not watched.place.is_locked()


def is_there(pid: int) -> bool:
    """
    Whether there is a process of this number that has not ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


async def pid_in(path: Path) -> int:
    """
    Wait until somebody has written his pid there; it.
    """
    found: list[int] = []

    def look() -> bool:
        if path.exists() and (text := path.read_text("ascii")):
            found.append(int(text))
        return bool(found)

    await until(_LIMIT, "no pid", look)
    return found[0]


@pytest_twisted.ensureDeferred
async def test_outcomes(tmp_path: Path) -> None:
    """
    Exit codes, signals, output and input of commands, and one that is none.
    """
    async with a_keeper(tmp_path) as node:
        runs = [
            run_of(1, "sh", "-c", "echo out; echo err >&2; exit 3"),
            run_of(2, "sh", "-c", "kill -9 $$"),
            run_of(3, "cat", stdin=b"\0\xff" * 1000),
            run_of(4, "no-such-program"),
            run_of(5, "sh", "-c", "echo $JOBCLUSTER_TICKET $JOBCLUSTER_ATTEMPT $JOBCLUSTER_NODE"),
        ]
        node.runner.start(runs)
        failed, killed, copied, missing, named = await node.ended(*runs)
        assert (failed.status, failed.code) == (Status.FAILED, 3)
        assert (failed.out, failed.err) == (b"out\n", b"err\n")
        assert (killed.status, killed.code) == (Status.FAILED, -signal.SIGKILL)
        assert (copied.status, copied.code) == (Status.SUCCEEDED, 0)
        assert copied.out == b"\0\xff" * 1000
        assert (missing.status, missing.code) == (Status.FAILED, None)
        assert "no-such-program" in missing.detail
        assert named.out == b"a.00000000000zd 1 a\n"


@pytest_twisted.ensureDeferred
async def test_large_output(tmp_path: Path) -> None:
    """
    Output that is not said with the outcome is read in pieces, until it is dropped.
    """
    async with a_keeper(tmp_path) as node:
        run = run_of(1, "sh", "-c", "head -c 300000 /dev/zero; echo end; echo err >&2")
        await node.start(run)
        [outcome] = await node.ended(run)
        assert outcome.is_large
        assert (outcome.out_size, outcome.err_size) == (300_004, 4)
        assert node.runner.output(run.ref, "out", 299_999, 100) == b"\0end\n"
        assert node.runner.output(run.ref, "err", 0, 100) == b"err\n"
        node.runner.drop([run.ref])
        await until(_LIMIT, "it is not dropped", lambda: bool(node.those(RunsDropped)))
        with pytest.raises(OutputMissingError):
            node.runner.output(run.ref, "out", 0, 100)


@pytest_twisted.ensureDeferred
async def test_stop_and_drop(tmp_path: Path) -> None:
    """
    What is stopped has its time to end, and what is dropped has ended when that is told.
    """
    async with a_keeper(tmp_path) as node:
        stubborn = "trap '' TERM; echo $$ >" + str(tmp_path / "pid") + "; sleep 60; sleep 60"
        stopped, dropped = run_of(1, "sleep", "60"), run_of(2, "sh", "-c", stubborn)
        await node.start(stopped, dropped)
        pid = await pid_in(tmp_path / "pid")
        node.runner.stop([stopped.ref])
        [outcome] = await node.ended(stopped)
        assert (outcome.status, outcome.code) == (Status.CANCELLED, -signal.SIGTERM)
        node.runner.drop([dropped.ref])
        await until(_LIMIT, "it is not dropped", lambda: bool(node.those(RunsDropped)))
        assert not is_there(pid)
        assert dropped.ref not in node.outcomes()


@pytest_twisted.ensureDeferred
async def test_killed(tmp_path: Path) -> None:
    """
    A keeper that is killed is replaced; what it ran is ended and told lost, what had ended is not
    told again, and what is asked for meanwhile is started.
    """
    async with a_keeper(tmp_path) as node:
        over = run_of(1, "true")
        running = run_of(2, "sh", "-c", f"echo $$ > {tmp_path / 'pid'}; exec sleep 60")
        await node.start(over, running)
        await node.ended(over)
        pid = await pid_in(tmp_path / "pid")
        os.kill(node.pid, signal.SIGKILL)
        [lost] = await node.ended(running)
        assert (lost.status, lost.detail) == (Status.LOST, Cause.KEEPER_DIED)
        assert lost.started > 0
        assert not is_there(pid)
        [replaced] = node.those(KeeperReplaced)
        assert replaced.keeper != node.keeper
        os.kill(node.pid, signal.SIGKILL)
        meanwhile = run_of(3, "echo", "3")
        await pause(0.01)  # or it would be said to the one that is dead
        node.runner.start([meanwhile])
        await until(
            _LIMIT,
            "it is neither started nor refused",
            lambda: meanwhile.ref in node.outcomes() or bool(node.those(RunsRefused)),
        )
        assert len(node.those(KeeperReplaced)) == 2


@pytest_twisted.ensureDeferred
async def test_frozen(tmp_path: Path) -> None:
    """
    A keeper that is frozen for less than the limit loses nothing; for good, it is killed and
    replaced.
    """
    async with a_keeper(tmp_path) as node:
        first, second, third = (run_of(serial, "sleep", "60") for serial in (1, 2, 3))
        await node.start(first)
        frozen = node.pid
        os.kill(frozen, signal.SIGSTOP)
        node.runner.start([second])
        await pause(_SILENCE / 2)
        assert second.ref not in node.started()
        os.kill(frozen, signal.SIGCONT)
        await node.start(second)
        await pause(_SILENCE * 2)
        assert node.pid == frozen
        assert node.outcomes() == {}
        os.kill(frozen, signal.SIGSTOP)
        node.runner.start([third])
        for outcome in await node.ended(first, second):
            assert (outcome.status, outcome.detail) == (Status.LOST, Cause.KEEPER_DIED)
        assert [event.refs for event in node.those(RunsRefused)] == [(third.ref,)]
        assert not is_there(frozen)


@pytest_twisted.ensureDeferred
async def test_adopted(tmp_path: Path) -> None:
    """
    The next process of a node finds the keeper, what it runs and what has ended.
    """
    async with a_keeper(tmp_path) as node:
        running = run_of(1, "sh", "-c", f"while ! [ -e {tmp_path / 'go'} ]; do sleep 0.1; done")
        over = run_of(2, "sh", "-c", "head -c 100000 /dev/zero")
        await node.start(running, over)
        await node.ended(over)
        node.runner.close()
        later = Watched(node.place)
        adopted = {row.held.ref: row for row in await later.meet()}
        assert later.keeper == node.keeper
        assert adopted[running.ref].held.state == RunState.RUNNING
        outcome = adopted[over.ref].outcome
        assert outcome is not None
        assert outcome.out_size == 100_000
        assert later.runner.output(over.ref, "out", 99_000, 5000) == bytes(1000)
        later.runner.start([running._replace(adopted=True)])
        (tmp_path / "go").touch()
        [outcome] = await later.ended(running)
        assert (outcome.status, outcome.code) == (Status.SUCCEEDED, 0)
        assert later.started() == set()
        later.runner.close()


@pytest_twisted.ensureDeferred
async def test_newest_connection(tmp_path: Path) -> None:
    """
    Of two runners of one place the newer one is obeyed; the older one does not disturb it for ever.
    """
    async with a_keeper(tmp_path) as node:
        run = run_of(1, "echo", "1")
        later = Watched(node.place)
        await later.meet()
        node.runner.close()
        await later.start(run)
        await later.ended(run)
        later.runner.close()
        assert node.told == []


@pytest_twisted.ensureDeferred
async def test_finish(tmp_path: Path) -> None:
    """
    A node that ends its keeper leaves no process, and hears how everything has ended.
    """
    node = Watched(KeeperDirectory(clock, tmp_path))
    await node.meet()
    stubborn = f"trap '' TERM; echo $$ > {tmp_path / 'pid'}; sleep 60; sleep 60"
    runs = run_of(1, "sleep", "60"), run_of(2, "sh", "-c", stubborn)
    await node.start(*runs)
    pid = await pid_in(tmp_path / "pid")
    keeper = node.pid
    await finish(node)
    statuses = [(outcome.status, outcome.code) for outcome in node.outcomes().values()]
    assert sorted(statuses, key=str) == [
        (Status.CANCELLED, -signal.SIGTERM),
        (Status.CANCELLED, -signal.SIGKILL),
    ]
    assert not is_there(keeper)
    assert not is_there(pid)


@pytest_twisted.ensureDeferred
async def test_long_path(tmp_path: Path) -> None:
    """
    A state directory whose path is too long for a socket is as good as any.
    """
    state = tmp_path / ("x" * 200)
    state.mkdir()
    async with a_keeper(state) as node:
        run = run_of(1, "true")
        await node.start(run)
        [outcome] = await node.ended(run)
        assert outcome.status == Status.SUCCEEDED


@pytest_twisted.ensureDeferred
async def test_state_removed(tmp_path: Path) -> None:
    """
    A keeper whose state directory is removed ends with what it runs, and none is started there.
    """
    state = tmp_path / "state"
    state.mkdir()
    node = Watched(KeeperDirectory(clock, state))
    await node.meet()
    await node.start(run_of(1, "sh", "-c", f"echo $$ > {tmp_path / 'pid'}; exec sleep 60"))
    pid = await pid_in(tmp_path / "pid")
    keeper = node.place.named()
    assert keeper is not None
    state.rename(tmp_path / "elsewhere")
    # What asks the place has it see to a child that has ended, which is_there alone does not.
    await until(_LIMIT, "it goes on", lambda: not node.place.lives(keeper) and not is_there(pid))
    await pause(0.1)
    assert not state.exists()
    node.runner.close()
