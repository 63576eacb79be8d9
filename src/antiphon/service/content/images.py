"""Converts the images of a prompt to what the model reads: its formats, upright, not too large."""

import asyncio
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from antiphon.core.blocks import images_of, rewrite
from antiphon.core.errors import InvalidRequestError
from antiphon.core.images import MEDIA_TYPES, PNG, is_turned, read_base64, read_head
from antiphon.core.prompt import Capabilities, Prompt
from antiphon.service.content.file_protocol import LONGEST_SIDE, MOST_AS_IT_IS
from antiphon.service.content.file_reader import FileReader, FileRefusedError
from antiphon.wire.content import Base64ImageSource, BlockParam, ImageParam

BRIEF: Final = 256 * 1024
"""Characters of images whose heads are read on the event loop."""


def converts_images(capabilities: Capabilities) -> bool:
    """Return whether a model reads some formats of images, PNG among them, and not all."""
    return (
        capabilities.images
        and PNG in capabilities.image_types
        and capabilities.image_types != MEDIA_TYPES
    )


async def convert_images(
    prompt: Prompt, file_reader: FileReader, taken: frozenset[str], seen: int | None = None
) -> Prompt:
    """Return the prompt with each image that the model would not read as it is as a PNG.

    That is one of a media type that is not in `taken`, one that its camera has turned, and one that
    is larger than `LONGEST_SIDE`, which would take the model's server hundreds of megabytes. If the
    model has `seen` pixels at most, one that is longer stays while it has no more of them, and a
    PNG has as many.
    Raises `InvalidRequestError` for an unreadable image, and `OverloadedError` if too many other
    requests have files to read.
    """
    pixels = 0 if seen is None else min(seen, MOST_AS_IT_IS)
    sources = {
        image.source.data: image.source
        for image in images_of(prompt)
        if isinstance(image.source, Base64ImageSource)
    }
    if sum(map(len, sources)) < BRIEF:
        others = _others(sources.values(), taken, pixels)
    else:
        others = await asyncio.to_thread(_others, sources.values(), taken, pixels)
    if not others:
        return prompt
    converted: dict[str, Base64ImageSource] = {}
    async with file_reader.borrow() as child:
        for data in others:
            try:
                png = await child.png(data, pixels)
            except FileRefusedError as error:
                raise InvalidRequestError(str(error)) from error
            converted[data] = Base64ImageSource(media_type="image/png", data=png)

    def change(block: BlockParam) -> tuple[BlockParam]:
        if isinstance(block, ImageParam) and isinstance(block.source, Base64ImageSource):
            source = converted.get(block.source.data, block.source)
            return (replace(block, source=source),)
        return (block,)

    return rewrite(prompt, change)


def _others(sources: Iterable[Base64ImageSource], taken: frozenset[str], pixels: int) -> list[str]:
    """Return the images that a model does not read as they are."""
    return [source.data for source in sources if not _is_read(source, taken, pixels)]


def _is_read(source: Base64ImageSource, taken: frozenset[str], pixels: int) -> bool:
    """Whether a model reads an image as it is. Validation has read its head."""
    if source.media_type not in taken:
        return False
    data = read_base64(source.data)
    head = read_head(data)
    fits = head.longest_side <= LONGEST_SIDE or head.width * head.height <= pixels
    return fits and not is_turned(data)
