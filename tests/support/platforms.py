"""Platforms in the process of the tests."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.engines.registry import open_engine
from antiphon.service.models import ModelSource, Open
from antiphon.service.platform import Platform, build_platform
from antiphon.settings import ModelSettings, PriceSettings, Settings
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import OpenDatabase, open_database
from support.asgi import KEY
from support.databases import copy_database
from support.organization import NOON

StartPlatform: TypeAlias = Callable[..., Awaitable[Platform]]


@pytest.fixture(scope="session")
def founded_template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database with an organization and its first key, to be copied.

    A server makes them at its first start, which takes half of the statements of a start.
    """
    folder = tmp_path_factory.mktemp("founded")
    copy_database(sqlite_template, database_path(folder))
    asyncio.run(_found(folder))
    return database_path(folder)


async def _found(folder: Path) -> None:
    settings = Settings.load({"data_dir": folder, "api_key": KEY}, environ={})
    async with build_platform(settings, [], now=lambda: NOON):
        pass


@asynccontextmanager
async def starting(folder: Path, template: Path) -> AsyncGenerator[StartPlatform]:
    """Yield what makes platforms over the scripted engine; all of them end with this.

    A server has its folder to itself: the first one `folder`, others one in it. `template` is
    the database of a server that `KEY` was made for.
    """
    async with AsyncExitStack() as stack:
        folders = chain([folder], (folder / f"server{number}" for number in count(2)))

        async def start(
            settings: dict[str, Any] | None = None,
            now: Callable[[], datetime] = lambda: datetime.now(UTC),
            clock: Callable[[], int] | None = None,
            price: PriceSettings | None = None,
            open_engine: Open = open_engine,
            *,
            open_database: OpenDatabase = open_database,
            cache_minimum_tokens: int = MINIMUM_TOKENS,
            others: Sequence[ModelSettings] = (),
            **options: Any,
        ) -> Platform:
            loaded = Settings.load(
                {"data_dir": next(folders), "api_key": KEY, **(settings or {})}, environ={}
            )
            if loaded.database_url is None:
                copy_database(template, database_path(loaded.data_dir))
            model = ModelSettings(
                id="scripted",
                engine="scripted",
                aliases=("claude-*",),
                price=price,
                cache_minimum_tokens=cache_minimum_tokens,
                options=options,
            )
            sources = [ModelSource(settings) for settings in (model, *others)]
            building = build_platform(
                loaded,
                sources,
                now=now,
                clock=clock,
                open_engine=open_engine,
                open_database=open_database,
            )
            platform = await stack.enter_async_context(building)
            await platform.models.open()
            return platform

        yield start
