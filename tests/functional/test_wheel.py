"""
The package as people get it: an sdist, the wheel made from that, and the wheel installed.

Plain functions, for they wait for one program after another and need no reactor.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "htmlcov", "_trial_temp*", "dropin.cache"
)
"""What a fresh clone does not have."""


def run(*command: str | Path, cwd: Path) -> str:
    """
    Run a program to its end and return what it printed.

    The checkout is not on its path, whatever is on that of this process.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_"))}
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


@pytest.fixture(scope="module")
def wheel(_registry: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Build the wheel, by way of the sdist, from a copy: a build leaves its traces where it is made.
    """
    source = tmp_path_factory.mktemp("build") / "source"
    shutil.copytree(CHECKOUT, source, ignore=NOT_COPIED)
    run(sys.executable, "-m", "build", source, cwd=source.parent)
    [built] = (source / "dist").glob("*.whl")
    return built


def test_content(wheel: Path) -> None:
    """
    The wheel has the package whole, the plugins and nothing else.
    """
    source = wheel.parents[1]
    sources = {
        path.relative_to(source).as_posix()
        for path in (source / "jobcluster").rglob("*")
        if path.name == "py.typed" or path.suffix in {".py", ".sql"}
    }
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert files == sources | {"twisted/plugins/jobcluster_plugin.py"}


def test_plugins(wheel: Path, tmp_path: Path) -> None:
    """
    Where the wheel is installed, twistd offers both daemons.
    """
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    programs = tmp_path / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    offered = run(programs / "twistd", "--help", cwd=tmp_path)
    assert "jobbalancer" in offered
    assert "jobnode" in offered
