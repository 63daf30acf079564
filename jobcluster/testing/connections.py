"""
The connection between a node process and its keeper.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from jobcluster.core.events import RunnerEvent
from jobcluster.core.values import Adopted
from jobcluster.testing.clocks import Pipe

__all__ = ["KeeperConnection", "KeeperUser"]


class Keeper(Protocol):
    """
    A keeper, as far as it reads and is there.
    """

    time: IReactorTime

    def accept(self, connection: KeeperConnection) -> None:
        """A node process connects."""

    def read(self, connection: KeeperConnection, word: str, args: tuple[Any, ...]) -> None:
        """A word is read."""


class KeeperUser(Protocol):
    """
    A node process that is connected to a keeper.
    """

    def keeper_met(
        self, connection: KeeperConnection, keeper: str, held: tuple[Adopted, ...]
    ) -> None:
        """
        Its inventory has come.

        @param keeper: its id.
        """

    def keeper_told(self, connection: KeeperConnection, event: RunnerEvent) -> None:
        """Something has happened there."""

    def keeper_answered(self, connection: KeeperConnection) -> None:
        """It has read all that was said before it was asked for a sign of life."""

    def keeper_lost(self, connection: KeeperConnection) -> None:
        """It has died."""


class KeeperConnection:
    """
    What a node and its keeper say to each other: each word is read late, after those before it.

    What was said to a keeper lies there unread while the keeper does not run, or does other things,
    and whoever has said it may be dead when it is read.
    """

    def __init__(
        self, keeper: Keeper, time: IReactorTime, hop: Callable[[], float], user: KeeperUser
    ) -> None:
        """
        Connect.

        @param time: the reactor of the node process.
        @param hop: says how many seconds the next word takes.
        """
        self.keeper = keeper
        self.user = user
        self._hop = hop
        self._at = float("-inf")
        self._unread: deque[tuple[float, str, tuple[Any, ...]]] = deque()
        self._closed = self._neglected = False
        self._owed = 0
        self._answers = Pipe(time, hop)
        keeper.accept(self)

    def say(self, word: str, *args: object) -> None:
        """
        Say something to the keeper.
        """
        time = self.keeper.time
        now = time.seconds()
        self._at = max(self._at, now + self._hop())
        self._unread.append((self._at, word, args))
        time.callLater(self._at - now, self._read)

    def neglect(self) -> None:
        """
        Let the keeper be busy with other things, so that it reads nothing here.
        """
        self._neglected = True

    def attend(self) -> None:
        """
        Let it read on.
        """
        self._neglected = False
        owed, self._owed = self._owed, 0
        for _ in range(owed):
            self.keeper.time.callLater(0, self._read)

    def _read(self) -> None:
        if self._neglected:
            self._owed += 1
        elif self._unread and not self._closed:
            _, word, args = self._unread.popleft()
            self.keeper.read(self, word, args)

    def close(self) -> None:
        """
        Close the keeper's end, unread.
        """
        self._closed = True
        self._unread.clear()

    def answer(self, tell: Callable[..., None], *args: object) -> None:
        """
        Have the node process hear something: C{tell} is a method of its L{KeeperUser}.
        """
        self._answers.post(tell, self, *args)
