"""
A client of a node's console: lines out, lines in, in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

__all__ = ["Console"]


@attrs.define
class _Question:
    """A line that was typed, and what came of its answer."""

    is_last: Callable[[str], bool]
    answer: Deferred[list[str]]
    lines: list[str] = attrs.field(factory=list[str])


class Console(LineOnlyReceiver):
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
        self._is_over = False

    def ask(self, line: str) -> Deferred[str]:
        """
        Type a line that is answered with one line; fires with that.

        Fails with L{ConnectionLost} if the session ends first.
        """
        return self.ask_long(line, lambda _: True).addCallback(lambda lines: lines[0])

    def ask_long(self, line: str, is_last: Callable[[str], bool]) -> Deferred[list[str]]:
        """
        Type a line that is answered with several; fires with them.

        Fails with L{ConnectionLost} if the session ends first.

        @param is_last: whether a line is the last of the answer; one that begins with C{Error:}
            always is.
        """
        question = _Question(is_last, Deferred())
        self._questions.append(question)
        if self._is_over:
            self._give_up()
        else:
            self.transport.write(line.encode() + self.delimiter)
        return question.answer

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
        if text.startswith("Error:") or question.is_last(text):
            self._questions.popleft()
            question.answer.callback(question.lines)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Answer nothing any more.
        """
        self._is_over = True
        self._give_up()

    def _give_up(self) -> None:
        while self._questions:
            self._questions.popleft().answer.errback(ConnectionLost("the console session ended"))
