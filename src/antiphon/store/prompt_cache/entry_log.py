"""Entries of the prompt cache on the disk, so that a restart forgets none of them.

    current ── an hour old ──► previous ── an hour old ──► removed

Each entry that is written or read is appended as a record of 49 bytes: key, tokens, lifetime, end,
and a checksum. No entry lives longer than an hour after that, so whatever is in a file that was
closed an hour ago is over, and nothing has to be compacted: at most two hours of records are kept.

The log is a convenience. What cannot be written is forgotten by the next start, and what cannot be
read there is not found: neither is a reason to refuse a request or a start.
"""

import os
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from zlib import crc32

from antiphon.core.billing.pricing import CacheTtl
from antiphon.core.prompt_cache import CacheEntry
from antiphon.regular_files import NoRegularFileError, opened_regular
from antiphon.store.prompt_cache.memory import MOST_ENTRIES

HEADER: Final = b"antiphon prompt cache entries 1\n"
HOUR_MS: Final = 3_600_000
CURRENT: Final = "entries"
PREVIOUS: Final = "entries.previous"
MOST_BYTES: Final = 256 << 20
"""The largest file that is written or read: five million records."""

_RECORD: Final = struct.Struct("<32sIBQ")
_SUM: Final = struct.Struct("<I")
SIZE: Final = _RECORD.size + _SUM.size
_TTLS: Final[tuple[CacheTtl, ...]] = ("5m", "1h")


class EntryLog:
    """The log in a folder. Methods block, and raise `OSError`; one thread at a time may call them.

    Times are Unix milliseconds. `most_entries` are found by a start: those noted last.
    """

    def __init__(self, folder: Path, most_entries: int = MOST_ENTRIES) -> None:
        self._folder = folder
        self._most_entries = most_entries
        self._file: int | None = None
        self._size = 0
        self._began_at = 0

    def open(self, now: int) -> Mapping[bytes, CacheEntry]:
        """Begin a new file, and return the live entries of the last ones, the newest last.

        The time is linear in the records of two hours: some 2 µs each. Memory is for one file, and
        for `most_entries`.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found: OrderedDict[bytes, CacheEntry] = OrderedDict()
        for name in (PREVIOUS, CURRENT):
            for key, entry in _records(self._folder / name):
                # The last one counts: it was merged with those before it.
                found.pop(key, None)
                if entry.is_live(now):
                    found[key] = entry
                if len(found) > self._most_entries:
                    found.popitem(last=False)
        # What was found begins the new file, so that the rest of the old ones is not needed.
        unfinished = self._folder / f"{CURRENT}.new"
        unfinished.unlink(missing_ok=True)
        self._begin(now, unfinished)
        self._write(encoded(found))
        unfinished.replace(self._folder / CURRENT)
        (self._folder / PREVIOUS).unlink(missing_ok=True)
        return found

    def append(self, records: bytes, now: int) -> None:
        """Append records, as `encoded` returns them."""
        if now - self._began_at >= HOUR_MS:
            (self._folder / CURRENT).replace(self._folder / PREVIOUS)
            self._begin(now, self._folder / CURRENT)
        if self._size + len(records) <= MOST_BYTES:
            self._write(records)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _begin(self, now: int, path: Path) -> None:
        self.close()
        # What stands there is not ours: to open a pipe would wait for its reader.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._size, self._began_at = 0, now
        self._write(HEADER)

    def _write(self, data: bytes) -> None:
        """Write all of the data, or nothing: half a record would shift those behind it."""
        file = self._file
        if file is None:  # pragma: no cover - it is open from the first call on
            return
        try:
            written = os.write(file, data)
        except OSError:
            os.ftruncate(file, self._size)
            raise
        if written != len(data):
            os.ftruncate(file, self._size)
            raise OSError("only a part could be written")
        self._size += written


def encoded(entries: Mapping[bytes, CacheEntry]) -> bytes:
    """Return the records of entries."""
    parts: list[bytes] = []
    for key, entry in entries.items():
        body = _RECORD.pack(key, entry.tokens, _TTLS.index(entry.ttl), entry.expires_at)
        parts += (body, _SUM.pack(crc32(body)))
    return b"".join(parts)


def _records(path: Path) -> Iterator[tuple[bytes, CacheEntry]]:
    """Yield the records of a file, up to the first that is damaged.

    A link, a pipe or a device is damage.
    """
    try:
        with opened_regular(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
            data = file.read(MOST_BYTES + len(HEADER))
    except (FileNotFoundError, NoRegularFileError):
        return
    if not data.startswith(HEADER):
        return
    for at in range(len(HEADER), len(data) - SIZE + 1, SIZE):
        body = data[at : at + _RECORD.size]
        (checksum,) = _SUM.unpack_from(data, at + _RECORD.size)
        key, tokens, ttl, expires_at = _RECORD.unpack(body)
        if checksum != crc32(body) or ttl >= len(_TTLS):
            return
        yield key, CacheEntry(tokens, _TTLS[ttl], expires_at)
