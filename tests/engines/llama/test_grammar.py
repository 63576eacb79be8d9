import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from antiphon.engines.base import Prompt
from antiphon.engines.llama.client import Completion
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.llama.gbnf import Rules
from antiphon.engines.llama.grammar import JsonGrammar
from antiphon.engines.schema import fits
from support.conversation import turn
from support.schemas import schemas

FIT = 12
MANY = 1000
ODD: list[Any] = [
    {"type": "object"},
    {"$ref": "#"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"type": "object", "properties": {"ab": {}, "a": {}, "": {}}, "additionalProperties": True},
    {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": {"const": 1}},
    {"type": "object", "required": ["unknown"]},
    {"type": "array"},
    {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False},
    {"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "maxItems": 3},
    {"type": "array", "maxItems": 0},
    {"type": "array", "minItems": 9999},
    {"type": "string", "minLength": 5, "maxLength": 5},
    {"type": "string", "maxLength": 100_000},
    {"type": "string", "pattern": "^[a-z]+$"},
    {"type": "nonsense"},
    {"enum": ['"]\\\n\x00\u2028 <tool_call>', {"a": [1]}, -0.5]},
    {"const": {"a": "b"}},
    {"type": "integer", "minimum": 0},
    True,
    False,
    {},
]


def grammar(schema: Any) -> str:
    rules = Rules()
    return rules.text(JsonGrammar(rules, schema).rule())


async def sampled(engine: LlamaEngine, text: str, limit: int) -> tuple[str, str]:
    prompt = Prompt((turn("user", "JSON"),), limit)
    tokens = await engine.tokens_of(prompt)
    asked = Completion(prompt=tokens, n_predict=limit, temperature=1.3, grammar=text)
    pieces = [piece async for piece in engine.client.complete(asked)]
    return "".join(piece.content for piece in pieces), pieces[-1].stop_type


def drawn(count: int) -> list[Any]:
    examples: list[Any] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(schemas())
    def collect(schema: Any) -> None:
        examples.append(schema)

    collect()
    return examples


async def fit(engine: LlamaEngine, schema: Any) -> bool:
    """Say whether what was sampled came to its end, and that it fits if so."""
    said, stopped = await sampled(engine, grammar(schema), 160)
    if stopped == "eos":
        assert fits(json.loads(said), schema), (said, schema)
    return stopped == "eos"


@given(schemas())
def test_grammar_is_the_same_for_the_same_schema(schema: Any) -> None:
    assert grammar(schema) == grammar(schema)


@pytest.mark.anyio
@pytest.mark.parametrize("schema", ODD, ids=lambda schema: json.dumps(schema)[:40])
async def test_odd_schemas_make_grammars_that_llama_cpp_takes(
    engine: LlamaEngine, schema: Any
) -> None:
    assert await sampled(engine, grammar(schema), 1)


@pytest.mark.anyio
async def test_what_is_sampled_fits_the_schema(engine: LlamaEngine) -> None:
    ended = await asyncio.gather(*(fit(engine, schema) for schema in drawn(FIT)))
    assert sum(ended) > len(ended) / 2


@pytest.mark.soak
@pytest.mark.anyio
async def test_what_is_sampled_fits_a_thousand_schemas(engine: LlamaEngine) -> None:
    ended = [await fit(engine, schema) for schema in drawn(MANY)]
    assert sum(ended) > len(ended) / 2


def test_schemas_without_end_make_small_grammars() -> None:
    parts = {name: {"$ref": "#", "title": name, "minProperties": 1} for name in "abcdef"}
    assert len(grammar({"type": "object", "properties": parts})) < 1_000_000
