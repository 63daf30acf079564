"""
The daemons' logs: text or JSON, quiet by default.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile

__all__ = ["choose", "make_observer"]

_TALKATIVE: Final = (
    # Says twice a second for as long as there is no balancer that it will try again.
    "twisted.application._client_service.ClientService",
)

_FORMATS: Final[dict[str, Callable[[TextIO], ILogObserver]]] = {
    "text": textFileLogObserver,
    # Without the record separator it is one JSON object per line, as log collectors want it.
    "json": lambda stream: jsonFileLogObserver(stream, recordSeparator=""),
}


_chosen: dict[str, Callable[[], ILogObserver]] = {}


def choose(form: str, logfile: str | None, *, verbose: bool) -> str:
    """
    Choose how the log is to be written.

    @param form: C{"text"} or C{"json"}.
    @param logfile: its path, rotated by size as twistd does; standard output if there is none.
    @param verbose: whether to show what is of use to developers only.
    @return: the name of L{make_observer}, for twistd takes nothing but the name of a function
        without arguments.
    """
    _chosen["observer"] = lambda: _make(form, logfile, verbose=verbose)
    return f"{__name__}.make_observer"


def make_observer() -> ILogObserver:
    """
    The observer that was chosen.
    """
    return _chosen["observer"]()


def _make(form: str, logfile: str | None, *, verbose: bool) -> ILogObserver:
    if logfile and logfile != "-":
        path = Path(logfile).absolute()
        stream: TextIO = LogFile(path.name, str(path.parent))  # type: ignore[assignment]
    else:
        stream = sys.stdout
    predicate = LogLevelFilterPredicate(LogLevel.debug if verbose else LogLevel.info)
    if not verbose:
        for namespace in _TALKATIVE:
            predicate.setLogLevelForNamespace(namespace, LogLevel.warn)
    return FilteringLogObserver(_FORMATS[form](stream), [predicate])
