"""Rows are added in groups, as they would be one by one."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.log_tables import refusal_rollups
from antiphon.store.database.many_rows import MADE_AT_ONCE, ROWS_AT_ONCE, Target, add_rows
from support.examples import examples

pytestmark = pytest.mark.anyio

_KEY = ("width", "start", "workspace_id", "api_key_id", "model", "error_type")
TARGET = Target(refusal_rollups, (*_KEY, "requests"), unique=_KEY, told="start")


def a_row(number: int, requests: int = 1) -> tuple[object, ...]:
    return (60, number, "", "apikey_1", "small", "api_error", requests)


async def stored(connection: AsyncConnection) -> list[tuple[int, int]]:
    query = text("SELECT start, requests FROM refusal_rollups ORDER BY start")
    return [(row[0], row[1]) for row in (await connection.execute(query)).all()]


@settings(max_examples=examples(0.3), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.integers(0, 400), max_size=130), before=st.sets(st.integers(0, 400)))
async def test_rows_that_are_new_are_added_and_no_others(
    database: Database, numbers: Sequence[int], before: set[int]
) -> None:
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM refusal_rollups"))
        await add_rows(connection, TARGET, [a_row(number) for number in sorted(before)])
        told = await add_rows(connection, TARGET, [a_row(number, 2) for number in numbers])
        new = set(numbers) - before
        assert await stored(connection) == sorted(
            [*((number, 1) for number in before), *((number, 2) for number in new)]
        )
        # SQLite's driver tells nothing of several rows.
        assert sorted(told) == ([] if connection.dialect.name == "sqlite" else sorted(new))


async def test_rows_are_made_as_they_are_sent_by_few_statements(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    calls: list[tuple[int, int]] = []

    def rows(count: int) -> Sequence[tuple[object, ...]] | object:
        nonlocal made
        for number in range(count):
            made += 1
            yield a_row(number)

    async with database.write() as connection:
        execute = connection.exec_driver_sql

        async def noted(statement: str, parameters: Sequence[tuple[object, ...]]) -> object:
            calls.append((made, len(parameters)))
            return await execute(statement, parameters)

        monkeypatch.setattr(connection, "exec_driver_sql", noted)
        await add_rows(connection, TARGET, rows(ROWS_AT_ONCE + 64))
        assert len(await stored(connection)) == ROWS_AT_ONCE + 64
    whole = made
    assert whole == ROWS_AT_ONCE + 64
    if connection.dialect.name == "sqlite":
        assert calls == [(ROWS_AT_ONCE, 5), (whole, 1), (whole, 1), (whole, 4)]
    else:
        assert calls == [(ROWS_AT_ONCE, 1), (whole, 1)]


@pytest.mark.parametrize("count", [0, 1, MADE_AT_ONCE, MADE_AT_ONCE + 1, 2 * ROWS_AT_ONCE])
async def test_others_run_while_many_rows_are_made(database: Database, count: int) -> None:
    made: list[int] = []
    seen: list[int] = []

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            if number % MADE_AT_ONCE == 0:
                asyncio.get_running_loop().call_soon(lambda: seen.append(len(made)))
            made.append(number)
            yield a_row(number)

    async with database.write() as connection:
        await add_rows(connection, TARGET, rows())
        assert await stored(connection) == [(number, 1) for number in range(count)]
    await asyncio.sleep(0)
    steps = [after - before for before, after in pairwise([0, *seen])]
    assert sum(steps) == count
    assert all(step <= MADE_AT_ONCE for step in steps)
