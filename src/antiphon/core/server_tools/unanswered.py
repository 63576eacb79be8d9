"""The result of a call that nothing came of: without one, the answer could not be sent back."""

from antiphon.wire.server_blocks import (
    ServerResultBlock,
    ToolSearchErrorBlock,
    ToolSearchToolResultBlock,
    WebFetchErrorBlock,
    WebFetchToolResultBlock,
    WebSearchErrorBlock,
    WebSearchToolResultBlock,
)


def no_result(call: str, name: str) -> ServerResultBlock:
    """Return the result of a call of a tool of the server that was not run, by its id and name."""
    match name:
        case "web_search":
            return WebSearchToolResultBlock(
                tool_use_id=call, content=WebSearchErrorBlock(error_code="unavailable")
            )
        case "web_fetch":
            return WebFetchToolResultBlock(
                tool_use_id=call, content=WebFetchErrorBlock(error_code="unavailable")
            )
        case _:
            return ToolSearchToolResultBlock(
                tool_use_id=call, content=ToolSearchErrorBlock(error_code="unavailable")
            )
