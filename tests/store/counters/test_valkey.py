import asyncio
from collections.abc import AsyncGenerator, Iterator
from datetime import date
from pathlib import Path

import pytest

from antiphon.core.limits.values import Account, Ask, Draw, Granted, Hold, Settlement
from antiphon.store.counters.base import CountersAwayError, CountersError
from antiphon.store.counters.seeding import Claim, Seed, reseed
from antiphon.store.counters.valkey import ValkeyCounters, open_valkey
from support.accounts import account
from support.valkey import Server

pytestmark = pytest.mark.anyio

A, B = map(account, "ab")


@pytest.fixture
async def counters(valkey: Server, names: Iterator[str]) -> AsyncGenerator[ValkeyCounters]:
    counters = open_valkey(valkey.url, name=next(names), patience_s=10)
    yield counters
    await counters.aclose()


async def test_every_key_of_limits_has_the_prefix_and_expires(counters: ValkeyCounters) -> None:
    month = Account("organization", "1", "monthly", date(2126, 11, 1))
    later = Account("organization", "1", "monthly", date(2126, 12, 1))
    await counters.seed({month: 5}, ["0"])
    await counters.admit(Ask("1", (Draw("b", 60, 30),), (Hold(month, 100, 5),), 60_000))
    await counters.settle(Settlement("2", {later: 5}))
    client, prefix = counters._client, counters._prefix
    keys = [key.decode() for key in await client.keys(f"{prefix}:*")]
    endless = {key.removeprefix(prefix) for key in keys if await client.pttl(key) < 0}
    assert len(keys) == 8
    # The reservations end with their leases, and the mark stays with the server.
    assert endless == {":holds", ":leases", ":seeded"}
    await counters.settle(Settlement("1", {}))
    assert not await client.exists(f"{prefix}:holds", f"{prefix}:leases")


async def test_many_accounts_are_seeded(counters: ValkeyCounters) -> None:
    spent = {account(f"account {number}"): number for number in range(1234)}
    await counters.seed(spent, [f"id {number}" for number in range(1234)])
    found = await counters.balance(list(spent))
    assert [balance.spent for balance in found] == list(range(1234))


async def test_accounts_of_an_older_state_begin_anew(counters: ValkeyCounters) -> None:
    await counters.seed({A: 5, B: 6})
    await counters._client.delete(f"{counters._prefix}:seeded")
    await counters.seed({B: 7})
    assert [found.spent for found in await counters.balance([A, B])] == [0, 7]


async def test_claim_is_free_again_when_seeding_fails(counters: ValkeyCounters) -> None:
    async def broken() -> Seed:
        raise CountersError("no sums")

    with pytest.raises(CountersError, match="no sums"):
        await reseed(counters, broken, 0)
    assert await counters.claim(1000) is not None
    assert await counters.claim(1000) is None


async def test_process_without_a_claim_does_not_seed(counters: ValkeyCounters) -> None:
    with pytest.raises(CountersAwayError, match="too long"):
        await counters.complete(Claim("somebody", "a run"), Seed({A: 5}))
    assert not await counters.seeded()


async def test_script_that_the_server_has_forgotten_is_sent_again(counters: ValkeyCounters) -> None:
    await counters.seed({})
    await counters._client.script_flush()
    assert isinstance(await counters.admit(Ask("1", (), (), 1000)), Granted)


async def test_cancelled_call_does_not_answer_another(counters: ValkeyCounters) -> None:
    await counters.seed({})
    await counters.draw([Draw(f"b{number}", 1000, number) for number in range(50)])
    for moment in range(50):
        task = asyncio.create_task(counters.levels([Draw("b7", 1000, 0)]))
        for _ in range(moment % 12):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (level,) = await counters.levels([Draw(f"b{moment}", 10**9, 0)])
        assert level.remaining >= 10**9 - moment


async def test_valkey_that_may_evict_keys_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path, maxmemory="100mb", **{"maxmemory-policy": "allkeys-lru"})
    counters = open_valkey(server.url)
    try:
        with pytest.raises(CountersError, match="maxmemory-policy noeviction"):
            await counters.seed({})
    finally:
        await counters.aclose()
        server.close()


def test_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(CountersError) as caught:
        open_valkey("nonsense://user:secret@host")
    assert "secret" not in str(caught.value)


async def test_server_that_is_away_is_named_without_its_password() -> None:
    counters = open_valkey("valkey://antiphon:hunter2@[::1]:1")
    with pytest.raises(CountersAwayError) as caught:
        await counters.seeded()
    assert str(caught.value).startswith("the Valkey server at [::1]:1 cannot be asked: ")
    assert "hunter2" not in str(caught.value)
    await counters.aclose()
