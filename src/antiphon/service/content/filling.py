"""Finds the blocks of a request whose content is elsewhere, and puts the content in."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec.structs import replace

from antiphon.core.blocks import inner_blocks, rewrite_blocks
from antiphon.core.errors import InvalidRequestError
from antiphon.core.images import media_type_of
from antiphon.core.validation.spots import spots_of
from antiphon.wire.content import (
    Base64ImageSource,
    BlockParam,
    DocumentParam,
    FileSource,
    ImageParam,
    TextParam,
    UrlSource,
)
from antiphon.wire.messages import CountTokensParams, CreateMessageParams

Params = TypeVar("Params", CreateMessageParams, CountTokensParams)
# A block with its path.
Wanted: TypeAlias = tuple[str, ImageParam | DocumentParam]


def blocks_from(
    params: CreateMessageParams | CountTokensParams, kind: type[UrlSource] | type[FileSource]
) -> list[Wanted]:
    """Return the images and documents with sources of a kind, in the order of the request."""
    # Nearly no request has any, and paths cost most of a walk.
    contents = [one.content for one in params.messages if not isinstance(one.content, str)]
    if not any(_names(content, kind) for content in contents):
        return []
    return [
        (spot.path, spot.block)
        for spot in spots_of(params.messages)
        if isinstance(spot.block, ImageParam | DocumentParam)
        and isinstance(spot.block.source, kind)
    ]


def _names(blocks: Sequence[BlockParam], kind: type[UrlSource] | type[FileSource]) -> bool:
    for block in blocks:
        # Most blocks are texts, and this is asked for every request.
        if isinstance(block, TextParam):
            continue
        if isinstance(block, ImageParam | DocumentParam) and isinstance(block.source, kind):
            return True
        if _names(inner_blocks(block), kind):
            return True
    return False


def with_blocks(params: Params, filled: Mapping[int, BlockParam]) -> Params:
    """Return a request with blocks replaced at every depth, by the `id` of the old ones."""
    messages = [replace(one, content=_rebuilt(one.content, filled)) for one in params.messages]
    return replace(params, messages=messages)


def image_source(image: bytes, path: str) -> Base64ImageSource:
    """Return an image with the type of its bytes: what is said of it is often wrong.

    Raises `InvalidRequestError` for bytes that are no image.
    """
    media_type: Any = media_type_of(image)
    if media_type is None:
        raise InvalidRequestError(
            f"{path}.source.base64.data: The file format is invalid or unsupported"
        )
    return Base64ImageSource(media_type=media_type, data=b64encode(image).decode())


def _rebuilt(content: Any, filled: Mapping[int, BlockParam]) -> Any:
    if isinstance(content, str):
        return content
    return rewrite_blocks(content, lambda block: (filled.get(id(block), block),))
