"""The prompt cache as people see it: what it saved, what is in it now, and each entry.

Sums over time are those of the roll-ups. What is there now is told by the index of entries, by the
notes of this process about them, and by the engines, about their snapshots.
"""

import asyncio
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from antiphon.core.billing.money import cents
from antiphon.core.billing.reports import Buckets, wire_time
from antiphon.core.moments import EPOCH
from antiphon.core.pagination import TokenCursor, page_by_tokens
from antiphon.core.permissions import Reach
from antiphon.core.prompt_cache import CacheEntry
from antiphon.engines.base import KeptSnapshot, SnapshotReport
from antiphon.service.accounts import Accounts
from antiphon.service.cache_register import EntryNote
from antiphon.service.caching import PromptCaching
from antiphon.service.desks import Desks
from antiphon.service.models import Models, ServedModel
from antiphon.service.reports import report_of, within_reach
from antiphon.store.reports import TOKEN_MEASURES, ReportQuery, Sum, sums
from antiphon.wire.admin.organizations import TokenListing
from antiphon.wire.admin.prompt_cache import (
    CachedBy,
    CachedModelInfo,
    CacheEntryInfo,
    CacheReportResult,
    PromptCacheInfo,
)
from antiphon.wire.admin.reports import Report
from antiphon.wire.messages import CacheCreation
from antiphon.wire.money import Money

KEYS_AT_ONCE: Final = 1_600
"""The most keys that an index is asked for in one step."""

_MEASURES: Final = ("requests", "cache_reads", "saved", *TOKEN_MEASURES)
_MS: Final = timedelta(milliseconds=1)


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """A prefix that can be read now: an entry with its note, a snapshot, or both.

    `key` identifies it. It becomes a `CacheEntryInfo` only if it is on the page that is asked for.
    """

    key: bytes
    salt: str
    model: str
    tokens: int
    used_at: float
    note: EntryNote | None = None
    entry: CacheEntry | None = None
    snapshot: KeptSnapshot | None = None

    @property
    def size(self) -> int:
        return 0 if self.snapshot is None else self.snapshot.size


class PromptCacheReport:
    """What administrators and developers see of the prompt cache, within their reach.

    Listing entries takes time linear in those that this process has noted and in the snapshots of
    its engines: ten thousand and some.
    """

    def __init__(
        self,
        desks: Desks,
        accounts: Accounts,
        caching: PromptCaching,
        models: Models,
    ) -> None:
        self._desks = desks
        self._accounts = accounts
        self._caching = caching
        self._models = models

    async def report(
        self,
        asked: Buckets,
        group_by: Sequence[str],
        filters: Mapping[str, Collection[str]],
        reach: Reach,
    ) -> Report[CacheReportResult]:
        """Sum up what was read, written and saved. `group_by`, `filters`: model and workspace."""
        query = ReportQuery(
            start=asked.start,
            end=asked.end,
            width=asked.width,
            default_workspace=(await self._accounts.current()).default_workspace.id,
            group_by=tuple(dict.fromkeys(group_by)),
            filters=within_reach(reach, filters),
        )
        async with self._desks.read() as connection:
            found = await sums(connection, query, _MEASURES)
        return await report_of(asked, ((one.starting_at, _result(one)) for one in found))

    async def entries(
        self, reach: Reach, cursor: TokenCursor, *, workspace: str | None, model: str | None
    ) -> TokenListing:
        """Return a page of the entries, the last used first."""
        seen = await self._seen(reach, workspace)
        page = page_by_tokens(await self._found(seen, model), cursor)
        return replace(page, data=tuple(self._info(one, seen[one.salt]) for one in page.data))

    async def state(self, reach: Reach) -> PromptCacheInfo:
        """Return what is kept now, in all and of each model."""
        found = await self._found(await self._seen(reach, None), None)
        of_model: defaultdict[str, list[_Kept]] = defaultdict(list)
        for one in found:
            of_model[one.model].append(one)
        sees_all = reach.workspaces is None
        return PromptCacheInfo(
            entries=len(found),
            tokens=sum(one.tokens for one in found),
            snapshot_bytes=sum(one.size for one in found),
            less_cached_than_planned=dict(self._caching.shortfalls) if sees_all else None,
            models=tuple(
                _model(one, of_model[one.id], sees_all=sees_all) for one in self._models.served
            ),
        )

    async def _seen(self, reach: Reach, workspace: str | None) -> dict[str, str | None]:
        """Return the workspaces to tell of by their salts; the default one is `None`."""
        directory = await self._accounts.current()
        organization, default = directory.organization.id, directory.default_workspace.id
        return {
            self._caching.salt(organization, one): None if one == default else one
            for one in directory.workspaces
            if reach.sees(one) and workspace in (None, one)
        }

    async def _found(self, salts: Collection[str], model: str | None) -> list[_Kept]:
        """Return what can be read now, the last used first."""
        stock = _Stock(self._models.served, salts, model)
        found = [one async for one in self._live(salts, model, stock)]
        found += [
            _Kept(_name_of(one), one.salt, name, one.tokens, one.used_at, snapshot=one)
            for name, one in stock.left()
        ]
        return sorted(found, key=lambda one: -one.used_at)

    async def _live(
        self, salts: Collection[str], model: str | None, stock: "_Stock"
    ) -> AsyncIterator[_Kept]:
        """Yield the entries that can be read now, the last used first."""
        register, index = self._caching.register, self._caching.index
        notes = [
            (key, note)
            for key, note in reversed(register.notes())
            if note.salt in salts and model in (None, note.model)
        ]
        for start in range(0, len(notes), KEYS_AT_ONCE):
            part = notes[start : start + KEYS_AT_ONCE]
            live = (await index.find([key for key, _ in part])).entries
            register.forget(key for key, _ in part if key not in live)
            for key, note in part:
                if (entry := live.get(key)) is not None:
                    snapshot = stock.take(note.salt, note.model, entry.tokens)
                    used_at = note.used_at / 1000
                    yield _Kept(
                        key, note.salt, note.model, entry.tokens, used_at, note, entry, snapshot
                    )
            # An index in memory lets nobody else run.
            await asyncio.sleep(0)

    def _info(self, one: _Kept, workspace: str | None) -> CacheEntryInfo:
        note, entry, snapshot = one.note, one.entry, one.snapshot
        ends_at = (
            entry.expires_at if entry is not None else _ms(snapshot.ends_at if snapshot else 0)
        )
        return CacheEntryInfo(
            id=self._caching.entry_id(one.key),
            model=one.model,
            workspace_id=workspace,
            tokens=one.tokens,
            ttl=None if entry is None else entry.ttl,
            written_at=None if note is None or note.written_at is None else _at(note.written_at),
            last_used_at=_at(_ms(one.used_at)),
            expires_at=_at(ends_at),
            hits=None if note is None else note.hits,
            saved=None if note is None else Money(amount=cents(note.saved)),
            snapshot_bytes=None if snapshot is None else snapshot.size,
        )


