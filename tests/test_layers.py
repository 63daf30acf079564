"""
The code keeps to its layers, and what says so can tell.
"""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

import jobcluster
from tests.layers import LAYERS, ROOT, check_layers, read_tree


def complaints(module: str, source: str) -> list[str]:
    """
    Check a tree of one module, and return the complaints, without where they are.
    """
    return [violation.reason for violation in check_layers({module: source})]


class TreeTests(SynchronousTestCase):
    """
    The package as it is.
    """

    tree = read_tree(Path(jobcluster.__file__).parent)

    def test_keeps_the_table(self) -> None:
        """
        No module imports what its layer may not.
        """
        self.assertEqual([], [str(violation) for violation in check_layers(self.tree)])

    def test_was_read(self) -> None:
        """
        The modules were found: a check of nothing would pass too.
        """
        self.assertIn("jobcluster.__init__", self.tree)
        self.assertIn("jobcluster.core.__init__", self.tree)
        self.assertIn("jobcluster.core.values", self.tree)


class TableTests(SynchronousTestCase):
    """
    The table itself.
    """

    def test_no_layer_is_hidden(self) -> None:
        """
        No layer stands behind another that has all its modules.
        """
        for layer in LAYERS:
            for member in layer.members:
                first = next(candidate for candidate in LAYERS if candidate.has(member))
                self.assertEqual(layer.name, first.name)

    def test_composition_is_at_the_bottom(self) -> None:
        """
        Only the modules that put the others together may import each of them.
        """
        for bottom in ("balancer_tap", "cli", "demo", "node_tap", "testing"):
            permitting = [layer.name for layer in LAYERS if layer.permits(f"{ROOT}.{bottom}")]
            self.assertEqual(["composition"], permitting)

    def test_siblings_are_apart(self) -> None:
        """
        What does I/O knows neither its siblings nor the services.
        """
        siblings = {"wire", "store", "runners", "security", "services", "consoles", "client"}
        permitted = {
            (layer.name, other)
            for layer in LAYERS
            if layer.name in siblings
            for other in siblings - {layer.name}
            if layer.permits(f"{ROOT}.{other}")
        }
        self.assertEqual(
            {("services", "wire"), ("consoles", "wire"), ("client", "wire")}, permitted
        )


