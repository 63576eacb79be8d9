"""The prompt cache as the Admin API tells it: what it saved, what is in it, its entries."""

from decimal import Decimal
from typing import Any

import pytest

from antiphon.engines.base import EngineConfig, KeptSnapshot, SnapshotReport
from antiphon.engines.registry import open_engine
from antiphon.engines.scripted import ScriptedEngine
from antiphon.server.app import ORGANIZATIONS_PATH
from antiphon.settings import PriceSettings
from support.asgi import Client
from support.cached_requests import FIVE_MINUTES, ONE_HOUR, system, turn
from support.console import get, join, member, set_up
from support.organization import NOT_A_PAGE, Organization, StartOrganization

pytestmark = pytest.mark.anyio

REPORT = "/prompt_cache/report?starting_at=2026-11-23T00:00:00Z"
PRICE = PriceSettings(input=Decimal(2), output=Decimal(10))


class Saving(ScriptedEngine):
    """An engine that says to have snapshots: those that a test puts into the list."""

    saved: list[KeptSnapshot]

    def snapshot_report(self) -> SnapshotReport:
        return SnapshotReport(snapshots=tuple(self.saved), limit_bytes=1000, mismatches=3)


@pytest.fixture
def start(organization: StartOrganization) -> Any:
    """Starts an organization whose clock a test moves, over an engine with a prompt cache."""

    async def started(**more: Any) -> Organization:
        options = {"timed": True, "text": "one two", "cache_minimum_tokens": 100, "price": PRICE}
        return await organization(**{**options, **more})

    return started


@pytest.fixture
def saved() -> list[KeptSnapshot]:
    return []


@pytest.fixture
def opened(saved: list[KeptSnapshot]) -> Any:
    """Opens engines that tell of the snapshots of a test."""

    async def open_saving(name: str, config: EngineConfig) -> Any:
        engine: Any = await open_engine(name, config)
        engine.__class__ = Saving
        engine.saved = saved
        return engine

    return open_saving


async def ask(caller: Client, word: str, size: int = 200, mark: Any = FIVE_MINUTES) -> None:
    """Send a request with a marked system prompt of so many tokens."""
    body = {"system": system(size, word=word, mark=mark), "messages": [turn(50)]}
    answer = await caller.create(model="claude-x", **body)
    assert answer.status == 200, answer.json


async def salt_of(org: Organization, workspace: str | None = None) -> str:
    directory = await org.platform.accounts.current()
    wanted = workspace or directory.default_workspace.id
    return org.platform.caching.salt(directory.organization.id, wanted)


@pytest.mark.covers("administration: GET /prompt_cache/entries", "effect")
async def test_entries_tell_workspace_age_end_and_hits(start) -> None:
    org = await start()
    guest, lab, _ = await org.guest()
    await ask(org.caller, "a")
    org.clock.passes(minutes=1)
    await ask(guest, "b", 300, ONE_HOUR)
    org.clock.passes(minutes=1)
    await ask(org.caller, "a")
    await ask(org.caller, "a")
    listing = await org.get("/prompt_cache/entries")
    assert listing["next_page"] is None
    first, second = listing["data"]
    assert first.pop("id") != second.pop("id")
    assert first == {
        "type": "prompt_cache_entry",
        "model": "scripted",
        "workspace_id": None,
        "tokens": 200,
        "ttl": "5m",
        "written_at": "2026-11-23T12:00:00Z",
        "last_used_at": "2026-11-23T12:02:00Z",
        "expires_at": "2026-11-23T12:07:00Z",
        "hits": 2,
        # 400 tokens at 2.00 - 0.20 dollars a million, less 200 at 2.50 - 2.00.
        "saved": {"amount": "0.062", "currency": "USD"},
        "snapshot_bytes": None,
    }
    assert second == {
        "type": "prompt_cache_entry",
        "model": "scripted",
        "workspace_id": lab,
        "tokens": 300,
        "ttl": "1h",
        "written_at": "2026-11-23T12:01:00Z",
        "last_used_at": "2026-11-23T12:01:00Z",
        "expires_at": "2026-11-23T13:01:00Z",
        "hits": 0,
        "saved": {"amount": "-0.06", "currency": "USD"},
        "snapshot_bytes": None,
    }
    org.clock.passes(minutes=5)
    (left,) = (await org.get("/prompt_cache/entries"))["data"]
    assert left["workspace_id"] == lab
    assert len(org.platform.caching.register.notes()) == 1


