"""Which URLs a model may have fetched: those that somebody else has named in the conversation.

A model that made up URLs could be made to carry what it has read to a stranger, in a path. So a URL
must stand, as it is, in a message of the user or in a result of a tool.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from antiphon.core.blocks import text_of
from antiphon.core.prompt import Prompt
from antiphon.core.server_tools.url_filters import UrlSourceFilter
from antiphon.wire.content import BlockParam, ToolResultParam, ToolUseParam

_SERVERS: Final = "srvtoolu_"
# What may stand behind a URL that ends: nothing, or stops and then what no URL has in it. With a
# repetition that takes all that it can, no text takes longer than its length.
_END: Final = r"/?[.:!?]*+(?:\Z|[\s\"'<>()\[\]{}|\\^`,;*#])"


def is_named(url: str, prompt: Prompt, sources: UrlSourceFilter) -> bool:
    """Return whether a URL stands in what counts of a conversation whose documents are text.

    It must not stand there as the beginning of a longer one; a slash at its end makes no
    difference.
    """
    bare = url.removesuffix("/")
    named = re.compile(re.escape(bare) + _END)
    # To find it first takes a tenth of the time where it is not.
    return any(
        named.search(text, at) for text in _texts(prompt, sources) if (at := text.find(bare)) >= 0
    )


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