class CheckTests(SynchronousTestCase):
    """
    L{check_layers} on trees that break the table, and on some that look as if they did.
    """

    def test_core_is_pure(self) -> None:
        """
        The core imports no clock, chance, I/O, thread, no Twisted and nothing below it.
        """
        for forbidden in (
            "asyncio",
            "concurrent.futures",
            "datetime",
            "importlib",
            "io",
            "logging",
            "os",
            "os.path",
            "pathlib",
            "random",
            "secrets",
            "select",
            "signal",
            "socket",
            "sqlite3",
            "subprocess",
            "sys",
            "tempfile",
            "threading",
            "time",
            "uuid",
            "msgspec",
            "twisted.internet.defer",
            "twisted.python.failure",
            "jobcluster.interfaces",
            "jobcluster.wire.codec",
            "jobcluster.testing",
        ):
            for module in ("jobcluster.core.ready", "jobcluster.core.__init__"):
                self.assertEqual(
                    [f"core may not import {forbidden}"],
                    complaints(module, f"import {forbidden}"),
                )

    def test_core_has_its_tools(self) -> None:
        """
        The core imports attrs, Automat, zope.interface, what is pure, the errors and itself.
        """
        source = """
            from __future__ import annotations
            from collections.abc import Iterable
            from typing import Protocol
            import attrs, heapq
            from attr import evolve
            from automat import TypeMachineBuilder
            from zope.interface import Interface
            from jobcluster.errors import NotFitting
            from jobcluster.core import values
            from .words import Report
        """
        self.assertEqual([], complaints("jobcluster.core.ready", dedent(source)))

    def test_within_a_function(self) -> None:
        """
        An import inside a function, or under a condition, counts as one at the top.
        """
        source = """
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from twisted.internet.interfaces import IReactorTime
            class Ready:
                async def oldest(self):
                    try:
                        import time as t
                    except ImportError:
                        raise
        """
        self.assertEqual(
            [
                "core may not import twisted.internet.interfaces.IReactorTime",
                "core may not import time",
            ],
            complaints("jobcluster.core.ready", dedent(source)),
        )

    def test_by_a_constant_name(self) -> None:
        """
        An import by a function of the interpreter counts where the name stands there.
        """
        source = """
            __import__("time")
            importlib.import_module("random")
            import_module(chosen)
        """
        self.assertEqual(
            ["core may not import time", "core may not import random"],
            complaints("jobcluster.core.ready", dedent(source)),
        )

    def test_relative(self) -> None:
        """
        Relative imports are resolved, those of a package's own module too.
        """
        for module, source, imported in (
            ("jobcluster.core.ready", "from ..wire import codec", "jobcluster.wire.codec"),
            ("jobcluster.core.ready", "from .. import wire", "jobcluster.wire"),
            ("jobcluster.core.__init__", "from ..store import memory", "jobcluster.store.memory"),
            ("jobcluster.core.deep.er", "from ...wire import pack", "jobcluster.wire.pack"),
        ):
            self.assertEqual([f"core may not import {imported}"], complaints(module, source))
        self.assertEqual([], complaints("jobcluster.core.__init__", "from . import values"))

    def test_from_the_package(self) -> None:
        """
        A module imported by way of its package is that module.
        """
        self.assertEqual(
            ["store may not import jobcluster.services"],
            complaints("jobcluster.store.sqlite", "from jobcluster import errors, services"),
        )

    def test_whole_words(self) -> None:
        """
        A module is not taken for another whose name begins like its own.
        """
        self.assertEqual(
            ["interfaces may not import jobcluster.core.values_old"],
            complaints("jobcluster.interfaces", "import jobcluster.core.values_old"),
        )
        self.assertEqual(
            ["interfaces may not import twisted.internet.deferred"],
            complaints("jobcluster.interfaces", "import twisted.internet.deferred"),
        )

    def test_one_word_of_a_layer(self) -> None:
        """
        Where a layer may have one module of another, it may have no more than that.
        """
        for module, permitted, forbidden in (
            ("jobcluster.interfaces", "jobcluster.core.values", "jobcluster.core.cluster"),
            ("jobcluster.config", "jobcluster.core.values", "jobcluster.core.words"),
            ("jobcluster.interfaces", "twisted.internet.defer", "twisted.internet.reactor"),
            ("jobcluster.runners.keeper", "jobcluster.keeper.frames", "jobcluster.keeper.spawn"),
            ("jobcluster.consoles.verbs", "jobcluster.core.values", "jobcluster.core.origin"),
        ):
            layer = module.split(".")[1]
            self.assertEqual(
                [f"{layer} may not import {forbidden}"],
                complaints(module, f"import {permitted}, {forbidden}"),
            )

    def test_values_decide_nothing(self) -> None:
        """
        What is talked about knows nothing of what talks, not even within the core.
        """
        self.assertEqual(
            ["talk may not import jobcluster.core.cluster.Cluster"],
            complaints("jobcluster.core.events", "from jobcluster.core.cluster import Cluster"),
        )
        self.assertEqual(
            [],
            complaints("jobcluster.core.cluster", "from jobcluster.core.events import Joined"),
        )

    def test_keeper_is_alone(self) -> None:
        """
        The keeper imports the standard library and nothing that has to be installed.
        """
        source = "import os, socket, attrs, twisted, jobcluster.errors, jobcluster.keeper.frames"
        self.assertEqual(
            [
                "keeper may not import attrs",
                "keeper may not import twisted",
                "keeper may not import jobcluster.errors",
            ],
            complaints("jobcluster.keeper.main", source),
        )

    def test_package_is_empty(self) -> None:
        """
        The package itself imports nothing but, when it is asked for that, the client.
        """
        source = """
            def __getattr__(name):
                from jobcluster.client import cluster
                from jobcluster.core import values
        """
        self.assertEqual(
            ["package may not import jobcluster.core.values"],
            complaints("jobcluster.__init__", dedent(source)),
        )

    def test_package_is_light(self) -> None:
        """
        Who imports the package has imported nothing of it by that.
        """
        program = "import jobcluster, sys; print([n for n in sys.modules if 'twisted' in n])"
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
        )
        self.assertEqual("[]\n", ended.stdout)

    def test_no_layer(self) -> None:
        """
        A module that the table does not know is a violation.
        """
        self.assertEqual(
            ["is in no layer; the table is tests/layers.py"],
            complaints("jobcluster.utils", "import time"),
        )

    def test_where(self) -> None:
        """
        A violation says where it is.
        """
        [violation] = check_layers({"jobcluster.core.ready": "import heapq\nimport time\n"})
        self.assertEqual(
            "jobcluster.core.ready:2: core may not import time",
            str(violation),
        )
