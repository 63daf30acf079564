"""
One connection of a node: bytes in, bytes out, and never waiting for either.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from typing import Final

from jobcluster.keeper.frames import Frame, FrameReader

__all__ = ["Connection"]

_READ: Final = 256 * 1024
"""Bytes read at a time."""

# Made once: to have the kernel map and clear as much for each word costs more than the word.
_BUFFER: Final = memoryview(bytearray(_READ))

_AHEAD: Final = 1024 * 1024
"""Bytes of an inventory that are made before they can be sent."""


class Connection:
    """
    A connection that was accepted.
    """

    def __init__(self, number: int, connected: socket.socket) -> None:
        """
        Nothing was said yet.

        @param number: later ones have greater ones.
        """
        self.number = number
        self.socket = connected
        connected.setblocking(False)
        self.unread: deque[Frame] = deque()
        """What was said and not carried out."""
        self.greeted = False
        self.closing = False
        """To be closed when all is sent."""
        self.closed = False
        self._reader = FrameReader()
        self._out = bytearray()
        self._inventory: Iterator[bytes] | None = None
        self._after = bytearray()

    def read(self) -> None:
        """
        Read what has come.

        @raise FrameError: if it is no frame.
        @raise OSError: if the connection has failed.
        @raise EOFError: if it was closed.
        """
        try:
            size = self.socket.recv_into(_BUFFER)
        except BlockingIOError:
            return
        if not size:
            raise EOFError
        self.unread.extend(self._reader.feed(bytes(_BUFFER[:size])))

    def say(self, frame: bytes) -> None:
        """
        Send this, after the inventory if that is being given.
        """
        if self._inventory is None:
            self._out += frame
        else:
            self._after += frame

    def give(self, inventory: Iterator[bytes]) -> None:
        """
        Send these frames, each made when there is room for it.
        """
        self._inventory = inventory

    def send(self) -> bool:
        """
        Send what can be sent.

        @return: whether something is left.
        @raise OSError: if the connection has failed.
        """
        while True:
            self._fill()
            if not self._out:
                return False
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return True
            del self._out[:sent]

    def close(self) -> None:
        """
        End it; what is unread stays unread.
        """
        self.closed = True
        self.unread.clear()
        self.socket.close()

    def _fill(self) -> None:
        while self._inventory is not None and len(self._out) < _AHEAD:
            frame = next(self._inventory, None)
            if frame is None:
                self._inventory = None
                self._out += self._after
                self._after.clear()
            else:
                self._out += frame
