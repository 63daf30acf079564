"""
A reactor in a thread of its own, for programs that block.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, TypeVar

from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure
from twisted.python.runtime import platform

__all__ = ["ReactorThread"]

T = TypeVar("T")

_NAME: Final = "jobcluster"


class ReactorThread:
    """
    A reactor that is nobody else's, so that a program may have one of its own beside it, or none.
    """

    _shared: ReactorThread | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        """
        Start it; its thread ends with the process.
        """
        self.reactor: Any = _make_reactor()
        self.reactor.seconds = time.monotonic
        self.pid = os.getpid()
        """Of the process that it is of."""
        self._thread = threading.Thread(
            target=self.reactor.run,
            kwargs={"installSignalHandlers": False},
            name=_NAME,
            daemon=True,
        )
        self._thread.start()

    @classmethod
    def shared(cls) -> ReactorThread:
        """
        The one of this process; a process that was forked has one of its own.
        """
        with cls._lock:
            shared = cls._shared
            if shared is None or shared.pid != os.getpid():
                shared = cls._shared = cls()
            return shared

    @property
    def is_here(self) -> bool:
        """Whether this is called from its thread."""
        return threading.current_thread() is self._thread

    def post(self, function: Callable[[], object]) -> None:
        """
        Have this called in the thread, soon.

        @raise RuntimeError: in a process that was forked, where the thread is not.
        """
        if self.pid != os.getpid():
            raise RuntimeError("This is of the process that forked this one: make a Cluster here.")
        self.reactor.callFromThread(function)

    def call(self, function: Callable[[], Deferred[T]], timeout: float | None = None) -> T:
        """
        Call a function in the thread, and wait for what its Deferred fires with.

        @param timeout: seconds after which it is not waited for any longer.
        @raise TimeoutError: when they are over.
        @raise RuntimeError: where waiting would be for ever.
        """
        if self.is_here:
            raise RuntimeError(
                "This would wait for itself: a callback of a job must not wait for the cluster."
            )
        answer: Future[T] = Future()
        asked: list[Deferred[Any]] = []

        def settle(result: Any) -> None:  # noqa: ANN401 - a result or a failure
            if isinstance(result, Failure):
                answer.set_exception(result.value)
            else:
                answer.set_result(result)

        def begin() -> None:
            deferred = maybeDeferred(function)
            asked.append(deferred)
            deferred.addBoth(settle)

        def forget() -> None:
            asked[0].cancel()

        self.post(begin)
        try:
            return answer.result(timeout)
        except BaseException as error:
            # Out of patience, or interrupted: nobody is interested in the answer any more.
            if answer.done():
                raise
            self.post(forget)
            if isinstance(error, FutureTimeoutError):  # another class than ours, in Python 3.10
                raise TimeoutError(f"not answered within {timeout:g} s") from None
            raise


def _make_reactor() -> ReactorBase:
    """What Twisted would install, without installing it."""
    if platform.isLinux():
        from twisted.internet.epollreactor import EPollReactor  # noqa: PLC0415 - only there

        return EPollReactor()
    from twisted.internet.selectreactor import SelectReactor  # noqa: PLC0415 - only there

    return SelectReactor()
