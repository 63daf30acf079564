"""
Listening to nodes, of which the newest is obeyed.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from contextlib import suppress
from typing import Any, Final

from jobcluster.keeper.connection import Connection
from jobcluster.keeper.frames import VERSION, Frame, FrameError, pack_frame
from jobcluster.keeper.jobs import Jobs
from jobcluster.keeper.notes import note
from jobcluster.keeper.words import Start, read_hello, read_refs, read_settings, read_start

__all__ = ["Server"]

_BACKLOG: Final = 16
"""Connections that wait to be accepted."""

_FULL: Final = 0.1
"""Seconds to wait where a connection cannot be accepted."""

_STRANGERS: Final = 16
"""The most connections on which nobody has said hello yet."""


class Server:
    """
    The connections, and what is said on the one that is obeyed.
    """

    def __init__(self, selector: selectors.BaseSelector, facts: dict[str, Any]) -> None:
        """
        Nobody is connected.

        @param facts: what is said in the answer to a hello.
        """
        self._selector = selector
        self._facts = facts
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._accepted = 0
        self._is_full = False
        """Whether the last one could not be accepted."""
        self._connections: list[Connection] = []
        self._writing: set[Connection] = set()
        self._obeyed: Connection | None = None
        self.jobs: Jobs
        self.said_end_at = float("-inf")
        """When the end of a run was said last, in seconds of the monotonic clock."""

    def listen(self, path: bytes) -> None:
        """
        Be there for nodes.

        @raise OSError: if there can be no such socket.
        """
        before = os.umask(0o077)
        try:
            self._listening.bind(path)
        finally:
            os.umask(before)
        self._listening.listen(_BACKLOG)
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)

    @property
    def connected(self) -> bool:
        """Whether anybody is."""
        return bool(self._connections)

    @property
    def obeying(self) -> bool:
        """Whether the node that is obeyed is connected."""
        return self._obeyed is not None

    def tell(self, word: str, head: dict[str, Any], body: bytes = b"") -> None:
        """
        Tell the node that is obeyed, if there is one; it is sent with L{send}.
        """
        if word == "ended":
            self.said_end_at = time.monotonic()
        if self._obeyed is not None:
            self._say(self._obeyed, pack_frame(word, head, body))

    def carry_out(self) -> None:
        """
        Do what was said, the newest connection first: it closes the others by its hello.
        """
        for connection in sorted(self._connections, key=lambda c: -c.number):
            if connection.unread and not connection.closing:
                try:
                    self._hear(connection)
                except FrameError as error:
                    note(f"a connection is closed, for what was said there: {error}")
                    self._drop(connection)

    def send(self) -> None:
        """
        Send what can be sent.
        """
        for connection in list(self._writing):
            self._send(connection)

    def close(self) -> None:
        """
        Close all.
        """
        for connection in list(self._connections):
            with suppress(OSError):
                connection.send()
            self._drop(connection)
        self._listening.close()

    # -- connections -------------------------------------------------------------------------------

    def _accept(self, _: int) -> None:
        while True:
            try:
                connected, _address = self._listening.accept()
            except BlockingIOError:
                break
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # Too many files are open: those who have not said who they are have to go.
                self._close_strangers(0)
                if not self._is_full:
                    self._is_full = True
                    note(f"connections cannot be accepted: {error.strerror}")
                # It is tried again at once; runs can wait as long.
                time.sleep(_FULL)
                break
            self._is_full = False
            self._accepted += 1
            connection = Connection(self._accepted, connected)
            self._connections.append(connection)
            self._selector.register(
                connected,
                selectors.EVENT_READ,
                lambda events, connection=connection: self._ready(connection, events),
            )
            self._close_strangers(_STRANGERS)
            # If it has said hello already, nothing that older ones say is carried out now.
            self._ready(connection, selectors.EVENT_READ)

    def _close_strangers(self, most: int) -> None:
        """Leave so many of the connections on which nobody has said hello, the newest."""
        strangers = [one for one in self._connections if not one.greeted]
        for connection in strangers[: max(0, len(strangers) - most)]:
            self._drop(connection)

    def _ready(self, connection: Connection, events: int) -> None:
        if connection.closed:
            return  # in this turn, by a newer one
        if events & selectors.EVENT_WRITE:
            self._writing.add(connection)
        if not events & selectors.EVENT_READ:
            return
        try:
            connection.read()
        except FrameError as error:
            note(f"a connection is closed, for what came there: {error}")
            self._drop(connection)
        except (OSError, EOFError):
            self._drop(connection)

    def _send(self, connection: Connection) -> None:
        try:
            more = connection.send()
        except OSError:
            self._drop(connection)
            return
        if connection.closing and not more:
            self._drop(connection)
            return
        if not more:
            self._writing.discard(connection)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if more else 0)
        if self._selector.get_key(connection.socket).events != wanted:
            key = self._selector.get_key(connection.socket)
            self._selector.modify(connection.socket, wanted, key.data)

    def _say(self, connection: Connection, frame: bytes) -> None:
        connection.say(frame)
        self._writing.add(connection)

    def _drop(self, connection: Connection) -> None:
        if connection.closed:
            return
        with suppress(KeyError):
            self._selector.unregister(connection.socket)
        self._connections.remove(connection)
        self._writing.discard(connection)
        if self._obeyed is connection:
            self._obeyed = None
        connection.close()

    # -- words -------------------------------------------------------------------------------------

    def _hear(self, connection: Connection) -> None:
        """Carry out what was said on a connection."""
        starts: list[Start] = []
        while connection.unread and not connection.closing:
            frame = connection.unread.popleft()
            if not connection.greeted:
                self._greet(connection, frame)
            elif frame.word == "start":
                starts.append(read_start(frame))
            else:
                self._start(starts)
                self._obey(connection, frame)
        self._start(starts)

    def _start(self, starts: list[Start]) -> None:
        if starts:
            self.jobs.start(starts)
            starts.clear()

    def _greet(self, connection: Connection, frame: Frame) -> None:
        hello = read_hello(frame)
        answer = pack_frame("hello", {"speaks": [VERSION], **self._facts})
        if VERSION not in hello.speaks:
            versions = ", ".join(map(str, sorted(hello.speaks))) or "none"
            note(
                f"a node speaks versions {versions} and this keeper {VERSION}: it is not obeyed;"
                " the runs go on"
            )
            self._say(connection, answer)
            connection.closing = True
            return
        settings = read_settings(frame, hello)
        for older in [c for c in self._connections if c.number < connection.number]:
            self._drop(older)
        connection.greeted = True
        self._obeyed = connection
        self._say(connection, answer)
        connection.give(self.jobs.greet(settings))

    def _obey(self, connection: Connection, frame: Frame) -> None:
        match frame.word:
            case "stop":
                self.jobs.stop(read_refs(frame))
            case "drop":
                self.jobs.drop(read_refs(frame))
            case "end":
                self.end()
            case "ping":
                self._say(connection, pack_frame("pong"))
            case word:
                raise FrameError(f"there is no word {word[:40]!r}")

    def end(self) -> None:
        """
        Stop every run, and start none any more.
        """
        self.said_end_at = max(self.said_end_at, time.monotonic())
        self.jobs.stop_all()
