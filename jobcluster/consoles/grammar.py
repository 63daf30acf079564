"""
From a line that was typed to what it asks for, and the help that says what can be typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar, Final

import attrs
from twisted.internet.defer import Deferred

from jobcluster.consoles import verbs
from jobcluster.consoles.call import CALL_DETAIL, read_call
from jobcluster.consoles.run import RUN_USAGE, read_run
from jobcluster.consoles.words import quote
from jobcluster.core.values import SLEEP, OnNodeLoss, Spec, Status, parse_ticket
from jobcluster.errors import MalformedTicketError, UserError
from jobcluster.interfaces import IClusterView

__all__ = [
    "ALONE",
    "ANYWHERE",
    "MAX_SLEEP",
    "Ask",
    "Leave",
    "Listen",
    "Output",
    "Prompt",
    "Request",
    "Say",
    "Submit",
    "parse",
]

MAX_SLEEP: Final = 31 * 24 * 3600 * 1000
"""The longest sleep, in milliseconds."""

ALONE: Final = ""
"""The group of what starts when all before it was answered, and is answered before the next."""

ANYWHERE: Final = "anywhere"
"""The group of what asks nobody anything, so that it may stand in any group."""

_STATES: Final = (
    "open",
    "waiting",
    "running",
    "cancelling",
    Status.SUCCEEDED,
    Status.FAILED,
    Status.TIMED_OUT,
    Status.CANCELLED,
    Status.SKIPPED,
    Status.QUARANTINED,
    Status.LOST,
)

_SPACES: Final = re.compile(r"[ \t]+")


@attrs.frozen
class Submit:
    """A job; those of consecutive lines are submitted together."""

    spec: Spec
    group: ClassVar[str] = ALONE


@attrs.frozen
class Ask:
    """A question; those of one group may be under way together."""

    group: str
    ask: Callable[[IClusterView], Deferred[str]]
    may_end: bool = False
    """Whether the asking may be ended, because the answer may take long."""


@attrs.frozen
class Listen:
    """A question with an answer of any length."""

    state: str
    group: ClassVar[str] = ALONE


@attrs.frozen
class Output:
    """A question for all that a job has put out, as it is."""

    ticket: str
    group: ClassVar[str] = ALONE


@attrs.frozen
class Say:
    """An answer that is there already."""

    text: str
    group: ClassVar[str] = ANYWHERE


@attrs.frozen
class Prompt:
    """Whether this session is to have a prompt."""

    on: bool
    group: ClassVar[str] = ALONE


@attrs.frozen
class Leave:
    """The end of this session, with some last words."""

    words: str
    linger: bool = False
    """Whether the peer is likely to be sending on."""
    group: ClassVar[str] = ALONE


Request = Submit | Ask | Listen | Output | Say | Prompt | Leave


@attrs.frozen
class _Verb:
    """A word that a line may begin with."""

    read: Callable[[str], Request]
    """Takes the rest of the line."""
    usage: str
    summary: str
    detail: str = ""
    exact: bool = False
    """Whether blanks at the end of the line may mean something."""


def parse(line: str) -> Request:
    """
    Say what a line asks for.

    @raise UserError: if it makes no sense; the error says why.
    """
    if line.isascii() and line.isdigit():
        return _submission(line, OnNodeLoss.AGAIN)
    # A pattern for the whole line would take for ever over a line of blanks.
    line = line.lstrip(" \t")
    if not line:
        raise UserError("The line is empty: type help to see what can be typed.")
    word, *others = _SPACES.split(line, maxsplit=1)
    typed = others[0] if others else ""
    rest = typed.rstrip(" \t")
    verb = _VERBS.get(word.lower())
    if verb is not None:
        return verb.read(typed if verb.exact else rest)
    if _is_meant_as_number(word):
        if rest:
            raise UserError(f"One number a line: what does {quote(rest)} mean?")
        return _submission(word, OnNodeLoss.AGAIN)
    if word[0] in "rR" and ("." in word or word[1].isdecimal()):
        return _read_result(f"{word[1:]} {rest}".rstrip())
    raise UserError(f"{quote(word)} is no verb: type help to see what can be typed.")


# -- the verbs ------------------------------------------------------------------------------------


def _read_sleep(rest: str) -> Request:
    match _words(rest):
        case ["--once", number]:
            return _submission(number, OnNodeLoss.FAIL)
        case [number]:
            return _submission(number, OnNodeLoss.AGAIN)
    raise _misused("sleep")


def _read_run(typed: str) -> Request:
    return Submit(read_run(typed))


def _read_call(typed: str) -> Request:
    return Submit(read_call(typed))


def _read_status(rest: str) -> Request:
    ticket = _ticket("status", rest)
    return Ask("read", lambda view: verbs.status(view, ticket))


def _read_result(rest: str) -> Request:
    ticket = _ticket("result", rest)
    return Ask("read", lambda view: verbs.result(view, ticket))


def _read_wait(rest: str) -> Request:
    ticket = _ticket("wait", rest)
    return Ask("wait", lambda view: verbs.wait(view, ticket), may_end=True)


def _read_output(rest: str) -> Request:
    return Output(_ticket("output", rest))


def _read_cancel(rest: str) -> Request:
    ticket = _ticket("cancel", rest)
    return Ask(ALONE, lambda view: verbs.cancel(view, ticket))


def _read_list(rest: str) -> Request:
    state = rest.lower() or "open"
    if state not in _STATES:
        raise UserError(f"{quote(rest)} is no state: {', '.join(_STATES)}.")
    return Listen(state)


def _read_getall(rest: str) -> Request:
    _nothing("getall", rest)
    return Listen("")


def _read_nodes(rest: str) -> Request:
    _nothing("nodes", rest)
    return Ask(ALONE, verbs.nodes)


def _read_prompt(rest: str) -> Request:
    if rest.lower() not in {"on", "off"}:
        raise _misused("prompt")
    return Prompt(on=rest.lower() == "on")


def _read_help(rest: str) -> Request:
    if not rest:
        return Say(_overview())
    verb = _VERBS.get(rest.lower())
    if verb is None:
        raise UserError(f"{quote(rest)} is no verb: type help to see what can be typed.")
    return Say(" ".join(f"{verb.usage}: {verb.summary}. {verb.detail}".split()))


def _read_exit(rest: str) -> Request:
    _nothing("exit", rest)
    return Leave("Good-bye.")


_RESULT: Final = _Verb(
    _read_result,
    "result TICKET",
    "its result, or that it was not executed yet",
    "The ticket of any node of the cluster will do. r TICKET and rTICKET mean the same.",
)

_VERBS: Final = {
    "sleep": _Verb(
        _read_sleep,
        "sleep [--once] MS",
        "submit a job that sleeps so many milliseconds",
        f"A bare number means the same. The most is {MAX_SLEEP} (31 days)."
        " If the node that runs a job is lost, the job is run again elsewhere; with --once it is"
        " run at most once, and then ends as lost.",
    ),
    "run": _Verb(
        _read_run,
        "run [OPTIONS] COMMAND LINE",
        "submit a job that runs a program",
        f"""{RUN_USAGE} has its words parted by blanks and quoted with ', " and \\ as in a shell;
        nothing is expanded ($, ~, *) or redirected: for that, run sh -c 'LINE'.
        -e sets a variable, -d is the directory to run in (absolute; without it a fresh one, removed
        afterwards), -i is the standard input, as typed, with no newline added.
        -t says how many seconds it may take; then it is ended, and its job is timed-out.
        Options stand ahead of the command, and -- ends them.
        Bytes are passed on as typed, UTF-8 or not (0xFF is sent twice, as in telnet), but for
        control characters (NUL too), which no line has: have the command make them, as printf does.
        If the node that runs a job is lost, the job is run again elsewhere; with --once it is run
        at most once, and then ends as lost.""",
        exact=True,
    ),
    "call": _Verb(
        _read_call,
        "call [OPTIONS] MODULE:NAME [JSON ...]",
        "submit a job that calls a Python function",
        CALL_DETAIL,
        exact=True,
    ),
    "status": _Verb(
        _read_status,
        "status TICKET",
        "how far a job is, and where",
        "The ticket of any node of the cluster will do.",
    ),
    "result": _RESULT,
    "r": _RESULT,
    "wait": _Verb(
        _read_wait,
        "wait TICKET",
        "its result, once there is one",
        "The lines after it are held until then. In telnet, Ctrl-C ends the waiting.",
    ),
    "output": _Verb(
        _read_output,
        "output TICKET",
        "what a command has written, once it has ended",
        "The answer is a line, Output: N bytes, M bytes, and right behind it N bytes of standard"
        " output and M bytes of standard error as they are, with nothing added; in telnet each byte"
        " 0xFF is sent twice, and counted once. If some cannot be had, the connection ends early.",
    ),
    "list": _Verb(
        _read_list,
        "list [STATE]",
        "the jobs of this node without an outcome, or those in a state",
        f"States: {', '.join(_STATES)}.",
    ),
    "getall": _Verb(_read_getall, "getall", "every job of this node, with its result"),
    "cancel": _Verb(
        _read_cancel,
        "cancel TICKET",
        "have a job not run, or ended",
        "A job that waits will never run; of one that runs its own end decides.",
    ),
    "nodes": _Verb(
        _read_nodes,
        "nodes",
        "the nodes of the cluster, and how well it is balanced",
        "The table has, for each node, its slots, the jobs given to it, those it runs, those that"
        " ended there, and those it took that wait.",
    ),
    "prompt": _Verb(
        _read_prompt, "prompt on|off", "whether this session shows when it is ready for a line"
    ),
    "help": _Verb(_read_help, "help [VERB]", "what can be typed"),
    "exit": _Verb(_read_exit, "exit", "end this session"),
}


@lru_cache(maxsize=1)
def _overview() -> str:
    shown = {verb.usage: verb.summary for verb in _VERBS.values()}
    width = max(map(len, shown))
    rows = [f"  {usage.ljust(width)}  {summary}" for usage, summary in shown.items()]
    return "\n".join(
        ["One request a line; a bare number is a sleep, r is short for result.", *rows]
    )


# -- what stands after a verb --------------------------------------------------------------------


def _words(rest: str) -> list[str]:
    return _SPACES.split(rest) if rest else []


def _misused(verb: str) -> UserError:
    return UserError(f"That is not how {verb} is used: {_VERBS[verb].usage}")


def _nothing(verb: str, rest: str) -> None:
    if rest:
        raise _misused(verb)


def _ticket(verb: str, rest: str) -> str:
    words = _words(rest)
    if len(words) != 1:
        raise _misused(verb)
    if parse_ticket(words[0]) is None:
        raise MalformedTicketError
    return words[0].lower()


def _is_meant_as_number(word: str) -> bool:
    return word[0] in "+-." or word[0].isnumeric()


# The same few durations come again and again, and a spec never changes.
@lru_cache(maxsize=1024)
def _spec(milliseconds: int, on_node_loss: str) -> Submit:
    return Submit(Spec(SLEEP, b"%d" % milliseconds, on_node_loss=on_node_loss))


def _submission(number: str, on_node_loss: str) -> Request:
    if not (number.isascii() and number.isdigit()):
        raise UserError(
            f"{quote(number)} is no number of milliseconds: use the digits 0 to 9 alone."
        )
    if len(number) > len(str(MAX_SLEEP)):
        # Thousands of digits take long, and Python refuses to read them.
        number = number.lstrip("0")[: len(str(MAX_SLEEP)) + 1] or "0"
    milliseconds = int(number)
    if milliseconds > MAX_SLEEP:
        raise UserError(f"A sleep lasts {MAX_SLEEP} ms (31 days) at most.")
    return _spec(milliseconds, on_node_loss)
