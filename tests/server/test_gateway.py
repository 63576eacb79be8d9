"""What Claude Code asks of a gateway: its list of models, its waits, its odd requests."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.registry import open_engine
from antiphon.engines.states import EngineSpeeds, EngineState
from antiphon.server.app import build_app
from antiphon.service.platform import Platform
from antiphon.settings import ModelSettings
from support.asgi import HELLO, Client

pytestmark = pytest.mark.anyio

AGENT = "claude-cli/2.1.330 (external, cli)"
LISTED = "/v1/models?limit=1000"
BETAS = (
    "claude-code-20250219",
    "interleaved-thinking-2025-05-14",
    "context-management-2025-06-27",
    "effort-2025-11-24",
    "thinking-token-count-2026-05-13",
    "advanced-tool-use-2025-11-20",
    "mid-conversation-tool-changes-2026-07-01",
    "per-turn-control-2026-07-01",
    "thinking-display-updates-2026-08-18",
    "structured-outputs-2025-12-15",
    "redact-thinking-2026-02-12",
    "dangerous-tool-use-2026-09-03",
    "afk-mode-2026-01-31",
    "prompt-caching-scope-2026-01-05",
    "mid-conversation-system-2026-04-07",
    "context-1m-2025-08-07",
    "a-name-of-next-month-2027-01-01",
)
# Each part of a body as Claude Code sends it, beside what every body has.
BODIES: dict[str, dict[str, Any]] = {
    "system in blocks behind its attribution": {
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330; cch=1a2b3;"},
            {"type": "text", "text": "You are.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Do.", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
        ]
    },
    "empty system message with an effort": {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "system", "content": [], "output_config": {"effort": "medium"}},
        ]
    },
    "system message with a text and an effort": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {
                "role": "system",
                "content": [
                    {"type": "text", "text": "Env", "cache_control": {"type": "ephemeral"}}
                ],
                "output_config": {"effort": "xhigh"},
            },
        ]
    },
    "most tokens of a Claude model": {"max_tokens": 128_000},
    "no tools": {"tools": []},
    "tools late": {
        "tools": [
            {"name": "Read", "input_schema": {"type": "object", "properties": {}}},
            {
                "name": "Late",
                "description": "Comes later.",
                "input_schema": {"type": "object", "properties": {}},
                "defer_loading": True,
            },
        ]
    },
    "keywords of its schemas": {
        "tools": [
            {
                "name": "Artifact",
                "input_schema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["title"],
                    "properties": {
                        "title": {
                            "type": "string",
                            "pattern": r'^(?!__.*__$)[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}"\\./[\]]{1,200}$',
                        },
                        "limit": {"type": "number", "exclusiveMinimum": 0, "maximum": 900},
                        "items": {"type": "array", "maxItems": 4, "items": {"type": "string"}},
                        "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
                        "note": {"type": "string", "maxLength": 4000},
                    },
                },
            }
        ]
    },
    "thinking that is left out": {"thinking": {"type": "adaptive", "display": "omitted"}},
    "thinking with updates": {"thinking": {"type": "adaptive", "display": "updates"}},
    "thinking off": {"thinking": {"type": "disabled"}},
    "edits of the context": {
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    },
    **{
        f"effort {effort}": {"output_config": {"effort": effort}}
        for effort in ("low", "medium", "high", "xhigh", "max")
    },
    "user in JSON": {"metadata": {"user_id": f'{{"device_id":"{"0" * 64}","session_id":"s"}}'}},
    "safeguards": {
        "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"a": [1]}}]
    },
    "title": {
        "tools": [],
        "thinking": {"type": "disabled"},
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"title": {"type": "string"}},
                    "required": ["title"],
                    "additionalProperties": False,
                },
            }
        },
    },
    "results with marks": {
        "tools": [{"name": "Bash", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}},
                    {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": "Exit code 3",
                        "is_error": True,
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_2",
                        "content": "done",
                        "is_error": False,
                        "cache_control": {"type": "ephemeral"},
                    },
                ],
            },
        ],
    },
}


@pytest.mark.parametrize("part", BODIES.values(), ids=BODIES)
async def test_every_part_of_a_body_of_claude_code_is_accepted(
    shared_client, part: dict[str, Any]
) -> None:
    caller: Client = await shared_client()
    sent = {"anthropic_beta": ",".join(BETAS), "user_agent": AGENT, "x_app": "cli"}
    body = {**HELLO, "stream": True, **part}
    answer = await caller.post("/v1/messages?beta=true", body, **sent)
    assert answer.status == 200, answer.json
    assert [event["type"] for event in answer.events][-1] == "message_stop"
    counted = {name: body[name] for name in ("model", "messages", "tools") if name in body}
    assert (await caller.post("/v1/messages/count_tokens?beta=true", counted)).status == 200


@pytest.mark.parametrize("beta", BETAS)
async def test_each_beta_alone_is_accepted(shared_client, beta: str) -> None:
    caller: Client = await shared_client()
    assert (await caller.post("/v1/messages", HELLO, anthropic_beta=beta)).status == 200


@pytest.mark.parametrize(
    "value", ["main", "subagent", "workflow", "compaction", "auxiliary", "of-next-month", "", "é"]
)
async def test_no_hint_makes_a_request_fail(shared_client, value: str) -> None:
    names = (
        *("request-class", "agent-type", "compaction", "context-compacted", "session-id"),
        *("agent-id", "parent-agent-id", "prev-tool-durations"),
    )
    caller: Client = await shared_client()
    hints = {f"x-claude-code-{name}": value for name in names}
    assert (await caller.post("/v1/messages", HELLO, **hints)).status == 200


async def test_claude_code_finds_models_by_names_that_it_keeps(gateway) -> None:
    caller: Client = await gateway(
        {"id": "small", "engine": "scripted", "aliases": ["claude-*"]},
        {"id": "large", "engine": "scripted", "display_name": "Large 27B"},
        {"id": "claude-own", "engine": "scripted"},
    )
    page = (await caller.get(LISTED, user_agent=AGENT)).json
    names = [one["id"] for one in page["data"]]
    assert names == ["claude-local/small", "claude-local/large", "claude-own"]
    assert [one["display_name"] for one in page["data"]] == ["small", "Large 27B", "claude-own"]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (names[0], names[2], False)
    for name, model in zip(names, ["small", "large", "claude-own"], strict=True):
        answer = await caller.create(model=name)
        assert (answer.status, answer.headers["x-antiphon-model"]) == (200, model)
        assert answer.json["model"] == name
        shown = await caller.get(f"/v1/models/{name}")
        assert shown.json["id"] == model
        counted = {"model": name, "messages": HELLO["messages"]}
        assert (await caller.post("/v1/messages/count_tokens", counted)).status == 200
    second = await caller.get(f"/v1/models?limit=1&after_id={names[0]}", user_agent=AGENT)
    assert [one["id"] for one in second.json["data"]] == names[1:2]
    assert second.json["has_more"]


async def test_other_clients_find_the_ids_and_no_description(gateway) -> None:
    caller: Client = await gateway({"id": "small", "engine": "scripted"})
    (model,) = (await caller.get(LISTED, user_agent="Anthropic/Python 2.12.0")).json["data"]
    assert model["id"] == "small"
    assert "description" not in model


class FastEngine:
    """A scripted engine that tells how fast it is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def state(self) -> EngineState:
        return EngineState(speeds=EngineSpeeds(decode=31.4))


