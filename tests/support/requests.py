"""Short requests, and the prompt or the refusal that validation returns for them."""

import json
from typing import Any

import pytest

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Capabilities, Prompt
from antiphon.core.validation import prompt_for, prompt_to_count
from antiphon.wire.content import TextParam
from antiphon.wire.decoding import BodyDecoder
from antiphon.wire.messages import SAMPLING, CountTokensParams, CreateMessageParams

OLD, NEW = "2023-06-01", "2026-10-21"
PLAIN = Capabilities(context_tokens=200, max_output_tokens=100)
ABLE = Capabilities(
    context_tokens=200_000,
    tools=True,
    forced_tools=True,
    structured_outputs=True,
    thinking=True,
    images=True,
)
DECODERS = {OLD: BodyDecoder(CreateMessageParams), NEW: BodyDecoder(CreateMessageParams, SAMPLING)}
COUNT_DECODER = BodyDecoder(CountTokensParams)
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}
EPHEMERAL = {"type": "ephemeral"}
CITATION = {
    "type": "char_location",
    "cited_text": "The grass is green.",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 19,
}


def user(content: Any = "Hi") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "Hello") -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def system(content: Any = "Be brief") -> dict[str, Any]:
    return {"role": "system", "content": content}


def text(words: str, ttl: str | None = None) -> dict[str, Any]:
    mark = {} if ttl is None else {"cache_control": {"type": "ephemeral", "ttl": ttl}}
    return {"type": "text", "text": words, **mark}


def call(call_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": {}, **fields}


def result(call_id: str, content: Any = "Sunny", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def schema(**properties: Any) -> dict[str, Any]:
    """Return an object schema that a strict tool accepts: closed, with all properties required."""
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def tool(name: str = "get_weather", **fields: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": schema(city={"type": "string"}), **fields}


def body_of(*messages: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages or [user()], **fields}).encode()


def params(*messages: dict[str, Any], version: str = OLD, **fields: Any) -> CreateMessageParams:
    return DECODERS[version].decode(body_of(*messages, **{"max_tokens": 8, **fields}))


def prompt(
    *messages: dict[str, Any],
    version: str = OLD,
    capabilities: Capabilities = PLAIN,
    **fields: Any,
) -> Prompt:
    return prompt_for(params(*messages, version=version, **fields), capabilities, version)


def able(*messages: dict[str, Any], **fields: Any) -> Prompt:
    """Return the prompt for a model with all capabilities."""
    return prompt(*messages, capabilities=ABLE, **fields)


def counted(
    *messages: dict[str, Any],
    version: str = OLD,
    capabilities: Capabilities = PLAIN,
    **fields: Any,
) -> Prompt:
    decoded = COUNT_DECODER.decode(body_of(*messages, **fields))
    return prompt_to_count(decoded, capabilities, version)


def turn_texts(*messages: dict[str, Any], **fields: Any) -> list[tuple[str, list[str]]]:
    """Return the role and the texts of each turn of a request."""
    return [
        (turn.role, [block.text for block in turn.content if isinstance(block, TextParam)])
        for turn in prompt(*messages, **fields).turns
    ]


def refusal(
    *messages: dict[str, Any],
    version: str = OLD,
    capabilities: Capabilities = ABLE,
    **fields: Any,
) -> str:
    """Return the refusal of a request; by default the model has all capabilities."""
    with pytest.raises(InvalidRequestError) as error:
        prompt(*messages, version=version, capabilities=capabilities, **fields)
    return str(error.value)
