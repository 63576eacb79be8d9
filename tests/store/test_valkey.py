"""Operations that are asked for at the same time share a call of the Valkey server."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from antiphon.store.valkey import TOGETHER, Script, ValkeyAwayError, ValkeyServer, connect
from support.valkey import Server

pytestmark = pytest.mark.anyio

ADD = Script(
    b"""
    local operations = {}
    function operations.add(amount) return call('INCRBY', KEYS[1] .. ':sum', amount) end
    function operations.nothing() return nil end
    function operations.fail() return call('INCRBY', KEYS[1] .. ':sum', 'no number') end
    return answers_of(operations)
    """
)


@pytest.fixture
async def server(valkey: Server, names: Iterator[str]) -> AsyncGenerator[ValkeyServer]:
    server = connect(valkey.url, name=next(names), patience_s=10)
    await server.run(ADD, "add", 0, None)
    yield server
    await server.aclose()


async def calls_of(server: ValkeyServer) -> int:
    stats = await server.client.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def test_operations_at_the_same_time_share_calls(server: ValkeyServer) -> None:
    before = await calls_of(server)
    sums = await asyncio.gather(*(server.run(ADD, "add", 1, None) for _ in range(100)))
    assert sorted(sums) == list(range(1, 101))
    # The first goes alone, the others as many together as a call may have.
    assert await calls_of(server) - before == 1 + -(-99 // TOGETHER)


async def test_operations_one_after_the_other_do_not_wait(server: ValkeyServer) -> None:
    assert [await server.run(ADD, "add", 2, None) for _ in range(3)] == [2, 4, 6]
    assert not server._waiting


async def test_operation_without_a_result_has_none(server: ValkeyServer) -> None:
    found = await asyncio.gather(*(server.run(ADD, "nothing", 1, None) for _ in range(3)))
    assert found == [None] * 3


async def test_operation_that_fails_fails_alone(server: ValkeyServer) -> None:
    asked = ("add", "fail", "add", "unknown", "add")
    found = await asyncio.gather(
        *(server.run(ADD, one, 1, None) for one in asked), return_exceptions=True
    )
    assert [type(one) for one in found] == [int, ValkeyAwayError, int, ValkeyAwayError, int]
    assert "not an integer" in str(found[1])
    assert await server.run(ADD, "add", 0, None) == 3


@pytest.mark.parametrize("leaver", [0, 1, 2])
async def test_caller_that_leaves_takes_nobody_along(server: ValkeyServer, leaver: int) -> None:
    tasks = [asyncio.create_task(server.run(ADD, "add", 1, None)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[leaver].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found.pop(leaver), asyncio.CancelledError)
    assert all(isinstance(one, int) for one in found)
    assert not server._waiting


async def test_everybody_learns_that_the_server_is_away(tmp_path: Path) -> None:
    other = Server(tmp_path)
    server = connect(other.url, name="a", patience_s=10)
    await server.run(ADD, "add", 1, None)
    other.close()
    found = await asyncio.gather(
        *(server.run(ADD, "add", 1, None) for _ in range(5)), return_exceptions=True
    )
    assert [type(one) for one in found] == [ValkeyAwayError] * 5
    await server.aclose()


async def test_operations_of_two_times_do_not_share_a_call(server: ValkeyServer) -> None:
    before = await calls_of(server)
    await asyncio.gather(*(server.run(ADD, "add", 1, now) for now in (1, 2, 1, 2)))
    assert await calls_of(server) - before == 4
