"""
A client of a node's console: lines out, lines in, in the same order.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

__all__ = ["Console"]

_OUTPUT: Final = re.compile(r"Output: ([0-9]+) bytes, ([0-9]+) bytes")
"""The line that promises bytes: so many of standard output, and so many of standard error."""


@attrs.define
class _Question:
    """A line that was typed, and what came of its answer."""

    is_last: Callable[[str], bool]
    answered: Deferred[_Question] = attrs.field(factory=Deferred)
    lines: list[str] = attrs.field(factory=list[str])
    data: bytes = b""


class Console(LineReceiver):
    """
    A session at a console.
    """

    delimiter = b"\n"
    transport: ITransport

    def __init__(self) -> None:
        """
        Wait for a connection.
        """
        self._questions: deque[_Question] = deque()
        self._missing = 0
        """Bytes that were promised, and have not come yet."""
        self._is_over = False

    def ask(self, line: str) -> Deferred[str]:
        """
        Type a line that is answered with one line; fires with that.

        Fails with L{ConnectionLost} if the session ends first.
        """
        return self._ask(line, lambda _: True).addCallback(lambda asked: asked.lines[0])

    def ask_long(self, line: str, is_last: Callable[[str], bool]) -> Deferred[list[str]]:
        """
        Type a line that is answered with several; fires with them.

        Fails with L{ConnectionLost} if the session ends first.

        @param is_last: whether a line is the last of the answer; one that begins with C{Error:}
            always is.
        """
        return self._ask(line, is_last).addCallback(lambda asked: asked.lines)

    def ask_bytes(self, line: str) -> Deferred[tuple[str, bytes]]:
        """
        Type a line that is answered with one line and the bytes that it promises; fires with both.

        Fails with L{ConnectionLost} if the session ends first.
        """
        asked = self._ask(line, lambda _: True)
        return asked.addCallback(lambda asked: (asked.lines[0], asked.data))

    def lineReceived(self, line: bytes) -> None:
        """
        Take a line of the answer to the oldest question.
        """
        if not self._questions:
            # The last words of a node that ends are the answer to nothing.
            return
        text = line.decode()
        question = self._questions[0]
        question.lines.append(text)
        promise = _OUTPUT.fullmatch(text)
        if promise is not None and (missing := int(promise[1]) + int(promise[2])):
            self._missing = missing
            self.setRawMode()  # type: ignore[no-untyped-call]  # it has no annotations
        elif text.startswith("Error:") or question.is_last(text):
            self._finish()

    def rawDataReceived(self, data: bytes) -> None:
        """
        Take bytes that were promised, and go on with lines behind the last of them.
        """
        taken = data[: self._missing]
        self._questions[0].data += taken
        self._missing -= len(taken)
        if not self._missing:
            self._finish()
            self.setLineMode(data[len(taken) :])  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Answer nothing any more.
        """
        self._is_over = True
        self._give_up()

    def _ask(self, line: str, is_last: Callable[[str], bool]) -> Deferred[_Question]:
        question = _Question(is_last)
        self._questions.append(question)
        if self._is_over:
            self._give_up()
        else:
            # Names of files need not be UTF-8.
            self.transport.write(line.encode("utf-8", "surrogateescape") + self.delimiter)
        return question.answered

    def _finish(self) -> None:
        question = self._questions.popleft()
        question.answered.callback(question)

    def _give_up(self) -> None:
        while self._questions:
            self._questions.popleft().answered.errback(ConnectionLost("the console session ended"))
