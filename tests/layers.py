"""
The layers of jobcluster, as a table, and a check of imports against it.

Names are compared by their dotted prefix: C{"twisted.internet.defer"} permits that module and all
that is imported from it, C{"twisted"} all of Twisted, C{"jobcluster.core.values"} one module.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from attrs import frozen

Names = AbstractSet[str]

PURE_STDLIB: Names = {
    "__future__",
    "abc",
    "array",
    "bisect",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "graphlib",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "struct",
    "types",
    "typing",
    "weakref",
}
"""The parts of the standard library that can reach no clock, chance, file, process or thread."""

STDLIB: Names = sys.stdlib_module_names

LIBRARIES: Names = {"attr", "attrs", "automat", "zope.interface"}
"""What is installed and does no I/O."""

ROOT = "jobcluster"
"""The package itself: every process passes through it, so it imports nothing but when asked."""

SELF: Names = {"jobcluster.__version__"}
"""What the package itself offers to every layer."""

ERRORS: Names = {"jobcluster.errors"}
CORE: Names = {"jobcluster.core"}
SHOWN: Names = {
    "jobcluster.core.client_words",
    "jobcluster.core.commands",
    "jobcluster.core.description",
    "jobcluster.core.functions",
    "jobcluster.core.payloads",
    "jobcluster.core.values",
    "jobcluster.core.views",
}
"""The values that consoles and clients deal in."""
TALK: Names = SHOWN | {
    "jobcluster.core.actions",
    "jobcluster.core.events",
    "jobcluster.core.records",
    "jobcluster.core.words",
}
"""What is talked about: those modules of the core that are plain values and decide nothing."""
CONTRACTS: Names = {"jobcluster.interfaces", "jobcluster.config", "jobcluster.endpoints"}
FRAMES: Names = {"jobcluster.keeper.frames"}
WIRE: Names = {"jobcluster.wire"}
TWISTED: Names = {"twisted"}
EVERYTHING: Names = {""}


@frozen
class Layer:
    """
    Some modules, and what they may import besides each other.
    """

    name: str
    members: Names
    """Modules, and packages with all that is in them."""
    may_import: Names

    def has(self, module: str) -> bool:
        """
        Say whether a module is in this layer.
        """
        return is_within(module, self.members)

    def permits(self, imported: str) -> bool:
        """
        Say whether the modules of this layer may import this.
        """
        return is_within(imported, self.members | self.may_import)


def layer(name: str, *may_import: Names, members: Names | None = None) -> Layer:
    """
    Describe one layer, by default that of the module or package of its name.
    """
    return Layer(
        name=name,
        members={f"{ROOT}.{name}"} if members is None else members,
        may_import=frozenset().union(*may_import),
    )


ROWS_ABOVE: Names = STDLIB | LIBRARIES | SELF | ERRORS | CORE | CONTRACTS
SPEAKERS: Names = STDLIB | LIBRARIES | SELF | ERRORS | SHOWN | CONTRACTS | WIRE | TWISTED

LAYERS = (
    layer("package", {"__future__", "typing", "jobcluster.client"}, members={f"{ROOT}.__init__"}),
    layer("errors", PURE_STDLIB, LIBRARIES),
    layer("talk", PURE_STDLIB, LIBRARIES, ERRORS, members=TALK),
    layer("core", PURE_STDLIB, LIBRARIES, ERRORS),
    layer("keeper", STDLIB, SELF, {"cloudpickle"}),
    layer("interfaces", STDLIB, LIBRARIES, ERRORS, TALK, {"twisted.internet.defer"}),
    layer(
        "config",
        *(STDLIB, LIBRARIES, ERRORS, SHOWN),
        members={"jobcluster.config", "jobcluster.endpoints"},
    ),
    layer("wire", ROWS_ABOVE, TWISTED, {"msgspec"}),
    layer("store", ROWS_ABOVE, TWISTED),
    layer("runners", ROWS_ABOVE, TWISTED, FRAMES),
    layer("security", ROWS_ABOVE, TWISTED),
    layer("services", ROWS_ABOVE, TWISTED, WIRE),
    layer("consoles", SPEAKERS),
    layer("client", SPEAKERS, {"cloudpickle"}),
    layer(
        "composition",
        EVERYTHING,
        members={
            "jobcluster.daemon",
            "jobcluster.logs",
            "jobcluster.balancer_tap",
            "jobcluster.cli",
            "jobcluster.demo",
            "jobcluster.node_tap",
            "jobcluster.testing",
        },
    ),
)
"""Who may import what, from the purest down; a module is in the first layer that has it."""


@frozen
class Violation:
    """
    An import, or a module, that the table does not have.
    """

    module: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.reason}"


def is_within(name: str, prefixes: Names) -> bool:
    """
    Say whether a dotted name is one of these, or below one of these; C{""} is above all.
    """
    parts = name.split(".")
    return "" in prefixes or any(
        ".".join(parts[:length]) in prefixes for length in range(1, len(parts) + 1)
    )


def read_tree(package: Path) -> dict[str, str]:
    """
    Read the sources of a package: dotted name to text, C{__init__} as C{package.__init__}.
    """
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts): path.read_text("utf-8")
        for path in sorted(package.rglob("*.py"))
    }


def imports_of(module: str, source: str) -> Iterator[tuple[int, str]]:
    """
    Find what a module imports, wherever in it: at the top, in a function, by a constant name.

    @param module: the module's dotted name, with C{__init__} where it is a package
    @return: line and dotted name; C{from a import b} is C{a.b}, whether C{b} is a module or not
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=base, names=names, level=level):
                stem = module.split(".")[:-level] if level else []
                for alias in names:
                    yield node.lineno, ".".join([*stem, *([base] if base else []), alias.name])
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Constant(value=str(name)), *_],
            ) if called in {"__import__", "import_module"}:
                yield node.lineno, name


def check_layers(tree: Mapping[str, str]) -> list[Violation]:
    """
    Hold a package against the table.

    @param tree: what L{read_tree} returns
    """
    found = []
    for module, source in tree.items():
        home = next((candidate for candidate in LAYERS if candidate.has(module)), None)
        if home is None:
            found.append(Violation(module, 1, "is in no layer; the table is tests/layers.py"))
            continue
        found.extend(
            Violation(module, line, f"{home.name} may not import {imported}")
            for line, imported in imports_of(module, source)
            if not home.permits(imported)
        )
    return found
