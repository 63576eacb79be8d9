"""What every engine with forced tools and structured outputs must do; see test_engines.py."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.engines.base import (
    Engine,
    EngineConfig,
    EngineEvent,
    FinishReason,
    Prompt,
    TextChunk,
    Tool,
    ToolCallStart,
    ToolChoice,
    Turn,
)
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.routed import RoutedEngine, WeightedEngine
from antiphon.engines.scripted import open_scripted
from antiphon.schemas.check import fits
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam
from support.conversation import answer, calls_in, reason_of, text_of, tokens_in, turn
from support.shared_engine import shared
from support.simulated_sglang import simulated_sglang_engine
from support.simulated_vllm import simulated_engine
from support.template_corpus import NAME as CORPUS
from support.template_corpus import template_corpus
from support.tool_changes import add, define, remove

pytestmark = pytest.mark.anyio

Open = Callable[[Path], Awaitable[Engine]]


async def llama(tiny_model: Path) -> Engine:
    options = {"context": 1024, "slots": 4, "threads": 1}
    return await open_llama(EngineConfig("llama", tiny_model, options))


def noted(name: str, template: str) -> Open:
    """Return how to open llama.cpp with the chat template, and the notation, of a real model."""

    async def opened(tiny_model: Path) -> Engine:
        models_dir = Path(__file__).parents[2] / ".models"
        assert template in template_corpus(models_dir)
        file = models_dir / "templates" / CORPUS / f"{template}.jinja"
        options = {"context": 2048, "slots": 4, "threads": 1, "chat_template": str(file)}
        return await open_llama(EngineConfig(name, tiny_model, options))

    opened.__name__ = name
    return opened


async def shared_llama(tiny_model: Path) -> Engine:
    """As another process has it."""
    return await shared(await llama(tiny_model))


async def scripted(_: Path) -> Engine:
    options = {"tool_calls": [{"name": "weather", "input": {"city": "Oslo"}}], "text": "I look."}
    replies = {"replies": [options], "context_tokens": 1024}
    return await open_scripted(EngineConfig("scripted", options=replies))


async def vllm(_: Path) -> Engine:
    return await simulated_engine(context=8192)


async def sglang(_: Path) -> Engine:
    return await simulated_sglang_engine(context=8192)


async def routed(tiny_model: Path) -> Engine:
    """Two engines as one."""
    members = [WeightedEngine(await scripted(tiny_model), weight) for weight in (2, 1)]
    return RoutedEngine("routed", members, time.monotonic)


NOTED = [
    noted("qwen", "Qwen3.5-4B"),
    noted("gemma", "google-gemma-4-31B-it"),
    noted("glm", "GLM-4.7-Flash"),
    noted("kimi", "Kimi-K2-Instruct"),
    noted("deepseek", "deepseek-ai-DeepSeek-V3.2"),
    noted("gpt_oss", "openai-gpt-oss-120b"),
    noted("lfm", "LFM2.5-8B-A1B"),
    noted("devstral", "unsloth-mistral-Devstral-Small-2507"),
]
ENGINES: list[Open] = [llama, shared_llama, scripted, routed, vllm, sglang, *NOTED]
# They write calls as one of the others does, in other markers, or over a socket. That each notation
# is read as its grammar lets it be written is in tests/engines/token/notation/test_families.py.
SOAK = {"sglang", "gemma", "lfm", "glm", "deepseek", "devstral", "shared_llama"}


@pytest.fixture(scope="module")
async def engine(
    request: pytest.FixtureRequest,
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tiny_model: Path,
) -> AsyncIterator[Engine]:
    engine = await request.param(tiny_model)
    yield engine
    await engine.aclose()


CITY = {"type": "string", "maxLength": 12}
WEATHER = Tool(
    name="weather",
    description="The weather in a city.",
    input_schema={
        "type": "object",
        "properties": {"city": CITY, "unit": {"enum": ["C", "F"]}},
        "required": ["city"],
    },
)
CLOCK = Tool(
    name="clock",
    input_schema={
        "type": "object",
        "properties": {"zone": {"enum": ["UTC", "CET"]}},
        "required": ["zone"],
    },
    input_examples=({"zone": "UTC"},),
)
TOOLS = (WEATHER, CLOCK)
SCHEMAS = {tool.name: tool.input_schema for tool in TOOLS}


def asking(choice: ToolChoice, *, max_tokens: int = 120, **more: Any) -> Prompt:
    asked = (turn("system", "Be brief."), turn("user", "How is the weather in Oslo?"))
    turns = more.pop("turns", asked)
    tools = more.pop("tools", TOOLS)
    return Prompt(turns, max_tokens, 0.7, tools=tools, tool_choice=choice, **more)


def valid_calls(events: list[EngineEvent]) -> list[str]:
    calls = calls_in(events)
    for name, text in calls:
        assert fits(json.loads(text), SCHEMAS[name])
    return [name for name, _ in calls]


async def test_engine_declares_support_for_tools(engine: Engine) -> None:
    assert engine.capabilities.tools
    assert engine.capabilities.forced_tools
    assert engine.capabilities.structured_outputs


@pytest.mark.covers("tool_choice: any", "effect")
@pytest.mark.covers("tool_choice: disable_parallel_tool_use", "effect")
async def test_choice_any_without_parallel_use_makes_one_valid_call(engine: Engine) -> None:
    events = await answer(engine, asking(ToolChoice(mode="any", parallel=False), max_tokens=400))
    assert len(valid_calls(events)) == 1
    assert not text_of(events)
    assert reason_of(events) is FinishReason.END_TURN


async def test_choice_any_makes_valid_calls(engine: Engine) -> None:
    events = await answer(engine, asking(ToolChoice(mode="any"), max_tokens=150))
    assert isinstance(events[0], ToolCallStart)
    if reason_of(events) is FinishReason.END_TURN:
        assert valid_calls(events)


@pytest.mark.parametrize("name", ["weather", "clock"])
@pytest.mark.covers("tool_choice: tool", "effect")
@pytest.mark.covers("tools: strict", "effect")
async def test_named_tool_is_called_once(engine: Engine, name: str) -> None:
    events = await answer(engine, asking(ToolChoice(mode="tool", name=name)))
    assert valid_calls(events) == [name]
    assert not text_of(events)


@pytest.mark.covers("tool_choice: none", "effect")
async def test_choice_none_makes_no_call(engine: Engine) -> None:
    events = await answer(engine, asking(ToolChoice(mode="none"), max_tokens=24))
    assert calls_in(events) == []
    assert "<tool_call>" not in text_of(events)


@pytest.mark.covers("tool_choice: auto", "effect")
async def test_choice_auto_makes_only_valid_calls(engine: Engine) -> None:
    for parallel in (True, False):
        events = await answer(engine, asking(ToolChoice(parallel=parallel), max_tokens=100))
        if reason_of(events) is FinishReason.END_TURN:
            called = valid_calls(events)
            assert parallel or len(called) <= 1
        assert "<tool_call>" not in text_of(events)


async def test_tools_results_and_schemas_are_counted(engine: Engine) -> None:
    asked = asking(ToolChoice(), tools=())
    counts = [await engine.count_tokens(asked)]
    counts += [await engine.count_tokens(asking(ToolChoice(), tools=TOOLS[:n])) for n in (1, 2)]
    assert counts == sorted(set(counts))
    output = asking(ToolChoice(), tools=(), output_schema={"type": "object"})
    assert await engine.count_tokens(output) > counts[0]


async def test_calls_and_results_are_part_of_the_conversation(engine: Engine) -> None:
    turns = (
        turn("user", "How is the weather in Oslo?"),
        Turn(
            "assistant",
            (
                TextParam(text="I look."),
                ToolUseParam(id="toolu_1", name="weather", input={"city": "Oslo"}),
                ToolUseParam(id="toolu_2", name="clock", input={"zone": "CET"}),
            ),
        ),
        Turn(
            "user",
            (
                ToolResultParam(tool_use_id="toolu_1", content="rain"),
                ToolResultParam(
                    tool_use_id="toolu_2", content=[TextParam(text="broken")], is_error=True
                ),
                TextParam(text="Well?"),
            ),
        ),
    )
    prompt = asking(ToolChoice(mode="none"), turns=turns, max_tokens=8)
    assert tokens_in(await answer(engine, prompt)) <= 8
    assert await engine.count_tokens(prompt) > await engine.count_tokens(
        asking(ToolChoice(mode="none"), turns=(turns[0],))
    )


async def test_output_schema_makes_json_that_fits(engine: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"city": CITY, "rain": {"type": "boolean"}, "days": {"$ref": "#/$defs/days"}},
        "required": ["rain", "city"],
        "additionalProperties": False,
        "$defs": {"days": {"type": "array", "items": {"enum": ["mon", "tue"]}, "maxItems": 2}},
    }
    events = await answer(engine, asking(ToolChoice(), tools=(), output_schema=schema))
    assert {type(event) for event in events[:-1]} == {TextChunk}
    said = json.loads(text_of(events))
    assert fits(said, schema)
    assert list(said)[:1]
    assert reason_of(events) is FinishReason.END_TURN


async def test_call_that_is_cut_ends_with_its_limit(engine: Engine) -> None:
    for limit in (1, 3, 18):
        choice = ToolChoice(mode="tool", name="weather")
        events = await answer(engine, asking(choice, max_tokens=limit))
        assert tokens_in(events) <= limit
        assert not text_of(events)


async def test_every_token_is_accounted_for(engine: Engine) -> None:
    events = await answer(engine, asking(ToolChoice(mode="any"), max_tokens=20))
    if reason_of(events) is FinishReason.MAX_TOKENS:
        assert tokens_in(events) == 20


async def test_engine_offers_the_tools_that_messages_leave(engine: Engine) -> None:
    if not engine.capabilities.loads_tools:
        return
    late = replace(CLOCK, deferred=True)
    system = Turn("system", (add("clock"), remove("weather")))
    turns = (turn("user", "How late is it in Oslo?"), system)
    changed = asking(
        ToolChoice(mode="any", parallel=False), turns=turns, tools=(WEATHER, late), offered=(late,)
    )
    assert valid_calls(await answer(engine, changed)) == ["clock"]


async def test_tool_is_counted_where_it_is_loaded(engine: Engine) -> None:
    if not engine.capabilities.loads_tools:
        return
    late = replace(CLOCK, deferred=True)
    question = turn("user", "How late is it in Oslo?")

    async def count(*blocks: Any, **more: Any) -> int:
        turns = (question, Turn("system", blocks)) if blocks else (question,)
        offered = (WEATHER, late) if blocks else None
        return await engine.count_tokens(
            asking(ToolChoice(), turns=turns, tools=(WEATHER, late), offered=offered, **more)
        )

    without = await count()
    asked = asking(ToolChoice(), turns=(question,), tools=(WEATHER,))
    assert await engine.count_tokens(asked) == without
    added, again = await count(add("clock")), await count(add("clock"), add("clock"))
    assert added - without > 2 * (again - added) > 0
    assert await count(define("new")) > without
    # A definition that waits for a reference is no part of the prompt.
    assert await count(define("new", defer_loading=True)) == without
