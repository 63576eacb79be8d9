import asyncio
import json

import pytest

from antiphon.engines.base import EngineErrorKind
from support.asgi import HELLO, Client
from support.requests import CITATION

pytestmark = pytest.mark.anyio

TEXT = "One two three END four five."


@pytest.mark.covers("routes: POST /v1/messages", "effect")
@pytest.mark.covers("parameters: model", "effect")
@pytest.mark.covers("parameters: messages", "effect")
@pytest.mark.covers("messages: string content", "effect")
@pytest.mark.covers("blocks of a request: text", "effect")
@pytest.mark.covers("blocks of an answer: text", "effect")
@pytest.mark.covers("stop reasons: end_turn", "effect")
@pytest.mark.covers("usage: input_tokens", "effect")
@pytest.mark.covers("usage: output_tokens", "effect")
@pytest.mark.covers("usage: output_tokens_details", "shape")
@pytest.mark.covers("usage: cache_creation_input_tokens", "shape")
@pytest.mark.covers("usage: cache_read_input_tokens", "shape")
@pytest.mark.covers("usage: cache_creation", "shape")
@pytest.mark.covers("usage: server_tool_use", "shape")
@pytest.mark.covers("usage: service_tier", "shape")
@pytest.mark.covers("usage: inference_geo", "shape")
@pytest.mark.covers("headers: x-api-key", "effect")
async def test_an_answer_has_every_field_of_the_wire(client) -> None:
    answer = await (await client(text="Hello there.")).create()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-antiphon-model"] == "scripted"
    assert answer.headers["request-id"].startswith("req_011C")
    message = answer.json
    assert message.pop("id").startswith("msg_01")
    assert message == {
        "model": "claude-x",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hello there.", "citations": []}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 0},
            "server_tool_use": None,
            "service_tier": "standard",
            "inference_geo": "not_available",
        },
        "container": None,
        "diagnostics": None,
    }


@pytest.mark.covers("routes: POST /v1/messages, stream", "effect")
@pytest.mark.covers("parameters: stream", "effect")
@pytest.mark.covers("events: message_start", "effect")
@pytest.mark.covers("events: content_block_start", "effect")
@pytest.mark.covers("events: text_delta", "effect")
@pytest.mark.covers("events: content_block_stop", "effect")
@pytest.mark.covers("events: message_delta", "effect")
@pytest.mark.covers("events: message_stop", "effect")
async def test_a_stream_follows_the_grammar(client) -> None:
    answer = await (await client(text="Hello there.")).create(stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    kinds = [event["type"] for event in answer.events]
    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("changes", [{}, {"stop_sequences": ["END"]}, {"max_tokens": 2}])
async def test_a_stream_carries_the_same_message_as_json(client, changes) -> None:
    caller: Client = await client(text=TEXT)
    whole = (await caller.create(**changes)).json
    events = (await caller.create(**changes, stream=True)).events
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"]
    ending = next(event for event in events if event["type"] == "message_delta")
    assert ending["delta"]["stop_reason"] == whole["stop_reason"]
    assert ending["delta"]["stop_sequence"] == whole["stop_sequence"]
    assert ending["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


@pytest.mark.covers("parameters: stop_sequences", "effect")
@pytest.mark.covers("stop reasons: stop_sequence", "effect")
async def test_a_stop_sequence_is_named_and_not_in_the_text(client) -> None:
    message = (await (await client(text=TEXT)).create(stop_sequences=["four", "END"])).json
    assert message["content"][0]["text"] == "One two three "
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.covers("parameters: max_tokens", "effect")
@pytest.mark.covers("stop reasons: max_tokens", "effect")
async def test_max_tokens_ends_the_answer(client) -> None:
    message = (await (await client(text=TEXT)).create(max_tokens=2)).json
    assert message["stop_reason"] == "max_tokens"
    assert message["usage"]["output_tokens"] == 2


@pytest.mark.covers("stop reasons: model_context_window_exceeded", "effect")
async def test_a_full_context_ends_the_answer(client) -> None:
    message = (await (await client(text=TEXT, context_tokens=7)).create()).json
    assert message["stop_reason"] == "model_context_window_exceeded"


async def test_a_prompt_longer_than_the_context_is_refused(client) -> None:
    answer = await (await client(context_tokens=5)).create()
    assert answer.error == (
        400,
        "invalid_request_error",
        "prompt is too long: 5 tokens > 4 maximum",
    )


async def test_an_empty_answer_has_no_blocks(client) -> None:
    caller: Client = await client(text="")
    message = (await caller.create()).json
    assert (message["content"], message["stop_reason"]) == ([], "end_turn")
    assert message["usage"]["output_tokens"] == 1


@pytest.mark.covers("messages: prefill", "effect")
@pytest.mark.covers("messages: many turns", "effect")
async def test_a_prefill_is_continued_and_not_repeated(client) -> None:
    messages = [*HELLO["messages"], {"role": "assistant", "content": "One two"}]
    message = (await (await client(text=TEXT)).create(messages=messages)).json
    assert message["content"][0]["text"] == " three END four five."


@pytest.mark.covers("routes: POST /v1/messages/count_tokens", "effect")
@pytest.mark.covers("parameters: system", "effect")
@pytest.mark.covers("messages: same-role turns", "effect")
@pytest.mark.covers("messages: role system", "effect")
async def test_count_tokens_is_what_the_same_message_is_billed(client) -> None:
    caller: Client = await client()
    asked = {
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "user", "content": [{"type": "text", "text": "there"}]},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "More"},
            {"role": "system", "content": "Now be long."},
        ],
    }
    counted = await caller.post("/v1/messages/count_tokens", {"model": "claude-x", **asked})
    billed = (await caller.create(**asked)).json["usage"]["input_tokens"]
    assert counted.json == {"input_tokens": billed}


