"""`GET /metrics`: what a server tells of requests, models, bills and batches."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from antiphon.core.billing.ledger import Closing, Opening
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.service.metrics.catalogue import FAMILIES
from antiphon.settings import PriceSettings
from antiphon.store.data_folder import database_path
from support.asgi import HELLO
from support.cached_requests import FIVE_MINUTES, system, turn
from support.metrics import ON, labels_of, metrics_of, scrape
from support.organization import NOON, Organization, StartOrganization

pytestmark = pytest.mark.anyio

PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
TEXT = "One two three four five."
BROKEN = {"when": "break", "text": "One two", "error": "failed", "after": 1}
FULL = {"when": "overload", "error": "overloaded"}
SECRET_TEXT = "nobody-may-read-this"
MESSAGES = {"route": "/v1/messages", "method": "POST"}


@pytest.fixture
async def org(organization: StartOrganization) -> Organization:
    return await organization(ON, price=PRICE, text=TEXT, replies=[BROKEN, FULL])


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def test_all_families_are_told_in_both_formats(org: Organization) -> None:
    answer = await scrape(org.platform)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = [line.split()[2] for line in answer.body.decode().splitlines() if "# TYPE" in line]
    assert found == [family.name for family in FAMILIES]
    other = await scrape(org.platform, accept="application/openmetrics-text; version=1.0.0")
    assert other.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert other.body.endswith(b"# EOF\n")


async def test_answers_are_counted_with_their_tokens_cost_and_times(org: Organization) -> None:
    whole = (await org.caller.create()).json["usage"]
    await org.caller.create(stream=True)
    found = await metrics_of(org.platform)
    assert found("antiphon_requests_total", **MESSAGES, status="200") == 2
    assert (
        found("antiphon_answers_total", model="scripted", tier="standard", outcome="completed") == 2
    )
    tokens = {"model": "scripted", "tier": "standard"}
    assert found("antiphon_tokens_total", **tokens, type="input") == 2 * whole["input_tokens"]
    assert found("antiphon_tokens_total", **tokens, type="output") == 2 * whole["output_tokens"]
    cost = 2 * (3 * whole["input_tokens"] + 15 * whole["output_tokens"]) / 1_000_000
    assert found("antiphon_cost_dollars_total", **tokens) == pytest.approx(cost)
    for name in ("time_to_first_token", "time_between_tokens", "queue"):
        assert found(f"antiphon_{name}_seconds_count", model="scripted") == 2
    assert found("antiphon_request_duration_seconds_count", route="/v1/messages") == 2


async def test_tokens_of_the_prompt_cache_are_told_apart(org: Organization) -> None:
    body = {"system": system(600, mark=FIVE_MINUTES), "messages": [turn(20)]}
    for _ in range(2):
        assert (await org.caller.create(**body)).status == 200
    found = await metrics_of(org.platform)
    of = {"model": "scripted", "tier": "standard"}
    written = found("antiphon_tokens_total", **of, type="cache_write_5m")
    assert written > 0
    assert found("antiphon_tokens_total", **of, type="cache_read") == written
    assert found("antiphon_cache_claim_mismatches_total", reason="engine-had-less") == 0


async def test_errors_are_counted_by_type_also_behind_the_first_byte(org: Organization) -> None:
    await org.caller.create(model="unknown")
    await org.caller.create(**said("overload"))
    broken = await org.caller.create(**said("break"), stream=True)
    assert (broken.status, broken.events[-1]["type"]) == (200, "error")
    await org.caller_with("sk-antiphon-nobody").create()
    found = await metrics_of(org.platform)
    for status, error_type in (
        ("404", "not_found_error"),
        ("529", "overloaded_error"),
        ("200", "api_error"),
        ("401", "authentication_error"),
    ):
        assert (
            found("antiphon_requests_total", **MESSAGES, status=status, error_type=error_type) == 1
        )
    assert found("antiphon_engine_errors_total", model="scripted", kind="overloaded") == 1
    assert found("antiphon_engine_errors_total", model="scripted", kind="failed") == 1
    assert (
        found("antiphon_answers_total", model="scripted", tier="standard", outcome="interrupted")
        == 1
    )


async def test_refusals_are_counted_by_the_limit(org: Organization) -> None:
    guest, workspace, key = await org.guest()
    await org.limit(f"/workspaces/{workspace}", requests_per_minute=1)
    await org.spend_limit({"type": "organization"}, 1)
    assert [(await guest.create()).status for _ in range(2)] == [400, 400]
    found = (await metrics_of(org.platform)).of("antiphon_requests_refused_total")
    assert sum(found.values()) == 2
    assert {kind for kind, *_ in found} == {"spend_limit"}
    assert not any(one in labels for labels in found for one in (workspace, key))


async def test_no_text_of_a_caller_and_no_key_is_a_label(org: Organization) -> None:
    guest, workspace, key = await org.guest()
    await guest.create(**said(SECRET_TEXT))
    await guest.create(model=SECRET_TEXT)
    await guest.get(f"/{SECRET_TEXT}")
    await guest.get(f"/v1/models/{SECRET_TEXT}")
    await guest.start(SECRET_TEXT, "/v1/messages", HELLO).task
    await guest.start(SECRET_TEXT, "/nowhere", b"").task
    text = (await scrape(org.platform)).body.decode()
    assert [one for one in (SECRET_TEXT, workspace, key, TEXT) if one in text] == []
    found = await metrics_of(org.platform)
    assert found("antiphon_requests_total", status="404", error_type="not_found_error") == 2


async def test_workspaces_are_told_apart_where_the_settings_say_so(
    organization: StartOrganization,
) -> None:
    org = await organization({"metrics": {"listen": "127.0.0.1:0", "workspaces": True}}, text=TEXT)
    guest, workspace, _ = await org.guest()
    await guest.create()
    await org.caller.create()
    found = await metrics_of(org.platform)
    for one in (workspace, "default"):
        of = {"model": "scripted", "tier": "standard", "workspace": one}
        assert found("antiphon_answers_total", **of, outcome="completed") == 1


async def test_batches_count_as_answers_and_are_told_while_they_run(org: Organization) -> None:
    body = {"requests": [{"custom_id": "a", "params": HELLO}, {"custom_id": "b", "params": HELLO}]}
    assert (await org.caller.post("/v1/messages/batches", body)).status == 200
    found = await metrics_of(org.platform)
    assert found.of("antiphon_batches").keys() == {("in_progress",), ("canceling",)}
    of = {"model": "scripted", "tier": "batch"}
    async with asyncio.timeout(20):
        # They count when they are committed, so none of them is left then.
        while found("antiphon_answers_total", **of, outcome="completed") < 2:
            await asyncio.sleep(0.02)
            found = await metrics_of(org.platform)
    assert found("antiphon_batch_requests_left", state="in_progress") == 0
    assert found("antiphon_answers_total", **of, outcome="completed") == 2
    assert found("antiphon_tokens_total", **of, type="output") > 0
    assert found("antiphon_time_to_first_token_seconds_count", model="scripted") == 0


async def test_running_and_waiting_requests_are_told(organization: StartOrganization) -> None:
    slow = {"text": "Slowly.", "delay_s": 300}
    limits = {"concurrent_requests": 1, "queued_requests": 1}
    org = await organization({**ON, "limits": limits}, replies=[slow])
    gate = org.platform.models.find("scripted").gate
    calls = [org.caller.start("POST", "/v1/messages", HELLO) for _ in range(2)]
    while not gate.waiting:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    refused = await org.caller.create()
    assert refused.status == 529
    found = await metrics_of(org.platform)
    of = {"model": "scripted", "tier": "standard"}
    assert found("antiphon_requests_running", **of) == 1
    assert found("antiphon_requests_waiting", **of) == 1
    assert found("antiphon_requests_refused_total", kind="queue") == 1
    for call in calls:
        call.hang_up()
        await call.task
    gone = await metrics_of(org.platform)
    assert gone("antiphon_requests_running", **of) == 0
    assert gone("antiphon_requests_total", **MESSAGES, status="499") == 2


async def test_bills_that_wait_are_told_with_their_age(org: Organization) -> None:
    ledger, clock = org.platform.ledger, org.clock
    assert (await metrics_of(org.platform))("antiphon_ledger_lag_seconds", receiver="database") == 0
    opening = Opening(id="req_1", started_at=NOON, model="m", served_model="scripted")
    slot = ledger.open(opening)
    ending = Closing(tokens=TokenCounts(), outcome=Outcome.COMPLETED, ended_at=clock())
    ledger.close(slot, opening, ending)
    clock.passes(seconds=90)
    (counters, database) = ledger.behind()
    assert (counters.receiver, counters.entries, counters.lag_s) == ("counters", 1, 90)
    assert (database.receiver, database.entries, database.lag_s) == ("database", 1, 90)
    await ledger.flush()
    assert [(one.entries, one.lag_s) for one in ledger.behind()] == [(0, 0), (0, 0)]


async def test_server_that_stops_or_lost_its_counters_is_not_ready(org: Organization) -> None:
    counters = org.platform.counters
    before = await metrics_of(org.platform)
    assert (before("antiphon_ready"), before("antiphon_counters_up")) == (1, 1)
    counters.refuse("the lock is lost")  # type: ignore[union-attr]
    refusing = await metrics_of(org.platform)
    assert (refusing("antiphon_ready"), refusing("antiphon_counters_up")) == (0, 0)
    counters.refuse(None)  # type: ignore[union-attr]
    org.platform.stopping.set()
    assert (await metrics_of(org.platform))("antiphon_ready") == 0


async def test_database_that_is_away_is_told_and_the_rest_still_is(org: Organization) -> None:
    await org.caller.create()
    database_path(org.platform.settings.data_dir).unlink()
    found = await metrics_of(org.platform)
    assert found("antiphon_database_up") == 0
    assert found.of("antiphon_batches") == {}
    assert found("antiphon_requests_total", **MESSAGES, status="200") == 1


async def test_reader_without_the_token_is_refused(organization: StartOrganization) -> None:
    token = "a-token-for-the-metrics-alone"
    org = await organization({"metrics": {"listen": "127.0.0.1:0", "token": token}})
    for headers in (
        {},
        {"authorization": "Bearer another"},
        {"authorization": f"Basic {token}"},
        {"authorization": "Bearer né"},
    ):
        status, kind, message = (await scrape(org.platform, **headers)).error
        assert (status, kind) == (401, "authentication_error")
        assert token not in message
        assert ("is required" in message) == (not headers)
    assert (await scrape(org.platform, authorization=f"Bearer {token}")).status == 200


async def test_api_has_no_metrics_and_metrics_have_no_api(org: Organization) -> None:
    assert (await org.caller.get("/metrics")).status == 404
    assert (await org.admin.get("/metrics")).status == 404
    assert (await scrape(org.platform, origin="http://evil.example")).status == 401


async def test_server_without_the_setting_counts_nothing(organization: StartOrganization) -> None:
    org = await organization()
    await org.caller.create()
    assert org.platform.metrics is None


async def test_engines_and_the_process_are_told(org: Organization) -> None:
    found = await metrics_of(org.platform)
    assert found("antiphon_model_ready", model="scripted") == 1
    assert found("antiphon_engine_ready", model="scripted", number="1", engine="scripted") == 1
    assert len(found.of("antiphon_build_info")) == 1
    assert found("process_resident_memory_bytes") > 10_000_000
    assert 0 < found("process_open_fds") < found("process_max_fds")
    assert found("process_cpu_seconds_total") > 0
    assert "scripted" in labels_of(found)
