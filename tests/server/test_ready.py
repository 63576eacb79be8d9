"""`GET /ready` says whether requests are admitted now, and if not, why."""

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from antiphon.core.billing.ledger import Opening
from antiphon.server.app import build_app
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.service.process_place import ProcessPlace
from antiphon.settings import ModelSettings, Settings
from antiphon.store.journal import Journal
from support.asgi import HELLO, KEY, Client
from support.valkey import Server

pytestmark = pytest.mark.anyio

Start: TypeAlias = Callable[..., Awaitable[Platform]]


class Disk:
    """A disk for journals: while it is full, none of them grows."""

    def __init__(self) -> None:
        self.full = False

    def journal(self, folder: Path, name: str) -> Journal:
        disk = self

        class OnThisDisk(Journal):
            def _grow(self) -> None:
                if disk.full:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                super()._grow()

        return OnThisDisk.create(folder, name)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def start(tmp_path: Path, disk: Disk) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(**settings: Any) -> Platform:
            flags = {"data_dir": tmp_path, "api_key": KEY, **settings}
            model = ModelSettings(id="scripted", engine="scripted", aliases=("claude-*",))
            building = build_platform(
                Settings.load(flags, environ={}),
                [ModelSource(model)],
                create_journal=disk.journal,
            )
            platform = await stack.enter_async_context(building)
            await platform.models.open()
            return platform

        yield started


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    """A Valkey server that a test may stop."""
    server = Server(tmp_path)
    yield server
    server.close()


async def until_ready(client: Client, status: int) -> Any:
    with anyio.fail_after(30):
        while (answer := await client.get("/ready")).status != status:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    return answer.json


def fill(platform: Platform) -> None:
    """Take the slots that the journal has, as running requests do."""
    running = Opening(id="req_1", started_at=platform.ledger.now(), model="m", served_model="m")
    while platform.ledger._journal._free:
        platform.ledger.open(running)


async def test_server_whose_counters_are_away_is_not_ready_until_they_are_back(
    start: Start, own_valkey: Server
) -> None:
    client = Client(build_app(await start(counters_url=own_valkey.url)))
    assert (await client.get("/ready")).status == 200
    own_valkey.stop()
    state = await until_ready(client, 503)
    assert state["status"] == "refusing"
    assert state["needs"]["counters"] == {
        "kind": "valkey",
        "status": "away",
        "reason": state["reason"],
    }
    assert state["needs"]["store"] == {"kind": "sqlite", "status": "ready"}
    assert (await client.create()).status == 529
    own_valkey.start()
    await until_ready(client, 200)
    assert (await client.create()).status == 200


async def test_database_that_is_gone_is_told(start: Start, tmp_path: Path) -> None:
    client = Client(build_app(await start()))
    (tmp_path / "antiphon.db").rename(tmp_path / "elsewhere.db")
    state = await until_ready(client, 503)
    assert state["needs"]["store"]["status"] == "away"
    assert state["needs"]["store"]["reason"] == state["reason"]
    assert state["needs"]["counters"]["status"] == "ready"


async def test_one_of_several_processes_says_which_it_is(start: Start) -> None:
    platform = await start()
    client = Client(build_app(platform))
    assert "process" not in (await client.get("/ready")).json
    platform.process = ProcessPlace(2, 4)
    assert (await client.get("/ready")).json["process"] == {"number": 2, "of": 4}


async def test_process_that_hands_over_is_ready_to_its_end(start: Start) -> None:
    platform = await start()
    client = Client(build_app(platform))
    platform.hand_over()
    assert platform.stopping.is_set()
    assert (await client.get("/ready")).status == 200
    assert (await client.create()).status == 200


async def test_use_of_idle_time_by_batches_is_told(start: Start) -> None:
    platform = await start()
    client = Client(build_app(platform))
    assert "batches" not in (await client.get("/ready")).json
    params = {**HELLO, "model": "claude-x"}
    await client.post("/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]})
    with anyio.fail_after(20):
        while "batches" not in (state := (await client.get("/ready")).json):  # noqa: ASYNC110
            await anyio.sleep(0.05)
    use = state["batches"]["scripted"]
    assert list(use) == ["share_of_time", "yielded", "delayed", "delay_ms", "longest_delay_ms"]
    assert 0 <= use["share_of_time"] < 1
    assert (use["yielded"], use["delayed"], use["delay_ms"]) == (0, 0, 0)


async def test_server_whose_journal_is_full_is_not_ready_until_the_disk_has_room(
    start: Start, disk: Disk
) -> None:
    platform = await start()
    client = Client(build_app(platform))
    fill(platform)
    disk.full = True
    assert (await client.create()).status == 529
    answer = await client.get("/ready")
    reason = "The journal cannot grow: No space left on device"
    assert (answer.status, answer.json["status"], answer.json["reason"]) == (
        503,
        "refusing",
        reason,
    )
    needs = answer.json["needs"]
    assert needs["journal"] == {"kind": "file", "status": "away", "reason": reason}
    assert needs["store"]["status"] == needs["counters"]["status"] == "ready"
    disk.full = False
    await until_ready(client, 200)
    assert (await client.create()).status == 200


async def test_request_that_the_journal_refuses_draws_from_no_limit(
    start: Start, disk: Disk
) -> None:
    platform = await start(limits={"requests_per_minute": 3})
    client = Client(build_app(platform))
    fill(platform)
    disk.full = True
    assert {(await client.create()).status for _ in range(5)} == {529}
    disk.full = False
    admitted = await client.create()
    assert admitted.status == 200
    assert admitted.headers["anthropic-ratelimit-requests-remaining"] == "2"


async def test_damaged_requests_of_the_journal_are_told_until_their_file_is_moved(
    start: Start, tmp_path: Path
) -> None:
    file = tmp_path / "journal" / "old.damaged"
    async with build_platform(Settings.load({"data_dir": tmp_path}, environ={}), ()):
        file.touch()
    client = Client(build_app(await start()))
    answer = await client.get("/ready")
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert answer.json["warnings"] == [
        f"{file} has damaged requests, which are not billed; move it once it was examined"
    ]
    file.rename(tmp_path / "old.damaged")
    assert "warnings" not in (await client.get("/ready")).json
