"""Rate limits, over the application as it is served; the clock stands still unless told."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from antiphon.service.limits.gate import Gate
from antiphon.service.models import COUNTED_AT_ONCE
from antiphon.settings import PriceSettings
from antiphon.store.batches.listing import find_batch
from antiphon.store.database.database import open_database
from support.asgi import HELLO, Answer, Call, Client
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

SCOPES = ("organization", "workspace", "key")
OWNERS = {"organization": "organization", "workspace": "workspace", "key": "API key"}
REQUESTS = "requests_per_minute"
INPUT = "input_tokens_per_minute_cache_aware"
OUTPUT = "output_tokens_per_minute"
SLOW = {"when": "be slow", "text": "Slowly.", "delay_s": 300}
SLOWLY = {**HELLO, "messages": [{"role": "user", "content": "be slow"}]}


async def limited(org: Organization, scope: str, **limits: int) -> Client:
    """Set limits of a scope, and return a caller whom they concern."""
    caller, workspace, key = await org.guest()
    paths = {"organization": "", "workspace": f"/workspaces/{workspace}", "key": f"/api_keys/{key}"}
    await org.limit(paths[scope], **limits)
    return caller


def told(answer: Answer, name: str) -> tuple[str, ...]:
    """What the headers say of one limit: how much, how much of it is left, when it is whole."""
    prefix = f"anthropic-ratelimit-{name}"
    return tuple(answer.headers[f"{prefix}-{what}"] for what in ("limit", "remaining", "reset"))


def remaining(answer: Answer) -> dict[str, str]:
    return {name: v for name, v in answer.headers.items() if name.startswith("anthropic-ratelimit")}


def waited(org: Organization, answer: Answer) -> None:
    """Let as much time pass as the refusal says, and not a millisecond more."""
    org.clock.passes(seconds=int(answer.headers["retry-after"]))


async def until_one_waits(gate: Gate) -> None:
    while not gate.waiting:  # noqa: ASYNC110 - the gate tells nobody
        await asyncio.sleep(0)


@pytest.mark.covers("errors: rate_limit_error", "effect")
@pytest.mark.covers("headers: retry-after", "effect")
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "case",
    [
        (REQUESTS, 3, 3, "3 requests", 20),
        (INPUT, 12, 2, "12 input tokens", 15),
        (OUTPUT, 6, 2, "6 output tokens", 30),
    ],
)
async def test_request_beyond_a_rate_limit_is_refused_until_retry_after(
    organization: StartOrganization, scope: str, case: tuple[str, int, int, str, int]
) -> None:
    kind, limit, served, said, retry_after = case
    # Each answer is 5 tokens in and 4 out.
    org = await organization(timed=True, text="One two three")
    caller = await limited(org, scope, **{kind: limit})
    for _ in range(served):
        assert (await caller.create()).status == 200
        await org.platform.ledger.flush()
    refused = await caller.create()
    organization = refused.headers["anthropic-organization-id"]
    assert refused.error[:2] == (429, "rate_limit_error")
    assert refused.error[2] == (
        f"This request would exceed your {OWNERS[scope]}'s rate limit of {said} per minute "
        f"(org: {organization}, model: claude-x). For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
        "usage. Please reduce the prompt length or the maximum tokens requested, or try again "
        "later. You may also contact an administrator to request a rate limit increase."
    )
    assert refused.headers["retry-after"] == str(retry_after)
    assert refused.headers["x-should-retry"] == "true"
    org.clock.passes(seconds=retry_after - 1)
    assert (await caller.create()).headers["retry-after"] == "1"
    org.clock.passes(seconds=1)
    assert (await caller.create()).status == 200
    if scope != "organization":
        # The limit of one is not the limit of others.
        assert (await org.caller.create()).status == 200


@pytest.mark.covers("headers: anthropic-ratelimit-*", "effect")
async def test_headers_of_every_kind_of_answer_show_what_remains(
    organization: StartOrganization,
) -> None:
    org = await organization(timed=True, text="One two three")
    caller = await limited(org, "organization", **{REQUESTS: 2, INPUT: 60, OUTPUT: 120})
    first = await caller.create()
    assert told(first, "requests") == ("2", "1", "2026-11-23T12:00:30Z")
    assert told(first, "input-tokens") == ("60", "55", "2026-11-23T12:00:05Z")
    assert told(first, "output-tokens") == ("120", "120", "2026-11-23T12:00:00Z")
    assert told(first, "tokens") == ("180", "175", "2026-11-23T12:00:05Z")
    await org.platform.ledger.flush()

    invalid = await caller.create(max_tokens=-1)
    assert invalid.status == 400
    assert told(invalid, "requests") == told(first, "requests")
    assert told(invalid, "output-tokens") == ("120", "116", "2026-11-23T12:00:02Z")
    broken = await caller.post("/v1/messages", b"{")
    assert remaining(broken) == remaining(invalid)

    stream = await caller.create(stream=True)
    assert told(stream, "requests") == ("2", "0", "2026-11-23T12:01:00Z")
    await org.platform.ledger.flush()
    refused = await caller.create()
    assert refused.status == 429
    assert told(refused, "requests") == told(stream, "requests")
    assert len(remaining(refused)) == 12


async def test_headers_show_the_narrowest_limit(organization: StartOrganization) -> None:
    org = await organization(timed=True)
    caller, workspace, key = await org.guest()
    await org.limit("", **{REQUESTS: 100})
    await org.limit(f"/workspaces/{workspace}", **{REQUESTS: 10})
    await org.limit(f"/api_keys/{key}", **{REQUESTS: 9})
    assert told(await caller.create(), "requests")[:2] == ("9", "8")
    assert told(await org.caller.create(), "requests")[:2] == ("100", "98")


@pytest.mark.parametrize("kind", [REQUESTS, INPUT])
async def test_refused_request_draws_nothing_from_the_rate_limits(
    organization: StartOrganization, kind: str
) -> None:
    org = await organization(timed=True, price=PriceSettings(input=Decimal(3), output=Decimal(15)))
    caller = await limited(org, "organization", **{kind: 60 if kind == INPUT else 12})
    before = remaining(await caller.create())
    await org.platform.ledger.flush()
    for changes in ({"max_tokens": -1}, {"model": "unknown"}, {"messages": []}):
        assert (await caller.create(**changes)).status in {400, 404}
    long = [{"role": "user", "content": "word " * 60}]
    if kind == INPUT:
        assert (await caller.create(messages=long)).status == 429
    await org.spend_limit({"type": "organization"}, 1)
    assert (await caller.create()).status == 400
    after = remaining(await caller.create(max_tokens=-1))
    assert {k: v for k, v in after.items() if "output" not in k and "-tokens-" not in k} == {
        k: v for k, v in before.items() if "output" not in k and "-tokens-" not in k
    }
    assert told(await caller.create(max_tokens=-1), "input-tokens") == (
        before["anthropic-ratelimit-input-tokens-limit"],
        before["anthropic-ratelimit-input-tokens-remaining"],
        before["anthropic-ratelimit-input-tokens-reset"],
    )
    assert len(await org.entries()) == 1


async def test_request_after_retry_after_is_served(organization: StartOrganization) -> None:
    org = await organization(timed=True)
    caller = await limited(org, "organization", **{REQUESTS: 7, INPUT: 50})
    served = 0
    for words in (1, 20, 3, 40, 2, 9, 30, 1, 1, 25):
        asked = {"messages": [{"role": "user", "content": "word " * words}]}
        answer = await caller.create(**asked)
        if answer.status == 429:
            waited(org, answer)
            answer = await caller.create(**asked)
        assert answer.status == 200
        served += 1
    assert served == len(await org.entries()) == 10


async def test_prompt_larger_than_the_bucket_is_served_by_a_full_one(
    organization: StartOrganization,
) -> None:
    org = await organization(timed=True)
    caller = await limited(org, "organization", **{INPUT: 10})
    asked = {"messages": [{"role": "user", "content": "word " * 30}]}
    answer = await caller.create(**asked)
    assert answer.status == 200
    assert told(answer, "input-tokens")[1] == "0"
    refused = await caller.create(**asked)
    waited(org, refused)
    assert (await caller.create(**asked)).status == 200


async def test_output_is_drawn_while_it_is_produced(organization: StartOrganization) -> None:
    org = await organization(text="word " * 100 + "later " + "word " * 300, tokens_per_second=200)
    caller = await limited(org, "organization", **{OUTPUT: 30})
    running = caller.start("POST", "/v1/messages", {**HELLO, "max_tokens": 400, "stream": True})
    await running.until(b"word")
    answers = [await caller.create(max_tokens=1)]
    while answers[-1].status == 200:
        answers.append(await caller.create(max_tokens=1))
    assert not running.answer.whole
    assert "rate limit of 30 output tokens per minute" in answers[-1].error[2]
    assert told(answers[-1], "output-tokens")[1] == "0"
    # It goes on: what was begun is not cut off. Meanwhile the debt grows.
    await running.until(b"later")
    later = await caller.create(max_tokens=1)
    assert int(later.headers["retry-after"]) > int(answers[-1].headers["retry-after"])
    running.hang_up()
    await running.task


async def test_counting_of_tokens_has_a_limit_of_its_own(organization: StartOrganization) -> None:
    org = await organization({"limits": {"count_requests_per_minute": 2}}, timed=True)
    asked = {"model": "claude-x", "messages": HELLO["messages"]}

    async def count() -> Answer:
        return await org.caller.post("/v1/messages/count_tokens", asked)

    assert told(await count(), "requests")[:2] == ("2", "1")
    invalid = await org.caller.post("/v1/messages/count_tokens", {**asked, "model": "unknown"})
    assert invalid.status == 404
    assert told(invalid, "requests")[:2] == ("2", "1")
    assert told(await count(), "requests")[:2] == ("2", "0")
    refused = await count()
    assert refused.error[:2] == (429, "rate_limit_error")
    assert "rate limit of 2 requests per minute" in refused.error[2]
    assert told(await org.caller.create(), "requests")[:2] == ("1000000", "999999")
    waited(org, refused)
    assert (await count()).status == 200
    assert len(await org.entries()) == 1


BATCHES = "/v1/messages/batches"


async def test_every_call_of_the_batch_endpoints_draws_from_a_limit_of_its_own(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"batch_requests_per_minute": 9}}, timed=True)
    request = {"custom_id": "a", "params": HELLO}
    made = await org.caller.post(BATCHES, {"requests": [request]})
    one = f"{BATCHES}/{made.json['id']}"
    await until_ended(org, made.json["id"])
    org.clock.passes(seconds=60)
    calls = [
        await org.caller.get(BATCHES),
        await org.caller.get(one),
        await org.caller.get(f"{one}/results"),
        await org.caller.post(f"{one}/cancel", b""),
        await org.caller.start("DELETE", one).task,
        await org.caller.post(BATCHES, {"requests": []}),
        await org.caller.get(f"{BATCHES}/msgbatch_unknown"),
    ]
    assert [answer.status for answer in calls] == [200, 200, 200, 400, 200, 400, 404]
    assert [told(answer, "requests")[:2] for answer in calls] == [
        ("9", str(9 - drawn)) for drawn in range(1, 8)
    ]
    assert all("anthropic-ratelimit-tokens-limit" not in answer.headers for answer in calls)
    unread = await org.caller.get(BATCHES, anthropic_version="1999-01-01")
    assert (unread.status, told(unread, "requests")[:2]) == (400, ("9", "2"))
    for _ in range(2):
        await org.caller.get(BATCHES)
    refused = await org.caller.get(BATCHES)
    assert refused.error[:2] == (429, "rate_limit_error")
    assert "rate limit of 9 requests per minute (org: " in refused.error[2]
    assert "model" not in refused.error[2]
    assert told(refused, "requests")[:2] == ("9", "0")
    assert told(await org.caller.create(), "requests")[:2] == ("1000000", "999999")
    waited(org, refused)
    assert (await org.caller.get(BATCHES)).status == 200


async def until_ended(org: Organization, batch_id: str) -> None:
    """Wait for the end of a batch without a call."""
    async with asyncio.timeout(20):
        while True:
            async with org.platform.database.read() as connection:
                batch = await find_batch(connection, None, batch_id)
            if batch is not None and batch.ended_at is not None:
                return
            await asyncio.sleep(0.05)


async def test_request_beyond_the_queue_is_refused_at_once(organization: StartOrganization) -> None:
    limits = {"concurrent_requests": 2, "queued_requests": 1}
    org = await organization({"limits": limits}, replies=[SLOW])
    calls: list[Call] = []
    for _ in range(3):
        calls.append(org.caller.start("POST", "/v1/messages", {**SLOWLY, "stream": True}))
        await asyncio.sleep(0)
    gate = org.platform.models.find("scripted").gate
    await until_one_waits(gate)
    refused = await org.caller.create()
    assert refused.error == (529, "overloaded_error", "Overloaded")
    assert "anthropic-ratelimit-requests-limit" in refused.headers
    # A queued caller that disconnects makes room in the queue.
    calls[2].hang_up()
    await calls[2].task
    assert gate.waiting == 0
    waiting = org.caller.start("POST", "/v1/messages", HELLO)
    await until_one_waits(gate)
    # So does a running one: the queued request enters.
    calls[0].hang_up()
    await calls[0].task
    assert (await waiting.task).status == 200
    calls[1].hang_up()
    await calls[1].task
    entries = await org.entries()
    outcomes = sorted(entry.outcome for entry in entries.values())
    assert outcomes == ["completed", "interrupted", "interrupted"]
    # The one in the line was never admitted.
    assert calls[2].answer.headers.get("request-id") not in entries


async def test_token_counting_has_a_gate_of_its_own(organization: StartOrganization) -> None:
    org = await organization({"limits": {"queued_requests": 0, "count_requests_per_minute": 60}})
    asked = {"model": "claude-x", "messages": [{"role": "user", "content": "Hi"}]}
    gate = org.platform.models.find("scripted").counting
    for _ in range(COUNTED_AT_ONCE):
        await gate.enter()
    refused = await org.caller.post("/v1/messages/count_tokens", asked)
    assert refused.error == (529, "overloaded_error", "Overloaded")
    assert told(refused, "requests")[:2] == ("60", "60")
    assert (await org.caller.create()).status == 200
    gate.leave()
    for _ in range(2):
        assert (await org.caller.post("/v1/messages/count_tokens", asked)).status == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"model": "claude-x", "messages": [], "temprature": 1}, {}),
        ({"model": "claude-x", "messages": 1}, {}),
        (HELLO, {"anthropic_version": "1999-01-01"}),
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_refusal_of_an_unreadable_body_has_the_headers_of_the_limits(
    organization: StartOrganization, path: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    org = await organization()
    refused = await org.caller.post(path, body, **headers)
    assert refused.status == 400
    assert told(refused, "requests")[:2] == ("1000000", "1000000")


async def test_changed_limit_applies_to_the_next_request(organization: StartOrganization) -> None:
    org = await organization(timed=True)
    await org.limit("", **{REQUESTS: 2})
    for _ in range(2):
        assert (await org.caller.create()).status == 200
    assert (await org.caller.create()).status == 429
    await org.limit("", **{REQUESTS: 60})
    answer = await org.caller.create()
    assert answer.status == 200
    assert told(answer, "requests")[0] == "60"


@pytest.mark.parametrize("kind", [REQUESTS, INPUT])
async def test_clients_that_declare_retries_get_successive_slots(
    organization: StartOrganization, kind: str
) -> None:
    org = await organization(timed=True)
    caller = await limited(org, "organization", **{kind: 60 if kind == REQUESTS else 300})
    served = [await caller.create() for _ in range(60)]
    assert all(answer.status == 200 for answer in served)

    async def ask(retries: int) -> Answer:
        return await caller.post("/v1/messages", HELLO, x_stainless_retry_count=str(retries))

    refused = [await ask(0) for _ in range(20)]
    assert [int(answer.headers["retry-after"]) for answer in refused] == list(range(1, 21))
    for _ in refused:
        org.clock.passes(seconds=1)
        # Who is new comes after them, and who says nothing of retries, too.
        assert (await caller.create()).status == 429
        assert (await ask(1)).status == 200
    assert len(await org.entries()) == 80
    assert (await caller.create()).headers["retry-after"] == "1"


async def test_retry_slot_is_given_back_if_the_spend_limit_refuses(
    organization: StartOrganization,
) -> None:
    org = await organization(timed=True, price=PriceSettings(input=Decimal(3), output=Decimal(15)))
    caller = await limited(org, "organization", **{REQUESTS: 1})
    assert (await caller.create()).status == 200
    first = {"x_stainless_retry_count": "0"}
    refused = await caller.post("/v1/messages", HELLO, **first)
    waited(org, refused)
    await org.spend_limit({"type": "organization"}, 1)
    again = await caller.post("/v1/messages", HELLO, x_stainless_retry_count="1")
    assert again.status == 400
    assert told(again, "requests")[:2] == ("1", "1")


async def test_server_that_lost_its_instance_lock_refuses_requests(
    organization: StartOrganization, postgres_url: str
) -> None:
    org = await organization({"database_url": postgres_url})
    assert (await org.caller.create()).status == 200
    heard: list[str | None] = []
    other = await open_database(postgres_url)
    admin = await asyncpg.connect(postgres_url)

    async def serve_too() -> None:
        async with other.instance_lock(heard.append, exclusive=True):
            while (await org.caller.create()).status == 200:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    serving = asyncio.create_task(serve_too())
    waiting = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not await admin.fetchval(f"SELECT count(*) {waiting}"):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    holding = "FROM pg_locks WHERE locktype = 'advisory' AND granted"
    await admin.execute(f"SELECT pg_terminate_backend(pid) {holding}")
    await serving
    await admin.close()
    await other.aclose()
    assert heard == [None]
    refused = await org.caller.create()
    assert refused.error == (529, "overloaded_error", "Overloaded")
    assert len(remaining(refused)) == 12
    away = "the database is away"
    while (ready := await org.caller.get("/ready")).json["reason"] == away:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    assert ready.status == 503
    taken = "another server has used the database meanwhile: start this one again"
    assert (ready.json["status"], ready.json["reason"]) == ("refusing", taken)
    assert ready.json["needs"]["counters"]["reason"] == taken
