"""`antiphon usage --cache`: what the prompt cache saves."""

import asyncio
import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import pytest

from antiphon.cli import main
from antiphon.core.billing.ledger import Closing, Opening, entry_of
from antiphon.core.billing.price_list import price_for
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.ledger import add_entries
from cli.conftest import Shell

# Writes a request to the ledger: the name of its key, its tokens, and the name of its model.
Spend: TypeAlias = Callable[..., None]

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def spend(shell: Shell) -> Spend:
    """Write requests to a model of 4 dollars a million tokens into the ledger of the shell."""
    keys: dict[str, str] = {}

    async def add(key: str, tokens: TokenCounts, model: str) -> None:
        database = await open_database(sqlite_url(database_path(shell.data_dir)))
        opening = Opening(
            id=f"req_{len(keys)}_{tokens}_{model}",
            started_at=NOON,
            model=model,
            served_model="small",
            api_key_id=key,
            price=price_for(model, "small", None),
        )
        entry = entry_of(opening, Closing(tokens=tokens, outcome=Outcome.COMPLETED, ended_at=NOON))
        async with database.write() as connection:
            await add_entries(connection, [entry])
        await database.aclose()

    def write(name: str, tokens: TokenCounts, model: str = "claude-opus-5-5") -> None:
        if name not in keys:
            shell(f"keys create {name}")
            found = shell.json("keys list")
            keys.update({one["name"]: one["id"] for one in found})
        asyncio.run(add(keys[name], tokens, model))

    return write


CACHE = "usage --cache --since 2026-11-22 --until 2026-11-23"


def test_cache_view_tells_hit_rate_and_money_by_key_with_a_total(
    shell: Shell, spend: Spend
) -> None:
    spend("ci", TokenCounts(input=100_000, cache_write_5m=1_000_000))
    spend("laptop", TokenCounts(input=50_000, cache_write_1h=500_000, cache_read=9_000_000))
    titles, *lines = (line.split() for line in shell(f"{CACHE} --by key").splitlines())
    assert titles == ["key", "requests", "prompt", "written", "read", "hit", "rate", "saved"]
    # Keys stand in the order of their ids.
    assert sorted(lines[:2]) + lines[2:] == [
        ["ci", "1", "1,100,000", "1,000,000", "0", "0.0%", "-$1.00"],
        ["laptop", "1", "9,550,000", "500,000", "9,000,000", "94.2%", "$32.20"],
        ["in", "all", "2", "10,650,000", "1,500,000", "9,000,000", "84.5%", "$31.20"],
    ]


def test_cache_view_for_programs_is_exact(shell: Shell, spend: Spend) -> None:
    spend("ci", TokenCounts(input=7, cache_write_5m=1, cache_write_1h=2, cache_read=3))
    key_id = shell.json("keys list")[0]["id"]
    told = {
        "requests": 1,
        "prompt_tokens": 13,
        "cache_write_5m_tokens": 1,
        "cache_write_1h_tokens": 2,
        "cache_read_tokens": 3,
        "hit_rate": 0.2308,
        "saved_usd": "0.0000024",
    }
    spent = shell.json(f"{CACHE} --by model,key")
    assert [one for one in spent if one["api_key_id"] != key_id] == []
    assert spent == [{"model": "claude-opus-5-5", "api_key_id": key_id, **told}]
    (row,) = csv.DictReader(io.StringIO(shell(f"{CACHE} --by model --csv")))
    assert row == {"model": "claude-opus-5-5", **{name: str(one) for name, one in told.items()}}


def test_cache_view_fits_into_80_columns(
    shell: Shell, spend: Spend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend("a-key-with-quite-a-long-name", TokenCounts(input=5, cache_read=987_654_321))
    spend("ci", TokenCounts(cache_write_1h=123_456_789))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    shown = re.sub("\x1b\\[[0-9;]*m", "", shell(f"{CACHE} --by day,key,model"))
    assert max(map(len, shown.splitlines())) <= 80
    assert "hit rate" in shown
    assert "-$493.827156" in shown


def test_columns_without_room_are_named_in_their_order(
    shell: Shell, spend: Spend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend("ci", TokenCounts(cache_write_1h=123_456_789))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    assert "room: requests, prompt, written." in shell.both(f"{CACHE} --by key")


def test_names_without_a_price_are_told_below_the_table(shell: Shell, spend: Spend) -> None:
    spend("ci", TokenCounts(input=10, cache_read=1000))
    spend("ci", TokenCounts(input=10), "never-cached")
    assert "price" not in shell.both(CACHE)
    for number in range(6):
        spend("ci", TokenCounts(input=10, cache_read=1000), f"tiny-{number}")
    assert shell.both(CACHE).splitlines()[-1] == (
        "Names without a price cost nothing, so they save nothing: "
        "tiny-0, tiny-1, tiny-2, tiny-3, tiny-4 and 1 more. Set `price` to see money."
    )
    told = shell.both(f"{CACHE} --by key --model tiny-5").splitlines()
    assert told[-1].endswith("nothing: tiny-5. Set `price` to see money.")
    for other in (f"{CACHE} --csv", f"{CACHE} --json", CACHE.replace("--cache ", "")):
        assert "price" not in shell.both(other)


def test_help_defines_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["usage", "--help"])
    told = capsys.readouterr().out.partition("columns of --cache:\n")[2]
    told = told.partition("columns of --engine:\n")[0]
    names = [line.strip().partition("  ")[0] for line in told.splitlines() if line[2:3].strip()]
    assert names == ["prompt", "written", "read", "hit rate", "saved"]


def test_cache_view_of_nothing_has_its_columns(shell: Shell) -> None:
    assert "Nothing was used" in shell("usage --cache")
    assert shell("usage --cache --by key --csv").startswith("api_key_id,requests,prompt_tokens,")
