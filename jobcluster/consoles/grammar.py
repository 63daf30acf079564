"""
From a line that was typed to what it asks for, and the help that says what can be typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import attrs

from jobcluster.consoles import verbs
from jobcluster.consoles.call import CALL_DETAIL, read_call
from jobcluster.consoles.options import OPTIONS_DETAIL
from jobcluster.consoles.requests import (
    ALONE,
    Ask,
    Leave,
    Listen,
    Output,
    Prompt,
    Request,
    Say,
    Submit,
    Tail,
)
from jobcluster.consoles.run import RUN_USAGE, read_run
from jobcluster.consoles.shell import split
from jobcluster.consoles.sleep import SLEEP_USAGE, read_milliseconds, read_sleep
from jobcluster.consoles.words import quote
from jobcluster.core.payloads import MAX_SLEEP
from jobcluster.core.values import SLEEP, Spec, parse_ticket
from jobcluster.core.views import STATES, Filter
from jobcluster.errors import MalformedTicketError, UserError

__all__ = ["parse"]

_ALL: Final = "all"

_STATES: Final = (_ALL, *STATES)

_SPACES: Final = re.compile(r"[ \t]+")

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


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
        return _sleep(read_milliseconds(line))
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
        return _sleep(read_milliseconds(word))
    if word[0] in "rR" and ("." in word or word[1].isdecimal()):
        return _read_result(f"{word[1:]} {rest}".rstrip())
    raise UserError(f"{quote(word)} is no verb: type help to see what can be typed.")


# -- the verbs ------------------------------------------------------------------------------------


def _read_sleep(rest: str) -> Request:
    if rest.isascii() and rest.isdigit():
        return _sleep(read_milliseconds(rest))
    return Submit(read_sleep(rest))


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


def _read_tail(rest: str) -> Request:
    words = _words(rest)
    framed = words[:1] == ["--frames"]
    ticket, *others = words[framed:] or [""]
    stream, *numbers = others or [""]
    if len(numbers) > 2 or not all(map(_NUMBER.fullmatch, numbers)):  # noqa: PLR2004 - as the usage
        raise _misused("tail")
    if stream not in {"", "out", "err"}:
        raise UserError(f"{quote(stream)} is no stream: out, err.")
    offset, attempt = [*map(int, numbers), 0, 0][:2]
    streams = (stream,) if stream else ("out", "err")
    return Tail(_ticket("tail", ticket), dict.fromkeys(streams, offset), attempt, framed)


def _read_cancel(rest: str) -> Request:
    ticket = _ticket("cancel", rest)
    return Ask(ALONE, lambda view: verbs.cancel(view, ticket))


def _read_list(rest: str) -> Request:
    state = name = ""
    tags: list[str] = []
    for word in split(rest.encode("utf-8", "surrogateescape")):
        text = word.decode("utf-8", "surrogateescape")
        what, equals, value = text.partition("=")
        match what.lower():
            case "tag" if value:
                tags.append(value)
            case "name" if value and not name:
                name = value
            case "name" | "tag" if equals:
                raise _misused("list")
            case found if found == text.lower() and found in _STATES and not state:
                state = found
            case _ if state:
                raise _misused("list")
            case _:
                raise UserError(f"{quote(text)} is no state: {', '.join(_STATES)}.")
    return Listen(Filter("" if state == _ALL else state or "open", name, tuple(tags)))


def _read_getall(rest: str) -> Request:
    _nothing("getall", rest)
    return Listen(Filter())


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
        "sleep [OPTIONS] MS",
        "submit a job that sleeps so many milliseconds",
        f"""{SLEEP_USAGE}; a bare number means the same. The most is {MAX_SLEEP} (31 days).
        {OPTIONS_DETAIL}""",
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
        {OPTIONS_DETAIL}""",
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
    "tail": _Verb(
        _read_tail,
        "tail [--frames] TICKET [STREAM [OFFSET [ATTEMPT]]]",
        "what a job writes, while it runs, and then its result",
        """The bytes of both streams come as they are written, or of the STREAM out or err, from an
        OFFSET on (0), until the job has ended; then its result, on a line of its own.
        If a job that was lost is started again, a line says that, and all it writes follows.
        With --frames, right ahead of the bytes of each piece is a line, Output: N bytes at OFFSET
        of attempt ATTEMPT (or Errors: N bytes...), and nothing is added, so that a program can go
        on from there later; in telnet each byte 0xFF is sent twice, and counted once.
        The lines after it are held until then. In telnet, Ctrl-C ends it.""",
    ),
    "list": _Verb(
        _read_list,
        "list [STATE] [name=NAME] [tag=TAG]...",
        "the jobs of this node without an outcome, or those in a state, of a name, with tags",
        f"States: {', '.join(_STATES)}; open are those without an outcome. What has blanks is"
        " quoted: name='a b'. Of several tags a job has all.",
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
def _sleep(milliseconds: int) -> Submit:
    return Submit(Spec(SLEEP, b"%d" % milliseconds))
