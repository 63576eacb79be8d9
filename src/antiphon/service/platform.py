"""Everything that a running server is made of, built once and in one place."""

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from antiphon.engines.registry import open_engine
from antiphon.service.access import Access
from antiphon.service.directory import Accounts, establish
from antiphon.service.keys import Keys, NewKey
from antiphon.service.messages import Messages
from antiphon.service.models import Models, ModelSource, Open
from antiphon.settings import Secret, Settings
from antiphon.store.accounts import KeyKind
from antiphon.store.database import Database, open_database, sqlite_url
from antiphon.store.migrations import migrate
from antiphon.store.secrets import house_secret

if TYPE_CHECKING:
    from antiphon.service.url_sources import UrlSources

SIGNING_KEY_SIZE = 32


@dataclass(slots=True)
class Platform:
    """The use cases, and what they share. `draining` is true from the signal to stop on."""

    settings: Settings
    database: Database
    access: Access
    keys: Keys
    models: Models
    messages: Messages
    first_key: NewKey | None
    entropy: Callable[[int], bytes]
    draining: bool = False


@asynccontextmanager
async def opened_database(
    settings: Settings,
    *,
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncGenerator[Database]:
    """Open the database of these settings, at the schema of this version, with an organization."""
    url = settings.database_url or Secret(sqlite_url(settings.data_dir / "antiphon.db"))
    database = await open_database(url.reveal())
    try:
        await migrate(database)
        await establish(database, entropy, now)
        yield database
    finally:
        await database.aclose()


def _sources_of(settings: Settings) -> "UrlSources | None":
    if not settings.url_sources:
        return None
    from antiphon.service.url_sources import UrlSources  # noqa: PLC0415 - imports an HTTP client
    from antiphon.service.web import Web  # noqa: PLC0415

    return UrlSources(Web(), settings.max_body_bytes)


@asynccontextmanager
async def build_platform(
    settings: Settings,
    sources: Sequence[ModelSource],
    *,
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    open_engine: Open = open_engine,
) -> AsyncGenerator[Platform]:
    """Make a platform whose models are not open yet; `platform.models.open()` opens them.

    Raises `StoreError`, `KeyRefusedError`, and `SettingsError` for models that contradict
    each other.
    """
    async with opened_database(settings, entropy=entropy, now=now) as database:
        keys = Keys(database, entropy, now)
        models = Models(sources, settings.data_dir / "engines", open_engine)
        async with database.write() as connection:
            signing_key = await house_secret(connection, "thinking", entropy(SIGNING_KEY_SIZE))
        accounts = Accounts(database, await database.watch())
        chosen = settings.api_key.reveal() if settings.api_key else None
        if settings.admin_key is not None:
            await keys.first(settings.admin_key.reveal(), KeyKind.ADMIN)
        platform = Platform(
            settings=settings,
            database=database,
            access=Access(accounts, now),
            keys=keys,
            models=models,
            messages=Messages(models, entropy, signing_key, _sources_of(settings)),
            first_key=await keys.first(chosen),
            entropy=entropy,
        )
        try:
            yield platform
        finally:
            await models.aclose()
