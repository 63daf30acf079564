"""
What runs where, drawn: in place on a terminal, and a line now and then everywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

__all__ = ["NodeState", "Picture", "Screen", "read_jobs", "read_nodes"]

_BAR: Final = 40
"""The most letters of a bar."""

_RUNNING: Final = re.compile(r"  running on (\S+) \(attempt [0-9]+\)\Z")
"""How the line of a job that runs ends."""

_EVERY: Final = 1.0
"""Seconds between two lines where nothing is drawn in place."""


@attrs.frozen
class NodeState:
    """A line of the console's table of nodes, as far as it is drawn."""

    name: str
    state: str
    slots: int
    running: int
    completed: int


@attrs.frozen
class Picture:
    """How far everything is."""

    seconds: float
    """Since the demonstration began."""
    done: int
    total: int
    """Jobs."""
    nodes: tuple[NodeState, ...]
    open: Mapping[str, str]
    """The jobs without an outcome: which node runs each, empty for none."""


def read_jobs(lines: Sequence[str]) -> dict[str, str]:
    """
    Read the answer to C{list}: a line for each job, and how many there are.

    @return: which node runs each, by tickets; empty for one that does not run.
    """
    found = {}
    for line in lines[:-1]:
        running = _RUNNING.search(line)
        found[line.split()[0]] = "" if running is None else running[1]
    return found


def read_nodes(lines: Sequence[str]) -> tuple[NodeState, ...]:
    """
    Read the answer to C{nodes}: headings, a line for each node, and the figures of the balance.

    @return: nothing if it is an error.
    """
    if len(lines) == 1:
        return ()
    headings = lines[0].split()
    rows = [dict(zip(headings, line.split(), strict=False)) for line in lines[1:-1]]
    return tuple(
        NodeState(
            row["NODE"],
            row["STATE"],
            int(row["SLOTS"]),
            int(row["RUNNING"]),
            int(row["COMPLETED"]),
        )
        for row in rows
    )


class Screen:
    """
    Where the demonstration is shown.
    """

    def __init__(self, write: Callable[[str], object], *, columns: int, live: bool) -> None:
        """
        An empty screen.

        @param write: takes text that is to be seen at once.
        @param columns: letters in a line.
        @param live: whether it is a terminal, on which the cursor can go up.
        """
        self._write = write
        self._columns = columns
        self._live = live
        self._drawn: list[str] = []
        self._last_line = -_EVERY

    def say(self, text: str) -> None:
        """
        Print a line that stays; what is drawn in place goes on below it.
        """
        drawn, self._drawn = self._drawn, []
        self._write("".join([*self._back(len(drawn)), f"{text}\n"]))
        self._draw(drawn)

    def show(self, picture: Picture) -> None:
        """
        Show how far everything is.
        """
        if self._live:
            self._draw([line[: self._columns - 1] for line in _block(picture)])
        elif picture.seconds >= self._last_line + _EVERY:
            self._last_line = picture.seconds
            self._write(_line(picture) + "\n")

    def keep(self) -> None:
        """
        Leave what is drawn in place where it is; what comes next is drawn below it.
        """
        self._drawn = []

    def _draw(self, lines: list[str]) -> None:
        back = self._back(len(self._drawn))
        self._drawn = lines
        self._write("".join([*back, *(f"{line}\n" for line in lines)]))

    @staticmethod
    def _back(lines: int) -> list[str]:
        """Move the cursor up, and clear from there."""
        return [f"\x1b[{lines}A\x1b[J"] if lines else []


def _bar(part: int, whole: int, length: int) -> str:
    full = length * part // whole if whole else 0
    return f"[{'#' * full}{'-' * (length - full)}]"


def _block(picture: Picture) -> list[str]:
    """What is drawn in place: the progress of all jobs, and a line for each node."""
    lines = [f"  {_bar(picture.done, picture.total, _BAR)} {picture.done} of {picture.total} jobs"]
    for node in picture.nodes:
        length = min(node.slots, _BAR)
        bar = _bar(min(node.running, length), length, length)
        lines.append(
            f"  {node.name:<8} {node.state:<8} {bar} {node.running} running, {node.completed} ended"
        )
    return lines


def _line(picture: Picture) -> str:
    """The same in one line."""
    nodes = ", ".join(
        f"{node.name} runs {node.running}"
        if node.state == "joined"
        else f"{node.name} {node.state}"
        for node in picture.nodes
    )
    bar = _bar(picture.done, picture.total, _BAR // 2)
    return f"  {picture.seconds:5.1f} s  {bar} {picture.done} of {picture.total}: {nodes}"
