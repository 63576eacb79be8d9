from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from antiphon.service.admin.key_expiry import ExpiryWatch
from antiphon.service.admin.keys import KeyRing
from antiphon.service.admin.transactions import COMMAND_LINE, AdminTransactions
from antiphon.service.installation import opened_database
from antiphon.settings import Settings
from antiphon.store.database.database import Database
from antiphon.wire.admin.keys import CreateKeyParams, UpdateKeyParams
from support.logs import capture_logs

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Entropy:
    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened_database(Settings.load({"data_dir": tmp_path}, environ={})) as database:
        yield database


async def test_only_keys_that_work_and_expire_in_a_week_are_named(database: Database) -> None:
    ring = KeyRing(AdminTransactions(database, Entropy(), lambda: NOW))

    async def create(name: str, days: float | None) -> str:
        life = None if days is None else int(days * 86_400)
        params = CreateKeyParams(name=name, expires_in_seconds=life)
        return (await ring.create(COMMAND_LINE, params)).id

    soon = await create("soon", 6)
    await create("later", 9)
    await create("never", None)
    await create("gone", 0.5)
    archived = await create("archived", 6)
    revoke = UpdateKeyParams(status="archived")
    await ring.update(COMMAND_LINE, archived, revoke)
    watch = ExpiryWatch(database, lambda: NOW + timedelta(days=1))
    with capture_logs() as logs:
        await watch.warn()
    assert [(line["event"], line["key_id"]) for line in logs] == [("key expires soon", soon)]
    assert logs[0]["expires_at"] == "2026-11-29T00:00:00+00:00"


async def test_of_many_keys_the_first_to_expire_are_named(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.service.admin.key_expiry.MOST_NAMED", 2)
    ring = KeyRing(AdminTransactions(database, Entropy(), lambda: NOW))
    for days in (5, 3, 4):
        params = CreateKeyParams(name=f"{days} days", expires_in_seconds=days * 86_400)
        await ring.create(COMMAND_LINE, params)
    with capture_logs() as logs:
        await ExpiryWatch(database, lambda: NOW).warn()
    named = [line.get("expires_at", line["event"]) for line in logs]
    assert [one[:10] for one in named] == ["2026-11-26", "2026-11-27", "more keys "]
