r"""
The checks on every Python that is installed, with the newest and the oldest dependencies.

    nox                     the unit tests on each, with the newest and with the oldest
    nox -s check            all checks on each, as CI makes them
    nox -s unit-3.12        one of them

A Python that is not installed is skipped.  Those of pyenv are found when all are activated::

    PYENV_VERSION=$(pyenv versions --bare | grep '^3\.1[0-9]' | paste -sd:) nox
"""

import json
import re

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]

# Prints what an installed jobcluster requires, for its tests too; tools may be newer.
REQUIREMENTS = """
import importlib.metadata, json
print(json.dumps(importlib.metadata.requires("jobcluster")))
"""

nox.options.sessions = ["unit", "oldest"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """
    The unit tests, with the newest dependencies.
    """
    session.install("--upgrade", "--upgrade-strategy=eager", "--editable", ".[test]")
    run_tests(session)


@nox.session(python=PYTHONS)
def oldest(session: nox.Session) -> None:
    """
    The unit tests, with the oldest dependencies that setup.py allows.
    """
    session.install("--editable", ".[test]")
    said = session.run("python", "-c", REQUIREMENTS, silent=True)
    floors = [floor_of(line) for line in json.loads(str(said)) if wanted(line)]
    session.install(*floors)
    run_tests(session)


@nox.session(python=PYTHONS)
def check(session: nox.Session) -> None:
    """
    Everything that has to hold before a change lands.
    """
    session.install("--editable", ".[dev]")
    session.run("tools/check.sh", "python", external=True)


def wanted(requirement: str) -> bool:
    """
    Whether the unit tests need it.
    """
    return ";" not in requirement or 'extra == "test"' in requirement


def floor_of(requirement: str) -> str:
    """
    The oldest version that is allowed: setup.py names one that there is.
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9._-]*)[^;]*?>=([0-9.]+)", requirement)
    if found is None:
        raise ValueError(f"{requirement} has no floor")
    return f"{found[1]}=={found[2]}"


def run_tests(session: nox.Session) -> None:
    """
    Run them; those of C{tests/functional} belong to the check.
    """
    session.run("python", "-m", "pip", "list", "--format=freeze")
    arguments = session.posargs or ["--ignore=tests/functional"]
    session.run("python", "-m", "pytest", "-q", *arguments, env={"HYPOTHESIS_PROFILE": "quick"})
