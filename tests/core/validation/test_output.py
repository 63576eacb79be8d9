from typing import Any

import pytest

from support.requests import able, assistant, call, refusal, result, schema, text, tool, user


def wanted(**fields: Any) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "schema": schema(**fields)}}


CITING = {
    "type": "document",
    "source": {"type": "url", "url": "x"},
    "citations": {"enabled": True},
}
SEARCH = {"type": "search_result", "source": "s", "title": "t", "content": [text("a")]}


def test_schema_of_the_answer_is_checked_like_that_of_a_strict_tool() -> None:
    output = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert refusal(output_config=output) == (
        "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly "
        "set to false"
    )


def test_limits_count_the_answer_and_the_strict_tools() -> None:
    loose = schema(**{f"p{number}": {} for number in range(13)}) | {"required": []}
    output = {"format": {"type": "json_schema", "schema": loose}}
    strict = tool(strict=True, input_schema=loose)
    assert able(output_config=output, tools=[strict | {"strict": False}]).output_schema == loose
    assert refusal(output_config=output, tools=[strict]).startswith("Schemas contains too many")


@pytest.mark.parametrize(
    "messages",
    [
        [user([CITING])],
        [user([SEARCH | {"citations": {"enabled": True}}])],
        [user(), assistant([call("x")]), user([result("x", [text("a"), CITING])])],
    ],
)
def test_output_format_with_citations_is_refused(messages: list[dict[str, Any]]) -> None:
    assert refusal(*messages, output_config=wanted()) == (
        "output_config.format: citations are not supported with a format"
    )


def test_output_format_with_a_prefill_is_refused() -> None:
    assert refusal(user(), assistant("{"), output_config=wanted()) == (
        "output_config.format: assistant message prefill is not supported with a format"
    )


def test_output_format_with_uncited_documents_and_results_is_accepted() -> None:
    messages = [user(), assistant([call("x")]), user([result("x", [text("a")]), result("y")])]
    assert able(*messages[:2], user([result("x", [text("a")])]), output_config=wanted())
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    document = {"type": "document", "source": source, "citations": None}
    for block in (document, SEARCH | {"citations": {"enabled": False}}):
        assert able(user([block]), output_config=wanted())


@pytest.mark.parametrize("output", [{}, {"format": None}, {"effort": None}])
def test_empty_output_config_is_accepted(output: dict[str, Any]) -> None:
    assert able(output_config=output).output_schema is None
