"""What a grammar allows is read, written by the template, and equal: for each family of models.

Numbers and escapes may be spelled in several ways in JSON; a call keeps its values, not these.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.prompt import (
    Prompt,
    TextChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
    Turn,
)
from antiphon.engines.base import EngineEvent, FinishReason
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.constraint import ConstraintRequest, constrain
from antiphon.engines.token.answer.parser import AnswerParser
from antiphon.engines.token.notation.notation import Call, Notation
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.schemas.check import fits
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam
from support.examples import examples
from support.gbnf import Grammar
from support.template_corpus import NAMES, template_corpus

NATIVE = [
    "Apertus-8B-Instruct",
    "ByteDance-Seed-OSS",
    "Cohere2MoE",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "GLM-4.6",
    "GLM-4.7-Flash",
    "GigaChat3.1-10B-A1.8B",
    "Kimi-K2-Instruct",
    "Kimi-K2-Thinking",
    "LFM2.5-8B-A1B",
    "MiniMax-M1",
    "MiniMax-M2",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "NVIDIA-Nemotron-Nano-v2",
    "Qwen3-Coder",
    "Qwen3.5-4B",
    "Spark2.5",
    "StepFun3.5-Flash",
    "deepseek-ai-DeepSeek-V3.2",
    "deepseek-ai-DeepSeek-V4",
    "deepseek-ai-DeepSeek-V4-Flash-0731",
    "google-gemma-4-31B-it",
    "google-gemma-4-31B-it-interleaved",
    "inclusionai-ling-3.0-flash",
    "meetkai-functionary-medium-v3.1",
    "mistralai-Ministral-3-14B-Reasoning-2512",
    "moonshotai-Kimi-K2",
    "openai-gpt-oss-120b",
    "openbmb-MiniCPM5-1B",
    "poolside-Laguna-S-2.1",
    "poolside-Laguna-XS-2.1",
    "poolside-Laguna-XS.2",
    "tencent-Hy3",
    "unsloth-mistral-Devstral-Small-2507",
    "upstage-Solar-Open-100B",
]
"""Templates whose own notation is learned and proven."""

GENERAL = [
    "Bielik-11B-v3.0-Instruct",
    "MiMo-VL",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-QwQ-32B",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "Reka-Edge",
    "ibm-granite-granite-4.0",
    "ibm-granite-granite-4.1",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
]
"""Templates whose own notation is one of the two that need no learning."""

NO_CALLS = "it does not write calls"
NO_TOOLS = "it has no tools"
MOVED = "its tools move as the conversation goes on"
UNLEARNED = {
    "Apriel-1.6-15b-Thinker-fixed": "it writes {'text': 'plain'} in another way",
    "CohereForAI-c4ai-command-r-plus-tool_use": "arguments are no elements",
    "GigaChat3-10B-A1.8B": "a call begins with the mark that ends a turn",
    "HuggingFaceTB-SmolLM3-3B": NO_TOOLS,
    "Kimi-K3": "a call begins with the mark that ends a turn",
    "LFM2-8B-A1B": NO_CALLS,
    "LFM2.5-Instruct": NO_CALLS,
    "MiniMax-M3": "it writes a value elsewhere",
    "Mistral-Small-3.2-24B-Instruct-2506": MOVED,
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": NO_TOOLS,
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": NO_TOOLS,
    "deepseek-ai-DeepSeek-V3.1": NO_TOOLS,
    "fireworks-ai-llama-3-firefunction-v2": "it does not write an answer",
    "google-gemma-2-2b-it": NO_TOOLS,
    "ibm-granite-granite-3.3-2B-Instruct": NO_CALLS,
    "llama-cpp-deepseek-r1": "it does not write an answer",
    "llama-cpp-rwkv-world": NO_TOOLS,
    "meetkai-functionary-medium-v3.2": "nothing marks the beginning of a call",
    "microsoft-Phi-3.5-mini-instruct": NO_TOOLS,
    "mistralai-Mistral-Nemo-Instruct-2407": MOVED,
    "muse-glimmer": "it writes a name elsewhere",
    "unsloth-Apriel-1.5": "it writes {'text': 'plain'} in another way",
}
"""Why the others are asked in the general format."""

TOOLS = (
    Tool(
        name="write_file",
        description="Writes a file.",
        input_schema={
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "content": {"type": "string"},
                "mode": {"enum": ["new", "append", 7, True, None]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "Limit": {"type": "integer"},
            },
            "required": ["path", "content"],
        },
    ),
    Tool(
        name="find-it",
        description="Finds.",
        input_schema={
            "type": "object",
            "properties": {
                "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$", "maxLength": 8},
                "score": {"type": ["number", "null"]},
                "exact": {"type": "boolean"},
                "where": {
                    "type": "object",
                    "properties": {"x": {"type": "number"}, "note": {"type": ["string", "null"]}},
                    "required": ["note"],
                },
                "any": {},
            },
            "required": ["exact"],
        },
    ),
    Tool(name="clock", description="Tells the time.", input_schema={"type": "object"}),
    Tool(
        name="map_of",
        description="Takes a map.",
        input_schema={"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
    ),
)
"""Tools with properties of every type, optional, listed, nested, and without a name."""

MATCHED = 400
"""Characters of an answer that is matched with its grammar."""

Compiled: TypeAlias = Callable[[str], ChatTemplate]
Calls: TypeAlias = list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def compiled(models_dir: Path) -> Compiled:
    corpus = template_corpus(models_dir)
    return cache(lambda name: ChatTemplate(corpus[name], bos="<s>", eos="</s>"))


def noted(chat: ChatTemplate) -> Notation:
    assert isinstance(chat.syntax, Notation)
    return chat.syntax


@pytest.fixture(scope="session")
def grammar(compiled: Compiled) -> Callable[[str], Grammar]:
    """Return the grammar of an answer of calls, by the name of a template."""

    @cache
    def of(name: str) -> Grammar:
        request = ConstraintRequest(TOOLS, ToolChoice(mode="any"), None, compiled(name).syntax)
        return Grammar(constrain(request).grammar or "")

    return of


def read(
    notation: Notation, text: str, random: Random, *, eager: bool = False
) -> list[EngineEvent]:
    """Parse an answer in pieces."""
    tools = tuple(
        Tool(
            name=tool.name,
            input_schema=tool.input_schema,
            description=tool.description,
            eager_input_streaming=eager,
        )
        for tool in TOOLS
    )
    parser = AnswerParser(AnswerFormat(notation, tools, constrained=True))
    events: list[EngineEvent] = []
    while text:
        size = random.choice((1, 1, 2, 3, 7, 40))
        events += parser.feed(text[:size], 1)
        text = text[size:]
    return [*events, *parser.finish(FinishReason.END_TURN, 0)]


def calls_in(events: Sequence[EngineEvent]) -> Calls:
    names: list[str] = []
    inputs: list[str] = []
    for event in events:
        if isinstance(event, ToolCallStart):
            names.append(event.name)
            inputs.append("")
        elif isinstance(event, ToolCallJson):
            inputs[-1] += event.text
    decoded = [json.loads(one) for one in inputs]
    return list(zip(names, decoded, strict=True))


def text_in(events: Sequence[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextChunk))


def rendered(chat: ChatTemplate, calls: Calls) -> str:
    blocks = tuple(
        ToolUseParam(id=f"toolu{number}", name=name, input=given)
        for number, (name, given) in enumerate(calls)
    )
    turns = (
        Turn("user", (TextParam(text="Go."),)),
        Turn("assistant", blocks),
        Turn("user", tuple(ToolResultParam(tool_use_id=one.id, content="Done.") for one in blocks)),
    )
    return "".join(one.text for one in chat.render(Prompt(turns, 1, tools=TOOLS)).segments)


def test_every_template_is_native_or_has_its_reason(compiled: Compiled) -> None:
    assert {*NATIVE, *GENERAL, *UNLEARNED} == set(NAMES)
    for name in NATIVE:
        assert isinstance(compiled(name).syntax, Notation), compiled(name).unlearned
    for name in GENERAL:
        assert isinstance(compiled(name).syntax, CallSyntax)
        assert compiled(name).native
    reasons = {name: compiled(name).unlearned for name in UNLEARNED}
    assert reasons == UNLEARNED


@pytest.mark.parametrize("name", NATIVE)
@settings(max_examples=examples(0.2))
@given(st.integers(0, 2**32), st.booleans())
def test_calls_that_the_grammar_allows_are_read_and_written_alike(
    compiled: Compiled, grammar: Callable[[str], Grammar], name: str, seed: int, eager: bool
) -> None:
    chat = compiled(name)
    notation = noted(chat)
    allowed = grammar(name)
    drawn = allowed.draw(seed, patience=30)
    random = Random(seed)  # noqa: S311 - no secret
    events = read(notation, drawn, random, eager=eager)
    calls = calls_in(events)[:5]
    assert calls
    for tool, given_ in calls:
        schema = next(one.input_schema for one in TOOLS if one.name == tool)
        assert fits(given_, schema)
    if len(calls) > 1 and not notation.parallel:
        calls = calls[:1]
    numbered = [
        Call(tool, given_, f"toolu{number}", number) for number, (tool, given_) in enumerate(calls)
    ]
    written = notation.write(*numbered)
    # Large numbers have more digits when they are written than a grammar counts, and the texts of
    # long answers take `Grammar` too deep.
    if len(written) < MATCHED and re.search(r"[0-9]{12}|[eE][+-]?[0-9]", written) is None:
        assert allowed.allows(written)
    again = read(notation, written, random, eager=not eager)
    assert (calls_in(again), text_in(again)) == (calls, "")
    assert rendered(chat, calls).count(written) == 1
