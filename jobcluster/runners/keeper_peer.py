"""
A node's end of the connection to its keeper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from jobcluster.errors import KeeperError, KeeperSilentError, KeeperVersionError
from jobcluster.keeper.frames import VERSION, Frame, FrameError, FrameReader, pack_frame
from jobcluster.runners.keeper_words import Greeting, KeptRun, read_greeting, read_holds
from jobcluster.runners.patience import Patience

__all__ = ["Inventory", "KeeperPeer"]

_PING_EVERY: Final = 3.0
"""Seconds after an answer in which a keeper that is asked nothing is asked whether it is there."""

_NEAR: Final = 1e-3
"""Seconds: no look is sooner than that."""

_PING: Final = pack_frame("ping")


@attrs.frozen
class Inventory:
    """What a keeper says to a node that has connected."""

    keeper: str
    """Its id."""
    runs: tuple[KeptRun, ...]
    """All that it holds."""


class KeeperPeer(Protocol):
    """
    Says hello, takes the inventory, carries words in both directions, and knows silence.

    What is said in one turn of the reactor is one write, and something that has to be answered is
    always in it: so a keeper that is frozen is known by what it does not answer.
    """

    def __init__(self, clock: IReactorTime, hello: bytes, limit: float) -> None:
        """
        Begin when there is a connection.

        @param hello: the first word.
        @param limit: seconds without an answer after which the keeper is given up.
        """
        self._clock = clock
        self._hello = hello
        self._reader = FrameReader()
        self._patience = Patience(limit, clock.seconds())
        self._greeting: Greeting | None = None
        self._runs: list[KeptRun] = []
        self._is_complete = False
        self._words: list[bytes] = []
        self._sending: IDelayedCall | None = None
        self._owed = True
        """Whether the keeper has still to answer something."""
        self._answered_at = 0.0
        self._timer: IDelayedCall | None = None
        self._over = False
        self._unheard: list[Frame] = []
        self._heard: Callable[[Sequence[Frame]], None] | None = None
        self._lost: Callable[[KeeperError], None] | None = None
        self._error: KeeperError | None = None
        self.inventory: Deferred[Inventory] = Deferred()
        """
        Fires with the complete inventory, or fails with a L{KeeperError}: L{KeeperSilentError} if
        it does not come, L{KeeperVersionError} if nobody understands it.
        """

    # -- for the runner ----------------------------------------------------------------------------

    def listen(
        self, heard: Callable[[Sequence[Frame]], None], lost: Callable[[KeeperError], None]
    ) -> None:
        """
        From now on, tell what comes after the inventory; what has come by now is told at once.

        @param heard: is called with what came together; may raise a L{FrameError}.
        @param lost: is called once, with why there is no connection any more.
        """
        self._heard, self._lost = heard, lost
        frames, self._unheard = self._unheard, []
        self._tell(frames)
        if self._error is not None:
            lost(self._error)

    def say(self, word: bytes) -> None:
        """
        Say this at the end of this turn.
        """
        if self._over:
            return
        self._words.append(word)
        if self._sending is None:
            self._sending = self._clock.callLater(0, self._send)

    def close(self) -> None:
        """
        End the connection when all has been said; nothing is told any more.
        """
        if not self._over:
            if self._sending is not None:
                self._sending.cancel()
                self._send()
            self._finish()
            self._transport.loseConnection()

    # -- from the transport ------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Say hello.
        """
        self._patience.begin(self._clock.seconds())
        self._transport.write(self._hello)
        self._watch(self._patience.pause)

    def dataReceived(self, data: bytes) -> None:
        """
        Whatever it is, the keeper lives.
        """
        if self._over:
            return
        self._patience.begin(self._clock.seconds())
        try:
            self._take(self._reader.feed(data))
        except FrameError as error:
            self._give_up(KeeperVersionError(f"The keeper says what is not understood: {error}."))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override] # no default here
        """
        The keeper has died, or has closed the connection.
        """
        self._end(KeeperError("The keeper has ended the connection."))

    # -- inside ------------------------------------------------------------------------------------

    @property
    def _transport(self) -> Any:  # noqa: ANN401 - Twisted has no type for one that can be aborted
        return cast("Any", self.transport)

    def _take(self, frames: Sequence[Frame]) -> None:
        later = []
        for frame in frames:
            if frame.word == "pong":
                self._answered()
            elif self._is_complete:
                later.append(frame)
            else:
                self._take_early(frame)
                if self._over:
                    return
        if later:
            self._tell(later)

    def _take_early(self, frame: Frame) -> None:
        if self._greeting is None:
            if frame.word != "hello":
                raise FrameError("the first word is not 'hello'")
            greeting = self._greeting = read_greeting(frame)
            if VERSION not in greeting.speaks:
                versions = ", ".join(map(str, sorted(greeting.speaks))) or "none"
                self._give_up(
                    KeeperVersionError(
                        f"The keeper speaks version {versions} of the protocol, not {VERSION}."
                    )
                )
        elif frame.word == "holds":
            self._runs.append(read_holds(frame))
        elif frame.word == "complete":
            self._is_complete = True
            self._answered()
            inventory = Inventory(self._greeting.keeper, tuple(self._runs))
            self._runs.clear()
            self.inventory.callback(inventory)
        else:
            raise FrameError("the inventory is not complete")

    def _answered(self) -> None:
        self._owed = False
        self._answered_at = self._clock.seconds()

    def _tell(self, frames: Sequence[Frame]) -> None:
        if self._heard is None:
            self._unheard.extend(frames)
        elif frames and not self._over:
            try:
                self._heard(frames)
            except FrameError as error:
                self._give_up(
                    KeeperVersionError(f"The keeper says what is not understood: {error}.")
                )

    def _send(self) -> None:
        self._sending = None
        words, self._words = self._words, []
        if not self._owed:
            self._owed = True
            words.append(_PING)
            self._patience.begin(self._clock.seconds())
            self._watch(self._patience.pause)
        self._transport.write(b"".join(words))

    def _watch(self, wait: float) -> None:
        """Look in so many seconds at the latest."""
        due = self._clock.seconds() + wait
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(wait, self._look, due)

    def _look(self, due: float) -> None:
        now = self._clock.seconds()
        if not self._owed:
            quiet = now - self._answered_at
            if quiet < _PING_EVERY:
                self._watch(max(_PING_EVERY - quiet, _NEAR))
            elif self._sending is None:
                self._send()
        elif self._patience.look(now, due):
            self._give_up(
                KeeperSilentError(f"The keeper does not answer for {self._patience.limit:g} s.")
            )
        else:
            self._watch(self._patience.pause)

    def _give_up(self, error: KeeperError) -> None:
        self._end(error)
        self._transport.abortConnection()

    def _end(self, error: KeeperError) -> None:
        if self._over:
            return
        self._finish()
        self._error = error
        if not self._is_complete:
            self.inventory.errback(error)
        elif self._lost is not None:
            self._lost(error)

    def _finish(self) -> None:
        self._over = True
        for call in (self._timer, self._sending):
            if call is not None and call.active():
                call.cancel()
