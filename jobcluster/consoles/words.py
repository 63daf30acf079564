"""
How jobs, nodes and the cluster are put into words, one line each unless it says otherwise.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from typing import Final

from jobcluster.consoles.shell import join
from jobcluster.core.commands import COMMAND, unpack_command
from jobcluster.core.functions import FUNCTION, unpack_function
from jobcluster.core.values import SLEEP, Outcome, Status, format_ticket
from jobcluster.core.views import BalanceView, ClusterView, JobView, NodeView
from jobcluster.errors import ExpiredTicketError

__all__ = [
    "describe_cluster",
    "describe_ending",
    "describe_error",
    "describe_job",
    "describe_outcome",
    "describe_result",
    "describe_row",
    "describe_status",
    "one_line",
    "output_sizes",
    "quote",
]

_QUOTE_LIMIT: Final = 40
# Rows are for reading: what is long is asked for by its ticket.
_ROW_LIMIT: Final = 120
_COMMAND_LIMIT: Final = 60
_EXCERPT_LIMIT: Final = 80

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
    return ": ".join(part for part in (_describe_failure(outcome), detail, value) if part)


def describe_ending(view: JobView, excerpt: bytes | None = None) -> str:
    """
    How a job ended, with what a command has put out: how much, and one line of it.

    Of one that succeeded it is the first line of standard output, where that is short and text; of
    one that failed the last line of standard error.

    @param view: a job with an outcome.
    @param excerpt: the beginning of standard output, or the end of standard error, where the
        outcome does not have it.
    """
    outcome = view.outcome or Outcome(view.state)
    if view.kind == FUNCTION:
        return _describe_call(view.payload, outcome)
    if view.kind != COMMAND or outcome.status not in {
        Status.SUCCEEDED,
        Status.FAILED,
        Status.TIMED_OUT,
    }:
        return describe_outcome(outcome)
    if outcome.status == Status.SUCCEEDED:
        words = _describe_code(outcome.code or 0)
        shown = _first_line(outcome.out if excerpt is None else excerpt)
    else:
        words = _describe_failure(outcome)
        shown = _last_line(outcome.err if excerpt is None else excerpt)
    words += f", {_describe_sizes(outcome)}"
    return ": ".join(part for part in (words, one_line(outcome.detail), shown) if part)


def output_sizes(outcome: Outcome) -> tuple[int, int]:
    """
    Bytes of standard output and of standard error.
    """
    return max(outcome.out_size, len(outcome.out)), max(outcome.err_size, len(outcome.err))


def describe_result(view: JobView, excerpt: bytes | None = None) -> str:
    """
    The answer to C{result} and C{wait}.

    @param excerpt: as for L{describe_ending}.
    @raise ExpiredTicketError: if the result is no longer kept.
    """
    if view.outcome is not None:
        return f"Result: {describe_ending(view, excerpt)}"
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
    parts.append(describe_job(view))
    if view.name:
        parts.append(f"name {view.name!r}")
    if view.tags:
        parts.append(f"tags {' '.join(view.tags)}")
    parts.append(f"submitted {_moment(view.submitted)}")
    if outcome is not None and outcome.started:
        parts.append(f"started {_moment(outcome.started)}")
    if outcome is not None:
        parts.append(f"ended {_moment(outcome.ended)}")
        if outcome.code is not None:
            parts.append(_describe_code(outcome.code))
        if view.kind in (COMMAND, FUNCTION):
            parts.append(_describe_sizes(outcome))
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
    words = describe_ending(view)
    if view.outcome.status == Status.SUCCEEDED:
        words = f"succeeded: {words}"
    return row + _shortened(words, _ROW_LIMIT)


def describe_job(view: JobView) -> str:
    """
    What is to be run; a command line as it would have to be typed, shortened.
    """
    if view.kind == SLEEP:
        return f"sleep {one_line(view.payload.decode('utf-8', 'replace'))} ms"
    if view.kind == COMMAND:
        return _describe_command(view.payload)
    if view.kind == FUNCTION:
        return _describe_function(view.payload)
    return view.kind


def describe_cluster(view: ClusterView) -> str:
    """
    The answer to C{nodes}: a table with a line for each node, and the figures of the balance.
    """
    rows = [_HEADINGS, *(_cells(node) for node in view.nodes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [_aligned(row, widths) for row in rows]
    return "\n".join([*table, _describe_balance(view.balance, view.mode)])


def _describe_command(payload: bytes) -> str:
    try:
        command = unpack_command(payload)
    except ValueError:
        # Of a very long payload a view has the beginning alone.
        return "a command"
    if not command.argv:
        return "a command"
    # Nobody needs all words of a list to see the first few.
    line = join(command.argv[:_COMMAND_LIMIT])
    return "run " + _shortened(one_line(_text(line[: 8 * _COMMAND_LIMIT])), _COMMAND_LIMIT)


def _describe_function(payload: bytes) -> str:
    try:
        function = unpack_function(payload)
    except ValueError:
        return "a function"
    shown = _shortened(one_line(function.name), _COMMAND_LIMIT)
    return f"function {shown} (pickled)" if function.pickled else f"function {shown}"


def _describe_call(payload: bytes, outcome: Outcome) -> str:
    """How a function has ended; what it has put out is told only if there is any."""
    try:
        is_pickled = unpack_function(payload).pickled
    except ValueError:
        is_pickled = True
    if is_pickled:
        # Nobody opens it here.
        words = describe_outcome(outcome._replace(value=b""))
        if outcome.status == Status.SUCCEEDED:
            words = f"a pickled value of {len(outcome.value)} bytes"
    else:
        words = describe_outcome(outcome)
    return f"{words} ({_describe_sizes(outcome)})" if any(output_sizes(outcome)) else words


def _describe_failure(outcome: Outcome) -> str:
    if outcome.code is None:
        return outcome.status
    return f"{outcome.status} ({_describe_code(outcome.code)})"


def _describe_code(code: int) -> str:
    """An exit code, or the number and the name of a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        # Those for real time have no names of their own.
        return f"signal {-code}"


def _describe_sizes(outcome: Outcome) -> str:
    out_size, err_size = output_sizes(outcome)
    return f"output {out_size} bytes, errors {err_size} bytes"


def _first_line(data: bytes) -> str:
    """The first line, if it is short and text; otherwise nothing."""
    line, _, rest = data.partition(b"\n")
    try:
        text = line.rstrip(b"\r").decode().replace("\t", " ")
    except UnicodeDecodeError:
        return ""
    if len(text) > _EXCERPT_LIMIT or not text.isprintable() or not text.strip():
        return ""
    return f"{text} …" if rest else text


def _last_line(data: bytes) -> str:
    """The last line that is not empty, shortened and made printable."""
    line = data.rstrip().rpartition(b"\n")[2]
    return _shortened(one_line(_text(line[: 8 * _EXCERPT_LIMIT])), _EXCERPT_LIMIT)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


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
