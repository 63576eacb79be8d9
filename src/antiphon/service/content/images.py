"""Converts the images of a prompt to a format that the model reads."""

from msgspec.structs import replace

from antiphon.core.blocks import images_of, rewrite
from antiphon.core.errors import InvalidRequestError
from antiphon.core.images import MEDIA_TYPES, PNG
from antiphon.core.prompt import Capabilities, Prompt
from antiphon.service.content.file_reader import FileReader, FileRefusedError
from antiphon.wire.content import Base64ImageSource, BlockParam, ImageParam


def converts_images(capabilities: Capabilities) -> bool:
    """Return whether a model reads some formats of images, PNG among them, and not all."""
    return (
        capabilities.images
        and PNG in capabilities.image_types
        and capabilities.image_types != MEDIA_TYPES
    )


async def convert_images(prompt: Prompt, file_reader: FileReader, taken: frozenset[str]) -> Prompt:
    """Return the prompt with each image of a media type that is not in `taken` as a PNG.

    Raises `InvalidRequestError` for an unreadable image, and `OverloadedError` if too many other
    requests have files to read.
    """
    others = {
        image.source.data
        for image in images_of(prompt)
        if isinstance(image.source, Base64ImageSource) and image.source.media_type not in taken
    }
    if not others:
        return prompt
    converted: dict[str, Base64ImageSource] = {}
    async with file_reader.borrow() as child:
        for data in others:
            try:
                png = await child.png(data)
            except FileRefusedError as error:
                raise InvalidRequestError(str(error)) from error
            converted[data] = Base64ImageSource(media_type="image/png", data=png)

    def change(block: BlockParam) -> tuple[BlockParam]:
        if isinstance(block, ImageParam) and isinstance(block.source, Base64ImageSource):
            source = converted.get(block.source.data, block.source)
            return (replace(block, source=source),)
        return (block,)

    return rewrite(prompt, change)
