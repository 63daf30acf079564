"""
What stands behind C{sleep}: options, and a number of milliseconds.
"""

from __future__ import annotations

from typing import Final

from jobcluster.consoles.options import OPTIONS_USAGE, Options
from jobcluster.consoles.shell import split
from jobcluster.consoles.words import quote
from jobcluster.core.payloads import MAX_SLEEP
from jobcluster.core.values import SLEEP, Spec
from jobcluster.errors import UserError

__all__ = ["SLEEP_USAGE", "read_milliseconds", "read_sleep"]

SLEEP_USAGE: Final = f"sleep {OPTIONS_USAGE} MS"


def read_sleep(typed: str) -> Spec:
    """
    The job that was asked for.

    @param typed: what stands behind the verb.
    @raise UserError: if it makes no sense; the error says why.
    """
    options = Options()
    words = split(typed.encode("utf-8", "surrogateescape"))
    # A number with a sign is no option, and is told what is wrong with it.
    rest = options.read(words, SLEEP_USAGE, b"--")
    if len(rest) != 1:
        raise UserError(f"That is not how sleep is used: {SLEEP_USAGE}")
    milliseconds = read_milliseconds(rest[0].decode("utf-8", "surrogateescape"))
    return options.describe(SLEEP, b"%d" % milliseconds)


def read_milliseconds(number: str) -> int:
    """
    How long to sleep.

    @raise UserError: if it is no number, or too long.
    """
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
    return milliseconds
