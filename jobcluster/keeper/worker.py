"""
The process that calls functions, one after the other, for a keeper.

It is started by the keeper and by nobody else, with a socket to it as descriptor 3.
C{docs/keeper.rst} says what both say there.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import Any, Final

from jobcluster.keeper.calls import Call, NotCalledError, result_of, told_of, value_of
from jobcluster.keeper.frames import Frame, FrameReader, pack_frame
from jobcluster.keeper.premises import Premises

__all__ = ["CHANNEL", "main"]

CHANNEL: Final = 3
"""The descriptor of the socket to the keeper."""

_SPEAKS: Final = 1
"""The version of what is said here; the keeper may be older than this module."""

_READ: Final = 65536
"""Bytes read at a time."""

_MOVED: Final = 70
"""The exit code where the socket is not what it was: nothing could be told (EX_SOFTWARE)."""


class Channel:
    """
    The socket to the keeper.
    """

    def __init__(self, descriptor: int) -> None:
        """Take it over, so that no process which a function starts has it."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._reader = FrameReader()
        self._identity = self._look()

    def hear(self) -> tuple[Frame, list[int]]:
        """
        The next thing that is wanted, and the descriptors that came with it.

        @raise EOFError: if the keeper wants nothing any more, or is gone.
        """
        frames: list[Frame] = []
        found: list[int] = []
        while not frames:
            if found:
                data = self._socket.recv(_READ)
            else:
                data, found, _, _ = socket.recv_fds(self._socket, _READ, 2)
            if not data:
                raise EOFError
            frames = self._reader.feed(data)
        return frames[0], found

    def say(self, word: str, head: dict[str, Any] | None = None, body: bytes = b"") -> None:
        """
        Tell the keeper something.
        """
        if self._look() != self._identity:
            # A function has closed it, and perhaps opened something else that has its number now.
            os._exit(_MOVED)
        self._socket.sendall(pack_frame(word, head, body))

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.fstat(self._socket.fileno())
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _call(call: Call, complaints: int) -> tuple[dict[str, Any], bytes]:
    """
    Call a function; what is said of that, and what it has returned.

    @param complaints: the descriptor for the traceback of an exception.
    """
    try:
        return {"returned": True, "detail": ""}, value_of(call, result_of(call))
    except NotCalledError as error:
        detail, value = str(error), b""
        text = b"" if error.__cause__ is None else told_of(call, error.__cause__)[1]
    except BaseException as error:  # noqa: BLE001 - it is the function's, whatever it is
        detail, text, value = told_of(call, error)
    with suppress(OSError, ValueError):
        # In its place, behind what the function has put out itself.
        sys.stderr.flush()
    with suppress(OSError):
        _write(complaints, text)
    return {"returned": False, "detail": detail}, value


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _serve(premises: Premises, frame: Frame, streams: list[int]) -> tuple[dict[str, Any], bytes]:
    """Carry out one thing that is wanted; what is told of it."""
    head = frame.head
    call = Call(head["call"], head["pickled"], head["python"], frame.body)
    variables = {os.fsencode(name): os.fsencode(value) for name, value in head["variables"].items()}
    out, err = streams
    try:
        premises.enter(os.fsencode(head["directory"]), variables, (out, err))
    except OSError as error:
        detail = f"the working directory cannot be entered: {error.strerror}"
        return {"returned": False, "detail": detail, "retire": True}, b""
    try:
        said, value = _call(call, err)
        said["retire"] = not premises.leave()
    finally:
        for descriptor in streams:
            with suppress(OSError):
                os.close(descriptor)
    return said, value


def main(directory: str) -> None:
    """
    Call what is wanted, until nothing is.

    @param directory: where modules are looked for ahead of all other places; may be empty.
    """
    channel = Channel(CHANNEL)
    premises = Premises(directory)
    # A keeper that is gone wants nothing any more.
    with suppress(EOFError, OSError):
        channel.say("ready", {"speaks": _SPEAKS})
        while True:
            frame, streams = channel.hear()
            said, value = _serve(premises, frame, streams)
            channel.say("done", said, value)
    # Nothing that functions have left here has a say in this.
    os._exit(0)
