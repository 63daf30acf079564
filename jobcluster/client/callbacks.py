"""
What a program wants called when its jobs have ended: in a thread that nobody waits for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from logging import getLogger
from queue import SimpleQueue
from typing import Any, Final

__all__ = ["call_back"]

_LOG: Final = getLogger("concurrent.futures")


class _Caller:
    """Calls what it is given, one after the other."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.calls: SimpleQueue[tuple[Callable[[Any], object], object]] = SimpleQueue()
        threading.Thread(target=self._run, name="jobcluster-callbacks", daemon=True).start()

    def _run(self) -> None:
        while True:
            function, argument = self.calls.get()
            try:
                function(argument)
            except Exception:  # noqa: BLE001 - whatever it is, it is the program's own
                # As any other future does it.
                _LOG.exception("exception calling callback for %r", argument)
            del function, argument


_lock = threading.Lock()
_caller: _Caller | None = None


def call_back(function: Callable[[Any], object], argument: object) -> None:
    """
    Have this called soon, after what was given before.
    """
    global _caller  # noqa: PLW0603 - there is one for each process
    with _lock:
        if _caller is None or _caller.pid != os.getpid():
            _caller = _Caller()
        caller = _caller
    caller.calls.put((function, argument))
