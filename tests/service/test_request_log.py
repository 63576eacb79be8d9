"""What is written in the background, and what is dropped, counted and logged."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from antiphon.core.request_records import RequestRecord
from antiphon.service import request_log
from antiphon.service.request_log import MOST_AT_ONCE, MOST_WITHOUT_KEY, RETRY_S, RequestLog
from antiphon.store.database.database import Database
from antiphon.store.database.errors import DatabaseUnavailableError
from antiphon.store.database.log_tables import refusal_rollups
from antiphon.store.database.log_tables import request_log as table
from antiphon.store.rollups import stored_width
from support.ledger import NOON
from support.logs import capture_logs

pytestmark = pytest.mark.anyio


def a_record(number: int = 1, **fields: Any) -> RequestRecord:
    given: dict[str, Any] = {
        "id": f"req_{number}",
        "ended_at": NOON + timedelta(seconds=number),
        "route": "/v1/messages",
        "status": 200,
        "api_key_id": "apikey_1",
        "served_model": "small",
        "duration_us": 1,
        **fields,
    }
    return RequestRecord(**given)


def refused(number: int = 1, **fields: Any) -> RequestRecord:
    given = {"status": 429, "error_type": "rate_limit_error", "served_model": None, **fields}
    return a_record(number, **given)


async def rows(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(table))


async def refusals(database: Database) -> int:
    async with database.read() as connection:
        of_days = refusal_rollups.c.width == stored_width(timedelta(days=1))
        sums = select(func.coalesce(func.sum(refusal_rollups.c.requests), 0)).where(of_days)
        return int(await connection.scalar(sums))


class Away:
    """Makes the transactions of a database fail while it is away."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = True
        self._write = database.write
        monkeypatch.setattr(database, "write", self)

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Any]:
        if self.away:
            raise DatabaseUnavailableError("away")
        async with self._write() as connection:
            yield connection


async def test_requests_are_written_in_groups(database: Database) -> None:
    log = RequestLog(database, days=30)
    for number in range(MOST_AT_ONCE + 3):
        log.add(a_record(number))
    await log.flush()
    assert await rows(database) == MOST_AT_ONCE + 3
    await log.flush()
    assert await refusals(database) == 0


async def test_what_is_added_during_a_write_waits_for_the_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RequestLog(database, days=30)
    write = database.write
    groups = 0

    @asynccontextmanager
    async def writing_beside_load() -> AsyncGenerator[Any]:
        nonlocal groups
        groups += 1
        async with write() as connection:
            yield connection
        if groups < 9:
            log.add(refused(groups))

    monkeypatch.setattr(database, "write", writing_beside_load)
    log.add(a_record(100))
    log.add(a_record(101))
    await log.flush()
    assert (groups, await rows(database), await refusals(database)) == (1, 2, 0)
    await log.flush()
    assert (groups, await rows(database), await refusals(database)) == (2, 3, 1)


async def test_switched_off_log_counts_refusals_alone(database: Database) -> None:
    log = RequestLog(database, days=0)
    log.add(a_record(1))
    log.add(refused(2))
    await log.flush()
    assert (await rows(database), await refusals(database)) == (0, 1)
    assert log.dropped == 0


async def test_what_does_not_fit_is_dropped_counted_and_logged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MOST_WAITING", 5)
    log = RequestLog(database, days=30)
    for number in range(9):
        log.add(refused(number))
    assert (log.dropped, log.pending) == (4, 5)
    with capture_logs() as events:
        await log.flush()
    assert [(one["event"], one["requests"]) for one in events] == [("requests.not_recorded", 4)]
    assert (log.dropped, log.pending) == (0, 0)
    # Since the start it is told all the same.
    assert log.dropped_ever == 4
    # Refusals are counted all the same.
    assert (await rows(database), await refusals(database)) == (5, 9)


async def test_callers_without_a_key_get_few_rows(database: Database) -> None:
    log = RequestLog(database, days=30)
    for number in range(3 * MOST_WITHOUT_KEY):
        log.add(refused(number, status=401, api_key_id=""))
    log.add(a_record(1000))
    assert log.dropped == 2 * MOST_WITHOUT_KEY
    await log.flush()
    assert (await rows(database), await refusals(database)) == (
        MOST_WITHOUT_KEY + 1,
        3 * MOST_WITHOUT_KEY,
    )
    log.add(refused(2000, status=401, api_key_id=""))
    log.add(refused(2001, api_key_id=""))
    await log.flush()
    assert await rows(database) == MOST_WITHOUT_KEY + 3


async def test_kinds_of_refusals_in_memory_are_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "MOST_REFUSALS", 2)
    log = RequestLog(database, days=0)
    for number, model in enumerate(("a", "b", "c", "a")):
        log.add(refused(number, model=model))
    await log.flush()
    assert await refusals(database) == 3


async def test_requests_wait_for_a_database_that_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    tried = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if seconds == RETRY_S:
            away.away = False
        elif len(pauses) > 2:
            tried.set()
        await asyncio.sleep(0)

    away = Away(database, monkeypatch)
    log = RequestLog(database, 30, sleep)
    with capture_logs() as events:
        async with log.writing():
            log.add(a_record(1))
            log.add(refused(2))
            await tried.wait()
    assert [one["event"] for one in events] == ["requests.wait"]
    assert (await rows(database), await refusals(database)) == (2, 1)


async def test_end_writes_what_waits(database: Database) -> None:
    log = RequestLog(database, 30, sleep=lambda _: asyncio.sleep(3600))
    async with log.writing():
        log.add(a_record(1))
    assert await rows(database) == 1


async def test_end_without_a_database_says_what_is_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Away(database, monkeypatch)
    log = RequestLog(database, 30, sleep=lambda _: asyncio.sleep(3600))
    with capture_logs() as events:
        async with log.writing():
            log.add(a_record(1))
    assert [(one["event"], one["requests"]) for one in events] == [("requests.not_recorded", 1)]