class _Stock:
    """The snapshots of all engines that are not yet found to be those of an entry.

    A snapshot belongs to an entry of the same workspace, model and length. Of several of one length
    those used last belong together.
    """

    def __init__(
        self, served: Iterable[ServedModel], salts: Collection[str], model: str | None
    ) -> None:
        self._left: defaultdict[tuple[str, str, int], list[KeptSnapshot]] = defaultdict(list)
        for one in served:
            if model not in (None, one.id):
                continue
            kept = (snapshot for told in one.snapshot_reports() for snapshot in told.snapshots)
            for snapshot in sorted(kept, key=lambda each: each.used_at):
                if snapshot.salt in salts:
                    self._left[snapshot.salt, one.id, snapshot.tokens].append(snapshot)

    def take(self, salt: str, model: str, tokens: int) -> KeptSnapshot | None:
        """Return the snapshot of an entry, once; entries come in the order of their last use."""
        same = self._left.get((salt, model, tokens))
        return same.pop() if same else None

    def left(self) -> Iterator[tuple[str, KeptSnapshot]]:
        """Yield the snapshots that belong to no entry, each behind its model's id."""
        for (_, model, _), same in self._left.items():
            for one in same:
                yield model, one


def _model(served: ServedModel, found: list[_Kept], *, sees_all: bool) -> CachedModelInfo:
    told = served.snapshot_reports()
    snapshots = [one for one in found if one.snapshot is not None]
    return CachedModelInfo(
        id=served.id,
        cached_by=_cached_by(served),
        minimum_tokens=served.settings.cache_minimum_tokens,
        entries=len(found),
        tokens=sum(one.tokens for one in found),
        snapshots=len(snapshots),
        snapshot_bytes=sum(one.size for one in snapshots),
        snapshot_bytes_limit=_sum(told, lambda one: one.limit_bytes) or None,
        mismatches=_sum(told, lambda one: one.mismatches) if told and sees_all else None,
    )


def _cached_by(served: ServedModel) -> CachedBy | None:
    if not served.is_open:
        return None
    capabilities = served.engine().capabilities
    if capabilities.keeps_prefixes:
        return "engine"
    return "upstream" if capabilities.cache_ttls else None


def _sum(told: Iterable[SnapshotReport], value: Callable[[SnapshotReport], int]) -> int:
    return sum(map(value, told))


def _result(one: Sum) -> CacheReportResult:
    tokens = one.tokens
    dimensions: Mapping[str, Any] = one.dimensions
    return CacheReportResult(
        requests=one.values["requests"],
        cache_read_requests=one.values["cache_reads"],
        uncached_input_tokens=tokens.input,
        cache_read_input_tokens=tokens.cache_read,
        cache_creation=CacheCreation(
            ephemeral_5m_input_tokens=tokens.cache_write_5m,
            ephemeral_1h_input_tokens=tokens.cache_write_1h,
        ),
        cache_read_share=round(tokens.cache_read / tokens.prompt, 4) if tokens.prompt else None,
        saved=Money(amount=cents(one.values["saved"])),
        **dimensions,
    )


def _name_of(one: KeptSnapshot) -> bytes:
    """Return what identifies a snapshot without a known entry."""
    return f"{one.salt} {one.tokens} {one.size} {one.used_at}".encode()


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _at(ms: int) -> str:
    return wire_time(EPOCH + ms * _MS)
