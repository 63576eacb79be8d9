"""Integers of hundreds of digits: refused or capped in every field, never a failure."""

import json
from typing import Any

import pytest

from support.asgi import HELLO

pytestmark = pytest.mark.anyio

OBJECT = {"type": "object", "additionalProperties": False}
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}


def with_block(role: str, block: dict[str, Any]) -> dict[str, Any]:
    user = {"role": "user", "content": "Hi"}
    return {"messages": [user, {"role": role, "content": [block]}, user]}


def cited(name: str) -> Any:
    def change(number: int) -> dict[str, Any]:
        citations = [CITATION | {name: number}]
        return with_block("assistant", {"type": "text", "text": "Hi", "citations": citations})

    return change


def bounded(keyword: str) -> Any:
    def change(number: int) -> dict[str, Any]:
        schema = {**OBJECT, "properties": {"x": {keyword: number}}, "required": ["x"]}
        return {"tools": [{"name": "a", "input_schema": schema}], "tool_choice": {"type": "any"}}

    return change


FIELDS: dict[str, Any] = {
    "max_tokens": lambda number: {"max_tokens": number},
    "budget_tokens": lambda number: {
        "max_tokens": number + 1,
        "thinking": {"type": "enabled", "budget_tokens": number},
    },
    "adaptive": lambda number: {"max_tokens": number, "thinking": {"type": "adaptive"}},
    "top_k": lambda number: {"top_k": number},
    "top_p": lambda number: {"top_p": number},
    "temperature": lambda number: {"temperature": number},
    "document_index": cited("document_index"),
    "start_char_index": cited("start_char_index"),
    "end_char_index": cited("end_char_index"),
    "max_characters": lambda number: {
        "tools": [
            {
                "type": "text_editor_20250728",
                "name": "str_replace_based_edit_tool",
                "max_characters": number,
            }
        ]
    },
    "input": lambda number: {
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "a", "input": {"x": number}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ]
    },
    "context_management": lambda number: {"context_management": {"edits": [number]}},
    **{
        keyword: bounded(keyword)
        for keyword in (
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "const"),
            *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxContains"),
        )
    },
}


@pytest.mark.parametrize("digits", [20, 310, 400, 4299])
async def test_long_integer_is_refused_or_capped(shared_client, digits: int) -> None:
    caller = await shared_client(replies=[{"thinking": "Hm."}])
    for name, change in FIELDS.items():
        for number in (10 ** (digits - 1), -(10 ** (digits - 1))):
            answer = await caller.post("/v1/messages", HELLO | change(number))
            assert answer.status in (200, 400), (name, answer.body[:200])


@pytest.mark.parametrize("number", ["1e309", "-1e309", "1e99999", "9" * 5000])
@pytest.mark.parametrize("name", ["max_tokens", "temperature", "zzz"])
async def test_number_beyond_all_readers_is_no_json(shared_client, name: str, number: str) -> None:
    caller = await shared_client(text="Hello there.")
    body = json.dumps(HELLO | {name: 0}).replace(f'"{name}": 0', f'"{name}": {number}')
    status, kind, sentence = (await caller.post("/v1/messages", body.encode())).error
    assert (status, kind) == (400, "invalid_request_error")
    assert sentence.startswith("The request body is not valid JSON: ")
