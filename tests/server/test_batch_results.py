"""The results of a batch: in pages, to readers who stop, leave, or speak HTTP/1.0."""

import asyncio
import json

import pytest

from antiphon.service.batches import batches
from antiphon.service.batches.upkeep import BatchUpkeep
from antiphon.store.batches.commits import FinishedRequest, commit
from antiphon.store.batches.results import PAGE_BYTES, results_page
from antiphon.store.batches.rows import Batch, RowState
from antiphon.store.database.connection import AsyncConnection
from support.asgi import KEY
from support.batches import a_batch, add_batch, add_worker, counted_reads, take
from support.connections import SOON_S, listening
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

NUMBER = 250
SIZE = 20_000
ERROR = {"type": "errored", "error": {"type": "error", "message": "x" * SIZE}}


@pytest.fixture
async def org(organization: StartOrganization) -> Organization:
    return await organization({"workers": 0})


@pytest.fixture
async def ended(org: Organization) -> Batch:
    """A batch with five megabytes of results."""
    database, now = org.platform.database, org.clock()
    batch = await add_batch(database, a_batch(at=now, workspace_id=None), NUMBER)
    worker = await add_worker(database, now=now)
    claimed = await take(database, worker, NUMBER)
    result = json.dumps(ERROR).encode()
    async with database.write() as connection:
        done = [
            FinishedRequest(one.batch_id, one.number, RowState.ERRORED, result, None)
            for one in claimed.requests
        ]
        await commit(connection, worker, done)
    return batch


def path_of(batch: Batch) -> str:
    return f"/v1/messages/batches/{batch.id}/results"


def head_of(
    batch: Batch, method: str = "GET", version: str = "1.1", connection: str = "keep-alive"
) -> bytes:
    lines = [
        f"{method} {path_of(batch)} HTTP/{version}",
        "host: x",
        f"x-api-key: {KEY}",
        "anthropic-version: 2023-06-01",
        f"connection: {connection}",
    ]
    return "\r\n".join((*lines, "", "")).encode()


def are_whole(body: bytes) -> bool:
    lines = [json.loads(line) for line in body.split(b"\n") if line]
    ids = [line["custom_id"] for line in lines]
    return ids == [f"custom_{place}" for place in range(NUMBER)] and lines[0]["result"] == ERROR


async def test_results_are_written_in_pages(org: Organization, ended: Batch) -> None:
    answer = await org.caller.get(path_of(ended))
    assert answer.headers["content-type"] == "application/x-jsonl"
    assert len(answer.chunks) > NUMBER * SIZE // PAGE_BYTES
    assert max(map(len, answer.chunks)) < 1.1 * PAGE_BYTES
    assert answer.whole
    assert are_whole(answer.body)
    assert answer.body.endswith(b"\n")


async def test_results_for_http_1_0_have_no_chunks_and_end_with_the_connection(
    org: Organization, ended: Batch
) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(head_of(ended, version="1.0"))
        status, headers = await caller.head()
        assert (status, headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in headers
        assert are_whole(await asyncio.wait_for(caller.reader.read(), SOON_S))


async def test_head_of_results_has_no_body(org: Organization, ended: Batch) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(head_of(ended, method="HEAD"))
        status, headers = await asyncio.wait_for(caller.head(), SOON_S)
        assert (status, headers["content-type"]) == (200, "application/x-jsonl")
        caller.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await caller.head())[0] == 200


async def test_reader_who_stops_is_cut(org: Organization, ended: Batch) -> None:
    async with listening(org.app, write_s=0.3) as server:
        before = asyncio.all_tasks()
        caller = await server.connect(reads_little=True)
        caller.send(head_of(ended))
        await server.until_closed()
        await until_no_task_but(before)


async def test_pages_for_a_reader_who_has_left_are_not_read(
    org: Organization, ended: Batch
) -> None:
    async with (
        listening(org.app) as server,
        counted_reads(org.platform.database, "batch_requests") as reads,
    ):
        before = asyncio.all_tasks()
        caller = await server.connect(reads_little=True)
        caller.send(head_of(ended))
        await asyncio.wait_for(caller.head(), SOON_S)
        await asyncio.sleep(0.3)
        caller.writer.transport.abort()
        await until_no_task_but(before)
        assert 0 < len(reads) < NUMBER * SIZE // PAGE_BYTES


async def test_reader_who_stops_holds_little_memory(org: Organization, ended: Batch) -> None:
    async with listening(org.app) as server:
        caller = await server.connect(reads_little=True)
        caller.send(head_of(ended))
        await asyncio.wait_for(caller.head(), SOON_S)
        await asyncio.sleep(0.3)
        (connection,) = server._server.server_state.connections
        # What it had before it was full, and the page that made it full.
        assert PAGE_BYTES // 2 < connection.transport.get_write_buffer_size() < 2.2 * PAGE_BYTES


@pytest.fixture
def without_second_page(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """The second page is read once this is set; the first one is there at once."""
    goes_on = asyncio.Event()

    async def later(connection: AsyncConnection, batch: Batch, after: int) -> object:
        if after >= 0:
            await goes_on.wait()
        return await results_page(connection, batch, after)

    monkeypatch.setattr(batches, "results_page", later)
    return goes_on


async def delete(org: Organization, batch: Batch) -> None:
    deletion = await org.caller.start("DELETE", path_of(batch).removesuffix("/results")).task
    assert deletion.status == 200
    await BatchUpkeep(org.platform.database, org.clock).once()


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_results_that_break_off_have_no_last_chunk(
    org: Organization, ended: Batch, without_second_page: asyncio.Event, connection: str
) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(head_of(ended, connection=connection))
        await asyncio.wait_for(caller.head(), SOON_S)
        await delete(org, ended)
        without_second_page.set()
        rest = await asyncio.wait_for(caller.reader.read(), SOON_S)
        assert 0 < rest.count(b'"custom_id"') < NUMBER
        assert not rest.endswith(b"0\r\n\r\n")
        await server.until_closed()


async def test_results_that_break_off_reset_a_connection_of_http_1_0(
    org: Organization, ended: Batch, without_second_page: asyncio.Event
) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(head_of(ended, version="1.0"))
        await asyncio.wait_for(caller.head(), SOON_S)
        await delete(org, ended)
        without_second_page.set()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(caller.reader.read(), SOON_S)
        await server.until_closed()


async def until_no_task_but(before: set[asyncio.Task[object]]) -> None:
    async with asyncio.timeout(SOON_S):
        while asyncio.all_tasks() - before:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
