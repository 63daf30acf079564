"""
How jobcluster is packaged; the build system and the tools are set up in pyproject.toml.
"""

import gzip
import os
import re
import tarfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent

# What is built is for all to read, and the same whoever builds it.
os.umask(0o022)


class ReproducibleSdist(sdist):
    """
    With SOURCE_DATE_EPOCH, the same bytes from the same files, whoever has them and since when.

    (With wheels setuptools sees to that itself.)
    """

    def make_distribution(self) -> None:
        """
        Pack what the class that this is derived from has packed, once more.
        """
        super().make_distribution()
        if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
            for archive in self.archive_files:
                pack_again(Path(archive), int(epoch))


def pack_again(path: Path, epoch: int) -> None:
    """
    Pack an archive anew: its members in order, all of one time and of nobody.
    """
    packed = path.with_suffix(".new")
    with (
        tarfile.open(path) as old,
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", mtime=epoch, fileobj=file) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old, key=lambda member: member.name):
            member.pax_headers = {}
            member.mtime = epoch
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            new.addfile(member, old.extractfile(member))
    packed.replace(path)


def read_version() -> str:
    """
    Read the version out of the package, without importing it.
    """
    text = (HERE / "jobcluster" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("jobcluster/__init__.py has no line that sets __version__")
    return found[1]


# What pickles functions that cannot be imported by their name, in clients and on nodes.
PICKLE = ["cloudpickle>=3.1"]

# What the unit tests need, and the tests of the installed package.
# No floor is higher than what Python 3.10 is served, and each is a version that there is: `nox -s
# oldest` tries them.
TEST = [
    "build>=1.2.1",
    *PICKLE,
    "coverage>=7.10.6",
    "hypothesis>=6.150",
    "pytest>=9,<10",
    "pytest-cov>=7",
    "pytest-twisted>=1.14.3",
]

# The tools are held to a range, so that an old checkout is judged as it was when it was written.
CHECK = [
    "mypy>=2.4,<2.5",
    "mypy-zope>=1.0.17,<1.1",
    "ruff>=0.17.6,<0.18",
    "towncrier>=25.8",
]

# Python 3.10 is served nothing newer.
DOCS = ["sphinx>=8.1.3"]

setup(
    name="jobcluster",
    version=read_version(),
    description="A scheduler for jobs on a handful to a few hundred machines, built on Twisted",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    author="The jobcluster authors",
    license_expression="MIT",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 2 - Pre-Alpha",
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: System :: Clustering",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    install_requires=[
        "attrs>=26.1",
        "automat>=25.4.16",
        "click>=8.1.7",
        "msgspec>=0.20",
        "rich>=13.7",
        "twisted>=26.10",
        "zope.interface>=8",
    ],
    extras_require={
        "pickle": PICKLE,
        "test": TEST,
        "docs": DOCS,
        "dev": [*TEST, *CHECK, *DOCS],
        "visualize": ["automat[visualize]>=25.4"],
    },
    # twisted.plugins is named by hand: it is a directory that plugins are put into, never a package
    # of ours, so it has no __init__.py and is not found by itself.
    packages=[
        *find_packages(include=["jobcluster", "jobcluster.*"]),
        "twisted.plugins",
    ],
    entry_points={
        "console_scripts": [
            "jobcluster = jobcluster.cli.main:start",
            "jobcluster-backup = jobcluster.cli.backup:main",
            "jobcluster-health = jobcluster.cli.health:main",
        ]
    },
    cmdclass={"sdist": ReproducibleSdist},
    package_data={"jobcluster": ["py.typed", "store/schema/**/*.sql"]},
    zip_safe=False,
    # The default editable install maps our packages alone, and Twisted's search for plugins does
    # not see through it; this one puts the whole directory on the path.
    options={"editable_wheel": {"mode": "compat"}},
)
