"""The prompt cache of a server over the scripted engine: usage, limits, bills, headers."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.billing.usage import TokenCounts
from antiphon.engines.base import EngineConfig, EngineEvent, Prompt, PromptSize
from antiphon.engines.registry import open_engine
from antiphon.engines.scripted import ScriptedEngine
from antiphon.settings import PriceSettings
from antiphon.wire.sse import FrameDecoder
from support.asgi import Answer, Client
from support.cached_requests import (
    FIVE_MINUTES,
    ONE_HOUR,
    system,
    text,
    tools,
    turn,
    usage_of,
)
from support.logs import capture_logs
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

MINIMUM = 1024
PRICE = PriceSettings(input=Decimal(1), output=Decimal(5))
LONG: dict[str, Any] = {"system": system(1000, mark=FIVE_MINUTES), "tools": tools(300)}


@pytest.fixture
def start(organization: StartOrganization) -> Any:
    """Starts an organization whose clock a test moves, over an engine with a prompt cache."""

    async def started(minimum: int = MINIMUM, **more: Any) -> Organization:
        options = {"timed": True, "text": "one two", "cache_minimum_tokens": minimum}
        return await organization(**{**options, **more})

    return started


async def used(caller: Client, **body: Any) -> tuple[int, int, int, int]:
    """Send a request; return its input, read, and what it wrote for minutes and for an hour."""
    answer = await caller.create(**body)
    assert answer.status == 200, answer.json
    return usage_of(answer.json)


# The examples of the specification, by their numbers.


@pytest.mark.covers("usage: cache_creation_input_tokens", "effect")
@pytest.mark.covers("usage: cache_read_input_tokens", "effect")
@pytest.mark.covers("usage: cache_creation", "effect")
@pytest.mark.covers("parameters: cache_control", "effect")
async def test_marked_prefix_is_written_and_then_read(start) -> None:
    caller = (await start()).caller
    assert await used(caller, **LONG, messages=[turn(50)]) == (50, 0, 1300, 0)
    assert await used(caller, **LONG, messages=[turn(70, word="b")]) == (70, 1300, 0, 0)


async def test_changed_system_prompt_is_written_again(start) -> None:
    caller = (await start()).caller
    await used(caller, **LONG, messages=[turn(50)])
    other = {**LONG, "system": system(1000, word="b", mark=FIVE_MINUTES)}
    assert await used(caller, **other, messages=[turn(50)]) == (50, 0, 1300, 0)


async def test_tools_with_a_breakpoint_are_read_when_the_system_prompt_changes(start) -> None:
    caller = (await start(minimum=512)).caller
    body = {"tools": tools(600, mark=FIVE_MINUTES), "messages": [turn(50)]}
    first = system(700, mark=FIVE_MINUTES)
    assert await used(caller, **body, system=first) == (50, 0, 1300, 0)
    other = system(700, word="b", mark=FIVE_MINUTES)
    assert await used(caller, **body, system=other) == (50, 600, 700, 0)


async def test_automatic_breakpoint_moves_with_the_conversation(start) -> None:
    caller = (await start(minimum=512)).caller
    body = {"cache_control": {"type": "ephemeral"}}
    first = turn(900)
    assert await used(caller, **body, messages=[first]) == (0, 0, 900, 0)
    messages = [first, turn(100, "assistant"), turn(40)]
    assert await used(caller, **body, messages=messages) == (0, 900, 140, 0)


async def test_prefix_below_the_minimum_is_plain_input(start) -> None:
    caller = (await start()).caller
    body = {"system": system(800, mark=FIVE_MINUTES), "messages": [turn(50)]}
    for _ in range(2):
        answer = await caller.create(**body)
        assert usage_of(answer.json) == (850, 0, 0, 0)
        assert answer.headers["x-antiphon-cache"] == (
            "read=0; written=0; input=850; reason=below-minimum"
        )


async def test_lifetimes_are_told_apart(start) -> None:
    caller = (await start()).caller
    base = system(1000, mark=ONE_HOUR)
    minimum = {"system": [*base, text(100, mark=ONE_HOUR)]}
    first = turn(400, mark=FIVE_MINUTES)
    body = {**minimum, "messages": [first]}
    assert await used(caller, **body) == (0, 0, 400, 1100)
    later = [turn(400), turn(200, "assistant"), turn(400, mark=FIVE_MINUTES)]
    assert await used(caller, **minimum, messages=later) == (0, 1500, 600, 0)


@pytest.mark.covers("parameters: max_tokens", "effect")
async def test_request_for_no_tokens_writes_the_cache(start) -> None:
    caller = (await start()).caller
    body = {"system": system(5000, mark=FIVE_MINUTES)}
    answer = await caller.create(**body, max_tokens=0, messages=[turn(5)])
    message = answer.json
    assert usage_of(message) == (5, 0, 5000, 0)
    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
    assert message["usage"]["output_tokens"] == 0
    assert await used(caller, **body, messages=[turn(9)]) == (9, 5000, 0, 0)


async def test_requests_that_start_together_all_write(start) -> None:
    caller = (await start(replies=[{"text": "one two", "delay_s": 0.1}])).caller
    body = {**LONG, "messages": [turn(50)]}
    both = await asyncio.gather(used(caller, **body), used(caller, **body))
    assert both == [(50, 0, 1300, 0)] * 2
    assert await used(caller, **body) == (50, 1300, 0, 0)


# Lifetimes.


async def test_entry_ends_five_minutes_after_it_was_read_last(start) -> None:
    office = await start()
    body = {**LONG, "messages": [turn(50)]}
    await used(office.caller, **body)
    for _ in range(3):
        office.clock.passes(minutes=4, seconds=59)
        assert await used(office.caller, **body) == (50, 1300, 0, 0)
    office.clock.passes(minutes=5)
    assert await used(office.caller, **body) == (50, 0, 1300, 0)


async def test_entry_lives_its_time_from_the_beginning_of_its_answer(start) -> None:
    """Otherwise a prompt that is read for minutes would pay for what is over already."""
    office = await start(replies=[{"when": "", "text": "one", "delay_s": 0.5}])
    body = {**LONG, "messages": [turn(50)]}
    first = asyncio.create_task(used(office.caller, **body))
    await asyncio.sleep(0.1)
    office.clock.passes(minutes=6)
    assert await first == (50, 0, 1300, 0)
    office.clock.passes(minutes=4)
    assert await used(office.caller, **body) == (50, 1300, 0, 0)


async def test_entry_of_an_hour_lives_for_an_hour(start) -> None:
    office = await start()
    body = {"system": system(1300, mark=ONE_HOUR), "messages": [turn(50)]}
    assert await used(office.caller, **body) == (50, 0, 0, 1300)
    office.clock.passes(minutes=59)
    assert await used(office.caller, **body) == (50, 1300, 0, 0)
    office.clock.passes(minutes=60)
    assert await used(office.caller, **body) == (50, 0, 0, 1300)


async def test_entry_is_read_from_the_first_event_of_its_answer_on(start) -> None:
    office = await start(tokens_per_second=0.001)
    body = {**LONG, "messages": [turn(50)], "stream": True}
    first = office.caller.start("POST", "/v1/messages", {**_hello(), **body})
    await asyncio.sleep(0.1)
    assert await _started(office.caller, body) == (50, 0, 1300, 0)
    first.hang_up()
    await first.task


def _hello() -> dict[str, Any]:
    return {"model": "claude-x", "max_tokens": 10}


async def _started(caller: Client, body: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return the usage of `message_start`, and hang up."""
    call = caller.start("POST", "/v1/messages", {**_hello(), **body})
    await call.until(b"message_start")
    frames = FrameDecoder().feed(call.answer.body)
    usage = usage_of(json.loads(next(iter(frames)).data)["message"])
    call.hang_up()
    await call.task
    return usage


