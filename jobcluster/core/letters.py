"""
What is to be said to each node when an event has been handled, collected word by word.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from jobcluster.core.actions import SendDispatch
from jobcluster.core.words import Dispatch

__all__ = ["Letters"]


class Letters:
    """
    One growing L{Dispatch} per connection.
    """

    __slots__ = ("_open",)

    def __init__(self) -> None:
        """
        Nothing to say to anybody.
        """
        self._open: dict[int, defaultdict[str, list[Any]]] = {}

    def add(self, connection: int, word: str, row: tuple[Any, ...]) -> None:
        """
        Say this too.

        @param word: a field of L{Dispatch}.
        """
        letter = self._open.get(connection)
        if letter is None:
            letter = self._open[connection] = defaultdict(list)
        letter[word].append(row)

    def take(self) -> list[SendDispatch]:
        """
        Everything that was added since the last time.
        """
        letters, self._open = self._open, {}
        return [
            SendDispatch(connection, Dispatch(**{word: tuple(rows) for word, rows in said.items()}))
            for connection, said in letters.items()
        ]
