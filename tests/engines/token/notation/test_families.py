"""What a grammar allows is read, written by the template, and equal: for each family of models.

Numbers and escapes may be spelled in several ways in JSON; a call keeps its values, not these.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from random import Random
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.prompt import (
    Prompt,
    TextChunk,
    Thinking,
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
from engines.token.conftest import Compiled
from support.examples import examples
from support.gbnf import Grammar
from support.native_templates import GENERAL, NATIVE, UNLEARNED
from support.template_corpus import NAMES, every_other

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

THOUSAND = 1000
MATCHED = 150
"""Characters of an answer that is matched with its grammar."""

Calls: TypeAlias = list[tuple[str, dict[str, Any]]]


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
        ToolUseParam(id=f"toolu{number:04}", name=name, input=given)
        for number, (name, given) in enumerate(calls)
    )
    turns = (
        Turn("user", (TextParam(text="Go."),)),
        Turn("assistant", blocks),
        Turn("user", tuple(ToolResultParam(tool_use_id=one.id, content="Done.") for one in blocks)),
    )
    return "".join(one.text for one in chat.render(Prompt(turns, 1, tools=TOOLS)).segments)


@pytest.mark.soak
def test_every_template_is_native_or_has_its_reason(compiled: Compiled) -> None:
    assert {*NATIVE, *GENERAL, *UNLEARNED} == set(NAMES)
    for name in NATIVE:
        assert isinstance(compiled(name).syntax, Notation), compiled(name).unlearned
    for name in GENERAL:
        assert isinstance(compiled(name).syntax, CallSyntax)
        assert compiled(name).native
    reasons = {name: compiled(name).unlearned for name in UNLEARNED}
    assert reasons == UNLEARNED


def test_text_has_begun_where_calls_begin_at_its_end(compiled: Compiled) -> None:
    for name, gap in (
        ("Kimi-K3", "<|open|>response<|sep|>"),
        ("openai-gpt-oss-120b", "<|start|>assistant"),
    ):
        turns = (Turn("user", (TextParam(text="Go."),)),)
        thinking = Thinking(mode="enabled", budget=1024)
        tags = compiled(name).tags(Prompt(turns, 1, tools=TOOLS, thinking=thinking))
        assert tags is not None
        assert tags.gap == gap


seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("name", every_other(NATIVE))
@settings(max_examples=examples(0.1))
@given(seeds, st.booleans())
def test_calls_that_the_grammar_allows_are_read_and_written_alike(
    compiled: Compiled, grammar: Callable[[str], Grammar], name: str, seed: int, eager: bool
) -> None:
    assert written_and_read(compiled(name), grammar(name), seed, eager=eager)


@pytest.mark.soak
@pytest.mark.parametrize("name", NATIVE)
def test_thousand_calls_that_the_grammar_allows_are_read_and_written_alike(
    compiled: Compiled, grammar: Callable[[str], Grammar], name: str
) -> None:
    calls = 0
    for seed in count():
        calls += written_and_read(compiled(name), grammar(name), seed, eager=bool(seed % 2))
        if calls >= THOUSAND:
            break


def written_and_read(chat: ChatTemplate, allowed: Grammar, seed: int, *, eager: bool) -> int:
    """Draw an answer, read it, and let the template write its calls; return their number."""
    notation = noted(chat)
    # A template that writes values within values takes steps for each level of them.
    nests = notation.elements is not None and notation.elements.item is not None
    drawn = allowed.draw(seed, patience=15 if nests else 30)
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
        Call(tool, given_, f"toolu{number:04}", number)
        for number, (tool, given_) in enumerate(calls)
    ]
    written = notation.write(*numbered)
    # Large numbers have more digits when they are written than a grammar counts, and the texts of
    # long answers take `Grammar` too deep.
    # The prompt may end with what opens a call.
    answer = written.removeprefix(notation.opening) if notation.begun else written
    if len(written) < MATCHED and re.search(r"[0-9]{12}|[eE][+-]?[0-9]", written) is None:
        assert allowed.allows(answer)
    again = read(notation, answer, random, eager=not eager)
    assert (calls_in(again), text_in(again)) == (calls, "")
    assert rendered(chat, calls).count(written) == 1
    return len(calls)