async def test_count_tokens_takes_no_max_tokens(client) -> None:
    answer = await (await client()).post("/v1/messages/count_tokens", HELLO)
    assert answer.error[2] == "max_tokens: Extra inputs are not permitted"


@pytest.mark.covers("errors: overloaded_error", "effect")
@pytest.mark.covers("errors: timeout_error", "effect")
@pytest.mark.covers("errors: api_error", "effect")
@pytest.mark.covers("headers: x-should-retry", "effect")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (EngineErrorKind.OVERLOADED, (529, "overloaded_error", "Overloaded")),
        (EngineErrorKind.TIMEOUT, (504, "timeout_error", "Request timeout")),
        (EngineErrorKind.FAILED, (500, "api_error", "Internal server error")),
        (EngineErrorKind.UNSUPPORTED, (400, "invalid_request_error", "the script says so")),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_token_is_an_http_error(
    client, kind, expected, stream
) -> None:
    caller: Client = await client(replies=[{"error": kind}])
    answer = await caller.create(stream=stream)
    assert answer.error == expected
    assert answer.headers["x-should-retry"] == ("false" if expected[0] == 400 else "true")


@pytest.mark.covers("events: error", "effect")
async def test_a_failure_after_the_first_token_is_the_last_event(client) -> None:
    caller: Client = await client(replies=[{"error": "failed", "after": 2}])
    answer = await caller.create(stream=True)
    assert answer.status == 200
    events = answer.events
    assert [event["type"] for event in events][-3:] == [
        "content_block_delta",
        "content_block_delta",
        "error",
    ]
    assert events[-1]["error"] == {
        "type": "api_error",
        "message": "Internal server error",
        "details": None,
    }
    assert events[-1]["request_id"] == answer.headers["request-id"]
    assert answer.whole


@pytest.mark.covers("events: ping", "effect")
async def test_silence_before_the_first_token_is_filled_with_pings(client) -> None:
    caller: Client = await client(
        {"ping_interval_s": 0.01}, replies=[{"text": "At last.", "delay_s": 0.5}]
    )
    kinds = [event["type"] for event in (await caller.create(stream=True)).events]
    assert kinds[:4] == ["message_start", "ping", "ping", "ping"]
    assert kinds[-1] == "message_stop"


async def test_a_failure_after_a_long_silence_is_an_event(client) -> None:
    caller: Client = await client(
        {"ping_interval_s": 0.01}, replies=[{"error": "overloaded", "delay_s": 0.05}]
    )
    answer = await caller.create(stream=True)
    assert answer.status == 200
    assert answer.events[-1]["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_hanging_up_stops_the_engine(platform, stream) -> None:
    from antiphon.server.app import build_app  # noqa: PLC0415

    started = await platform(text="word " * 1000, tokens_per_second=20)
    caller = Client(build_app(started))
    call = caller.start("POST", "/v1/messages", {**HELLO, "max_tokens": 1000, "stream": stream})
    if stream:
        await call.until(b"content_block_delta")
    else:
        await asyncio.sleep(0)
    call.hang_up()
    await asyncio.wait_for(call.task, 5)
    assert not call.answer.whole
    assert [task for task in asyncio.all_tasks() if "generate" in repr(task)] == []


async def test_a_slow_reader_slows_the_engine_down() -> None:
    """However long the answer, only so much of it waits in memory."""
    from antiphon.server.http.responses import MOST_WAITING, Feed  # noqa: PLC0415

    made = 0

    async def generate(take) -> None:
        nonlocal made
        while True:
            made += 1
            if (full := take([made])) is not None:
                await full

    async with Feed(generate) as feed:
        await asyncio.sleep(0.01)
        assert made == MOST_WAITING
        assert len(await feed.following(1)) == MOST_WAITING


@pytest.mark.covers("errors: invalid_request_error", "effect")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"model": 1}', b"null", b"[" * 100_000, b'"x"'],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_a_bad_body_is_a_400_in_the_envelope(shared_client, path, body) -> None:
    answer = await (await shared_client()).post(path, body)
    assert answer.error[:2] == (400, "invalid_request_error")


