"""
How jobs, nodes and the cluster are put into words, one line each unless it says otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from jobcluster.core.values import SLEEP, Outcome, Status, format_ticket
from jobcluster.core.views import BalanceView, ClusterView, JobView, NodeView
from jobcluster.errors import ExpiredTicketError

__all__ = [
    "describe_cluster",
    "describe_error",
    "describe_job",
    "describe_outcome",
    "describe_result",
    "describe_row",
    "describe_status",
    "one_line",
    "quote",
]

_QUOTE_LIMIT: Final = 40
# Rows are for reading: what is long is asked for by its ticket.
_ROW_LIMIT: Final = 120

_HEADINGS: Final = ("NODE", "STATE", "SLOTS", "GIVEN", "RUNNING", "COMPLETED", "WAITING", "REMARK")
# Words stand at the left of their column, figures at the right.
_FIGURES: Final = range(2, 7)


def quote(text: str) -> str:
    """
    What a user typed, fit to be shown in an error: shortened, with nothing unprintable in it.
    """
    return repr(text if len(text) <= _QUOTE_LIMIT else f"{text[:_QUOTE_LIMIT]}…")


def one_line(text: str) -> str:
    """
    The same text with everything escaped that does not stay on its line.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def describe_error(error: BaseException | None) -> str:
    """
    The line that an error is answered with.
    """
    return f"Error: {one_line(str(error))}"


def describe_outcome(outcome: Outcome) -> str:
    """
    How a job ended: what it returned, or what became of it.
    """
    value = one_line(outcome.value.decode("utf-8", "replace"))
    if outcome.status == Status.SUCCEEDED:
        return value or outcome.status
    detail = one_line(outcome.detail)
    if outcome.status == Status.LOST:
        return f"{outcome.status} ({detail})" if detail else outcome.status
    words = outcome.status
    if outcome.code is not None:
        words += (
            f" (signal {-outcome.code})" if outcome.code < 0 else f" (exit code {outcome.code})"
        )
    return ": ".join(part for part in (words, detail, value) if part)


def describe_result(view: JobView) -> str:
    """
    The answer to C{result} and C{wait}.

    @raise ExpiredTicketError: if the result is no longer kept.
    """
    if view.outcome is not None:
        return f"Result: {describe_outcome(view.outcome)}"
    if view.state == "expired":
        raise ExpiredTicketError
    return f"The job was not executed yet: it is {_state(view)}."


def describe_status(view: JobView) -> str:
    """
    The answer to C{status}.
    """
    outcome = view.outcome
    parts = [f"Status: {outcome.status if outcome is not None else _state(view)}"]
    if outcome is not None and outcome.node:
        parts[0] += f" on {outcome.node}"
    parts += [describe_job(view), f"submitted {_moment(view.submitted)}"]
    if outcome is not None and outcome.started:
        parts.append(f"started {_moment(outcome.started)}")
    if outcome is not None:
        parts.append(f"ended {_moment(outcome.ended)}")
    parts.append(f"attempts {view.attempts}")
    return ", ".join(parts)


def describe_row(origin: str, view: JobView) -> str:
    """
    A job in a list: its ticket, what it is, and its state or its result.

    @param origin: the node that the job was submitted to.
    """
    row = f"{format_ticket(origin, view.job)}  {describe_job(view)}  "
    if view.outcome is None:
        return row + _state(view)
    words = describe_outcome(view.outcome)
    if view.outcome.status == Status.SUCCEEDED:
        words = f"succeeded: {words}"
    return row + (words if len(words) <= _ROW_LIMIT else f"{words[:_ROW_LIMIT]}…")


def describe_job(view: JobView) -> str:
    """
    What is to be run.
    """
    if view.kind == SLEEP:
        return f"sleep {one_line(view.payload.decode('utf-8', 'replace'))} ms"
    return view.kind


def describe_cluster(view: ClusterView) -> str:
    """
    The answer to C{nodes}: a table with a line for each node, and the figures of the balance.
    """
    rows = [_HEADINGS, *(_cells(node) for node in view.nodes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [_aligned(row, widths) for row in rows]
    return "\n".join([*table, _describe_balance(view.balance, view.mode)])


def _cells(node: NodeView) -> tuple[str, ...]:
    figures = (node.slots, node.given, node.running, node.completed, node.waiting)
    return (node.name, node.state, *map(str, figures), one_line(node.remark))


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.rjust(width) if column in _FIGURES else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def _describe_balance(balance: BalanceView, mode: str) -> str:
    return (
        f"Balance ({mode}): running max - min {balance.difference} now, "
        f"{balance.average:.3f} on average, worst {balance.worst}, "
        f"within 1 for {100 * balance.within_one:.2f} % "
        f"of {balance.measured:.1f} s in which jobs waited; {balance.waiting} waiting now"
    )


def _state(view: JobView) -> str:
    """How far a job without an outcome is."""
    if not view.node or view.state == "waiting":
        return view.state
    return f"{view.state} on {view.node} (attempt {view.attempts})"


def _moment(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03}Z"
