"""Odd schemas on the wire: each is guaranteed or clearly refused, and none is a server error."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from antiphon.schemas.check import fits
from support.odd_schemas import IMPOSSIBLE, ODD
from support.processes import KEY, Program, serving
from support.tiny_models import Kind, write_model

ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 160,
    "messages": [{"role": "user", "content": "Make one."}],
}
UNREAD = {"type": "string", "pattern": "(a)\\1"}
LARGE = {
    "type": "object",
    "properties": {f"p{n}": {"type": "string", "pattern": f"^[a-z]{{400}}{n}$"} for n in range(60)},
}
CONTEXT = 16_384
WHERE = "tools.0.custom.input_schema"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server whose model has a token for each byte: its grammars are quick to follow."""
    data_dir = tmp_path_factory.mktemp("odd")
    weights = write_model(Kind.ATTENTION, data_dir / "tiny.gguf", context=CONTEXT)
    settings = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_LLAMA_CONTEXT": str(CONTEXT)}
    with serving(data_dir, "--model", str(weights), environ=settings) as program:
        yield program


@pytest.fixture(scope="module")
def sdk(program: Program) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def tool(schema: Any, **more: Any) -> dict[str, Any]:
    """Make a tool with one input of this schema; references lead to it."""
    moved = json.loads(json.dumps(schema).replace('"#/$defs', '"#/properties/a/$defs'))
    moved = json.loads(json.dumps(moved).replace('"$ref": "#"', '"$ref": "#/properties/a"'))
    whole = {"type": "object", "properties": {"a": moved}, "required": ["a"]}
    return {"name": "make", "input_schema": whole, **more}


def forced(sdk: anthropic.Anthropic, schema: Any, **more: Any) -> Any:
    return sdk.messages.create(
        **ASK, tools=[tool(schema, **more)], tool_choice={"type": "tool", "name": "make"}
    )


def refusal(sdk: anthropic.Anthropic, schema: Any, **more: Any) -> str:
    with pytest.raises(anthropic.BadRequestError) as error:
        forced(sdk, schema, **more)
    return str(error.value.body["error"]["message"])


# The real grammars of all are read in tests/engines/llama/test_odd_grammars.py.
SOME = [
    pytest.param(schema, marks=[] if number % 3 == 1 else pytest.mark.soak)
    for number, schema in enumerate(ODD)
]


@pytest.mark.parametrize("schema", SOME, ids=lambda schema: json.dumps(schema)[:40])
def test_call_fits_an_odd_schema(sdk: anthropic.Anthropic, schema: Any) -> None:
    if schema == {"type": "nonsense"}:
        assert "JSON schema is invalid" in refusal(sdk, schema)
        return
    try:
        message = forced(sdk, schema)
    except anthropic.BadRequestError as error:
        # A length is checked behind the grammar, and random text may be too short each time.
        assert "attempts this model wrote no input that fits" in str(error)  # noqa: PT017
        assert "minLength" in schema
        return
    (call,) = [block for block in message.content if block.type == "tool_use"] or [None]
    if message.stop_reason == "tool_use":
        assert fits(call.input, tool(schema)["input_schema"])
    else:
        assert message.stop_reason == "max_tokens"


@pytest.mark.parametrize("schema", IMPOSSIBLE, ids=lambda schema: json.dumps(schema)[:40])
def test_schema_that_nothing_fits_is_refused(sdk: anthropic.Anthropic, schema: Any) -> None:
    assert refusal(sdk, schema) == f"{WHERE}: no input fits this schema"


def test_schema_that_cannot_be_enforced_is_refused_by_name(sdk: anthropic.Anthropic) -> None:
    assert refusal(sdk, LARGE) == f"{WHERE}: Schema is too complex for compilation."


def test_unsupported_pattern_of_a_forced_tool_allows_any_string(sdk: anthropic.Anthropic) -> None:
    # Only strict tools are refused for it: tests/server/test_unsupported_patterns.py.
    message = forced(sdk, UNREAD)
    (call,) = message.content
    assert call.type == "tool_use"
    # The model may not come to the end of its string.
    assert isinstance(call.input.get("a", ""), str)
    assert "a" in call.input or message.stop_reason == "max_tokens"


@pytest.mark.parametrize("schema", [UNREAD, LARGE, IMPOSSIBLE[1]], ids=["pattern", "size", "loop"])
def test_optional_tool_with_an_unsupported_schema_is_accepted(
    sdk: anthropic.Anthropic, schema: Any
) -> None:
    assert sdk.messages.create(**ASK, tools=[tool(schema)]).stop_reason in {
        "end_turn",
        "max_tokens",
        "tool_use",
    }
