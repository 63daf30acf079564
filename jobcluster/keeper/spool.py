"""
The spool: what the keeper has begun and how it ended, one checksummed entry a line.

It is only ever appended to, and now and then written anew without what is forgotten.
C{docs/keeper.rst} has a table of its entries.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final
from zlib import crc32

from jobcluster.keeper.notes import note

__all__ = ["SPOOL_VERSION", "Spool", "pack_entry", "read_entries"]

SPOOL_VERSION: Final = 1
"""Of the entries; a keeper does not touch a spool of a version that it does not know."""

_COMPACT_ABOVE: Final = 4 * 2**20
"""Bytes: a smaller spool is not worth a sync."""

_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

Entry = dict[str, Any]


def pack_entry(entry: Entry) -> bytes:
    """
    A line: the CRC-32 of the JSON in eight hexadecimal digits, a blank, the JSON, a newline.
    """
    text = _ENCODE(entry).encode("ascii")
    return b"%08x %s\n" % (crc32(text), text)


def read_entries(data: bytes) -> tuple[list[Entry], list[int]]:
    """
    The entries of a spool, and the numbers (from 1) of the lines that are none.
    """
    entries, damaged = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line:
            continue
        entry = _entry(line)
        if entry is None:
            damaged.append(number)
        else:
            entries.append(entry)
    return entries, damaged


def _entry(line: bytes) -> Entry | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % crc32(text):
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


class Spool:
    """
    The file C{spool} in the keeper's directory, written anew from what is held when it is opened.

    Entries gather until L{flush}, so that what happens together is one write.
    """

    def __init__(self, directory: int, held: Callable[[], Iterable[Entry]]) -> None:
        """
        Begin with what is held.

        @param directory: a descriptor of the keeper's directory.
        @param held: the entries that say all that is not forgotten.
        @raise OSError: if it cannot be written.
        """
        self._directory = directory
        self._held = held
        self._descriptor = -1
        self._size = 0
        self._compact_at = 0
        self._pending = bytearray()
        self._incomplete = False
        """Something that is held is not in the file, or not known to be on the disk."""
        self.compact()

    def later(self, entry: Entry) -> None:
        """
        Append an entry with the next flush.
        """
        self._pending += pack_entry(entry)

    def flush(self) -> bool:
        """
        Append what has gathered; one line in the log, once, where that is not possible.

        @return: whether it is in the file.
        """
        if self._pending:
            try:
                self._append()
            except OSError as error:
                self._complain(error)
                return False
        return True

    def sync(self) -> bool:
        """
        Append what has gathered, and have the disk keep it.

        @return: whether it does.
        """
        if self._incomplete:
            # After a failed sync the kernel believes that the pages are on the disk.
            return self.maintain()
        if not self.flush():
            return False
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._complain(error)
            return False
        return True

    def maintain(self) -> bool:
        """
        Write the file anew if something is missing in it, or if most of it is forgotten.

        @return: whether it is complete.
        """
        if self._incomplete or self._size > self._compact_at:
            try:
                self.compact()
            except OSError as error:
                self._complain(error)
                return False
        return True

    def compact(self) -> None:
        """
        Write the file anew, synced, with what is held and nothing else.

        @raise OSError: if that is not possible; the old file is as it was.
        """
        data = b"".join(map(pack_entry, self._held()))
        new = os.open(
            "spool.new",
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC,
            0o600,
            dir_fd=self._directory,
        )
        try:
            _write(new, data)
            os.fsync(new)
            os.rename("spool.new", "spool", src_dir_fd=self._directory, dst_dir_fd=self._directory)
            os.fsync(self._directory)
        except OSError:
            os.close(new)
            raise
        self.close()
        self._descriptor = new
        self._size = len(data)
        # Twice as large again: half of it may be live, but then each byte is copied only once.
        self._compact_at = max(_COMPACT_ABOVE, 2 * self._size)
        self._pending.clear()
        if self._incomplete:
            note("the spool is complete again")
            self._incomplete = False

    def close(self) -> None:
        """
        Write no more.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self) -> None:
        try:
            _write(self._descriptor, bytes(self._pending))
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        finally:
            # What is told all the same is in memory, and goes into the next file.
            written = len(self._pending)
            self._pending.clear()
        self._size += written

    def _complain(self, error: OSError) -> None:
        if not self._incomplete:
            note(
                f"the spool cannot be written ({error.strerror}): nothing is started until it can"
                " be, and how the runs of now end is not known if this keeper dies before; make"
                " room on the disk"
                if error.errno in (errno.ENOSPC, errno.EDQUOT)
                else f"the spool cannot be written ({error.strerror}): nothing is started until it"
                " can be; look at the disk"
            )
        self._incomplete = True


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
