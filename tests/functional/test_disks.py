"""
Disks that fill up, and state directories that go away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons, pause, until, until_told
from tests.functional.scene import Scene
from tests.functional.sessions import Job, Session, read_ticket

_Report = Callable[[str], None]

_NOT_TAKEN = "Error: "


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """
    A file system of 2 MB; whatever is on it ends before it does.
    """
    where = tmp_path / "small"
    where.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "jobcluster-test", where],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", where], check=True)


def _fill(disk: Path) -> Path:
    """
    Leave no byte free; return what to remove to have it free again.
    """
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


async def _submit_until_refused(session: Session) -> list[Job]:
    """
    Submit until the disk takes no more; return what was acknowledged before.
    """
    taken: list[Job] = []
    while not (answer := await session.ask("150")).startswith(_NOT_TAKEN):
        taken.append(Job(read_ticket(answer), 150))
    return taken


@pytest_twisted.ensureDeferred
async def test_origin_disk_full(small_disk: Path, daemons: Daemons, report: _Report) -> None:
    """
    The origin's disk fills up while a hundred jobs run and wait, and is freed again: submissions
    are refused while it is full, nothing that was acknowledged is lost, and the node goes on.
    """
    scene = Scene(daemons, report)
    session = await scene.begin(
        options={"n1": ["--min-free=0"]}, states={"n1": small_disk / "state"}
    )
    await scene.under_way()
    scene.strike()
    filler = _fill(small_disk)
    scene.jobs += await _submit_until_refused(session)
    # In this time jobs end, here and elsewhere, and nobody can write that down.
    await pause(3)
    assert (await session.ask("150")).startswith(_NOT_TAKEN)
    filler.unlink()
    refused = 0

    async def taken() -> bool:
        nonlocal refused
        answer = await session.ask("150")
        if answer.startswith(_NOT_TAKEN):
            refused += 1
            return False
        scene.jobs.append(Job(read_ticket(answer), 150))
        return True

    await until_told(20, "the node does not go on", taken)
    await scene.settle(more=True)
    assert scene.cluster.nodes["n1"].said_ever.count("twistd 2") == 1, "it was started again"
    report(f"{refused} submissions were refused after the disk was free")


@pytest_twisted.ensureDeferred
async def test_executor_disk_full(small_disk: Path, daemons: Daemons, report: _Report) -> None:
    """
    An executor's disk fills up: what it cannot promise to remember runs elsewhere, and it is back
    when the disk is.
    """
    scene = Scene(daemons, report)
    session = await scene.begin(
        options={"n2": ["--min-free=0"]}, states={"n2": small_disk / "state"}
    )
    await scene.under_way()
    filler = _fill(small_disk)
    scene.strike()
    # Longer than a second, they are written down where they run.
    scene.jobs += await session.submit([1500] * 30)
    # It has room left for a few rows: its own jobs take it.
    at_node = await scene.cluster.session("n2")
    own = await _submit_until_refused(at_node)
    node, sick = scene.cluster.nodes["n2"], "a commit failed"
    await until(30, "the full disk is not noticed", lambda: sick in node.said)
    since = time.monotonic()
    await session.ask_all([f"wait {job.ticket}" for job in scene.jobs], 60)
    seconds, failures = time.monotonic() - since, node.said.count(sick)
    report(f"{failures} commits failed in {seconds:.1f} s")
    filler.unlink()
    await scene.cluster.joined(["n1", "n2", "n3"])
    answers = await at_node.ask_all([f"wait {job.ticket}" for job in own])
    assert answers == [f"Result: {job.result}" for job in own]
    await scene.settle()
    assert failures < 10 + 3 * seconds, "it does not pause before it tries again"


@pytest_twisted.ensureDeferred
async def test_little_space(small_disk: Path, daemons: Daemons) -> None:
    """
    A disk with less free than C{--min-free} takes no jobs, says so, and nothing is wrong otherwise.
    """
    cluster = Cluster(daemons)
    cluster.balancer.start()
    cluster.add("n1", state=small_disk / "state").start()
    session = await cluster.session("n1")
    answer = await session.ask("100")
    assert answer.startswith("Error: The disk is nearly full (see --min-free)")
    assert await session.listing("getall") == []


@pytest_twisted.ensureDeferred
async def test_state_removed(daemons: Daemons, report: _Report) -> None:
    """
    C{rm -rf} of a state directory ends its node with one line; its own tickets are gone with it,
    and no other.
    """
    scene = Scene(daemons, report)
    await scene.begin()
    await scene.under_way()
    node = scene.cluster.nodes["n2"]
    own = await scene.cluster.session("n2")
    [lost] = await own.submit([60_000])
    scene.strike()
    shutil.rmtree(scene.cluster.state_of("n2"))
    # It looks whenever it writes something down.
    own.type("1500")
    status = await node.ended()
    assert status != 0
    assert "Traceback" not in node.said
    [line] = [line for line in node.said.splitlines() if "#critical]" in line]
    assert "was removed while the node was running" in line
    other = await scene.cluster.session("n3")
    assert await other.ask(f"result {lost.ticket}") == (
        "Error: The node that this ticket came from is away: try again when it is back."
    )
    await scene.settle()
