"""
The package as people get it: an sdist, the wheel made from that, and the wheel installed.

Most are plain functions, for they wait for one program after another and need no reactor.
"""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest
import pytest_twisted

from tests.functional.cluster import Cluster
from tests.functional.daemons import Daemons
from tests.functional.keepers import find_keeper

CHECKOUT = Path(__file__).resolve().parents[2]

NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "htmlcov", "_trial_temp*", "dropin.cache"
)
"""What a fresh clone does not have."""


SHIPPED = (
    *("benchmarks", "docker", "docs", "jobcluster", "newsfragments", "packaging", "tests", "tools"),
    *("twisted/plugins/jobcluster_plugin.py", "setup.py", "pyproject.toml", "noxfile.py"),
    *("Makefile", "CHANGES.rst", "CONTRIBUTING.rst", "LICENSE", "README.rst"),
)
"""What is in an sdist, with all that is in it."""


def run(*command: str | Path, cwd: Path) -> str:
    """
    Run a program to its end and return what it printed.

    The checkout is not on its path, whatever is on that of this process.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_"))}
    environ["SOURCE_DATE_EPOCH"] = "1700000000"
    ended = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def _registry(tmp_path_factory: pytest.TempPathFactory) -> None:
    """
    Skip where pip reaches no registry: the build system and the requirements come from there.
    """
    where = tmp_path_factory.mktemp("registry")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries=1"]
    asked = subprocess.run(
        [*pip, "download", "--quiet", "--no-deps", "--dest", where, "setuptools"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if asked.returncode:
        last = asked.stdout.strip().rpartition("\n")[2]
        pytest.skip(f"pip reaches no package registry: {last}")


def build(directory: Path) -> Path:
    """
    Build both, the wheel by way of the sdist, from a copy: a build leaves its traces where it is
    made.

    @return: where the copy is.
    """
    source = directory / "source"
    shutil.copytree(CHECKOUT, source, ignore=NOT_COPIED)
    run(sys.executable, "-m", "build", source, cwd=directory)
    return source


@pytest.fixture(scope="module")
def source(_registry: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Build it; return where.
    """
    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """
    The wheel.
    """
    [built] = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Install the wheel in a fresh virtualenv; return where its programs are.
    """
    where = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", where / "venv", cwd=where)
    programs = where / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel, cwd=where)
    return programs


def metadata_of(wheel: Path) -> Message:
    """
    What a wheel says of itself.
    """
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def program_of(pid: int) -> Path:
    """
    What a process was started as.
    """
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return Path(os.fsdecode(words[0]))


def test_content(source: Path, wheel: Path) -> None:
    """
    The wheel has the package whole, the plugins and nothing else.
    """
    sources = {
        path.relative_to(source).as_posix()
        for path in (source / "jobcluster").rglob("*")
        if path.name == "py.typed" or path.suffix in {".py", ".sql"}
    }
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert "jobcluster/py.typed" in files
    assert files == sources | {"twisted/plugins/jobcluster_plugin.py"}


def test_content_of_sdist(source: Path) -> None:
    """
    The sdist has everything that a checkout has, but for what is hidden there; the tests too, which
    hold the package against it.
    """
    [sdist] = (source / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    expected = {
        path.relative_to(CHECKOUT).as_posix()
        for name in SHIPPED
        for path in (CHECKOUT / name, *(CHECKOUT / name).rglob("*"))
        if path.is_file() and not {"__pycache__", "_build"} & {*path.parts}
    }
    assert len(expected) > 300
    assert expected <= files, expected - files


def test_metadata(wheel: Path) -> None:
    """
    The wheel says by which licence it may be used, and has it; and that it is typed.
    """
    metadata = metadata_of(wheel)
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.10"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    with zipfile.ZipFile(wheel) as archive:
        [licence] = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(licence) == (CHECKOUT / "LICENSE").read_bytes()


def test_reproducible(source: Path, tmp_path: Path) -> None:
    """
    Who builds it again has the same bytes: with other rights, and files of another age.
    """
    before = os.umask(0o077)
    try:
        again = build(tmp_path)
    finally:
        os.umask(before)
    names = sorted(path.name for path in (source / "dist").iterdir())
    assert len(names) == 2
    for name in names:
        assert (source / "dist" / name).read_bytes() == (again / "dist" / name).read_bytes(), name


def test_plugins(programs: Path, tmp_path: Path) -> None:
    """
    Where the wheel is installed, twistd offers both daemons, and the programs are there.
    """
    offered = run(programs / "twistd", "--help", cwd=tmp_path)
    assert "jobbalancer" in offered
    assert "jobnode" in offered
    assert run(programs / "jobcluster-backup", "--version", cwd=tmp_path).startswith(
        "jobcluster-backup "
    )


@pytest_twisted.ensureDeferred
async def test_cluster(programs: Path, daemons: Daemons) -> None:
    """
    A balancer and two nodes of what is installed run commands, on both; and a node is backed up.
    """
    daemons.twistd = programs / "twistd"
    cluster = Cluster(daemons)
    await cluster.start(["n1", "n2"])
    session = await cluster.session("n1")
    asked = "import jobcluster, os; print(os.environ['JOBCLUSTER_NODE'], jobcluster.__file__)"
    tickets = [await session.run(str(programs / "python"), "-c", asked) for _ in range(4)]
    for ticket in tickets:
        assert (await session.ask(f"wait {ticket}")).startswith("Result: exit code 0")
    said = [str((await session.output(ticket))[0], "utf-8").split() for ticket in tickets]
    assert {node for node, _ in said} == {"n1", "n2"}
    installed = programs.parent / "lib"
    assert all(installed in Path(file).parents for _, file in said)
    assert program_of(find_keeper(cluster.state_of("n2"))).parent == programs
    backup = programs / "jobcluster-backup"
    told = run(backup, cluster.state_of("n1"), daemons.directory / "backup", cwd=daemons.directory)
    assert told.startswith("Backed up n1 ")
    await cluster.stop()