async def test_entries_are_filtered_and_paged(start) -> None:
    org = await start()
    guest, lab, _ = await org.guest()
    for word in "abc":
        await ask(org.caller, word)
        org.clock.passes(seconds=1)
    await ask(guest, "d")
    page = await org.get("/prompt_cache/entries?limit=3")
    rest = await org.get(f"/prompt_cache/entries?limit=3&page={page['next_page']}")
    assert (len(page["data"]), len(rest["data"]), rest["next_page"]) == (3, 1, None)
    (theirs,) = (await org.get(f"/prompt_cache/entries?workspace_id={lab}"))["data"]
    assert theirs["workspace_id"] == lab
    default = (await org.platform.accounts.current()).default_workspace.id
    assert len((await org.get(f"/prompt_cache/entries?workspace_id={default}"))["data"]) == 3
    assert len((await org.get("/prompt_cache/entries?model=scripted"))["data"]) == 4
    assert (await org.get("/prompt_cache/entries?model=other"))["data"] == []
    answer = await org.admin.get(f"{ORGANIZATIONS_PATH}/prompt_cache/entries?page=nonsense")
    assert answer.error[2] == NOT_A_PAGE


async def test_ids_of_entries_are_no_hashes_of_prompts(start) -> None:
    org = await start()
    await ask(org.caller, "a")
    (entry,) = (await org.get("/prompt_cache/entries"))["data"]
    ((key, _),) = org.platform.caching.register.notes()
    assert entry["id"].removeprefix("cache_") not in key.hex()
    assert (await org.get("/prompt_cache/entries"))["data"][0]["id"] == entry["id"]


@pytest.mark.covers("administration: GET /prompt_cache", "effect")
async def test_snapshot_stands_behind_the_entry_of_its_length(start, opened, saved) -> None:
    org = await start(open_engine=opened)
    guest, lab, _ = await org.guest()
    now = org.clock.ms() / 1000
    own, labs = await salt_of(org), await salt_of(org, lab)
    await ask(org.caller, "a")
    await ask(guest, "b", 300)
    saved += [
        KeptSnapshot(own, 200, 40, now, now + 300),
        KeptSnapshot(own, 150, 30, now - 60, now + 240),
        KeptSnapshot(labs, 200, 50, now - 90, now + 210),
        KeptSnapshot("salt of a workspace that is gone", 200, 60, now, now + 300),
    ]
    listing = (await org.get("/prompt_cache/entries"))["data"]
    found = [
        (one["workspace_id"], one["tokens"], one["hits"], one["snapshot_bytes"]) for one in listing
    ]
    assert sorted(found[:2], key=str) == sorted([(None, 200, 0, 40), (lab, 300, 0, None)], key=str)
    # Of these the process knows no entry: they are of one before it.
    assert found[2:] == [(None, 150, None, 30), (lab, 200, None, 50)]
    assert (listing[2]["written_at"], listing[2]["ttl"]) == (None, None)
    assert listing[2]["last_used_at"] == "2026-11-23T11:59:00Z"
    assert listing[2]["expires_at"] == "2026-11-23T12:04:00Z"
    assert await org.get("/prompt_cache") == {
        "type": "prompt_cache",
        "entries": 4,
        "tokens": 850,
        "snapshot_bytes": 120,
        "less_cached_than_planned": {},
        "models": [
            {
                "id": "scripted",
                "type": "prompt_cache_model",
                "cached_by": "engine",
                "minimum_tokens": 100,
                "entries": 4,
                "tokens": 850,
                "snapshots": 3,
                "snapshot_bytes": 120,
                "snapshot_bytes_limit": 1000,
                "mismatches": 3,
            }
        ],
    }


async def test_model_without_a_prompt_cache_keeps_nothing(start) -> None:
    org = await start(kept_prefixes=0)
    await ask(org.caller, "a")
    state = await org.get("/prompt_cache")
    (model,) = state["models"]
    assert (state["entries"], model["cached_by"], model["mismatches"]) == (0, None, None)
    assert model["snapshot_bytes_limit"] is None


