"""A file on its way into the database: held while it arrives, and dropped when it breaks off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from antiphon.core.errors import ApiError, InvalidRequestError
from antiphon.core.upload_form import UploadForm
from antiphon.service.admin.transactions import Actor, AdminTransactions
from antiphon.service.files.arrival import GROUP_BYTES, HELD_FOR, FileLimits
from antiphon.service.files.files import FileOwner, Files
from antiphon.service.files.upkeep import FileUpkeep
from antiphon.store.database.database import Database
from antiphon.store.database.file_tables import file_chunks, files
from support.forms import FORM, upload_form

pytestmark = pytest.mark.anyio

OWNER = FileOwner(None, "apikey_1")
ACTOR = Actor("api_key", "apikey_1", "req_1")
LIMITS = FileLimits(largest=10 * GROUP_BYTES, quota=10 * GROUP_BYTES)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Beats:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self._beat = asyncio.Event()

    async def __call__(self, _: float) -> None:
        await self._beat.wait()
        self._beat.clear()

    def beat(self) -> None:
        self._beat.set()


async def no_pause(_: float) -> None:
    pass


def kept_in(
    database: Database,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    limits: FileLimits = LIMITS,
) -> Files:
    def entropy(size: int) -> bytes:
        return bytes(range(size))

    transactions = AdminTransactions(database, entropy, clock)
    return Files(database, transactions, entropy, clock, limits, sleep=sleep)


async def rows(database: Database) -> tuple[int, int]:
    async with database.read() as connection:
        counts = [
            await connection.scalar(select(func.count()).select_from(table))
            for table in (files, file_chunks)
        ]
    return counts[0], counts[1]


async def held_until(database: Database) -> datetime | None:
    async with database.read() as connection:
        return await connection.scalar(select(files.c.held_until))


async def until_held(database: Database, clock: Clock, beats: Beats) -> None:
    """Wait until a file is held from now on, however often that has to be tried."""
    async with asyncio.timeout(20):
        while True:
            beats.beat()
            if await held_until(database) == clock.now + HELD_FOR:
                return
            await asyncio.sleep(0.01)


async def test_file_is_held_as_long_as_it_arrives(database: Database) -> None:
    clock, beats, more = Clock(), Beats(), asyncio.Event()
    body = upload_form(b"x" * (GROUP_BYTES + 1))

    async def pieces() -> AsyncIterator[bytes]:
        yield body[: GROUP_BYTES + 200]
        await more.wait()
        yield body[GROUP_BYTES + 200 :]

    kept = kept_in(database, clock, beats)
    task = asyncio.create_task(kept.upload(OWNER, ACTOR, UploadForm(FORM), pieces()))
    await until_held(database, clock, beats)
    clock.now += timedelta(seconds=50)
    await until_held(database, clock, beats)
    clock.now += timedelta(seconds=50)
    await FileUpkeep(database, clock, no_pause).remove_old()
    more.set()
    assert (await task).size_bytes == GROUP_BYTES + 1
    assert await held_until(database) is None


async def test_file_whose_beginning_comes_slowly_is_held_from_then_on(database: Database) -> None:
    clock, beats = Clock(), Beats()
    body = upload_form(b"x" * (GROUP_BYTES + 1))

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:1000]
        clock.now += 2 * HELD_FOR
        yield body[1000 : GROUP_BYTES + 200]
        await FileUpkeep(database, clock, no_pause).remove_old()
        yield body[GROUP_BYTES + 200 :]

    kept = kept_in(database, clock, beats)
    told = await kept.upload(OWNER, ACTOR, UploadForm(FORM), pieces())
    assert told.size_bytes == GROUP_BYTES + 1


@pytest.mark.parametrize("breaks", ["off", "the form", "the quota"])
async def test_what_has_arrived_is_dropped(database: Database, breaks: str) -> None:
    clock = Clock()
    body = upload_form(b"x" * (2 * GROUP_BYTES))

    async def pieces() -> AsyncIterator[bytes]:
        yield body[: GROUP_BYTES + 200]
        if breaks == "off":
            raise ConnectionError
        if breaks == "the quota":
            yield body[GROUP_BYTES + 200 :]

    limits = FileLimits(LIMITS.largest, GROUP_BYTES if breaks == "the quota" else LIMITS.quota)
    kept = kept_in(database, clock, limits=limits)
    expected = {"off": ConnectionError, "the form": InvalidRequestError, "the quota": ApiError}
    with pytest.raises(expected[breaks]):
        await kept.upload(OWNER, ACTOR, UploadForm(FORM), pieces())
    assert await rows(database) == (1, 4)
    await FileUpkeep(database, clock, no_pause).remove_old()
    assert await rows(database) == (0, 0)


async def test_process_that_dies_leaves_what_others_remove(database: Database) -> None:
    clock = Clock()
    gone = asyncio.Event()
    body = upload_form(b"x" * (2 * GROUP_BYTES))

    async def pieces() -> AsyncIterator[bytes]:
        yield body[: GROUP_BYTES + 200]
        gone.set()
        await asyncio.Event().wait()

    kept = kept_in(database, clock)
    dying = asyncio.create_task(kept.upload(OWNER, ACTOR, UploadForm(FORM), pieces()))
    await gone.wait()
    others = FileUpkeep(database, clock, no_pause)
    await others.remove_old()
    assert await rows(database) == (1, 4)
    clock.now += HELD_FOR
    await others.remove_old()
    assert await rows(database) == (0, 0)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying


async def test_what_was_removed_under_an_upload_is_no_half_of_a_file(database: Database) -> None:
    clock = Clock()
    body = upload_form(b"x" * (2 * GROUP_BYTES))

    async def pieces() -> AsyncIterator[bytes]:
        yield body[: GROUP_BYTES + 200]
        # This process could not hold it: its database was away for too long.
        clock.now += HELD_FOR
        await FileUpkeep(database, clock, no_pause).remove_old()
        yield body[GROUP_BYTES + 200 :]

    with pytest.raises(ApiError) as caught:
        await kept_in(database, clock).upload(OWNER, ACTOR, UploadForm(FORM), pieces())
    assert caught.value.status == 529
    assert await rows(database) == (0, 0)
