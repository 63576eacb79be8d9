"""The index of the prompt cache in memory, whose entries outlive the process."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from antiphon.core.prompt_cache import CacheEntry
from antiphon.logs import EventLog
from antiphon.store.prompt_cache.entry_log import EntryLog, encoded
from antiphon.store.prompt_cache.memory import MemoryCacheIndex


class LastingCacheIndex(MemoryCacheIndex):
    """A `MemoryCacheIndex` that logs its entries. Made by `open`.

    A thread writes what was added since it last wrote: no request waits for the disk, and a crash
    loses the last moments. Fingerprints are not logged.
    """

    def __init__(self, clock: Callable[[], int], log: EntryLog) -> None:
        super().__init__(clock)
        self._log = log
        self._unwritten: dict[bytes, CacheEntry] = {}
        self._writing: asyncio.Task[None] | None = None
        self._failed = False

    @classmethod
    async def open(cls, folder: Path, clock: Callable[[], int]) -> Self:
        """Open the index with the entries that are still alive."""
        index = cls(clock, EntryLog(folder))
        try:
            found = await asyncio.to_thread(index._log.open, clock())
        except OSError as error:
            index._fail(error)
        else:
            await MemoryCacheIndex.store(index, found)
        return index

    async def refresh(self, key: bytes, started_at: int) -> None:
        await super().refresh(key, started_at)
        self._note((key,))

    async def store(self, entries: Mapping[bytes, CacheEntry]) -> None:
        await super().store(entries)
        self._note(entries)

    async def aclose(self) -> None:
        """Write what is not written yet."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
        await asyncio.to_thread(self._log.close)

    def _note(self, keys: "Mapping[bytes, CacheEntry] | tuple[bytes, ...]") -> None:
        """Let these entries be written, as they are now."""
        if self._failed:
            return
        now = self._clock()
        live = {key: entry for key in keys if (entry := self._live(key, now)) is not None}
        self._unwritten.update(live)
        if live and self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="antiphon-cache-entries")

    async def _write(self) -> None:
        try:
            while self._unwritten:
                records, self._unwritten = encoded(self._unwritten), {}
                await asyncio.to_thread(self._log.append, records, self._clock())
        except OSError as error:
            self._fail(error)
        finally:
            self._writing = None

    def _fail(self, error: OSError) -> None:
        self._failed = True
        self._unwritten.clear()
        EventLog(__name__).warning(
            "the next start will know no cached prompts", reason=error.strerror or str(error)
        )
