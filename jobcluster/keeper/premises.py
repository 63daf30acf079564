"""
What a function finds when it is called, and what it leaves behind for the next one: nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what signal is made of
import _thread
import ctypes
import io
import os
import resource
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

__all__ = ["Premises"]

_SIGNALS: Final = sorted(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))

_LIMITS: Final = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
)


class Premises:
    """
    The process around the functions that it calls.

    The directory, the environment, the mask of new files, the streams and the search path of
    modules are set right again; where something else was changed, this process is to be replaced.
    """

    def __init__(self, directory: str) -> None:
        """
        Remember how it is.

        @param directory: where modules are looked for ahead of all other places; may be empty.
        """
        if sys.path and not sys.path[0]:
            del sys.path[0]  # of -c: nobody's directory
        if directory:
            sys.path.insert(0, directory)
        if isinstance(sys.stdout, io.TextIOWrapper):
            # So that it can be followed while a function runs.
            sys.stdout.reconfigure(line_buffering=True)
        self._libc = ctypes.CDLL(None)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.close(null)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Its number tells a copy of this one that a function has made from itself.
        self._pid = os.getpid()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._path = list(sys.path)
        self._environ = os.environ
        self._environment = dict(os.environb)
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._state = self._look()

    def enter(
        self, directory: bytes, variables: Mapping[bytes, bytes], streams: tuple[int, int]
    ) -> None:
        """
        Have it ready for a function.

        @param variables: of the environment, beside those that it has always.
        @param streams: descriptors of standard output and error.
        @raise OSError: if the directory is gone.
        """
        os.dup2(streams[0], 1)
        os.dup2(streams[1], 2)
        os.chdir(directory)
        os.environb.update(variables)
        self._environment.update(variables)

    def leave(self) -> bool:
        """
        Set right what a function has changed.

        @return: whether that is all; otherwise this process is to call no other one.
        """
        if os.getpid() != self._pid:
            os._exit(0)  # a copy has come back from the function; the keeper ends it anyway
        if not self._flush() or self._look() != self._state:
            return False
        for stream in (1, 2):
            os.dup2(0, stream)
        os.chdir("/")
        os.umask(self._umask)
        sys.path[:] = self._path
        # A tenth of the time that it takes through its front.
        if os.environb._data != self._environment:  # type: ignore[attr-defined] # noqa: SLF001
            os.environb.clear()
            os.environb.update(self._environment)
        return True

    def _flush(self) -> bool:
        """Have written what was put out; whether nothing of it is left for the next function."""
        if (sys.stdin, sys.stdout, sys.stderr) != self._streams:
            return False
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            return False
        # What libraries in other languages have put out.
        return not self._libc.fflush(None)

    def _look(self) -> tuple[Any, ...]:
        """What cannot be set right, or is not worth it; it is the same as ever, or it is not."""
        null = None
        with suppress(OSError):
            null = os.fstat(0).st_rdev
        return (
            null,
            _thread._count(),  # noqa: SLF001 - threads that nobody has made known, too
            os.environ is self._environ,
            # Without the names that signal gives them, in a fiftieth of the time.
            [*map(_signal.getsignal, _SIGNALS)],
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            signal.getitimer(signal.ITIMER_REAL),
            [*map(resource.getrlimit, _LIMITS)],
            os.getresuid(),
            os.getresgid(),
            sys.getrecursionlimit(),
            sys.gettrace(),
            sys.getprofile(),
        )