async def test_description_has_the_real_context_and_the_measured_speed(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    async def opened(name: str, config: EngineConfig) -> Any:
        engine = await open_engine(name, config)
        return FastEngine(engine) if config.model == "scripted" else engine

    there = ModelSettings(id="there", engine="scripted", options={"context_tokens": 40_000})
    running = await platform(
        open_engine=opened, others=(there,), context_tokens=131_072, computes_here=True
    )
    client = Client(build_app(running))
    here, other = (await client.get(LISTED, user_agent=AGENT)).json["data"]
    assert here["display_name"] == "scripted (local)"
    assert here["description"] == "131k context, 31 tokens/s on this machine"
    assert here["max_input_tokens"] == 131_072
    assert (other["description"], other["display_name"]) == ("40k context", "there")


async def test_only_claude_code_is_told_no_wait_of_more_than_a_minute(client) -> None:
    caller: Client = await client({"limits": {"input_tokens_per_minute": 2}})
    long = {**HELLO, "messages": [{"role": "user", "content": "word " * 20}]}
    assert (await caller.post("/v1/messages", long)).status == 200
    answers = [await caller.post("/v1/messages", long, user_agent=one) for one in (AGENT, "x")]
    assert [one.status for one in answers] == [429, 429]
    told, other = (int(one.headers["retry-after"]) for one in answers)
    assert told == 60 < other


async def test_wrong_key_is_no_reason_to_try_again(client) -> None:
    caller: Client = await client()
    answer = await caller.post("/v1/messages", HELLO, x_api_key="wrong")
    assert (answer.error[:2], answer.headers["x-should-retry"]) == (
        (401, "authentication_error"),
        "false",
    )
