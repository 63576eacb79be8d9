"""Which URLs a model may have fetched: those that somebody else has named in the conversation.

A model that made up URLs could be made to carry what it has read to a stranger, in a path. So a URL
must stand, as it is, in a message of the user or in a result of a tool.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from antiphon.core.blocks import text_of
from antiphon.core.prompt import Prompt
from antiphon.core.server_tools.url_filters import UrlSourceFilter
from antiphon.wire.content import BlockParam, ToolResultParam, ToolUseParam

_SERVERS: Final = "srvtoolu_"
_ENDS: Final = frozenset(" \t\r\n\f\v\"'<>()[]{}|\\^`,;*")


def is_named(url: str, prompt: Prompt, sources: UrlSourceFilter) -> bool:
    """Return whether a URL stands in what counts of a conversation whose documents are text."""
    wanted = {url, url.removesuffix("/"), f"{url}/"}
    return any(_stands(one, text) for text in _texts(prompt, sources) for one in wanted)


def _stands(url: str, text: str) -> bool:
    """Return whether a URL stands in a text, and not as the beginning of a longer one."""
    at = text.find(url)
    while at >= 0:
        rest = text[at + len(url) :].lstrip(".:!?")
        if not rest or rest[0] in _ENDS or rest[0] == "#":
            return True
        at = text.find(url, at + 1)
    return False


def _texts(prompt: Prompt, sources: UrlSourceFilter) -> Iterator[str]:
    names = _names(prompt)
    for turn in prompt.turns:
        if turn.role == "assistant":
            continue
        for block in turn.content:
            if _counts(block, sources, names):
                yield text_of(block)


def _counts(block: BlockParam, sources: UrlSourceFilter, names: Mapping[str, str]) -> bool:
    if not isinstance(block, ToolResultParam):
        return sources.user_input
    of_server = block.tool_use_id.startswith(_SERVERS)
    tools = sources.server_results if of_server else sources.client_results
    return tools.takes(names.get(block.tool_use_id, ""))


def _names(prompt: Prompt) -> dict[str, str]:
    return {
        block.id: block.name
        for turn in prompt.turns
        if turn.role == "assistant"
        for block in turn.content
        if isinstance(block, ToolUseParam)
    }
