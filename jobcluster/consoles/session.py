"""
One session: requests are answered in the order of their lines, many of a kind at once.

Consecutive submissions become one call, and while it is under way the next ones are gathered.
Consecutive questions of one group overlap.
Whatever else comes starts when all before it has been answered, so that a C{result} behind a
C{wait} sees what was waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobcluster.consoles import verbs
from jobcluster.consoles.answers import Answers
from jobcluster.consoles.grammar import parse
from jobcluster.consoles.lines import LINE_LIMIT, Item, Mark
from jobcluster.consoles.requests import (
    ALONE,
    ANYWHERE,
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
from jobcluster.consoles.streams import Gate, answer_jobs, answer_output, answer_tail
from jobcluster.consoles.words import describe_error
from jobcluster.errors import JobclusterError
from jobcluster.interfaces import IClusterView

__all__ = ["BATCH", "OVERLAP", "Outlet", "Session"]

BATCH: Final = 1000
"""The most lines that one submission covers."""

OVERLAP: Final = 1000
"""The most answers that may be under way at once."""

# Room for one line of the greatest length, or for the next batch.
_QUEUE_LINES: Final = BATCH
_QUEUE_LETTERS: Final = LINE_LIMIT


@attrs.frozen
class _Telnet:
    """The peer speaks telnet: from here on lines end as telnet wants it."""

    group: ClassVar[str] = ALONE


_MARKS: Final[dict[Mark, Request | _Telnet]] = {
    Mark.NEGOTIATED: _Telnet(),
    Mark.UNREADABLE: Say(
        "Error: the line was not run: it has control characters or is not UTF-8; type help."
    ),
    Mark.UNFINISHED: Say(
        "Error: the last line was not run: it has no end; end each line with a newline."
    ),
    Mark.FOREIGN: Leave(
        "Error: this is a jobcluster console, which speaks lines, not HTTP, TLS or SSH:"
        " nothing was run, and the connection is closed.",
        linger=True,
    ),
    Mark.TOO_LONG: Leave(
        f"Error: the line was not run: it has more than {LINE_LIMIT} bytes;"
        " the connection is closed.",
        linger=True,
    ),
    Mark.END: Leave(""),
}

_INTERRUPTED: Final = "Interrupted: not waited for any longer; the job goes on."
_BROKEN: Final = "Error: something is wrong in this node; its log says what."


class Outlet(Protocol):
    """Where a session's answers go, and where its lines come from."""

    def write(self, data: bytes) -> None:
        """Send this; may call L{Session.pause} at once."""

    def more(self) -> None:
        """There is room again: call L{Session.accept}, now or later."""

    def close(self, *, linger: bool) -> None:
        """
        End the connection once everything written is sent.

        @param linger: more was sent, or is being sent, than was run: let the peer read why.
        """


class _Slot:
    """The place of one or more answers among the others."""

    __slots__ = ("answers", "pending")

    def __init__(self) -> None:
        self.answers: list[str] | None = None
        self.pending: Deferred[str] | Deferred[list[str]] | None = None


