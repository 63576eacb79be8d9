from typing import Any

import pytest
from msgspec.structs import replace

from support.images import image_block
from support.requests import (
    ABLE,
    IMAGE,
    PLAIN,
    able,
    assistant,
    call,
    prompt,
    refusal,
    result,
    schema,
    text,
    tool,
    user,
)

BASE64 = image_block()
FORMAT = {"format": {"type": "json_schema", "schema": schema()}}
NO_FORCE = 'tool_choice: type "tool" and "any" are not supported for this model.'
NO_BUDGET = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
    '"output_config.effort" to control thinking behavior.'
)
CANNOT_RUN = (
    "this server cannot run this tool; it runs no code and offers no computer, browser or MCP "
    "toolsets"
)
CONTAINER = (
    "container: Container identifier can only be provided when using the code execution tool"
)


@pytest.mark.parametrize(
    ("lacking", "fields", "sentence"),
    [
        ("tools", {"tools": [tool()]}, "tools: this model does not support tools"),
        (
            "forced_tools",
            {"tools": [tool(strict=True)]},
            "tools.0.custom.strict: this model does not support strict tools",
        ),
        (
            "forced_tools",
            {"tools": [{"type": "memory_20250818", "name": "memory", "strict": True}]},
            "tools.0.memory_20250818.strict: this model does not support strict tools",
        ),
        ("forced_tools", {"tools": [tool()], "tool_choice": {"type": "any"}}, NO_FORCE),
        (
            "forced_tools",
            {"tools": [tool()], "tool_choice": {"type": "tool", "name": "get_weather"}},
            NO_FORCE,
        ),
        (
            "structured_outputs",
            {"output_config": FORMAT},
            "output_config.format: this model does not support structured outputs",
        ),
        (
            "thinking",
            {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
            NO_BUDGET,
        ),
    ],
)
def test_parameter_beyond_the_models_capabilities_is_refused(
    lacking: str, fields: dict[str, Any], sentence: str
) -> None:
    assert refusal(capabilities=replace(ABLE, **{lacking: False}), **fields) == sentence
    assert able(**fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"container": "container_1"}, CONTAINER),
        ({"container": {"skills": []}}, CONTAINER),
        ({"inference_geo": "global"}, "inference_geo: not supported for this model."),
        ({"speed": "fast"}, "speed: 'fast' is not supported for this model."),
        (
            {"thinking": {"type": "between_tools"}},
            '"thinking.type.between_tools" is not supported for this model.',
        ),
        (
            {"tools": [tool(), {"type": "code_execution_20250825", "name": "code_execution"}]},
            f"tools.1.code_execution_20250825: {CANNOT_RUN}",
        ),
        (
            {
                "tools": [{"type": "mcp_toolset", "mcp_server_name": "s"}],
                "tool_choice": {"type": "tool", "name": "x"},
            },
            f"tools.0.mcp_toolset: {CANNOT_RUN}",
        ),
        (
            {"tools": [tool(allowed_callers=["code_execution_20250825"])]},
            (
                "tools.0.custom.allowed_callers: this server runs no code that could call tools; "
                "'direct' must be allowed"
            ),
        ),
    ],
)
@pytest.mark.covers("tools: code_execution", "refused")
@pytest.mark.covers("tools: computer, browser, MCP toolsets", "refused")
@pytest.mark.covers("tools: allowed_callers", "refused")
def test_parameter_beyond_this_server_is_refused(fields: dict[str, Any], sentence: str) -> None:
    assert refusal(**fields) == sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"container": None},
        {"inference_geo": None},
        {"speed": None},
        {"speed": "standard"},
        {"diagnostics": {}},
        {"tools": []},
        {"tool_choice": {"type": "none"}},
        {"output_config": {"effort": "xhigh"}},
    ],
    ids=str,
)
def test_neutral_parameters_are_accepted_for_a_model_without_capabilities(
    fields: dict[str, Any],
) -> None:
    assert prompt(capabilities=PLAIN, **fields)


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        (
            [user([text("a"), IMAGE])],
            "messages.0.content.1.image: this model does not take image blocks",
        ),
        (
            [user(), assistant([text("a"), call("x")]), user([result("x")])],
            "messages.1.content.1.tool_use: this model does not support tools",
        ),
    ],
)
def test_block_that_a_model_cannot_read_is_refused_by_name(
    messages: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(*messages, capabilities=PLAIN) == sentence


def test_image_in_a_result_is_refused_by_name() -> None:
    messages = [user(), assistant([call("x")]), user([result("x", [text("a"), BASE64])])]
    assert able(*messages)
    assert refusal(*messages, capabilities=replace(ABLE, images=False)) == (
        "messages.2.content.0.tool_result.content.1.image: this model does not take image blocks"
    )


@pytest.mark.parametrize(
    ("kind", "ways", "things"),
    [
        ("image", "'base64'", "images"),
        ("document", "'base64', 'text' or 'content'", "documents"),
    ],
)
def test_sources_to_fetch_are_refused(kind: str, ways: str, things: str) -> None:
    where = f"messages.0.content.0.{kind}.source"
    fetches = replace(ABLE, url_sources=True)
    by_url = {"type": kind, "source": {"type": "url", "url": "https://example.com/a"}}
    assert refusal(user([by_url])) == (
        f"{where}: this server fetches no {things}; send them as {ways}, not 'url'"
    )
    assert prompt(user([by_url]), capabilities=fetches)
    by_id = {"type": kind, "source": {"type": "file", "file_id": "file_1"}}
    for capabilities in (ABLE, fetches):
        assert refusal(user([by_id]), capabilities=capabilities) == (
            f"{where}: this server keeps no files; send {things} as {ways}, not 'file'"
        )
    assert prompt(user([by_id]), capabilities=replace(ABLE, file_sources=True))


def test_earlier_thinking_is_accepted_for_a_model_without_thinking() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    assert prompt(user(), assistant([thought, hidden, text("a")]), user(), capabilities=PLAIN)


INSIDE = {"type": "image", "source": {"type": "url", "url": "x"}}


@pytest.mark.parametrize(
    ("block", "path"),
    [
        (
            {"type": "document", "source": {"type": "content", "content": [INSIDE]}},
            "document.source.content.content.0.image",
        ),
        (
            {"type": "search_result", "source": "s", "title": "t", "content": [INSIDE]},
            "search_result.content.0.image",
        ),
    ],
)
def test_image_inside_of_another_block_is_refused_by_name(block: dict[str, Any], path: str) -> None:
    said = refusal(user([block]), capabilities=PLAIN)
    assert said == f"messages.0.content.0.{path}: this model does not take image blocks"
