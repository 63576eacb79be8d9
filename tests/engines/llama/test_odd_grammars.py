"""Grammars of odd schemas, read by llama.cpp itself."""

import json
from typing import Any

import pytest

from antiphon.engines.base import Prompt
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.token.machine import CompletionRequest, PieceEnd
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from support.conversation import turn
from support.odd_schemas import ODD

pytestmark = pytest.mark.anyio


async def sampled(engine: LlamaEngine, text: str, limit: int) -> tuple[str, PieceEnd | None]:
    prompt = Prompt((turn("user", "JSON"),), limit)
    tokens = list(await engine.tokens_of(prompt))
    request = CompletionRequest(tokens=tokens, max_tokens=limit, temperature=1.3, grammar=text)
    pieces = [piece async for piece in engine.machine.client.complete(request)]
    return "".join(piece.text for piece in pieces), pieces[-1].end


@pytest.mark.parametrize("schema", ODD, ids=lambda schema: json.dumps(schema)[:40])
async def test_odd_schemas_make_grammars_that_llama_cpp_takes(
    tiny_engine: LlamaEngine, schema: Any
) -> None:
    rules = Rules()
    text = rules.text(JsonGrammar(rules, schema).rule() or "")
    _, end = await sampled(tiny_engine, text, 1)
    assert end is not None