class Session:
    """
    Runs the lines of one peer.
    """

    __slots__ = (
        "_answers",
        "_auto_prompt",
        "_gate",
        "_group",
        "_letters",
        "_log",
        "_next",
        "_outlet",
        "_pumping",
        "_queue",
        "_slots",
        "_view",
    )

    def __init__(
        self, view: IClusterView, outlet: Outlet, clock: IReactorTime, prompt: str, log: Logger
    ) -> None:
        """
        Begin with nothing received.

        @param prompt: C{"on"}, C{"off"}, or C{"auto"} for one after telnet negotiation.
        """
        self._view = view
        self._outlet = outlet
        self._log = log
        self._auto_prompt = prompt == "auto"
        self._answers = Answers(outlet.write, clock)
        self._queue: deque[Item] = deque()
        self._letters = 0
        self._next: Request | _Telnet | None = None
        self._slots: deque[_Slot] = deque()
        self._group = ANYWHERE
        self._gate = Gate()
        self._pumping = False
        if prompt == "on":
            self._show_prompt()

    @property
    def has_room(self) -> bool:
        """Whether there is room for more lines."""
        return (
            not self._gate.is_over
            and len(self._queue) < _QUEUE_LINES
            and self._letters < _QUEUE_LETTERS
        )

    def accept(self, items: Iterable[Item]) -> None:
        """
        Take lines and what else was received.
        """
        for item in items:
            if item is Mark.INTERRUPT:
                # What came before the key is what it is about.
                self._pump()
                self._interrupt()
            elif not self._gate.is_over:
                self._queue.append(item)
                if isinstance(item, str):
                    self._letters += len(item)
        self._pump()

    def pause(self) -> None:
        """
        Begin nothing new: what was written is not read by the peer.
        """
        self._gate.shut()

    def resume(self) -> None:
        """
        Go on after L{pause}.
        """
        self._gate.open()
        self._pump()

    def command(self, data: bytes) -> None:
        """
        Answer a telnet command.
        """
        self._answers.command(data)

    def leave(self, words: str, *, linger: bool = False) -> None:
        """
        End the session now, with these last words, whatever is under way; without them where they
        would be taken for bytes of an output.

        @param linger: as for L{Outlet.close}.
        """
        if not self._gate.is_over:
            if words and not self._answers.within_bytes:
                self._answers.say(words)
            self._answers.flush()
            linger = linger or bool(self._queue)
            self.stop()
            self._outlet.close(linger=linger)

    def stop(self) -> None:
        """
        Take that the session is over: nothing is awaited any more.
        """
        self._gate.end()
        self._queue.clear()
        self._next = None
        self._interrupt()
        self._slots.clear()
        self._answers.stop()

    # -- beginning -----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin whatever may begin."""
        if self._pumping:
            # An answer that was there at once: the loop further out goes on.
            return
        self._pumping = True
        try:
            while not self._gate.is_shut and (request := self._peek()) is not None:
                if not self._admits(request):
                    break
                self._next = None
                self._begin(request)
        finally:
            self._pumping = False
        if self._slots:
            self._answers.flush_soon()
        else:
            self._answers.flush()
        if self.has_room and not self._gate.is_shut:
            self._outlet.more()

    def _peek(self) -> Request | _Telnet | None:
        if self._next is None and self._queue:
            item = self._queue.popleft()
            if isinstance(item, str):
                self._letters -= len(item)
                try:
                    self._next = parse(item)
                except JobclusterError as error:
                    self._next = Say(describe_error(error))
            else:
                self._next = _MARKS[item]
        return self._next

    def _admits(self, request: Request | _Telnet) -> bool:
        """Whether a request may begin while those in the slots are under way."""
        if not self._slots:
            return True
        group = request.group
        if group != ANYWHERE and (not group or group != self._group):
            return False
        return len(self._slots) < OVERLAP

    def _begin(self, request: Request | _Telnet) -> None:
        if request.group != ANYWHERE:
            self._group = request.group
        match request:
            case Submit():
                self._submit(request)
            case Ask():
                self._ask(request)
            case Say():
                self._settle([request.text], self._open_slot())
            case Listen() | Output() | Tail():
                self._stream(request)
            case Prompt():
                self._auto_prompt = False
                self._answers.prompt = self._prompt_text() if request.on else ""
                self._answers.answer(f"The prompt is {'on' if request.on else 'off'}.")
            case Leave():
                self.leave(request.words, linger=request.linger)
            case _Telnet():
                self._answers.speak_telnet()
                if self._auto_prompt:
                    self._show_prompt()

    def _open_slot(self) -> _Slot:
        slot = _Slot()
        self._slots.append(slot)
        return slot

    def _submit(self, first: Submit) -> None:
        """Submit this job and those of the lines behind it, errors among them included."""
        specs = [first.spec]
        answers: list[str | None] = [None]
        while len(answers) < BATCH:
            following = self._peek()
            if isinstance(following, Submit):
                specs.append(following.spec)
                answers.append(None)
            elif isinstance(following, Say):
                answers.append(following.text)
            else:
                break
            self._next = None

        def merge(said: list[str]) -> list[str]:
            rest = iter(said)
            return [next(rest) if answer is None else answer for answer in answers]

        submitting = maybeDeferred(verbs.submit, self._view, specs)
        submitting.addErrback(lambda failure: self._excuse(failure) * len(specs))
        submitting.addCallback(merge).addCallback(self._settle, self._open_slot())

    def _ask(self, request: Ask) -> None:
        slot = self._open_slot()
        asking = maybeDeferred(request.ask, self._view)
        if request.may_end:
            slot.pending = asking
        asking.addCallbacks(lambda text: [text], self._excuse).addCallback(self._settle, slot)

    def _stream(self, request: Listen | Output | Tail) -> None:
        slot = self._open_slot()
        view, answers, gate = self._view, self._answers, self._gate
        if isinstance(request, Listen):
            answering = answer_jobs(view, request.wanted, answers, gate)
        elif isinstance(request, Tail):
            answering = answer_tail(view, request, answers, gate)
        else:
            answering = answer_output(view, request.ticket, answers, gate, self._break_off)
        streaming = Deferred.fromCoroutine(answering)
        if isinstance(request, Tail):
            slot.pending = streaming
        streaming.addErrback(self._excuse).addCallback(self._settle, slot)

    # -- answering -----------------------------------------------------------------------------

    def _settle(self, answers: list[str], slot: _Slot) -> None:
        """Take the answers of a slot, and write what has its turn by that."""
        if self._gate.is_over:
            return
        slot.answers = answers
        slot.pending = None
        while self._slots and (said := self._slots[0].answers) is not None:
            self._slots.popleft()
            for text in said:
                self._answers.answer(text)
        self._pump()

    def _excuse(self, failure: Failure) -> list[str]:
        """What to answer where there is no answer."""
        if failure.check(JobclusterError):
            return [describe_error(failure.value)]
        if failure.check(CancelledError):
            return [_INTERRUPTED]
        self._log.failure("A request at the console failed.", failure)
        return [_BROKEN]

    def _break_off(self, failure: Failure) -> None:
        """End the session, so that whoever counts an output's bytes sees that some are missing."""
        if failure.check(JobclusterError):
            self._log.warn("An output broke off at the console: {why}", why=failure.value)
        else:
            self._log.failure("An output broke off at the console.", failure)
        self.leave("")

    def _interrupt(self) -> None:
        """Await nothing of what may be awaited for long."""
        for slot in list(self._slots):
            if slot.pending is not None:
                slot.pending.cancel()

    def _prompt_text(self) -> str:
        return f"{self._view.name}> "

    def _show_prompt(self) -> None:
        self._answers.prompt = self._prompt_text()
        self._answers.show_prompt()
