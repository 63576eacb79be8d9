"""Calls that a JSON schema enforces: what is asked, and what is made of the answer."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.engines.base import (
    Engine,
    EngineConfig,
    EngineError,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    ThinkingChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
)
from antiphon.engines.upstream.chat_completions.answer import ChatAnswer
from antiphon.engines.upstream.chat_completions.chunks import ChunkReader
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.chat_completions.forced import ForcedAnswer
from antiphon.engines.upstream.chat_completions.options import ChatOptions
from antiphon.engines.upstream.chat_completions.request import request_of
from antiphon.schemas.check import fits
from antiphon.wire.sse import Frame
from support.conversation import answer, calls_in, reason_of, text_of, tokens_in, turn
from support.upstreams import EngineWithServer, llama_server

OPTIONS = ChatOptions(url="http://x", force_with="schema")
CITY = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/name"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"name": {"type": "string", "maxLength": 12}},
}
ZONE = {"type": "object", "properties": {"zone": {"enum": ["UTC", "CET"]}}, "required": ["zone"]}
TOOLS = (Tool(name="weather", input_schema=CITY), Tool(name="clock", input_schema=ZONE))
SCHEMAS = {tool.name: tool.input_schema for tool in TOOLS}
ANY, WEATHER = ToolChoice(mode="any"), ToolChoice(mode="tool", name="weather")


def asking(choice: ToolChoice, *, max_tokens: int = 100, **more: Any) -> Prompt:
    turns = more.pop("turns", (turn("user", "How is the weather in Oslo?"),))
    return Prompt(turns, max_tokens, 0.7, tools=TOOLS, tool_choice=choice, **more)


def body(prompt: Prompt) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(request_of(prompt, OPTIONS, "m", 9))
    return decoded


def read(choice: ToolChoice, *texts: str, finish: str = "stop", **delta: str) -> list[EngineEvent]:
    forced = ForcedAnswer(ChatAnswer(9, ChunkReader(), limited=False), asking(choice))
    deltas = [delta, *({"content": text} for text in texts)]
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": one}]} for one in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    frames = [Frame("message", json.dumps(chunk)) for chunk in chunks]
    events = list(forced.feed_all(frames))
    assert not list(forced.feed_all([Frame("message", "[DONE]")]))
    assert forced.done
    return [*events, *forced.end()]


def test_the_answer_must_be_the_input_of_the_one_tool() -> None:
    asked = body(asking(WEATHER))
    assert asked["response_format"]["json_schema"]["schema"] == CITY
    assert "tools" not in asked
    system, user = asked["messages"]
    assert '"weather"' in system["content"]
    assert "clock" not in system["content"]
    assert user == {"role": "user", "content": "How is the weather in Oslo?"}


def test_the_answer_must_be_one_of_the_calls_with_its_own_definitions() -> None:
    schema = body(asking(ANY))["response_format"]["json_schema"]["schema"]
    assert schema["$defs"] == {"0_name": {"type": "string", "maxLength": 12}}
    weather, clock = schema["anyOf"]
    assert weather["properties"]["name"] == {"const": "weather"}
    assert weather["properties"]["input"]["properties"]["city"] == {"$ref": "#/$defs/0_name"}
    assert clock["properties"]["input"] == ZONE


def test_a_system_prompt_follows_the_tools() -> None:
    turns = (turn("system", "Be brief."), turn("user", "Hi"))
    first, second = body(asking(ANY, turns=turns))["messages"]
    assert first["content"].endswith("\n\nBe brief.")
    assert second["role"] == "user"


def test_unforced_prompt_is_requested_as_usual() -> None:
    for choice in (ToolChoice(), ToolChoice(mode="none")):
        asked = body(asking(choice))
        assert len(asked["tools"]) == 2
        assert "response_format" not in asked


def test_text_of_a_forced_answer_becomes_the_call() -> None:
    assert read(WEATHER, '{"city":', '"Oslo"}', reasoning="Hm") == [
        ThinkingChunk("Hm", 1),
        ToolCallStart("weather", 2),
        ToolCallJson('{"city":"Oslo"}', 0),
        Finished(FinishReason.END_TURN),
    ]
    events = read(ANY, '{"name": "clock", "input": {"zone": "UTC"}}')
    assert calls_in(events) == [("clock", '{"zone": "UTC"}')]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("", []),
        ('{"na', []),
        ('{"name": "clock"', [("clock", "{}")]),
        ('{"name": "clock", "input": {"zone": "UT', [("clock", "{}")]),
    ],
)
def test_cut_call_yields_the_certain_part(text: str, calls: list[Any]) -> None:
    events = read(ANY, text, finish="length")
    assert calls_in(events) == calls
    assert reason_of(events) is FinishReason.MAX_TOKENS
    assert tokens_in(events) == bool(text)


@pytest.mark.parametrize("text", ["[]", "Sure!", '{"name": 5}'])
def test_text_that_is_no_forced_call_is_an_error(text: str) -> None:
    with pytest.raises(EngineError):
        read(ANY, text)


@pytest.fixture(scope="module")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tiny_model: Path,
) -> AsyncIterator[Engine]:
    """In front of llama.cpp's own server, which takes `tool_choice` and does not keep to it."""
    server = llama_server(tiny_model)
    options = await server.__aenter__()
    able = {"force_with": "schema", "forced_tools": True, "structured_outputs": True}
    opened = await open_chat_completions(EngineConfig("m", options={**options, **able}))
    owning = EngineWithServer(opened, server)
    yield owning
    await owning.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("choice", [ANY, WEATHER, ToolChoice(mode="tool", name="clock")], ids=str)
async def test_a_small_model_on_llama_server_makes_the_call(
    engine: Engine, choice: ToolChoice
) -> None:
    for _ in range(3):
        events = await answer(engine, asking(choice))
        ((name, text),) = calls_in(events)
        assert fits(json.loads(text), SCHEMAS[name])
        assert choice.name in {None, name}
        assert not text_of(events)
        assert reason_of(events) is FinishReason.END_TURN


@pytest.mark.anyio
async def test_the_limit_cuts_a_call_on_llama_server(engine: Engine) -> None:
    events = await answer(engine, asking(WEATHER, max_tokens=3))
    assert reason_of(events) is FinishReason.MAX_TOKENS
    assert tokens_in(events) == 3
