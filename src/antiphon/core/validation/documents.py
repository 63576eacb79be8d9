"""Where the PDFs of a request stand. Whether they can be read shows when they are."""

from collections.abc import Iterator, Sequence

from antiphon.wire.content import Base64PdfSource, BlockParam, DocumentParam, ToolResultParam
from antiphon.wire.messages import MessageParam


def pdf_paths(messages: Sequence[MessageParam]) -> tuple[str, ...]:
    """Return the paths of all PDFs that were sent, in their order."""
    return tuple(
        path
        for index, message in enumerate(messages)
        if not isinstance(message.content, str)
        for path in _paths(message.content, f"messages.{index}.content")
    )


def _paths(blocks: Sequence[BlockParam], path: str) -> Iterator[str]:
    for index, block in enumerate(blocks):
        match block:
            case DocumentParam(source=Base64PdfSource()):
                yield f"{path}.{index}.document.source.base64.data"
            case ToolResultParam(content=list(content)):
                yield from _paths(content, f"{path}.{index}.tool_result.content")