@pytest.mark.covers("administration: GET /prompt_cache/report", "effect")
async def test_report_adds_up_and_saves_to_the_nano_dollar(start) -> None:
    org = await start()
    guest, lab, _ = await org.guest()
    for _ in range(3):
        await ask(org.caller, "a")
    await ask(guest, "b", 300, ONE_HOUR)
    await org.platform.ledger.flush()
    report = await org.get(f"{REPORT}&group_by[]=workspace_id&group_by[]=model")
    (bucket,) = report["data"]
    own, labs = bucket["results"]
    # 400 tokens at 2.00 - 0.20 dollars a million, less 200 at 2.50 - 2.00.
    saved = 400 * (2000 - 200) - 200 * (2500 - 2000)
    assert own == {
        "requests": 3,
        "cache_read_requests": 2,
        "uncached_input_tokens": 150,
        "cache_read_input_tokens": 400,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 0},
        "cache_read_share": round(400 / 750, 4),
        "saved": {"amount": f"{Decimal(saved).scaleb(-7).normalize():f}", "currency": "USD"},
        "workspace_id": None,
        "model": "claude-x",
    }
    assert labs["workspace_id"] == lab
    # An hour costs twice the input: nothing has read it yet.
    assert Decimal(labs["saved"]["amount"]) == -Decimal(300 * 2000).scaleb(-7)
    assert (labs["requests"], labs["cache_read_requests"]) == (1, 0)
    (hour,) = (await org.get(f"{REPORT.replace('00:00:00', '12:00:00')}&bucket_width=1h"))["data"]
    assert [one["cache_read_requests"] for one in hour["results"]] == [2]
    (whole,) = (await org.get(f"{REPORT}&workspace_ids[]={lab}"))["data"][0]["results"]
    assert (whole["requests"], whole["workspace_id"], whole["model"]) == (1, None, None)


async def test_developer_sees_the_own_workspaces_alone(start, opened, saved) -> None:
    org = await start(open_engine=opened)
    await set_up(org)
    guest, lab, _ = await org.guest()
    hall = (await org.post("/workspaces", {"name": "Hall"}))["id"]
    now = org.clock.ms() / 1000
    saved.append(KeptSnapshot(await salt_of(org, hall), 500, 70, now, now + 300))
    await ask(org.caller, "a")
    await ask(guest, "b", 300)
    await org.platform.ledger.flush()
    bob, bobs_id = await member(org, "bob", "developer")

    async def seen() -> tuple[list[Any], Any, list[Any]]:
        listing = (await get(bob, "/prompt_cache/entries"))["data"]
        state = await get(bob, "/prompt_cache")
        report = await get(bob, f"{REPORT}&group_by[]=workspace_id")
        reported = [one["workspace_id"] for one in report["data"][0]["results"]]
        return [one["workspace_id"] for one in listing], state, reported

    entries, state, reported = await seen()
    assert (entries, reported, state["entries"]) == ([None], [None], 1)
    assert (state["snapshot_bytes"], state["less_cached_than_planned"]) == (0, None)
    assert state["models"][0]["mismatches"] is None
    assert (await get(bob, f"/prompt_cache/entries?workspace_id={hall}"))["data"] == []
    hidden = await get(bob, f"{REPORT}&workspace_ids[]={hall}&workspace_ids[]={lab}")
    assert hidden["data"][0]["results"] == []
    await join(org, bobs_id, lab, "workspace_developer")
    entries, state, reported = await seen()
    assert (set(entries), set(reported)) == ({None, lab}, {None, lab})
    assert state["tokens"] == 500


async def test_entries_share_what_their_requests_save(start) -> None:
    org = await start()
    marked = [*system(200, mark=ONE_HOUR), *system(100, word="b", mark=FIVE_MINUTES)]
    for _ in range(2):
        body = {"system": marked, "messages": [turn(50)]}
        assert (await org.caller.create(model="claude-x", **body)).status == 200
    await org.platform.ledger.flush()
    listing = (await org.get("/prompt_cache/entries"))["data"]
    (whole,) = (await org.get(REPORT))["data"][0]["results"]
    assert len(listing) == 2
    parts = [Decimal(one["saved"]["amount"]) for one in listing]
    assert sum(parts) == Decimal(whole["saved"]["amount"])
    assert min(parts) < 0 < max(parts)