@pytest.mark.covers("errors: request_too_large", "effect")
async def test_a_body_over_the_limit_is_a_413(client) -> None:
    caller: Client = await client({"max_body_bytes": 1024})
    whole = await caller.post("/v1/messages", b" " * 1025)
    announced = await caller.post("/v1/messages", b"", content_length="1025")
    pieces = await caller.post("/v1/messages", [b" " * 1000, b" " * 25])
    expected = (413, "request_too_large", "Request exceeds the maximum size")
    assert whole.error == announced.error == pieces.error == expected


async def test_a_body_in_pieces_is_put_together(client) -> None:
    body = json.dumps(HELLO).encode()
    answer = await (await client()).post("/v1/messages", [body[:10], body[10:11], body[11:]])
    assert answer.status == 200


async def test_sampling_parameters_are_accepted_by_the_old_version_only(client) -> None:
    caller: Client = await client()
    old = await caller.create(temperature=0, top_p=0.5, top_k=3)
    body = {**HELLO, "temperature": 1}
    new = await caller.post("/v1/messages", body, anthropic_version="2026-10-21")
    assert old.status == 200
    assert new.error[2] == "temperature: Extra inputs are not permitted"


@pytest.mark.covers("errors: not_found_error", "effect")
async def test_an_unknown_model_is_a_404_with_its_name(client) -> None:
    answer = await (await client()).create(model="gpt-1")
    assert answer.error == (404, "not_found_error", "model: gpt-1")


@pytest.mark.covers("parameters: service_tier", "ignored")
@pytest.mark.covers("parameters: context_management", "ignored")
@pytest.mark.covers("parameters: safeguards", "ignored")
@pytest.mark.covers("headers: anthropic-user-profile-id", "ignored")
async def test_ignored_parameters_change_nothing(client) -> None:
    caller = await client()
    plain = (await caller.create()).json
    body = {
        **HELLO,
        "service_tier": "standard_only",
        "context_management": {"edits": []},
        "safeguards": [],
        "speed": "standard",
    }
    headers = {"anthropic_user_profile_id": "uprof_1"}
    answer = (await caller.post("/v1/messages", body, **headers)).json
    assert answer | {"id": plain["id"]} == plain


@pytest.mark.covers("parameters: container", "refused")
@pytest.mark.covers("parameters: inference_geo", "refused")
@pytest.mark.covers("parameters: speed", "refused")
@pytest.mark.covers("parameters: mcp_servers", "refused")
@pytest.mark.covers("parameters: fallbacks", "refused")
@pytest.mark.covers("parameters: compaction", "refused")
@pytest.mark.covers("parameters: output_config.task_budget", "refused")
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("container", "container_01", "container: Container identifier can only be provided "),
        ("inference_geo", "us", "inference_geo: not supported for this model."),
        ("speed", "fast", "speed: 'fast' is not supported for this model."),
        ("mcp_servers", [], "mcp_servers: Extra inputs are not permitted"),
        ("fallbacks", "default", "fallbacks: Extra inputs are not permitted"),
        ("fallback_credit_token", "x", "fallback_credit_token: Extra inputs are not permitted"),
        ("compaction", {"type": "summarize"}, "compaction: Extra inputs are not permitted"),
        ("billing_policy", {}, "billing_policy: Extra inputs are not permitted"),
        (
            "output_config",
            {"task_budget": {"type": "tokens", "total": 20_000}},
            "output_config.task_budget: Extra inputs are not permitted",
        ),
        (
            "thinking",
            {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}},
            "thinking.adaptive.block_binding: Extra inputs are not permitted",
        ),
    ],
)
async def test_parameter_that_is_not_offered_is_refused_by_name(
    shared_client, name, value, sentence
) -> None:
    status, kind, message = (await (await shared_client()).create(**{name: value})).error
    assert (status, kind) == (400, "invalid_request_error")
    assert message.startswith(sentence)


