"""The body of a new batch: in pieces, compressed, slow, broken off; and what of it is held."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from antiphon.core.errors import PermissionError_
from antiphon.service.batches import creation
from antiphon.service.batches.batches import BatchHeaders, BatchOwner
from antiphon.service.batches.upkeep import BatchUpkeep
from antiphon.store.data_folder import database_path
from antiphon.store.database.batch_tables import batch_requests, message_batches
from antiphon.store.database.database import open_database
from antiphon.store.database.errors import DatabaseUnavailableError
from support.asgi import KEY, Answer
from support.connections import SOON_S, Caller, Listening, listening
from support.disks import SmallDisk
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

BATCHES = "/v1/messages/batches"
HEAD = (
    f"POST {BATCHES} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n"
).encode()
MEGABYTE = 1024 * 1024


@pytest.fixture
async def org(organization: StartOrganization) -> Organization:
    return await organization({"workers": 0})


def a_body(number: int, size: int = 20) -> bytes:
    """Return the body of a batch of so many requests, each with a text of `size` characters."""
    message = {"role": "user", "content": "é" + "x" * (size - 1)}
    params = {"model": "claude-x", "max_tokens": 5, "messages": [message]}
    requests = [{"custom_id": f"r{place}", "params": params} for place in range(number)]
    return json.dumps({"requests": requests}, ensure_ascii=False).encode()


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


async def rows(org: Organization) -> int:
    """Return the number of requests of batches, after what is dropped has been removed."""
    left = org.platform.batches.drop_left
    await BatchUpkeep(org.platform.database, org.clock, drop_left=left).once()
    async with org.platform.database.read() as connection:
        return int(await connection.scalar(select(func.count()).select_from(batch_requests)))


def code_of(answer: Answer) -> tuple[int, str, str]:
    status, kind, _ = answer.error
    return status, kind, answer.json["error"]["details"]["error_code"]


@pytest.mark.parametrize("size", [1, 1000, 10**9])
@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP", "identity", ""])
async def test_compressed_batch_is_read_however_it_is_cut(
    org: Organization, encoding: str, size: int
) -> None:
    body = a_body(20)
    sent = body
    if "gzip" in encoding.lower():
        sent = gzip.compress(body[:90], mtime=0) + gzip.compress(body[90:], mtime=0)
    made = await org.caller.post(BATCHES, cut(sent, size), content_encoding=encoding)
    assert made.status == 200, made.json
    assert made.json["request_counts"]["processing"] == 20
    assert await rows(org) == 20


async def test_repeated_batch_is_known_whether_it_is_compressed_or_not(org: Organization) -> None:
    name, body = {"idempotency_key": "nightly"}, a_body(3)
    first = await org.caller.post(BATCHES, body, **name)
    packed = gzip.compress(body, mtime=0)
    again = await org.caller.post(BATCHES, packed, content_encoding="gzip", **name)
    assert again.json["id"] == first.json["id"]


async def test_batch_in_another_charset_is_stored_as_utf_8(org: Organization) -> None:
    body = a_body(2).decode().encode("latin-1")
    kind = "application/json; charset=iso-8859-1"
    assert (await org.caller.post(BATCHES, cut(body, 7), content_type=kind)).status == 200
    async with org.platform.database.read() as connection:
        params = list(await connection.scalars(select(batch_requests.c.params)))
    assert all("é" in one.decode() for one in params)
    refused = await org.caller.post(BATCHES, body, content_type="text/plain; charset=koi8-r")
    assert code_of(refused) == (400, "invalid_request_error", "unsupported_charset")


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip"])
async def test_batch_in_another_encoding_is_refused(org: Organization, encoding: str) -> None:
    refused = await org.caller.post(BATCHES, a_body(1), content_encoding=encoding)
    assert code_of(refused) == (400, "invalid_request_error", "request_body_encoding_unsupported")


@pytest.mark.parametrize(
    "broken",
    [
        lambda packed: packed[:0],
        lambda packed: packed[:-3],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed + b"more",
        gzip.decompress,
    ],
    ids=["empty", "without its end", "half", "more", "plain"],
)
@pytest.mark.parametrize("size", [100, 10**9])
async def test_batch_that_is_no_gzip_is_refused_and_leaves_nothing(
    org: Organization, broken: Callable[[bytes], bytes], size: int
) -> None:
    sent = broken(gzip.compress(a_body(600), mtime=0))
    answer = await org.caller.post(BATCHES, cut(sent, size) or b"", content_encoding="gzip")
    assert code_of(answer) == (400, "invalid_request_error", "request_body_encoding_invalid")
    assert await rows(org) == 0


async def test_batch_that_inflates_beyond_the_limit_is_refused_and_leaves_nothing(
    organization: StartOrganization,
) -> None:
    org = await organization({"workers": 0, "max_batch_bytes": 200_000, "max_body_bytes": 50_000})
    bomb = gzip.compress(a_body(600, 1000), mtime=0)
    assert len(bomb) < 100_000
    answer = await org.caller.post(BATCHES, cut(bomb, 1000), content_encoding="gzip")
    assert code_of(answer) == (413, "request_too_large", "request_body_too_large_after_decoding")
    assert await rows(org) == 0


async def test_batch_that_inflates_beyond_the_limit_is_measured_before_it_is_read(
    organization: StartOrganization,
) -> None:
    org = await organization({"workers": 0, "max_batch_bytes": MEGABYTE})
    # What its beginning is refused with was found by reading it.
    bomb = gzip.compress(b'{"request":[' + b" " * MEGABYTE, mtime=0)
    answer = await org.caller.post(BATCHES, cut(bomb, 100), content_encoding="gzip")
    assert code_of(answer) == (413, "request_too_large", "request_body_too_large_after_decoding")


async def peak_of(org: Organization, pieces: list[bytes], **headers: str) -> int:
    """Create a batch; return the bytes that this held at most, beyond its body."""
    tracemalloc.start()
    try:
        made = await org.caller.post(BATCHES, pieces, **headers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.status == 200, made.json
    return peak


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_little_of_a_body_is_held_while_it_arrives(org: Organization, encoding: str) -> None:
    body = a_body(2400, 10_000)
    assert len(body) > 23 * MEGABYTE
    sent = gzip.compress(body, 1, mtime=0) if encoding == "gzip" else body
    # A group of requests on its way into the database, and pieces.
    peak = await peak_of(org, cut(sent, 65_536), content_encoding=encoding)
    assert peak < 13 * MEGABYTE


@pytest.mark.soak
async def test_batch_of_all_requests_that_it_may_have_adds_little_memory(
    org: Organization,
) -> None:
    body = a_body(100_000, 320)
    assert len(body) > 40 * 1000 * 1000
    assert await peak_of(org, cut(body, 65_536)) < 64 * MEGABYTE
    assert await rows(org) == 100_000


async def test_caller_who_hangs_up_in_the_middle_leaves_neither_rows_nor_tasks(
    org: Organization,
) -> None:
    body = a_body(1000)
    async with listening(org.app) as server:
        before = asyncio.all_tasks()
        caller = await server.connect()
        caller.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
        await until_stored(org)
        caller.writer.transport.abort()
        await server.until_closed()
        async with asyncio.timeout(SOON_S):
            while await rows(org) or asyncio.all_tasks() - before:  # noqa: ASYNC110 - of both
                await asyncio.sleep(0.02)
    assert (await org.caller.get(BATCHES)).json["data"] == []


async def until_stored(org: Organization, number: int = 1) -> None:
    """Wait until so many requests of batches on their way are in the database."""
    async with asyncio.timeout(SOON_S):
        while await rows(org) < number:  # noqa: ASYNC110 - of the database
            await asyncio.sleep(0.02)


async def test_body_that_stops_in_the_middle_ends_as_any_late_body(
    organization: StartOrganization,
) -> None:
    org = await organization({"workers": 0, "request_timeout_s": 1})
    body = a_body(1000)
    async with listening(org.app) as server:
        for path in (BATCHES, "/v1/messages"):
            caller = await server.connect()
            head = HEAD.replace(BATCHES.encode(), path.encode())
            caller.send(head + b"content-length: %d\r\n\r\n" % len(body) + body[:-5])
            status, headers, answer = await caller.answer()
            assert (status, headers["connection"]) == (400, "close")
            assert late(answer) == ("The request body did not come in 1 s.", "request_body_timeout")
        await server.until_closed()
    assert await rows(org) == 0


async def begin(server: Listening, body: bytes, left: int) -> Caller:
    """Send a create without the last bytes of its body."""
    caller = await server.connect()
    caller.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body[:-left])
    return caller


async def test_slow_bodies_keep_no_other_batch_waiting(org: Organization) -> None:
    body = a_body(300)
    async with listening(org.app) as server:
        slow = [await begin(server, body, left=9) for _ in range(8)]
        await until_stored(org, 8 * 250)
        made = await asyncio.wait_for(org.caller.post(BATCHES, a_body(300)), SOON_S)
        assert made.status == 200
        for caller in slow:
            caller.send(body[-9:])
            assert (await caller.answer())[0] == 200


async def test_bodies_beyond_the_budget_are_refused_and_small_ones_go_on(
    organization: StartOrganization,
) -> None:
    limits = {"max_body_bytes": MEGABYTE, "body_budget_bytes": MEGABYTE}
    org = await organization({"workers": 0, **limits})
    large, many = a_body(1, 700_000), a_body(1500)
    async with listening(org.app) as server:
        first = await begin(server, large, left=9)
        # What is stored is not kept: of a body of many requests some are.
        assert (await org.caller.post(BATCHES, cut(many, 65_536))).status == 200
        second = await begin(server, large, left=9)
        status, headers, answer = await second.answer()
        assert (status, answer["error"]["type"]) == (529, "overloaded_error")
        assert (headers["retry-after"], headers["connection"]) == ("1", "close")
        first.send(large[-9:])
        assert (await first.answer())[0] == 200
        assert (await org.caller.post(BATCHES, cut(large, 65_536))).status == 200
    assert await rows(org) == 1502


@pytest.mark.parametrize("renewed_every_s", [0.01, 3600])
async def test_body_that_arrives_slowly_is_held_by_its_server(
    org: Organization, monkeypatch: pytest.MonkeyPatch, renewed_every_s: float
) -> None:
    monkeypatch.setattr(creation, "RENEWED_EVERY_S", renewed_every_s)
    body = a_body(300)
    async with listening(org.app) as server:
        caller = await begin(server, body, left=9)
        await until_stored(org, 250)
        is_held = renewed_every_s < 1
        org.clock.passes(minutes=2)
        if is_held:
            await until_held(org)
        assert await rows(org) == (250 if is_held else 0)
        caller.send(body[-9:])
        status, _, answer = await caller.answer()
    if is_held:
        assert (status, answer["request_counts"]["processing"]) == (200, 300)
        lives = datetime.fromisoformat(answer["expires_at"]) - datetime.fromisoformat(
            answer["created_at"]
        )
        assert lives == timedelta(days=1)
    else:
        assert (status, answer["error"]["type"]) == (529, "overloaded_error")


async def until_held(org: Organization) -> None:
    """Wait until all batches that arrive are held for longer than until now."""
    async with asyncio.timeout(SOON_S):
        while True:
            async with org.platform.database.read() as connection:
                held = await connection.scalar(select(func.min(message_batches.c.expires_at)))
            if held > org.clock():
                return
            await asyncio.sleep(0.02)


async def test_body_that_takes_longer_than_an_hour_is_refused_and_leaves_nothing(
    org: Organization,
) -> None:
    body = a_body(300)
    async with listening(org.app) as server:
        caller = await begin(server, body, left=9)
        await until_stored(org, 250)
        org.clock.passes(hours=2)
        assert await rows(org) == 0
        caller.send(body[-9:])
        status, _, answer = await caller.answer()
    assert status == 400
    assert late(answer) == ("The request body did not come in 3600 s.", "request_body_timeout")
    assert (await org.caller.get(BATCHES)).json["data"] == []


def late(answer: Any) -> tuple[str, str]:
    error = answer["error"]
    return error["message"], error["details"]["error_code"]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_chunked_body_is_taken(org: Organization, encoding: str) -> None:
    body = a_body(300)
    sent = gzip.compress(body, mtime=0) if encoding == "gzip" else body
    head = HEAD + f"content-encoding: {encoding}\r\n".encode()
    async with listening(org.app) as server:
        caller = await server.connect()
        parts = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in cut(sent, 999))
        caller.send(head + b"transfer-encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n")
        status, _, batch = await caller.answer()
        assert (status, batch["request_counts"]["processing"]) == (200, 300)


async def begin_with(secret: str, server: Listening, body: bytes, **headers: str) -> Caller:
    """Send a create with another key, and without the last 9 bytes of its body."""
    caller = await server.connect()
    named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = HEAD.replace(KEY.encode(), secret.encode()) + named.encode()
    caller.send(head + b"content-length: %d\r\n\r\n" % len(body) + body[:-9])
    return caller


async def test_batch_whose_workspace_is_archived_while_its_body_arrives_is_refused(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    _, workspace, _ = await org.guest()
    scope = {"type": "organization"}
    key = await org.post("/api_keys", {"name": "any workspace", "scope": scope})
    body = a_body(600)
    async with listening(org.app) as server:
        named = {"anthropic-workspace-id": workspace}
        caller = await begin_with(key["secret"], server, body, **named)
        await until_stored(org, 500)
        await org.post(f"/workspaces/{workspace}/archive")
        caller.send(body[-9:])
        status, _, answer = await caller.answer()
    refused = await org.caller_with(key["secret"]).get(BATCHES, anthropic_workspace_id=workspace)
    assert (status, answer["error"]["message"]) == (403, refused.error[2])
    assert await rows(org) == 0


async def test_small_batch_whose_workspace_is_archived_meanwhile_is_refused(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    _, workspace, _ = await org.guest()
    body = a_body(2)

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:9]
        await org.post(f"/workspaces/{workspace}/archive")
        yield body[9:]

    with pytest.raises(PermissionError_, match="no such workspace, or it is archived"):
        await org.platform.batches.create(
            BatchOwner(workspace), BatchHeaders("2023-06-01", frozenset()), pieces()
        )
    assert await rows(org) == 0


async def test_batch_whose_key_is_revoked_while_its_body_arrives_is_made(
    org: Organization,
) -> None:
    key = await org.post("/api_keys", {"name": "guest", "scope": {"type": "organization"}})
    body = a_body(600)
    async with listening(org.app) as server:
        caller = await begin_with(key["secret"], server, body)
        await until_stored(org, 500)
        await org.post(f"/api_keys/{key['id']}", {"status": "archived"})
        caller.send(body[-9:])
        assert (await caller.answer())[0] == 200
    assert await rows(org) == 600


@pytest.fixture
def disk() -> SmallDisk:
    return SmallDisk(32 * MEGABYTE)


@pytest.fixture
async def small(organization: StartOrganization, disk: SmallDisk) -> Organization:
    """An organization whose database is on the small disk."""
    opening = partial(open_database, disk_usage=disk.usage)
    return await organization({"workers": 0}, open_database=opening)


async def test_batch_that_does_not_fit_on_the_disk_leaves_room_for_others(
    small: Organization, disk: SmallDisk
) -> None:
    large = cut(a_body(2000, 10_000), 65_536)
    for _ in range(3):
        refused = await small.caller.post(BATCHES, large)
        assert refused.error[:2] == (529, "overloaded_error")
        assert await rows(small) == 0
    made = await small.caller.post(BATCHES, a_body(20))
    assert made.status == 200, made.json
    file = database_path(small.platform.settings.data_dir)
    size = file.stat().st_size
    # Space that removed rows have left in the file is used again.
    assert (await small.caller.post(BATCHES, a_body(200, 10_000))).status == 200
    assert file.stat().st_size == size
    assert "warnings" not in (await small.caller.get("/ready")).json
    assert disk.least_free >= 8 * MEGABYTE


async def test_nearly_full_disk_refuses_batches_and_is_told_to_the_operator(
    small: Organization, disk: SmallDisk
) -> None:
    disk.total = 8 * MEGABYTE
    refused = await small.caller.post(BATCHES, a_body(1))
    assert refused.error[:2] == (529, "overloaded_error")
    assert (await small.caller.create()).status == 200
    state = await small.caller.get("/ready")
    [warning] = state.json["warnings"]
    assert state.status == 200
    assert warning.startswith("The disk of the database is nearly full: ")
    assert warning.endswith("less than 8 MiB would stay free. Free some space")


async def test_rows_that_could_not_be_dropped_are_dropped_within_a_minute(
    small: Organization,
) -> None:
    body = a_body(600)
    file = database_path(small.platform.settings.data_dir)
    elsewhere = file.with_name("elsewhere.db")

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:-9]
        await asyncio.to_thread(file.rename, elsewhere)
        yield body[-9:]

    with pytest.raises(DatabaseUnavailableError):
        await small.platform.batches.create(
            BatchOwner(None), BatchHeaders("2023-06-01", frozenset()), pieces()
        )
    with pytest.raises(DatabaseUnavailableError):
        await small.platform.batches.drop_left()
    await asyncio.to_thread(elsewhere.rename, file)
    assert await rows(small) == 0