class Slow(ScriptedEngine):
    """Reads a prompt before it starts, as a model does."""

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        await asyncio.sleep(0.3)
        async with aclosing(super().generate(prompt)) as events:
            async for event in events:
                yield event


def _slow_down(office: Organization) -> None:
    office.platform.models.find("scripted").engine().__class__ = Slow


# What fails leaves nothing.


@pytest.mark.parametrize("stream", [False, True])
async def test_failed_request_leaves_no_entry_and_costs_nothing(start, stream: bool) -> None:
    office = await start(replies=[{"when": "b", "error": "failed"}])
    answer = await office.caller.create(**LONG, messages=[turn(50, word="b")], stream=stream)
    assert answer.status == 500
    assert await used(office.caller, **LONG, messages=[turn(50)]) == (50, 0, 1300, 0)
    entries = sorted((one.outcome, one.tokens) for one in (await office.entries()).values())
    assert entries == [
        ("completed", TokenCounts(input=50, cache_write_5m=1300, output=3)),
        ("failed", TokenCounts()),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_caller_that_leaves_before_the_answer_begins_leaves_no_entry(
    start, stream: bool
) -> None:
    office = await start(replies=[{"when": "b", "delay_s": 300}, {"text": "one two"}])
    body = {**_hello(), **LONG, "messages": [turn(50, word="b")], "stream": stream}
    call = office.caller.start("POST", "/v1/messages", body)
    await asyncio.sleep(0.2)
    call.hang_up()
    await call.task
    assert await used(office.caller, **LONG, messages=[turn(50)]) == (50, 0, 1300, 0)


async def test_refused_request_leaves_no_entry(start) -> None:
    office = await start()
    await office.limit("", input_tokens_per_minute_cache_aware=1500)
    await used(office.caller, messages=[turn(200)])
    refused = await office.caller.create(**LONG, messages=[turn(50)])
    assert refused.status == 429
    await office.limit("", input_tokens_per_minute_cache_aware=100_000)
    office.clock.passes(minutes=1)
    assert await used(office.caller, **LONG, messages=[turn(50)]) == (50, 0, 1300, 0)


@pytest.mark.parametrize("refusal", ["rate limit", "spend limit"])
async def test_refused_request_does_not_refresh_what_it_would_have_read(start, refusal) -> None:
    office = await start(price=PRICE)
    body = {**LONG, "messages": [turn(50)]}
    await used(office.caller, **body)
    office.clock.passes(minutes=4)
    if refusal == "rate limit":
        await office.limit("", requests_per_minute=1)
        await used(office.caller, messages=[turn(50)])
        assert (await office.caller.create(**body)).status == 429
    else:
        await office.spend_limit({"type": "organization"}, 1)
        assert (await office.caller.create(**body)).status == 400
        await office.spend_limit({"type": "organization"}, 10**12)
    office.clock.passes(minutes=1)
    assert await used(office.caller, **body) == (50, 0, 1300, 0)


# Isolation.


async def test_workspaces_share_nothing(start) -> None:
    office = await start()
    guest, _, _ = await office.guest()
    body = {**LONG, "messages": [turn(50)]}
    assert await used(office.caller, **body) == (50, 0, 1300, 0)
    assert await used(guest, **body) == (50, 0, 1300, 0)
    assert await used(guest, **body) == (50, 1300, 0, 0)


async def test_prompts_have_a_salt_of_their_workspace(start) -> None:
    salts: list[str] = []

    class Noting(ScriptedEngine):
        def generate(self, prompt: Any) -> Any:
            salts.append(prompt.cache_salt)
            return super().generate(prompt)

    async def open_noting(name: str, config: EngineConfig) -> Any:
        engine = await open_engine(name, config)
        engine.__class__ = Noting
        return engine

    office = await start(open_engine=open_noting)
    guest, workspace, _ = await office.guest()
    for caller in (office.caller, office.caller, guest):
        await used(caller, messages=[turn(50)])
    assert salts[0] == salts[1] != salts[2]
    assert all(len(salt) == 64 for salt in salts)
    assert workspace not in salts[2]


# Limits and bills.


async def test_reads_are_free_of_the_input_limit(start) -> None:
    office = await start()
    await office.limit("", input_tokens_per_minute_cache_aware=1500)
    body = {**LONG, "messages": [turn(50)]}
    assert await used(office.caller, **body) == (50, 0, 1300, 0)
    for _ in range(3):
        # 150 tokens are left.
        assert await used(office.caller, **body) == (50, 1300, 0, 0)
    refused = await office.caller.create(**body)
    assert refused.status == 429


async def test_planned_reads_are_not_drawn_before_the_answer_starts(start) -> None:
    office = await start()
    await office.limit("", input_tokens_per_minute_cache_aware=1500)
    await used(office.caller, **LONG, messages=[turn(50)])
    _slow_down(office)
    late = asyncio.create_task(used(office.caller, **LONG, messages=[turn(50)]))
    # Output is drawn, and all corrections, every 50 ms.
    await asyncio.sleep(0.15)
    assert not late.done()
    assert await used(office.caller, messages=[turn(90)]) == (90, 0, 0, 0)
    assert await late == (50, 1300, 0, 0)


async def test_bill_is_the_usage(start) -> None:
    office = await start(price=PRICE)
    body = {"system": [*system(1100, mark=ONE_HOUR), text(200, mark=FIVE_MINUTES)]}
    for words in (40, 50):
        await used(office.caller, **body, messages=[turn(words)])
    bills = sorted((await office.entries()).values(), key=lambda one: one.tokens.input)
    assert [one.tokens for one in bills] == [
        TokenCounts(input=40, cache_write_5m=200, cache_write_1h=1100, output=3),
        TokenCounts(input=50, cache_read=1300, output=3),
    ]
    written, read = (one.cost for one in bills)
    assert written == 40 * 1000 + 200 * 1250 + 1100 * 2000 + 3 * 5000
    assert read == 50 * 1000 + 1300 * 100 + 3 * 5000


async def test_worst_case_is_held_as_if_nothing_were_read(start) -> None:
    office = await start(price=PRICE)
    body = {**LONG, "messages": [turn(50)], "max_tokens": 10}
    await used(office.caller, **body)
    spent = 50 * 1000 + 1300 * 1250 + 3 * 5000
    worst = 1350 * 1250 + 10 * 5000
    await office.spend_limit({"type": "organization"}, spent + worst - 1)
    assert (await office.caller.create(**body)).status == 400
    await office.spend_limit({"type": "organization"}, spent + worst)
    assert await used(office.caller, **body) == (50, 1300, 0, 0)


# Streams.


async def test_stream_has_the_usage_of_a_whole_answer(start) -> None:
    office = await start()
    body = {**LONG, "messages": [turn(50)]}
    await used(office.caller, **body)
    whole = await office.caller.create(**body)
    streamed = await office.caller.create(**body, stream=True)
    begin, end = streamed.events[0]["message"], streamed.events[-2]
    assert usage_of(begin) == usage_of(whole.json) == (50, 1300, 0, 0)
    assert end["usage"]["cache_read_input_tokens"] == 1300
    assert end["usage"]["cache_creation_input_tokens"] == 0
    assert end["usage"]["input_tokens"] == 50
    for answer in (whole, streamed):
        assert answer.headers["x-antiphon-cache"] == "read=1300; from=memory; written=0; input=50"


# The header, and what an engine lacks.


def cache_header(answer: Answer) -> str | None:
    return answer.headers.get("x-antiphon-cache")


async def test_header_tells_why_no_more_was_read(start) -> None:
    office = await start(kept_prefixes=1)
    body = {**LONG, "messages": [turn(50)]}
    assert "less_cached_than_planned" not in (await office.caller.get("/ready")).json
    for reason in ("; reason=no-entry", ""):
        read = 0 if reason else 1300
        answer = await office.caller.create(**body)
        place = "; from=memory" if read else ""
        told = f"read={read}{place}; written={1300 - read}; input=50{reason}"
        assert cache_header(answer) == told
    # The engine has room for one prefix.
    await used(office.caller, system=system(1200, mark=FIVE_MINUTES), messages=[turn(50)])
    answer = await office.caller.create(**body)
    assert cache_header(answer) == "read=0; written=1300; input=50; reason=engine-had-less"
    ready = await office.caller.get("/ready")
    assert ready.json["less_cached_than_planned"] == {"engine-had-less": 1}


async def test_thoughts_that_a_template_takes_back_are_no_fault(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = await start()
    body = {**LONG, "messages": [turn(50)]}
    await used(office.caller, **body)
    confirmed = ScriptedEngine._confirmed
    for reused, stays, reason in (
        (710, 700, "thoughts-taken-back"),
        (700, 900, "engine-had-less"),
        (700, 0, "engine-had-less"),
        (0, 700, "engine-had-less"),
    ):
        monkeypatch.setattr(
            ScriptedEngine,
            "_confirmed",
            lambda self, counted, had=(reused, stays): replace(
                confirmed(self, counted), reused=had[0], stays=had[1]
            ),
        )
        answer = await office.caller.create(**body)
        assert (cache_header(answer) or "").endswith(f"reason={reason}")
    assert office.platform.caching.shortfalls == {"engine-had-less": 3}


async def test_prefix_that_the_engine_does_not_keep_is_plain_input(start) -> None:
    office = await start(minimum=512, kept_prefixes=1)
    body = {"tools": tools(600, mark=FIVE_MINUTES), "messages": [turn(50)]}
    body["system"] = system(700, mark=FIVE_MINUTES)
    answer = await office.caller.create(**body)
    assert usage_of(answer.json) == (50, 0, 1300, 0)
    assert cache_header(answer) == "read=0; written=1300; input=50; reason=engine-kept-less"
    assert office.platform.caching.shortfalls == {"engine-kept-less": 1}


async def test_engine_without_a_prompt_cache_reads_plain_input(start) -> None:
    office = await start(kept_prefixes=0)
    for _ in range(2):
        answer = await office.caller.create(**LONG, messages=[turn(50)])
        assert usage_of(answer.json) == (1350, 0, 0, 0)
        assert cache_header(answer) == "read=0; written=0; input=1350; reason=engine-keeps-none"


async def test_log_line_has_what_was_read_and_written(start) -> None:
    office = await start()
    with capture_logs() as lines:
        for _ in range(2):
            await used(office.caller, **LONG, messages=[turn(50)])
        await used(office.caller, messages=[turn(50)])
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    told = [tuple(line.get(name) for name in names) for line in lines]
    assert told == [(1350, 0, 1300), (1350, 1300, 0), (50, None, None)]


async def test_shortfall_is_logged_without_content(start) -> None:
    office = await start(kept_prefixes=1)
    await used(office.caller, **LONG, messages=[turn(50)])
    await used(office.caller, system=system(1200, mark=FIVE_MINUTES), messages=[turn(50)])
    with capture_logs() as lines:
        answer = await office.caller.create(**LONG, messages=[turn(50)])
    assert lines[0] == {
        "event": "less cached than planned",
        "log_level": "warning",
        "request_id": answer.headers["request-id"],
        "model": "scripted",
        "reason": "engine-had-less",
        "planned_reads": 1300,
        "reads": 0,
        "reused": 0,
        "planned_writes": 0,
        "writes": 1,
    }


async def test_request_without_breakpoints_has_no_header(start) -> None:
    answer = await (await start()).caller.create(messages=[turn(50)])
    assert cache_header(answer) is None


async def test_stream_that_opens_before_its_start_tells_the_plan(start) -> None:
    office = await start(settings={"ping_interval_s": 0.05})
    body = {**LONG, "messages": [turn(50)]}
    await used(office.caller, **body)
    _slow_down(office)
    answer = await office.caller.create(**body, stream=True)
    assert cache_header(answer) == "planned=1300"
    begin = next(one for one in answer.events if one["type"] == "message_start")
    assert usage_of(begin["message"]) == (50, 1300, 0, 0)


# Several engines.


def routed(*engines: dict[str, Any], weights: tuple[int, ...] = (1, 1)) -> dict[str, Any]:
    tables = [
        {"engine": "scripted", "weight": weight, "options": {"text": "one two", **options}}
        for weight, options in zip(weights, engines, strict=True)
    ]
    return {"id": "scripted", "aliases": ["claude-*"], "engines": tables}


async def test_prompts_that_begin_alike_find_what_one_of_several_engines_keeps(gateway) -> None:
    caller = await gateway(routed({}, {}))
    body = {**LONG, "messages": [turn(50)]}
    usages = [await used(caller, **body) for _ in range(4)]
    assert usages == [(50, 0, 1300, 0), *[(50, 1300, 0, 0)] * 3]


async def test_engine_that_answers_decides_what_is_read(gateway) -> None:
    caller = await gateway(routed({"kept_prefixes": 1}, {"kept_prefixes": 1}))
    body = {**LONG, "messages": [turn(50)]}
    assert await used(caller, **body) == (50, 0, 1300, 0)
    # The index knows the first entry, and its engine has lost it to others.
    for number in range(8):
        await caller.create(**{**body, "system": system(1001 + number, mark=FIVE_MINUTES)})
    answer = await caller.create(**body)
    assert usage_of(answer.json) == (50, 0, 1300, 0)
    assert cache_header(answer) == "read=0; written=1300; input=50; reason=engine-had-less"


async def test_engine_without_a_prompt_cache_among_others_reads_plain_input(gateway) -> None:
    caller = await gateway(routed({}, {"kept_prefixes": 0}, weights=(0, 1)))
    body = {**LONG, "messages": [turn(50)]}
    assert [await used(caller, **body) for _ in range(2)] == [(1350, 0, 0, 0)] * 2


# Faults of an engine.


async def test_sizes_that_cannot_be_are_no_reason_to_refuse(start) -> None:
    class Wrong(ScriptedEngine):
        async def measure(self, prompt: Prompt) -> PromptSize:
            size = await super().measure(prompt)
            return PromptSize(size.tokens, (size.tokens + 1,))

    office = await start()
    office.platform.models.find("scripted").engine().__class__ = Wrong
    # The confirmation has the true sizes, and counts.
    assert await used(office.caller, **LONG, messages=[turn(50)]) == (50, 0, 1300, 0)
