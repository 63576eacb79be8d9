"""Grammars of all notations, read by llama.cpp itself, and what it draws by them."""

from pathlib import Path

import pytest

from antiphon.core.prompt import FinishReason, Prompt, TextChunk, Tool, ToolCallStart, ToolChoice
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.constraint import ConstraintRequest, constrain
from antiphon.engines.token.answer.parser import AnswerParser
from antiphon.engines.token.machine import CompletionRequest, PieceEnd
from antiphon.engines.token.prompt.template import ChatTemplate
from support.conversation import turn
from support.native_templates import NATIVE
from support.template_corpus import template_corpus

pytestmark = pytest.mark.anyio

TOOLS = (
    Tool(
        name="write",
        description="To write.",
        input_schema={
            "type": "object",
            "properties": {
                "path": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 6},
                "size": {"type": "integer", "minimum": 1, "maximum": 99},
                "kind": {"enum": ["new", None, True, 7]},
                "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
                "at": {"type": "object", "properties": {"x": {"const": 1}}, "required": ["x"],
                       "additionalProperties": False},
            },
            "required": ["path", "tags", "at"],
            "additionalProperties": False,
        },
    ),
)  # fmt: skip


FEW = (
    "Apertus-8B-Instruct",
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "Kimi-K3",
    "Qwen3.5-4B",
    "google-gemma-4-31B-it",
    "meetkai-functionary-medium-v3.2",
    "muse-glimmer",
    "openai-gpt-oss-120b",
    "openbmb-MiniCPM5-1B",
)
"""One of each kind."""


@pytest.mark.parametrize(
    "name", [*FEW, *(pytest.param(one, marks=pytest.mark.soak) for one in NATIVE if one not in FEW)]
)
async def test_llama_cpp_draws_calls_in_the_notation(
    tiny_engine: LlamaEngine, models_dir: Path, name: str
) -> None:
    chat = ChatTemplate(template_corpus(models_dir)[name], bos="<s>", eos="</s>")
    prompt = Prompt((turn("user", "Go."),), 400)
    tokens = list(await tiny_engine.tokens_of(prompt))
    for choice in (ToolChoice(mode="any", parallel=False), ToolChoice()):
        request = ConstraintRequest(TOOLS, choice, None, chat.syntax)
        most = 400 if choice.mode == "any" else 1
        given = CompletionRequest(
            tokens=tokens,
            max_tokens=most,
            temperature=1.3,
            grammar=constrain(request).grammar,
        )
        pieces = [piece async for piece in tiny_engine.machine.client.complete(given)]
        assert pieces[-1].end is not None
        if choice.mode == "any":
            parser = AnswerParser(AnswerFormat(chat.syntax, TOOLS, constrained=True, forced=True))
            events = [event for piece in pieces for event in parser.feed(piece.text, piece.count)]
            whole = pieces[-1].end is PieceEnd.MODEL
            reason = FinishReason.END_TURN if whole else FinishReason.MAX_TOKENS
            events += parser.finish(reason, 0)
            assert not any(isinstance(event, TextChunk) for event in events)
            assert whole
            assert [one.name for one in events if isinstance(one, ToolCallStart)] == ["write"]
