"""
How jobcluster is packaged; the build system and the tools are set up in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def read_version() -> str:
    """
    Read the version out of the package, without importing it.
    """
    text = (HERE / "jobcluster" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("jobcluster/__init__.py has no line that sets __version__")
    return found[1]


# What the unit tests need, and the tests of the installed package.
# No floor is higher than what Python 3.10 is served.
TEST = [
    "build>=1.2",
    "coverage>=7.10",
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
        "attrs>=26",
        "automat>=25.4",
        "msgspec>=0.20",
        "twisted>=26.10",
        "zope.interface>=8",
    ],
    extras_require={
        "test": TEST,
        "dev": [*TEST, *CHECK],
        "visualize": ["automat[visualize]>=25.4"],
    },
    # twisted.plugins is named by hand: it is a directory that plugins are put into, never a package
    # of ours, so it has no __init__.py and is not found by itself.
    packages=[
        *find_packages(include=["jobcluster", "jobcluster.*"]),
        "twisted.plugins",
    ],
    package_data={"jobcluster": ["py.typed", "store/schema/**/*.sql"]},
    zip_safe=False,
    # The default editable install maps our packages alone, and Twisted's search for plugins does
    # not see through it; this one puts the whole directory on the path.
    options={"editable_wheel": {"mode": "compat"}},
)
