"""
Diagrams of the core's machines, in the dot language: C{python -m tests.core.diagrams} draws anew.

Automat's own drawing differs from process to process, so these are sorted, and words that change
nothing and do nothing are left out.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, Final

from jobcluster.core.jobs import life
from jobcluster.core.link import link
from jobcluster.core.nodes import presence

__all__ = ["DIRECTORY", "MACHINES", "draw"]

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "machines"

MACHINES: Final[dict[str, Any]] = {"job": life, "link": link, "node": presence}
"""The machines by the names of their files."""


def _shown(output: Any) -> str:  # noqa: ANN401 - Automat keeps its outputs to itself
    """What an output does: the constant that it returns, or the function's name."""
    method = output.method
    if not method.__name__.startswith("returns("):
        return str(method.__name__).strip("_")
    (value,) = (cell.cell_contents for cell in method.__closure__)
    if isinstance(value, tuple):
        return ", ".join(item.value if isinstance(item, enum.Enum) else str(item) for item in value)
    return ""


def draw(name: str) -> str:
    """
    The diagram of a machine.
    """
    automaton = MACHINES[name].__automat_automaton__
    edges: dict[tuple[str, str], list[str]] = {}
    for source, word, target, outputs in automaton.allTransitions():
        done = ", ".join(filter(None, map(_shown, outputs)))
        if word != "describe" and (source is not target or done):
            label = f"{word} / {done}" if done else word
            edges.setdefault((source.name, target.name), []).append(label)
    lines = [f"digraph {name} {{", "  rankdir=LR;", '  node [shape=box, style="rounded"];']
    lines.append(f'  start [shape=point]; start -> "{automaton.initialState.name}";')
    for (source_name, target_name), labels in sorted(edges.items()):
        label = "\\n".join(sorted(labels))
        lines.append(f'  "{source_name}" -> "{target_name}" [label="{label}"];')
    return "\n".join([*lines, "}"]) + "\n"


if __name__ == "__main__":
    for each in MACHINES:
        (DIRECTORY / f"{each}.dot").write_text(draw(each), encoding="ascii")