@pytest.mark.covers("headers: content-type: charset", "effect")
@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("application/json", None),
        ("application/json; charset=utf-8", None),
        ("application/json;CHARSET=UTF8", None),
        ('text/plain; x=y; charset="us-ascii"', None),
        ("application/x-www-form-urlencoded", None),
        ("nonsense", None),
        ("", None),
        ("application/json; charset=utf-16", "utf-16"),
        ('application/json; charset="koi8-r"; x=y', "koi8-r"),
        ("application/json; charset=", ""),
    ],
)
async def test_body_is_read_in_its_charset_or_as_utf_8(
    shared_client, content_type, charset
) -> None:
    caller: Client = await shared_client()
    answer = await caller.post("/v1/messages", HELLO, content_type=content_type)
    if charset is None:
        assert answer.status == 200
        return
    sentence = (
        f"Content-Type charset '{charset}' is not supported. Send the body without one, or in "
        "'utf-8', 'iso-8859-1' or 'us-ascii'."
    )
    assert answer.error == (400, "invalid_request_error", sentence)
    assert answer.json["error"]["details"] == {"error_code": "unsupported_charset"}


async def test_a_body_in_latin_1_is_read_as_such(client) -> None:
    caller: Client = await client(echo=True)
    body = json.dumps({**HELLO, "messages": [{"role": "user", "content": "\u00e9"}]})
    raw = body.replace("\\u00e9", "\u00e9").encode("latin-1")
    assert b"\xe9" in raw
    labelled = "application/json; charset=ISO-8859-1"
    answer = await caller.post("/v1/messages", raw, content_type=labelled)
    assert answer.json["content"][0]["text"] == "\u00e9"
    assert (await caller.post("/v1/messages", raw)).status == 400


@pytest.mark.covers("parameters: thread", "refused")
async def test_a_thread_is_refused_with_the_code_that_the_sdk_reads(client) -> None:
    caller = await client()
    answer = await caller.create(thread={"type": "create"})
    assert answer.error == (400, "invalid_request_error", "thread: this server keeps no threads")
    assert answer.json["error"]["details"] == {
        "error_code": "thread_unsupported_request",
        "unsupported": ["thread"],
    }


async def test_error_without_a_code_has_null_details(client) -> None:
    caller = await client()
    answer = await caller.create(messages=[])
    assert list(answer.json) == ["type", "error", "request_id"]
    assert list(answer.json["error"].items()) == [
        ("type", "invalid_request_error"),
        ("message", "messages: at least one message is required"),
        ("details", None),
    ]


async def test_a_malformed_sampling_parameter_is_an_unknown_key_too(client) -> None:
    caller = await client()
    body = {**HELLO, "temperature": "warm"}
    answer = await caller.post("/v1/messages", body, anthropic_version="2026-10-21")
    assert answer.error[2] == "temperature: Extra inputs are not permitted"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_rules_of_the_newer_version_hold_for_messages_and_token_counts(client, path) -> None:
    cited = {"type": "text", "text": "a", "citations": [CITATION]}
    body = {"model": "claude-x", "messages": [{"role": "user", "content": [cited]}]}
    if path == "/v1/messages":
        body["max_tokens"] = 8
    caller = await client()
    answer = await caller.post(path, body, anthropic_version="2026-10-21")
    assert answer.error[2] == "messages.0.content.0.text.citations: Extra inputs are not permitted"
    assert (await caller.post(path, body)).status == 200


async def test_request_of_claude_code_is_answered(client) -> None:
    caller = await client()
    answer = await caller.post(
        "/v1/messages?beta=true",
        {
            **HELLO,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "system", "content": "It is raining."},
                {"role": "system", "content": [], "output_config": {"effort": "medium"}},
            ],
            "thinking": {"type": "adaptive", "display": "updates"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "output_config": {"effort": "max"},
            "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {}}],
            "tools": [],
        },
        anthropic_beta="claude-code-20250219,context-management-2025-06-27",
    )
    assert answer.status == 200


@pytest.mark.covers("headers: anthropic-workspace-id", "effect")
async def test_header_of_another_workspace_is_refused(client) -> None:
    caller = await client()
    answer = await caller.create()
    workspace = answer.headers["anthropic-workspace-id"]
    assert workspace.startswith("wrkspc_")
    named = await caller.post("/v1/messages", HELLO, anthropic_workspace_id=workspace)
    assert named.status == 200
    refused = await caller.post("/v1/messages", HELLO, anthropic_workspace_id="wrkspc_1")
    assert refused.error[:2] == (403, "permission_error")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "header"),
    [
        ("meta/small:8b Q4", "meta/small:8b Q4"),
        ("mod\u00e8le-\u6a21\u578b", "mod%C3%A8le-%E6%A8%A1%E5%9E%8B"),
        ("a\nb\x7f\x9b", "a%0Ab%7F%C2%9B"),
    ],
)
async def test_any_id_of_a_model_stands_in_its_header(
    gateway, model: str, header: str, *, stream: bool
) -> None:
    caller = await gateway({"id": model, "engine": "scripted"})
    answer = await caller.create(model=model, stream=stream)
    assert (answer.status, answer.headers["x-antiphon-model"]) == (200, header)
