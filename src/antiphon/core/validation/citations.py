"""Citations are asked for of all documents of a request or of none, and likewise of results."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from antiphon.core.citations.sources import asks
from antiphon.core.errors import InvalidRequestError
from antiphon.wire.content import (
    BlockParam,
    DocumentParam,
    SearchResultParam,
    TextParam,
    ToolResultParam,
)
from antiphon.wire.messages import MessageParam

Citable: TypeAlias = DocumentParam | SearchResultParam


def check_citations(messages: Sequence[MessageParam]) -> None:
    """Refuse the first document, or search result, that is not as the first of its kind."""
    first: dict[type[Citable], bool] = {}
    for path, block in _citable(messages):
        kind = type(block)
        if first.setdefault(kind, asks(block)) != asks(block):
            tag = str(block.__struct_config__.tag).replace("_", " ")
            raise InvalidRequestError(
                f"{path}.citations.enabled: citations must be enabled on all {tag} blocks of a "
                "request or on none"
            )


def _citable(messages: Sequence[MessageParam]) -> Iterator[tuple[str, Citable]]:
    for index, message in enumerate(messages):
        if not isinstance(message.content, str):
            yield from _among(message.content, f"messages.{index}.content")


def _among(blocks: Iterable[BlockParam], where: str) -> Iterator[tuple[str, Citable]]:
    for place, block in enumerate(blocks):
        if isinstance(block, TextParam):
            continue
        match block:
            case DocumentParam() | SearchResultParam():
                yield f"{where}.{place}.{block.__struct_config__.tag}", block
            case ToolResultParam(content=list(content)):
                yield from _among(content, f"{where}.{place}.tool_result.content")
