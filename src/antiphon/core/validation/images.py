"""Rules of images: their number, their size, and that their media type is true.

All images of a request count, at every depth: in messages, in results of tools, in documents
and in search results. Images behind URLs are counted, and checked when they have been fetched.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from antiphon.core.errors import InvalidRequestError
from antiphon.core.images import (
    UNREADABLE,
    ImageHead,
    UnreadableImageError,
    read_base64,
    read_head,
)
from antiphon.core.prompt import Capabilities
from antiphon.core.validation.spots import Spot
from antiphon.wire.content import Base64ImageSource, ImageParam

MOST_IMAGES: Final = 100
MOST_IMAGES_OF_LARGE: Final = 600
LARGE_CONTEXT: Final = 1_000_000
LARGEST_BASE64: Final = 10 * 1024 * 1024
LONGEST_SIDE: Final = 8000
MANY_IMAGES: Final = 20
LONGEST_SIDE_OF_MANY: Final = 2000
LONGEST_SIDE_AS_IS: Final = 1568
"""A larger image counts as one that is scaled down before a model sees it."""


ImageSpot: TypeAlias = tuple[Spot, ImageParam]


def check_images(spots: Sequence[Spot], capabilities: Capabilities) -> None:
    """Refuse images that no model takes, or that this one does not."""
    images = [(spot, spot.block) for spot in spots if isinstance(spot.block, ImageParam)]
    most = MOST_IMAGES
    if capabilities.context_tokens >= LARGE_CONTEXT:
        most = MOST_IMAGES_OF_LARGE
    if len(images) > most:
        raise InvalidRequestError(
            f"messages: A maximum of {most} images may be provided. Found {len(images)}."
        )
    heads = [(image, head) for image in images if (head := _head(*image, capabilities))]
    _check_sides(heads)
    _check_as_is(heads)


def _head(spot: Spot, image: ImageParam, capabilities: Capabilities) -> ImageHead | None:
    """Read the head of an image; `None` for one that has not been fetched yet."""
    source = image.source
    if not isinstance(source, Base64ImageSource):
        return None
    where = f"{spot.path}.source.base64"
    if len(source.data) > LARGEST_BASE64:
        raise InvalidRequestError(
            f"{where}: image exceeds 10 MB maximum: {len(source.data)} bytes > "
            f"{LARGEST_BASE64} bytes"
        )
    try:
        head = read_head(read_base64(source.data))
    except UnreadableImageError as error:
        raise InvalidRequestError(f"{where}.data: {UNREADABLE}") from error
    except ValueError as error:
        raise InvalidRequestError(f"{where}.data: invalid base64 data") from error
    if head.media_type != source.media_type:
        raise InvalidRequestError(
            f"{where}.data: Image does not match the provided media type {source.media_type}"
        )
    if head.media_type not in capabilities.image_types:
        taken = ", ".join(sorted(capabilities.image_types))
        raise InvalidRequestError(
            f"{where}.media_type: this model does not take {head.media_type}; it takes {taken}"
        )
    return head


def _check_sides(heads: Sequence[tuple[ImageSpot, ImageHead]]) -> None:
    longest, of_many = LONGEST_SIDE, ""
    if len(heads) > MANY_IMAGES:
        longest, of_many = LONGEST_SIDE_OF_MANY, " for many-image requests"
    too_long = [image for image, head in heads if head.longest_side > longest]
    if too_long:
        said = f"At least one of the image dimensions exceed max allowed size{of_many}"
        where = f"{too_long[0][0].path}.source.base64.data"
        raise _too_large(f"{where}: {said}: {longest} pixels", longest, too_long)


def _check_as_is(heads: Sequence[tuple[ImageSpot, ImageHead]]) -> None:
    """Refuse images that are too large for a model and that must not be scaled down."""
    too_long = [
        (image, head)
        for image, head in heads
        if head.longest_side > LONGEST_SIDE_AS_IS and _as_is(image[1])
    ]
    if too_long:
        image, head = too_long[0]
        raise _too_large(
            f"{image[0].path}: the image has {head.width} x {head.height} pixels, and "
            f"`transformations.oversized_image` 'error' allows {LONGEST_SIDE_AS_IS} pixels a side",
            LONGEST_SIDE_AS_IS,
            [image for image, _ in too_long],
        )


def _as_is(block: ImageParam) -> bool:
    wished = block.transformations
    return wished is not None and wished.oversized_image == "error"


def _too_large(message: str, longest: int, images: Sequence[ImageSpot]) -> InvalidRequestError:
    return InvalidRequestError(
        message,
        error_code="image_dimensions_too_large",
        details={
            "max_side_length_pixels": longest,
            "paths": [spot.fields for spot, _ in images],
        },
    )
