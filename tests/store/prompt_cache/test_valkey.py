import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from antiphon.core.prompt_cache import CacheEntry, Fingerprint
from antiphon.store.prompt_cache.valkey import ValkeyCacheIndex
from antiphon.store.valkey import connect
from support.logs import capture_logs
from support.valkey import Clock, Server

pytestmark = pytest.mark.anyio

A, B = b"a" * 32, b"b" * 32
PRINT = Fingerprint(600, 9000, b"m" * 8, b"t" * 8, b"s" * 8, (b"\xff" * 8,), (1, 2, 3))


def local_ms() -> int:
    return time.time_ns() // 1_000_000


def hour(tokens: int = 600) -> CacheEntry:
    return CacheEntry(tokens, "1h", local_ms() + 3_600_000)


@pytest.fixture
async def index(valkey: Server, names: Iterator[str]) -> AsyncGenerator[ValkeyCacheIndex]:
    index = ValkeyCacheIndex(connect(valkey.url, name=next(names), patience_s=10), local_ms)
    yield index
    await index.aclose()


async def test_time_is_that_of_the_server(valkey: Server, names: Iterator[str]) -> None:
    server = connect(valkey.url, name=next(names), patience_s=10)
    index = ValkeyCacheIndex(server, Clock(0))
    seconds, _ = await server.client.time()
    assert 0 <= (await index.find([A])).now - 1000 * seconds < 10_000
    await index.aclose()


async def test_every_key_has_the_prefix_of_the_counters_and_expires(
    index: ValkeyCacheIndex,
) -> None:
    await index.store({A: hour(), B: CacheEntry(600, "5m", local_ms() + 300_000)})
    await index.keep_fingerprint(A, PRINT)
    client, prefix = index._server.client, index._server.prefix
    left = {key: await client.pttl(key) for key in await client.keys(f"{prefix}:*")}
    assert sorted(left) == [
        f"{prefix}:cache:{name}".encode()
        for name in (
            f"entry:{A.hex()}",
            f"entry:{B.hex()}",
            f"fingerprint:{A.hex()}",
            "room",
        )
    ]
    assert all(0 < ms <= 3_660_000 for ms in left.values())
    assert left[f"{prefix}:cache:entry:{B.hex()}".encode()] <= 360_000


@pytest.mark.parametrize("form", ["", "another", "{} 600", "{} 600 2h", "{} x 5m", "{} 600 5m 1"])
async def test_value_of_another_release_is_not_found(index: ValkeyCacheIndex, form: str) -> None:
    client, prefix = index._server.client, index._server.prefix
    await client.set(f"{prefix}:cache:fingerprint:{A.hex()}", f"{local_ms() + 9000} [1]")
    await client.set(f"{prefix}:cache:entry:{A.hex()}", form.format(local_ms() + 9000))
    with capture_logs() as logs:
        assert await index.fingerprint(A) is None
        assert (await index.find([A])).entries == {}
        await index.refresh(A, local_ms())
        entry = hour()
        await index.store({A: entry})
        assert (await index.find([A])).entries == {A: entry}
    assert logs == []


@pytest.mark.parametrize(
    "value", ["", " ", "600", "600 2h", "x 5m", "-6 5m", "6e2 5m", "600 5m 5m", "9" * 5000 + " 5m"]
)
async def test_live_value_of_another_form_is_not_found(index: ValkeyCacheIndex, value: str) -> None:
    client, prefix = index._server.client, index._server.prefix
    await client.set(f"{prefix}:cache:entry:{A.hex()}", f"{local_ms() + 90_000} {value}")
    await index.store({B: hour()})
    with capture_logs() as logs:
        assert set((await index.find([A, B])).entries) == {B}
        await index.refresh(A, local_ms())
        await index.store({A: hour()})
    assert set((await index.find([A, B])).entries) == {A, B}
    assert logs == []


async def test_value_of_another_type_is_not_found(index: ValkeyCacheIndex) -> None:
    client, prefix = index._server.client, index._server.prefix
    for kind in ("entry", "fingerprint"):
        await client.execute_command("RPUSH", f"{prefix}:cache:{kind}:{A.hex()}", "a")
    with capture_logs() as logs:
        assert await index.fingerprint(A) is None
        await index.refresh(A, local_ms())
        await index.store({A: hour()})
        await index.keep_fingerprint(A, PRINT)
    assert set((await index.find([A])).entries) == {A}
    assert await index.fingerprint(A) == PRINT
    assert logs == []


async def test_nothing_is_stored_where_the_counters_may_need_the_memory(tmp_path: Path) -> None:
    server = Server(tmp_path, **{"maxmemory-policy": "noeviction"})
    index = ValkeyCacheIndex(connect(server.url, name="n", patience_s=10), local_ms)
    client = index._server.client
    try:
        used = (await client.info("memory"))["used_memory"]
        await client.config_set("maxmemory", used * 6 // 5)
        with capture_logs() as logs:
            await index.store({A: hour()})
            await index.keep_fingerprint(A, PRINT)
            found, fingerprint = await index.find([A]), await index.fingerprint(A)
        assert (found.entries, fingerprint, logs) == ({}, None, [])
        await client.config_set("maxmemory", used * 2)
        await index.store({A: hour()})
        assert set((await index.find([A])).entries) == {A}
    finally:
        await index.aclose()
        server.close()


async def test_server_that_is_away_is_no_reason_to_fail_or_to_wait(tmp_path: Path) -> None:
    server, clock = Server(tmp_path), Clock()
    index = ValkeyCacheIndex(connect(server.url, name="n"), clock)
    try:
        await index.store({A: hour()})
        server.stop()
        with capture_logs() as logs:
            for _ in range(3):
                found = await index.find([A])
                assert (found.now, found.entries) == (clock.now, {})
                await index.refresh(A, clock.now)
                await index.store({A: hour()})
                await index.keep_fingerprint(A, PRINT)
                assert await index.fingerprint(A) is None
                clock.now += 500
            assert [line["event"] for line in logs] == ["prompt cache index away"]
            assert f"the Valkey server at 127.0.0.1:{server.port}" in logs[0]["reason"]
            server.start()
            clock.now += 499
            await index.store({A: hour()})
            clock.now += 1
            await index.store({A: hour()})
            assert set((await index.find([A])).entries) == {A}
        assert [line["event"] for line in logs[1:]] == ["prompt cache index back"]
    finally:
        await index.aclose()
        server.close()


async def test_one_call_waits_for_a_server_that_does_not_answer_and_the_others_return(
    silent: str,
) -> None:
    clock = Clock()
    index = ValkeyCacheIndex(connect(silent, name="n", patience_s=0.1), clock)
    try:
        await index.find([A])
        clock.now += 500
        index._server._patience_s = 600
        waiting = asyncio.create_task(index.find([A]))
        await asyncio.sleep(0)
        for _ in range(100):
            assert (await index.find([A])).entries == {}
        assert not waiting.done()
        waiting.cancel()
        clock.now += 500
        index._server._patience_s = 0.1
        assert (await index.find([A])).entries == {}
    finally:
        await index.aclose()


@pytest.fixture
async def silent() -> AsyncGenerator[str]:
    """The URL of a server that reads and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    yield f"valkey://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
