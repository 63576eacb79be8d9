"""The versions of the API, and the rules for blocks that newer versions no longer take."""

from collections.abc import Iterator, Sequence

from antiphon.core.blocks import inner_blocks
from antiphon.core.errors import InvalidRequestError
from antiphon.wire.content import DocumentParam, SearchResultParam, TextParam
from antiphon.wire.decoding import EXTRA, unexpected_tag
from antiphon.wire.messages import MessageParam

OLDEST = "2023-06-01"
NEWEST = "2026-10-21"
# The blocks that an assistant message may hold in the newest version.
ASSISTANT_TAGS = ("text", "thinking", "redacted_thinking", "tool_use")


def check_version(messages: Sequence[MessageParam], version: str) -> None:
    """Refuse documents of the assistant and citations of the user, except in the oldest version."""
    if version == OLDEST:
        return
    for index, message in enumerate(messages):
        if isinstance(message.content, str):
            continue
        for position, block in enumerate(message.content):
            where = f"messages.{index}.content.{position}"
            if message.role == "assistant" and isinstance(block, DocumentParam):
                raise InvalidRequestError(f"{where}: {unexpected_tag('document', ASSISTANT_TAGS)}")
            if message.role == "user" and isinstance(block, TextParam | SearchResultParam):
                for path in _cited(block, where):
                    raise InvalidRequestError(f"{path}.citations: {EXTRA}")


def _cited(block: TextParam | SearchResultParam, where: str) -> Iterator[str]:
    if isinstance(block, TextParam):
        if block.citations:
            yield f"{where}.text"
        return
    for index, inner in enumerate(inner_blocks(block)):
        if isinstance(inner, TextParam) and inner.citations:
            yield f"{where}.search_result.content.{index}.text"
