"""Images in formats that a model does not read become PNGs, in a child process."""

import os
from base64 import b64decode
from io import BytesIO
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import Image

from antiphon.core.blocks import images_of
from antiphon.core.errors import InvalidRequestError
from antiphon.core.images import GIF, JPEG, MEDIA_TYPES, PNG
from antiphon.core.prompt import Capabilities, Prompt, Turn
from antiphon.service.content.file_protocol import LONGEST_SIDE, MOST_PIXELS
from antiphon.service.content.file_reader import FileReader
from antiphon.service.content.images import convert_images, converts_images
from antiphon.wire.content import (
    Base64ImageSource,
    ImageParam,
    TextParam,
    ToolResultParam,
    ToolUseParam,
)
from support import images
from support.images import image_param

pytestmark = pytest.mark.anyio

TAKEN = frozenset({PNG, JPEG, GIF})
HELLO = TextParam(text="Hello")


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def webp(image: Image.Image, **options: Any) -> ImageParam:
    return image_param(written(image, "WEBP", **options), "image/webp")


def prompt(*blocks: Any) -> Prompt:
    return Prompt(turns=(Turn("user", blocks),), max_tokens=8)


def shown(image: ImageParam) -> Image.Image:
    """Return the picture of an image that was converted."""
    assert isinstance(image.source, Base64ImageSource)
    assert image.source.media_type == PNG
    return Image.open(BytesIO(b64decode(image.source.data)), formats=["PNG"])


async def converted(
    file_reader: FileReader, image: ImageParam, taken: frozenset[str] = TAKEN
) -> Image.Image:
    (got,) = images_of(await convert_images(prompt(HELLO, image), file_reader, taken))
    return shown(got)


PICTURE = Image.linear_gradient("L").resize((60, 40)).convert("RGB")


async def test_lossless_webp_keeps_its_pixels(file_reader: FileReader) -> None:
    got = await converted(file_reader, webp(PICTURE, lossless=True))
    assert (got.mode, got.size) == ("RGB", (60, 40))
    assert got.tobytes() == PICTURE.tobytes()


async def test_transparency_stays(file_reader: FileReader) -> None:
    clear = PICTURE.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((60, 40)))
    got = await converted(file_reader, webp(clear, lossless=True, exact=True))
    assert got.tobytes() == clear.tobytes()


async def test_first_frame_of_an_animation_is_shown(file_reader: FileReader) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    moving = webp(frames[0], save_all=True, append_images=frames[1:], lossless=True)
    assert (await converted(file_reader, moving)).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (written(PICTURE, "GIF"), "image/gif"),
        (written(PICTURE, "JPEG"), "image/jpeg"),
        (written(PICTURE.convert("CMYK"), "JPEG"), "image/jpeg"),
        (images.GIF, "image/gif"),
        (images.WEBP, "image/webp"),
    ],
    ids=["GIF", "JPEG", "JPEG for printing", "smallest GIF", "smallest WebP"],
)
async def test_every_format_becomes_a_png(file_reader: FileReader, data: bytes, kind: str) -> None:
    got = await converted(file_reader, image_param(data, kind), frozenset({PNG}))
    assert got.size == Image.open(BytesIO(data)).size


async def test_large_image_is_scaled_down(file_reader: FileReader) -> None:
    wide = webp(Image.new("RGB", (2 * LONGEST_SIDE, 100)))
    assert (await converted(file_reader, wide)).size == (LONGEST_SIDE, 50)


async def test_image_of_as_many_pixels_as_allowed_is_converted(file_reader: FileReader) -> None:
    side = int(MOST_PIXELS**0.5)
    assert (await converted(file_reader, flat(side))).width < side


def flat(side: int) -> ImageParam:
    """A black square, in the method that encodes fastest."""
    return webp(Image.new("RGB", (side, side)), method=0)


@pytest.mark.parametrize(
    "data",
    [
        written(PICTURE, "WEBP")[:-40],
        images.lossy_webp_head(10, 10),
        b"RIFF\xff\xff\xff\xffWEBP" + os.urandom(10_000),
        b"",
        # Not one of the formats, although Pillow knows it.
        written(PICTURE, "TIFF"),
    ],
    ids=["cut off", "a head alone", "noise", "nothing", "TIFF"],
)
async def test_unreadable_image_is_refused(file_reader: FileReader, data: bytes) -> None:
    await refused(file_reader, image_param(data, "image/webp"), "Could not process image")


async def test_image_of_too_many_pixels_is_refused(file_reader: FileReader) -> None:
    side = int(MOST_PIXELS**0.5) + 1
    sentence = "an image of over 16,777,216 pixels cannot be converted for this model"
    await refused(file_reader, flat(side), sentence)


async def refused(file_reader: FileReader, image: ImageParam, sentence: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        await convert_images(prompt(image), file_reader, TAKEN)
    assert str(refusal.value) == sentence
    # The child goes on.
    assert (await converted(file_reader, webp(PICTURE))).size == (60, 40)


async def test_images_at_every_depth_are_converted_once_each(file_reader: FileReader) -> None:
    one, other = webp(PICTURE), webp(PICTURE.resize((10, 10)))
    call = ToolUseParam(id="toolu_1", name="look", input={})
    result = ToolResultParam(tool_use_id="toolu_1", content=[HELLO, one, other])
    asked = Prompt(
        turns=(
            Turn("user", (one, HELLO)),
            Turn("assistant", (call,)),
            Turn("user", (result, image_param(), other)),
        ),
        max_tokens=8,
    )
    got = await convert_images(asked, file_reader, TAKEN)
    sizes = [shown(image).size for image in images_of(got)]
    assert sizes == [(60, 40), (60, 40), (10, 10), (4, 3), (10, 10)]
    first, second, *_ = images_of(got)
    assert first.source is second.source
    assert got.turns[0].content[1] is HELLO


async def test_prompt_of_formats_that_are_taken_stays_the_same(file_reader: FileReader) -> None:
    asked = prompt(image_param(), image_param(images.GIF, "image/gif"), HELLO)
    assert await convert_images(asked, file_reader, TAKEN) is asked


@pytest.mark.parametrize(
    ("images_are_taken", "types", "converts"),
    [
        (True, TAKEN, True),
        (True, frozenset({PNG}), True),
        (True, MEDIA_TYPES, False),
        (False, TAKEN, False),
        (True, frozenset({JPEG}), False),
    ],
)
def test_formats_are_converted_for_models_that_read_png(
    *, images_are_taken: bool, types: frozenset[str], converts: bool
) -> None:
    some = Capabilities(context_tokens=1, images=images_are_taken, image_types=types)
    assert converts_images(some) is converts


async def test_block_keeps_its_other_fields(file_reader: FileReader) -> None:
    marked = replace(webp(PICTURE), transformations=None)
    (got,) = images_of(await convert_images(prompt(marked), file_reader, TAKEN))
    assert got == replace(marked, source=got.source)
