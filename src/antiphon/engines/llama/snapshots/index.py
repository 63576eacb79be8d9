"""The index of snapshots in memory: what there is, what is being written, and what has to go.

It belongs to the event loop and touches no file; the time is an argument.
"""

from asyncio import Task
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from antiphon.engines.llama.snapshots.budget import to_evict
from antiphon.engines.llama.snapshots.files import PART, STATE, Found
from antiphon.engines.llama.snapshots.prefixes import TOKEN_BYTES, PrefixIndex

MOST_SNAPSHOTS: Final = 1024
"""Bounds a search, which takes some microseconds for each length: 12 ms in the worst case."""


class Snapshot:
    """A saved prefix. It is `lost` when nobody can find it any more; pinned, its file stays."""

    def __init__(self, found: Found) -> None:
        self.name = found.name
        self.record = found.record
        self.used_at = found.used_at
        self.pins = 0
        self.lost = False

    @property
    def file(self) -> str:
        """The name of the file, as llama.cpp takes it."""
        return f"{self.name}{STATE}"

    @property
    def salt(self) -> str:
        return self.record.salt

    @property
    def token_count(self) -> int:
        return len(self.record.tokens) // TOKEN_BYTES

    @property
    def size(self) -> int:
        return self.record.size

    @property
    def read_ms(self) -> float:
        return self.record.read_ms

    @property
    def ends_at(self) -> float:
        return self.used_at + self.record.lifetime_s


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a draft, as llama.cpp reports it, and what it is worth.

    - `tokens`, `size`: `n_saved` and `n_written` of llama.cpp.
    - `lifetime_s`: how long the snapshot lives without a use, from `used_at` on: the start of the
      request, by the store's clock.
    - `read_ms`: what reading the tokens took.
    """

    tokens: int
    size: int
    lifetime_s: float
    used_at: float
    read_ms: float


class Draft:
    """A snapshot that llama.cpp is about to write as `file`; others go for it if it `displaces`."""

    def __init__(
        self,
        name: str,
        prefix: tuple[str, bytes],
        reserved: int,
        finish: "Callable[[Draft, Written], Task[Snapshot | None]]",
    ) -> None:
        self.name = name
        self.salt, self.tokens = prefix
        self.reserved = reserved
        self.displaces = True
        self.dropped = False
        self.kept: Task[Snapshot | None] | None = None
        self._finish = finish

    @property
    def file(self) -> str:
        """The name of the file, as llama.cpp takes it."""
        return f"{self.name}{PART}"

    def keep(self, written: "Written") -> "Task[Snapshot | None]":
        """Keep what llama.cpp has written.

        Returns at once. The task ends with the snapshot when it can be found, or with `None` if it
        was lost: the disk is full, the budget is too small, or the file is not what was expected.
        """
        if self.kept is None:
            self.kept = self._finish(self, written)
        return self.kept


class SnapshotIndex:
    """Snapshots and drafts by salt and tokens: at most one of each for a prefix."""

    def __init__(self, most: int = MOST_SNAPSHOTS) -> None:
        self.drafts: dict[tuple[str, bytes], Draft] = {}
        self._most = most
        self._by_prefix: PrefixIndex[Snapshot] = PrefixIndex()
        # Those that are lost and pinned are still here: their files take space.
        self._by_name: dict[str, Snapshot] = {}

    @property
    def saved_bytes(self) -> int:
        return sum(snapshot.size for snapshot in self._by_name.values())

    @property
    def used_bytes(self) -> int:
        """The bytes of all files, with those that are being written."""
        return self.saved_bytes + sum(draft.reserved for draft in self.drafts.values())

    @property
    def names(self) -> set[str]:
        """The names whose files are in use."""
        return {draft.name for draft in self.drafts.values()} | self._by_name.keys()

    def snapshots(self) -> list[Snapshot]:
        return [snapshot for snapshot in self._by_name.values() if not snapshot.lost]

    def live(self, prefix: tuple[str, bytes], now: float) -> Snapshot | None:
        """Return the snapshot of exactly this prefix, if it has not ended."""
        snapshot = self._by_prefix.get(*prefix)
        return snapshot if snapshot is not None and snapshot.ends_at > now else None

    def longest(self, salt: str, tokens: bytes, now: float) -> Snapshot | None:
        """Return the longest snapshot that `tokens` begin with and that has not ended."""
        return self._by_prefix.longest(salt, tokens, lambda one: one.ends_at > now)

    def add(self, snapshot: Snapshot) -> Sequence[str]:
        """Add a snapshot; returns the files' names to remove if it replaces another."""
        prefix = (snapshot.salt, snapshot.record.tokens)
        older = self._by_prefix.get(*prefix)
        removed = self.forget([older]) if older is not None else []
        self._by_prefix.add(*prefix, snapshot)
        self._by_name[snapshot.name] = snapshot
        return removed

    def forget(self, snapshots: Iterable[Snapshot]) -> list[str]:
        """Take snapshots out; returns the names whose files are to be removed now."""
        removable = []
        for snapshot in snapshots:
            if not snapshot.lost:
                snapshot.lost = True
                self._by_prefix.remove(snapshot.salt, snapshot.record.tokens)
            if not snapshot.pins and self._by_name.pop(snapshot.name, None) is not None:
                removable.append(snapshot.name)
        return removable

    def excess(self, allowed: int, now: float) -> list[Snapshot] | None:
        """Choose what to evict so that all files fit; `None` if even all would be too little."""
        evictable = self.evictable()
        count = len(self._by_name) + len(self.drafts) - self._most
        return to_evict(evictable, self.used_bytes - allowed, count, now)

    def evictable(self) -> list[Snapshot]:
        return [one for one in self._by_name.values() if not one.pins and not one.lost]
