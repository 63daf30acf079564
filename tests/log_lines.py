"""
The lines that the daemons and keepers may put into their logs, read out of the code: those of
warnings and worse, whatever ends a daemon, and all of the keeper.

What a line has from elsewhere is written as an ellipsis.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["lines_in", "lines_of"]

ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"

_LOUD: Final = {"warn", "error", "critical", "failure"}
"""Methods of a logger whose lines somebody should see."""

_ENDING: Final = re.compile(r"(Store|State|Keeper|Directory|Locked)\w*Error|SystemExit")
"""What is raised with a line that ends up in a log, with more around it or without."""

_SILENT: Final = {
    "cli": "says it to whoever calls it",
    "consoles": "says it to whoever types",
    "demo": "is no daemon",
    "testing": "is for tests",
    "config.py": "says it before anything is begun",
    "daemon.py": "says it before anything is begun, but for what it logs",
    "node_tap.py": "says it before anything is begun",
    "memory.py": "is for tests",
    "tables.py": "is for tests",
    "backup.py": "says it to whoever calls it",
    "__main__.py": "says how it is used",
}
"""Where what is raised goes to no log, and why."""


_INTERNAL: Final = {
    f"{ELLIPSIS} is not in use.": "nobody asks then",
    "what was written was moved": "it is read again",
}
"""What is raised and caught, and why."""


def lines_of(package: Path) -> set[str]:
    """
    Those of a whole package.
    """
    found: set[str] = set()
    for path in package.rglob("*.py"):
        silent = not _SILENT.keys().isdisjoint(path.relative_to(package).parts)
        found |= set(lines_in(path.read_text("utf-8"), silent=silent))
    return found - _INTERNAL.keys()


def lines_in(source: str, *, silent: bool = False) -> Iterator[str]:
    """
    Those of a module.

    @param silent: whether what it raises goes to no log.
    """
    for node in ast.walk(ast.parse(source)):
        yield from _logged(node)
        if not silent:
            yield from _raised(node)


def _logged(node: ast.AST) -> Iterator[str]:
    """
    What is put into a log there.
    """
    match node:
        case ast.Call(func=ast.Attribute(attr=level, value=logger), args=[text, *_]) if (
            level in _LOUD and ast.unparse(logger).endswith("log")
        ):
            yield from _told(text, fields=True)
        case ast.Call(func=ast.Name(id="note"), args=[text]):
            yield from _told(text)
        case ast.Call(func=ast.Name(id="Note"), args=[ast.Constant("warn"), text, *details]):
            yield from (line + _shown(details) for line in _told(text))
        case ast.Call(func=ast.Attribute(attr="append", value=ast.Name("remarks")), args=[text]):
            yield from _told(text)
        case ast.ClassDef(name="Verdict", body=body):
            for inner in body:
                if isinstance(inner, ast.Assign):
                    yield from (line for line in _told(inner.value, fields=True) if " " in line)


def _raised(node: ast.AST) -> Iterator[str]:
    """
    What is raised there, and ends up in a log.
    """
    match node:
        case (
            ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[text]))
            | ast.Return(value=ast.Call(func=ast.Name(id=name), args=[text]))
        ) if _ENDING.fullmatch(name):
            yield from _told(text)
        case ast.Call(func=ast.Name(id=name), args=[text]) if name.startswith("Keeper"):
            yield from _told(text)


def _told(text: ast.expr, *, fields: bool = False) -> Iterator[str]:
    """
    What an expression may be, unless nothing of it is said here.

    @param fields: whether names in braces stand for something.
    """
    match text:
        case ast.Constant(str(line)):
            line = re.sub(r"\{\w*\}", ELLIPSIS, line) if fields else line
        case ast.JoinedStr(values):
            parts = [v.value if isinstance(v, ast.Constant) else ELLIPSIS for v in values]
            line = "".join(map(str, parts))
        case ast.IfExp(body=one, orelse=other):
            yield from _told(one, fields=fields)
            yield from _told(other, fields=fields)
            return
        case _:
            return
    if re.search(r"\w", line):
        yield line


def _shown(details: list[ast.expr]) -> str:
    """
    How the details of a note are shown.
    """
    names = [
        str(key.value)
        for detail in details
        if isinstance(detail, ast.Dict)
        for key in detail.keys
        if isinstance(key, ast.Constant)
    ]
    return f" ({', '.join(f'{name}: {ELLIPSIS}' for name in names)})" if names else ""
