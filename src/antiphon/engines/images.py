"""The images of a prompt, for engines that count or place them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from antiphon.core.images import read_base64, read_head
from antiphon.core.prompt import Prompt, Turn
from antiphon.wire.content import Base64ImageSource, BlockParam, ImageParam, ToolResultParam

PATCH: Final = 28
LONGEST_SIDE: Final = 1568
MOST_TOKENS: Final = 1568


def images_of(prompt: Prompt) -> Iterator[ImageParam]:
    """Yield the images of a prompt, in its order; they stand in turns and in results of tools."""
    for turn in prompt.turns:
        yield from _images(turn.content)


def _images(blocks: Sequence[BlockParam]) -> Iterator[ImageParam]:
    for block in blocks:
        match block:
            case ImageParam():
                yield block
            case ToolResultParam(content=list(content)):
                yield from _images(content)


def placed(turns: Sequence[Turn], place: Callable[[ImageParam], list[Any]]) -> tuple[Turn, ...]:
    """Return turns with other blocks, or none, in the places of the images."""
    return tuple(Turn(turn.role, tuple(_placed(turn.content, place))) for turn in turns)


def without_images(blocks: Sequence[Any]) -> list[Any]:
    """Return blocks without the images in them."""
    return list(_placed(blocks, lambda _: []))


def _placed(blocks: Sequence[Any], place: Callable[[ImageParam], list[Any]]) -> Iterator[Any]:
    for block in blocks:
        match block:
            case ImageParam():
                yield from place(block)
            case ToolResultParam(content=list(content)):
                yield replace(block, content=list(_placed(content, place)))
            case _:
                yield block


def usual_tokens(image: ImageParam) -> int:
    """Count an image as the Claude API does: one token for each patch, once it is scaled down."""
    if not isinstance(image.source, Base64ImageSource):
        return MOST_TOKENS
    head = read_head(read_base64(image.source.data))
    scale = min(1.0, LONGEST_SIDE / head.longest_side)
    across, down = (-(-int(side * scale) // PATCH) for side in (head.width, head.height))
    return max(1, min(across * down, MOST_TOKENS))
