"""Blocks that only Anthropic's servers can take: refused by name, whatever they hold."""

from typing import Any

import pytest

from support.requests import assistant, call, refusal, result, system, text, user

SERVER_TOOLS = "this server does not run this tool and takes no blocks of it"
NO_MCP = "this server connects to no MCP servers"
BLOCKS: list[tuple[dict[str, Any], str]] = [
    (
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {"type": "code_execution_result", "stdout": ""},
            "cache_control": {"type": "ephemeral"},
        },
        SERVER_TOOLS,
    ),
    ({"type": "bash_code_execution_tool_result"}, SERVER_TOOLS),
    ({"type": "text_editor_code_execution_tool_result"}, SERVER_TOOLS),
    ({"type": "container_upload", "file_id": "file_1"}, "this server has no containers"),
    ({"type": "mcp_tool_use", "server_name": "s"}, NO_MCP),
    ({"type": "mcp_tool_result", "is_error": False}, NO_MCP),
]


@pytest.mark.covers("blocks of a request: blocks of code execution", "refused")
@pytest.mark.covers("blocks of a request: MCP blocks", "refused")
@pytest.mark.covers("blocks of a request: container_upload", "refused")
@pytest.mark.parametrize(("block", "why"), BLOCKS, ids=[block["type"] for block, _ in BLOCKS])
def test_a_foreign_block_is_refused_by_name(block: dict[str, Any], why: str) -> None:
    said = refusal(user(), assistant([text("a"), block]), user())
    assert said == f"messages.1.content.1.{block['type']}: {why}"


@pytest.mark.covers("blocks of a request: browser_state", "refused")
def test_the_state_of_a_browser_is_refused_inside_of_a_result() -> None:
    state = {"type": "browser_state", "tabs": []}
    messages = [user(), assistant([call("x")]), user([result("x", [text("a"), state])])]
    assert refusal(*messages) == (
        "messages.2.content.0.tool_result.content.1.browser_state: "
        "this server offers no browser toolset"
    )


@pytest.mark.parametrize("block", [block for block, _ in BLOCKS])
def test_fault_of_the_request_is_reported_before_a_foreign_block(block: dict[str, Any]) -> None:
    assert refusal(user([block, text(" ")])).startswith("messages: text content blocks")
    assert "role 'system' supports text" in refusal(user(), system([block]))
    assert refusal(user(), system=[block]) == "system.0: Input does not match the expected shape."
