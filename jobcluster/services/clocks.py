"""
The three clocks of a machine, and which boot of it this is.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobcluster.core.values import Now

__all__ = ["Clocks", "boot_id", "machine_clocks"]

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

# Where there is no clock that counts suspension, the monotonic one stands in.
_BOOT_TIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Clocks = Callable[[], Now]
"""Reads the three clocks at once."""


def machine_clocks() -> Now:
    """
    Read this machine's clocks.
    """
    return Now(time.monotonic(), time.clock_gettime(_BOOT_TIME), time.time())


def boot_id() -> str:
    """
    The id of this boot of the machine; a fresh one where the system has none, so that nothing is
    taken to have outlived the process.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
