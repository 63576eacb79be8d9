"""The snapshots of one model: found by tokens, kept within a budget, proven before each restore.

llama.cpp writes and reads the files itself. So a snapshot is saved in three steps: `saving` makes
room and gives the name of a file, llama.cpp writes it, and `Draft.keep` has it proven in the
background, for which no request waits. What goes wrong with a file costs the snapshot, and nothing
else.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Event

from msgspec.structs import replace

from antiphon.engines.llama.snapshots.budget import DEFAULT_BYTES, allowed_bytes, usefulness
from antiphon.engines.llama.snapshots.file_work import FileWork, reason_of
from antiphon.engines.llama.snapshots.files import (
    DamagedFileError,
    Found,
    MissingFileError,
    SnapshotFiles,
    never,
)
from antiphon.engines.llama.snapshots.folder import OwnedFolder, SnapshotsUnavailableError
from antiphon.engines.llama.snapshots.identity import ModelIdentity
from antiphon.engines.llama.snapshots.index import (
    MOST_SNAPSHOTS,
    Draft,
    Snapshot,
    SnapshotIndex,
    Written,
)
from antiphon.engines.llama.snapshots.prefixes import TOKEN_BYTES, pack_tokens
from antiphon.engines.llama.snapshots.records import SnapshotRecord
from antiphon.logs import EventLog


def _random_name() -> str:
    return secrets.token_hex(16)


class SnapshotLostError(Exception):
    """A snapshot cannot be restored: it is gone, or its file is not the one that was written."""


class SnapshotStore:
    """The snapshots in one folder, for one identity of a model. Made by `open`.

    `now` is the time of day in seconds: lifetimes go on while no server runs. `new_name` gives
    names that no file had before. `evictions` counts snapshots that had to go before their end.
    Work on files runs in threads, the rest on the event loop.

    Opening takes time linear in the files and in their tokens (4 bytes each). `find` is linear in
    the tokens of the prompt and in the number of snapshots of the salt; making room takes n log n
    of at most `most` snapshots. The check before a restore reads the file, a megabyte at a time, if
    it was changed, or was not checked since the system started.
    """

    def __init__(  # noqa: PLR0913 - the parts of a store, each once
        self,
        folder: OwnedFolder,
        files: SnapshotFiles,
        index: SnapshotIndex,
        *,
        now: Callable[[], float],
        new_name: Callable[[], str],
        budget_bytes: int,
    ) -> None:
        self.folder = folder.path
        self._owned = folder
        self._files = files
        self._index = index
        self._now = now
        self._new_name = new_name
        self._budget_bytes = self._limit_bytes = budget_bytes
        self.evictions = 0
        self._work = FileWork()
        self._log = EventLog(__name__)

    @classmethod
    async def open(  # noqa: PLR0913 - the parts of a store, each once
        cls,
        root: Path,
        identity: ModelIdentity,
        *,
        now: Callable[[], float] = time.time,
        new_name: Callable[[], str] = _random_name,
        budget_bytes: int = DEFAULT_BYTES,
        most: int = MOST_SNAPSHOTS,
        open_files: Callable[[Path, bytes], SnapshotFiles] = SnapshotFiles,
    ) -> "SnapshotStore":
        """Open the snapshots of a model. Raises `SnapshotsUnavailableError`."""
        folder = await asyncio.to_thread(OwnedFolder.open, root, identity.digest())
        try:
            files = open_files(folder.path, folder.key)
            index = SnapshotIndex(most)
            store = cls(folder, files, index, now=now, new_name=new_name, budget_bytes=budget_bytes)
            for found in await asyncio.to_thread(files.find_all):
                store._take_in(found)
            await store.sweep()
        except OSError as error:
            folder.close()
            raise SnapshotsUnavailableError(
                f"{folder.path} cannot keep snapshots: {reason_of(error)}"
            ) from error
        except BaseException:
            folder.close()
            raise
        return store

    async def name(self, model: str) -> None:
        """Note the model's id beside its folder, for people. Raises `OSError`."""
        await asyncio.to_thread(self._owned.name, model)

    async def aclose(self) -> None:
        """Finish what is being kept or removed, and release the folder."""
        await self.settle()
        self._owned.close()

    async def settle(self) -> None:
        """Wait until no work on files is left."""
        await self._work.settle()

    @property
    def used_bytes(self) -> int:
        """The bytes of all files, with those that are being written."""
        return self._index.used_bytes

    @property
    def limit_bytes(self) -> int:
        """The most bytes that all files may take, as it was when room was last made."""
        return self._limit_bytes

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots that can be found now, the most useful first."""
        now = self._now()
        found = [snapshot for snapshot in self._index.snapshots() if snapshot.ends_at > now]
        return sorted(found, key=lambda one: -usefulness(one, now))

    def find(self, salt: str, tokens: Sequence[int]) -> Snapshot | None:
        """Return the longest snapshot with this salt that `tokens` begin with.

        Raises `ValueError` for numbers that are no tokens: see `pack_tokens`.
        """
        return self.find_packed(salt, pack_tokens(tokens))

    def find_packed(self, salt: str, tokens: bytes) -> Snapshot | None:
        """Return the longest snapshot, as `find` does, for tokens that are packed."""
        return self._index.longest(salt, tokens, self._now())

    def exact(self, salt: str, tokens: bytes) -> Snapshot | None:
        """Return the snapshot of exactly these packed tokens."""
        return self._index.live((salt, tokens), self._now())

    @contextmanager
    def pinned(self, snapshot: Snapshot) -> Iterator[None]:
        """Keep the file of a snapshot until the block ends; it may be lost meanwhile."""
        snapshot.pins += 1
        try:
            yield
        finally:
            snapshot.pins -= 1
            if snapshot.lost:
                self._begin_removal(self._index.forget([snapshot]))

    @asynccontextmanager
    async def restoring(self, snapshot: Snapshot) -> AsyncIterator[str]:
        """Check a snapshot and pin it; yields the name of its file, for llama.cpp to restore.

        Raises `SnapshotLostError` before that if it is lost, or damaged, which loses it. Does not
        count as a use: see `renew`.
        """
        with self.pinned(snapshot):
            if snapshot.lost:
                raise SnapshotLostError
            await self._check(snapshot)
            yield snapshot.file

    async def check_ahead(self, snapshot: Snapshot, busy: Callable[[], bool]) -> bool:
        """Check a snapshot before it is needed; returns whether that was not given up.

        `busy` is asked in a thread, before each megabyte that is read. One that is damaged is lost.
        """
        with self.pinned(snapshot), suppress(SnapshotLostError):
            return snapshot.lost or await self._check(snapshot, busy)
        return True

    async def renew(self, snapshot: Snapshot, lifetime_s: float = 0.0) -> bool:
        """Begin the lifetime of a used snapshot again; a longer one replaces its own.

        Returns whether it was still alive; one whose files were removed by others is lost. An
        answer's request calls it when it starts.
        """
        now = self._now()
        if snapshot.lost or snapshot.ends_at <= now:
            return False
        name, record = snapshot.name, snapshot.record
        longer = lifetime_s > record.lifetime_s
        if longer:
            record = replace(record, lifetime_s=lifetime_s)

        def note_use() -> bool:
            if not self._files.is_there(name):
                return False
            if longer:
                self._files.write_record(name, record, now)
            else:
                self._files.touch(name, now)
            return True

        snapshot.record, snapshot.used_at = record, now
        # A use that cannot be written counts in this run all the same.
        if await self._work.run(note_use) is False:
            await self._remove([snapshot])
            return False
        return True

    @asynccontextmanager
    async def saving(
        self, salt: str, tokens: Sequence[int], expected_bytes: int, *, displaces: bool = True
    ) -> AsyncIterator[Draft | None]:
        """Make room for a snapshot and yield its draft; others are evicted only if it `displaces`.

        Yields `None` if the prefix has a snapshot, if one is being written, if there is no room, or
        if there are no tokens.
        Without a call of `Draft.keep` in the block, what was written is removed. Raises
        `ValueError` for numbers that are no tokens.
        """
        prefix = (salt, pack_tokens(tokens))
        if not tokens or prefix in self._index.drafts or self._index.live(prefix, self._now()):
            yield None
            return
        draft = Draft(self._new_name(), prefix, expected_bytes, self._finish)
        draft.displaces = displaces
        self._index.drafts[prefix] = draft
        try:
            if await self._make_room(evicts=displaces) and not draft.dropped:
                yield draft
            else:
                self._drop(draft)
                yield None
        finally:
            if draft.kept is None and self._index.drafts.get(prefix) is draft:
                self._drop(draft)

    def keeps(self, salt: str, tokens: Sequence[int]) -> bool:
        """Return whether exactly these tokens have a snapshot, or one is being written."""
        prefix = (salt, pack_tokens(tokens))
        return prefix in self._index.drafts or self._index.live(prefix, self._now()) is not None

    async def discard(self, *snapshots: Snapshot) -> None:
        """Remove snapshots that turned out to be of no use."""
        await self._remove(snapshots)

    def named(self, names: Collection[str]) -> list[Snapshot]:
        """Return the snapshots among these names."""
        return [one for one in self._index.snapshots() if one.name in names]

    async def clear(self, salt: str | None = None) -> int:
        """Remove all snapshots of a salt, or of every salt; returns their number."""
        for draft in self._index.drafts.values():
            draft.dropped = draft.dropped or salt in (None, draft.salt)
        chosen = [one for one in self._index.snapshots() if salt in (None, one.salt)]
        await self._remove(chosen)
        return len(chosen)

    async def sweep(self) -> None:
        """Remove what has ended, what exceeds the budget, and files that belong to nothing."""
        now = self._now()
        await self._remove([one for one in self._index.snapshots() if one.ends_at <= now])
        if not await self._make_room():
            await self._evict(self._index.evictable())
        if not await self._work.run(self._owned.is_held):
            return  # What is there may be another engine's.
        files = await self._work.run(self._files.list_files) or []
        # A name is known before its file is there, so an unknown one has no use any more.
        known = self._index.names
        strays = [file for file in files if file.partition(".")[0] not in known]
        await self._work.run(lambda: self._files.remove_files(strays))
        await self._work.run(lambda: self._owned.remove_ended_elsewhere(now))

    def _take_in(self, found: Found) -> Snapshot | None:
        if found.record.identity != self.folder.name:
            return None
        # A clock that was set back must not make a snapshot live longer.
        snapshot = Snapshot(found)
        snapshot.used_at = min(found.used_at, self._now())
        self._begin_removal(self._index.add(snapshot))
        return snapshot

    async def _check(self, snapshot: Snapshot, busy: Callable[[], bool] = never) -> bool:
        name, record, stop = snapshot.name, snapshot.record, Event()

        def gives_up() -> bool:
            return stop.is_set() or busy()

        try:
            seen = await asyncio.to_thread(self._files.check, name, record, gives_up)
        except InterruptedError:
            return False
        except DamagedFileError as error:
            if not isinstance(error, MissingFileError):
                self._log.error("a snapshot was damaged and is removed", reason=reason_of(error))
            self._index.forget([snapshot])
            raise SnapshotLostError from error
        except OSError as error:
            self._log.error("a snapshot cannot be read", reason=reason_of(error))
            raise SnapshotLostError from error
        finally:
            stop.set()
        # Meanwhile it may have got a longer life.
        snapshot.record = replace(snapshot.record, seen=seen)
        return True

    async def _make_room(self, *, evicts: bool = True) -> bool:
        """Evict until all files fit, with the drafts; evict nothing if that is not enough."""
        disk = await self._work.run(lambda: (self._owned.remake(), self._files.free_bytes()))
        if disk is None:
            return False
        removed, free = disk
        if removed:
            self._log.warning("the folder of snapshots was removed and is made again")
            await self._remove(self._index.snapshots())
        allowed = allowed_bytes(self._budget_bytes, free, self._index.saved_bytes)
        self._limit_bytes = allowed
        chosen = self._index.excess(allowed, self._now())
        if chosen and not evicts:
            return False
        await self._evict(chosen or [])
        return chosen is not None

    async def _evict(self, snapshots: Sequence[Snapshot]) -> None:
        """Remove snapshots for want of room."""
        now = self._now()
        self.evictions += sum(one.ends_at > now for one in snapshots)
        await self._remove(snapshots)

    async def _remove(self, snapshots: Sequence[Snapshot]) -> None:
        if names := self._index.forget(snapshots):
            await self._work.run(lambda: self._remove_files(names))

    def _begin_removal(self, names: Sequence[str]) -> None:
        if names:
            self._work.begin(lambda: self._remove_files(names))

    def _remove_files(self, names: Sequence[str]) -> None:
        for name in names:
            self._files.remove(name)

    def _finish(self, draft: Draft, written: Written) -> "asyncio.Task[Snapshot | None]":
        return self._work.start(self._prove(draft, written))

    async def _prove(self, draft: Draft, written: Written) -> Snapshot | None:
        """Make a snapshot of what llama.cpp has written, or remove it."""
        draft.reserved = written.size
        proven = None
        if written.tokens * TOKEN_BYTES != len(draft.tokens):
            self._log.warning("a slot held other tokens than expected", tokens=written.tokens)
        elif not draft.dropped and await self._make_room(evicts=draft.displaces):
            proven = await self._work.run(lambda: self._write(draft, written))
        if proven is None or draft.dropped:
            self._drop(draft)
            return None
        snapshot = self._take_in(proven)
        del self._index.drafts[draft.salt, draft.tokens]
        return snapshot

    def _write(self, draft: Draft, written: Written) -> Found:
        """Prove the file and write its record. Blocks."""
        proof, seen = self._files.prove(draft.name, written.size)
        record = SnapshotRecord(
            identity=self.folder.name,
            salt=draft.salt,
            tokens=draft.tokens,
            size=written.size,
            proof=proof,
            lifetime_s=written.lifetime_s,
            read_ms=written.read_ms,
            seen=seen,
        )
        self._files.write_record(draft.name, record, written.used_at)
        return Found(draft.name, record, written.used_at)

    def _drop(self, draft: Draft) -> None:
        """Give up a draft, and remove what was written of it."""
        draft.dropped = True
        self._index.drafts.pop((draft.salt, draft.tokens), None)
        self._begin_removal([draft.name])
