"""A search of tools by the server, in one answer: blocks, usage, bills, limits, the cache."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from antiphon.core.billing.usage import TokenCounts
from antiphon.settings import PriceSettings
from support.asgi import Answer
from support.cached_requests import FIVE_MINUTES, system
from support.organization import Organization, StartOrganization
from support.tool_search import LOOK, QUESTION, REGEX, REPLIES, SEARCH, TOOLS, deferred

pytestmark = pytest.mark.anyio

PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
ASKED = {"tools": TOOLS, "messages": [QUESTION]}
NAME = REGEX["name"]


async def opened(organization: StartOrganization, **more: Any) -> Organization:
    return await organization(**{"replies": REPLIES, **more})


def as_message(answer: Answer) -> Any:
    """Fold a stream in the plainest way."""
    message: Any = {}
    for event in answer.events:
        match event:
            case {"type": "message_start", "message": begun}:
                message = begun
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block)
                written = ""
            case {"type": "content_block_delta", "delta": {"text": more}}:
                message["content"][-1]["text"] += more
            case {"type": "content_block_delta", "delta": {"partial_json": more}}:
                written += more
                message["content"][-1]["input"] = json.loads(written) if written[-1] == "}" else {}
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                message |= delta
                message["usage"] |= usage
    return message


def told(answer: Answer) -> TokenCounts:
    usage = answer.json["usage"]
    return TokenCounts(
        input=usage["input_tokens"],
        cache_read=usage["cache_read_input_tokens"],
        cache_write_5m=usage["cache_creation_input_tokens"],
        output=usage["output_tokens"],
    )


async def count(org: Organization, **body: Any) -> int:
    answer = await org.caller.post("/v1/messages/count_tokens", {"model": "claude-x", **body})
    assert answer.status == 200, answer.json
    tokens: int = answer.json["input_tokens"]
    return tokens


@pytest.mark.covers("tools: tool_search_tool_regex, tool_search_tool_bm25", "effect")
@pytest.mark.covers("blocks of an answer: server_tool_use", "effect")
@pytest.mark.covers("blocks of an answer: tool_search_tool_result", "effect")
async def test_model_searches_finds_and_calls_in_one_answer(organization) -> None:
    org = await opened(organization)
    answer = (await org.caller.create(**ASKED)).json
    search, found, text, call = answer["content"][1:]
    assert search["id"].startswith("srvtoolu_01")
    assert search == {
        "type": "server_tool_use",
        "id": search["id"],
        "name": NAME,
        "input": {"pattern": "weather"},
        "caller": {"type": "direct"},
    }
    references = [{"type": "tool_reference", "tool_name": "get_weather"}]
    assert found == {
        "type": "tool_search_tool_result",
        "tool_use_id": search["id"],
        "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": references,
        },
    }
    assert text["text"] == "There."
    assert (call["type"], call["name"], call["input"]) == ("tool_use", LOOK["name"], LOOK["input"])
    assert answer["stop_reason"] == "tool_use"
    assert answer["usage"]["server_tool_use"] == {
        "web_search_requests": 0,
        "web_fetch_requests": 0,
    }


async def test_stream_is_the_same_answer(organization) -> None:
    org = await opened(organization)
    whole, streamed = (
        await org.caller.create(**ASKED),
        await org.caller.create(**ASKED, stream=True),
    )
    one, other = whole.json, as_message(streamed)
    for message in (one, other):
        message["id"] = ""
        for block in message["content"]:
            block.pop("id", None)
            block.pop("tool_use_id", None)
    assert one == other


@pytest.mark.covers("blocks of a request: server_tool_use", "effect")
@pytest.mark.covers("blocks of a request: tool_search_tool_result", "effect")
async def test_answer_comes_back_as_it_is_and_what_was_found_stays(organization) -> None:
    org = await opened(organization)
    answer = (await org.caller.create(**ASKED)).json
    used = {
        "type": "tool_result",
        "tool_use_id": answer["content"][-1]["id"],
        "content": "It rains",
    }
    said = {"role": "assistant", "content": answer["content"]}
    messages = [QUESTION, said, {"role": "user", "content": [used]}]
    following = (await org.caller.create(tools=TOOLS, messages=messages)).json
    assert [block["type"] for block in following["content"]] == ["text"]
    assert following["content"][0]["text"] == "Rain."
    # All that the first answer has read, and the call and its result.
    again = await count(org, tools=TOOLS, messages=messages)
    assert following["usage"]["input_tokens"] == again
    assert following["usage"]["server_tool_use"] is None
    # A tool that was found may be called without another search.
    forced = {"type": "tool", "name": "get_weather"}
    called = await org.caller.create(tools=TOOLS, messages=messages, tool_choice=forced)
    assert called.json["content"][0]["name"] == "get_weather"


async def test_deferred_tools_are_not_in_the_count(organization) -> None:
    org = await opened(organization)
    bare = await count(org, tools=TOOLS[:1], messages=[QUESTION])
    many = [*TOOLS, *(deferred(f"more_{number}", "words " * 50) for number in range(20))]
    assert await count(org, tools=many, messages=[QUESTION]) == bare
    answer = (await org.caller.create(tools=many, messages=[QUESTION], stream=True)).events
    assert answer[0]["message"]["usage"]["input_tokens"] == bare


async def test_each_round_is_counted_and_billed_by_one_entry(organization) -> None:
    org = await opened(organization, price=PRICE)
    answer = await org.caller.create(**ASKED)
    content = answer.json["content"]
    first = await count(org, **ASKED)
    # What the second round has read: the first prompt, the call, and the result.
    paused = {"role": "assistant", "content": content[:3]}
    second = await count(org, tools=TOOLS, messages=[QUESTION, paused])
    assert told(answer).input == first + second
    (entry,) = (await org.entries()).values()
    assert entry.tokens == told(answer)
    assert entry.cost == told(answer).input * 3_000 + told(answer).output * 15_000
    await org.platform.ledger.flush()
    assert (await balance(org)) == (entry.cost, 0)


async def balance(org: Organization) -> tuple[int, int]:
    """Return the nano-dollars that the organization has spent this month, and those held."""
    (one,) = (await org.get("/balances?scope=organization"))["data"]
    return int(Decimal(one["spent"]) * 10**7), int(Decimal(one["held"]) * 10**7)


async def test_further_rounds_read_the_prefix_from_the_cache(organization) -> None:
    org = await opened(organization)
    asked = {**ASKED, "system": system(2000, mark=FIVE_MINUTES)}
    first, second = await org.caller.create(**asked), await org.caller.create(**asked)
    written = told(first).cache_write_5m
    assert written > 2000
    # The first round writes it and the second reads it; later both read it.
    assert told(first).cache_read == written
    assert (told(second).cache_write_5m, told(second).cache_read) == (0, 2 * written)
    assert told(first).input == told(second).input
    entries = await org.entries()
    assert {entry.tokens for entry in entries.values()} == {told(first), told(second)}


LOOPING = [{"text": "", "tool_calls": [SEARCH]}]


@pytest.mark.covers("stop reasons: pause_turn", "effect")
async def test_loop_without_an_end_pauses_and_goes_on(organization) -> None:
    org = await opened(organization, replies=LOOPING)
    answer = (await org.caller.create(**ASKED, max_tokens=1000)).json
    assert answer["stop_reason"] == "pause_turn"
    kinds = [block["type"] for block in answer["content"]]
    assert kinds == ["server_tool_use", "tool_search_tool_result"] * 10
    again = [QUESTION, {"role": "assistant", "content": answer["content"]}]
    following = (await org.caller.create(tools=TOOLS, messages=again, max_tokens=1000)).json
    assert following["stop_reason"] == "pause_turn"


async def test_answer_ends_at_its_limit_in_any_round(organization) -> None:
    org = await opened(organization, replies=LOOPING)
    whole = (await org.caller.create(**ASKED, max_tokens=1000)).json["usage"]["output_tokens"]
    for most in (1, 3, whole // 10, whole // 10 + 1, whole // 10 + 4, whole // 3):
        answer = (await org.caller.create(**ASKED, max_tokens=most)).json
        assert answer["stop_reason"] == "max_tokens"
        assert answer["usage"]["output_tokens"] == most
        # Also a call that was cut has a result, so that the answer can be sent back.
        again = [QUESTION, {"role": "assistant", "content": answer["content"]}]
        following = await org.caller.create(tools=TOOLS, messages=again, max_tokens=1)
        assert following.status == 200, following.json


async def test_answer_ends_where_the_context_is_full(organization) -> None:
    org = await opened(organization, replies=LOOPING)
    size = await count(org, **ASKED)
    small = await opened(organization, replies=LOOPING, context_tokens=size + 50)
    answer = await small.caller.create(**ASKED, max_tokens=1000)
    assert answer.json["stop_reason"] == "model_context_window_exceeded"
    assert answer.json["content"][1]["type"] == "tool_search_tool_result"


async def test_round_that_no_money_is_left_for_pauses_the_answer(organization) -> None:
    org = await opened(organization, price=PRICE)
    worst = (await count(org, **ASKED)) * 3_000 + 100 * 15_000
    await org.spend_limit({"type": "organization"}, worst)
    answer = await org.caller.create(**ASKED)
    assert answer.json["stop_reason"] == "pause_turn"
    assert [block["type"] for block in answer.json["content"]][1:] == [
        "server_tool_use",
        "tool_search_tool_result",
    ]
    (entry,) = (await org.entries()).values()
    assert entry.tokens == told(answer)
    assert entry.cost <= worst


async def test_money_of_further_rounds_is_held_until_the_bill(organization) -> None:
    org = await opened(organization, price=PRICE, tokens_per_second=200)
    await org.spend_limit({"type": "organization"}, 10**9)
    body = {**ASKED, "model": "claude-x", "stream": True, "max_tokens": 100}
    call = org.caller.start("POST", "/v1/messages", body)
    await call.until(b"message_start")
    _, one = await balance(org)
    await call.until(b"There")
    _, two = await balance(org)
    assert two > one > 0
    await call.task
    await org.entries()
    spent, held = await balance(org)
    assert (spent > 0, held) == (True, 0)


async def test_hang_up_in_a_later_round_is_billed_so_far(organization) -> None:
    org = await opened(organization, price=PRICE, tokens_per_second=50)
    body = {**ASKED, "model": "claude-x", "stream": True, "max_tokens": 100}
    call = org.caller.start("POST", "/v1/messages", body)
    await call.until(b"There")
    call.hang_up()
    await call.task
    (entry,) = (await org.entries()).values()
    assert entry.outcome == "interrupted"
    assert entry.tokens.input > await count(org, **ASKED)
    assert (await balance(org)) == (entry.cost, 0)


async def test_batch_searches_too(organization) -> None:
    org = await opened(organization, price=PRICE)
    params = {**ASKED, "model": "claude-x", "max_tokens": 100}
    body = {"requests": [{"custom_id": "a", "params": params}]}
    batch = (await org.caller.post("/v1/messages/batches", body)).json
    async with asyncio.timeout(20):
        while batch["processing_status"] != "ended":
            await asyncio.sleep(0.05)
            batch = (await org.caller.get(f"/v1/messages/batches/{batch['id']}")).json
    results = await org.caller.get(f"/v1/messages/batches/{batch['id']}/results")
    message = json.loads(results.body)["result"]["message"]
    assert [block["type"] for block in message["content"]] == [
        *["text", "server_tool_use", "tool_search_tool_result", "text", "tool_use"]
    ]
    (entry,) = (await org.entries()).values()
    assert entry.tokens.input == message["usage"]["input_tokens"]
    assert (await balance(org)) == (entry.cost, 0)


async def test_errors_of_a_search_are_results(organization) -> None:
    wrong = {"name": NAME, "input": {"pattern": "("}}
    replies = [
        {"when": "Invalid", "text": "Never mind."},
        {"text": "", "tool_calls": [wrong]},
    ]
    org = await opened(organization, replies=replies)
    content = (await org.caller.create(**ASKED)).json["content"]
    assert content[1]["content"] == {
        "type": "tool_search_tool_result_error",
        "error_code": "invalid_tool_input",
        "error_message": "Invalid regular expression pattern: missing ): (",
    }
    assert content[2]["text"] == "Never mind."


async def test_call_of_the_callers_tool_beside_a_search_ends_the_answer(organization) -> None:
    here = {"name": "here", "input_schema": {"type": "object"}}
    replies = [{"text": "", "tool_calls": [{"name": "here"}, SEARCH]}]
    org = await opened(organization, replies=replies)
    answer = (await org.caller.create(tools=[here, *TOOLS], messages=[QUESTION])).json
    assert answer["stop_reason"] == "tool_use"
    kinds = [block["type"] for block in answer["content"]]
    assert kinds == ["tool_use", "server_tool_use", "tool_search_tool_result"]


async def test_custom_tool_with_the_name_of_a_search_is_the_callers(organization) -> None:
    own = {"name": NAME, "input_schema": {"type": "object"}}
    org = await opened(organization, replies=LOOPING)
    answer = (await org.caller.create(tools=[own], messages=[QUESTION])).json
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"][0]["id"].startswith("toolu_")
