"""
The Pythons that are promised are those that are tried.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).resolve().parent.parent

SETUP = (CHECKOUT / "setup.py").read_text("utf-8")

PROMISED = re.findall(r'"Programming Language :: Python :: (3\.[0-9]+)"', SETUP)


class PythonsTests(SynchronousTestCase):
    """
    What is promised by the package.
    """

    def test_floor(self) -> None:
        """
        The oldest is what is required, what the tools look for, and what they hold the code to.
        """
        oldest = PROMISED[0]
        project = (CHECKOUT / "pyproject.toml").read_text("utf-8")
        self.assertIn(f'python_requires=">={oldest}"', SETUP)
        self.assertIn(f'target-version = "py{oldest.replace(".", "")}"', project)
        self.assertIn(f'python_version = "{oldest}"', project)

    def test_nox(self) -> None:
        """
        Each is tried by nox.
        """
        text = (CHECKOUT / "noxfile.py").read_text("utf-8")
        [pythons] = re.findall(r"^PYTHONS = \[(.*)\]$", text, re.MULTILINE)
        self.assertEqual(PROMISED, re.findall(r'"([^"]+)"', pythons))

    def test_workflow(self) -> None:
        """
        CI makes its checks with each, by the script that makes them elsewhere too.
        """
        path = CHECKOUT / ".github" / "workflows" / "ci.yml"
        if not path.exists():
            raise SkipTest("what is hidden in a checkout is not in an sdist")
        text = path.read_text("utf-8")
        pythons = re.findall(r"python: \[(.*)\]$", text, re.MULTILINE)
        self.assertEqual(PROMISED, re.findall(r'"([^"]+)"', pythons[0]))
        self.assertIn("- run: .ci/run\n", text)
        self.assertTrue(os.access(CHECKOUT / ".ci" / "run", os.X_OK))
        self.assertIn("tools/check.sh", (CHECKOUT / ".ci" / "run").read_text("utf-8"))

    def test_floors(self) -> None:
        """
        Every requirement has a floor, for that is what is tried as the oldest.
        """
        lists = re.findall(r"(?:TEST = |install_requires=)\[\n(.*?)\]", SETUP, re.DOTALL)
        self.assertEqual(2, len(lists))
        for requirement in re.findall(r'^ +"([^"]+)"', "\n".join(lists), re.MULTILINE):
            self.assertRegex(requirement, r"^[A-Za-z.-]+>=[0-9.]+(,<[0-9.]+)?$")
