"""
What a core has for the operator, put into the log.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger, LogLevel

from jobcluster.core.actions import Note

__all__ = ["log_note"]

_LEVELS: Final = {"info": LogLevel.info, "warn": LogLevel.warn, "verbose": LogLevel.info}


def log_note(log: Logger, note: Note, *, verbose: bool) -> None:
    """
    Log a note, its details as fields of the event.
    """
    if note.level == "verbose" and not verbose:
        return
    shown = ", ".join(f"{name}: {{{name}}}" for name in note.detail)
    log.emit(
        _LEVELS[note.level],
        note.event + (f" ({shown})" if shown else ""),
        event=note.event,
        **note.detail,
    )
