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
from antiphon.service.content.images import BRIEF, convert_images, converts_images
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


CORNERS = Image.new("RGB", (64, 48), "white")
CORNERS.paste("red", (0, 0, 32, 24))


def held(orientation: int, kind: str = "JPEG", image: Image.Image = CORNERS) -> bytes:
    """Return an image of a camera that was held in this way."""
    notes = Image.Exif()
    notes[0x0112] = orientation
    return written(image, kind, exif=notes, quality=95)


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [
        (3, (64, 48), (60, 44)),
        (6, (48, 64), (44, 4)),
        (8, (48, 64), (4, 60)),
        (2, (64, 48), (60, 4)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
async def test_image_is_shown_as_its_camera_was_held(
    file_reader: FileReader, kind: str, orientation: int, size: Any, corner: Any
) -> None:
    image = image_param(held(orientation, kind), f"image/{kind.lower()}")
    got = await converted(file_reader, image)
    assert got.size == size
    red, green, blue = got.convert("RGB").getpixel(corner)
    assert red > 200
    assert max(green, blue) < 60
    assert not got.getexif()


async def test_jpeg_for_printing_is_turned_as_well(file_reader: FileReader) -> None:
    image = image_param(held(6, image=CORNERS.convert("CMYK")), "image/jpeg")
    assert (await converted(file_reader, image)).size == (48, 64)


async def test_grey_of_16_bits_keeps_its_greys(file_reader: FileReader) -> None:
    grey = Image.new("I;16", (LONGEST_SIDE + 1, 8), 0x80FF)
    got = await converted(file_reader, image_param(written(grey, "PNG")))
    assert (got.mode, got.getpixel((9, 3))) == ("L", 0x80)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
async def test_large_image_of_a_format_that_is_taken_is_scaled_down(
    file_reader: FileReader, kind: str
) -> None:
    """It would take llama.cpp three bytes for each pixel, and requests have many images."""
    data = written(Image.new("RGB", (8000, 5000)), kind)
    got = await converted(file_reader, image_param(data, f"image/{kind.lower()}"))
    assert got.size == (LONGEST_SIDE, LONGEST_SIDE * 5 // 8)


async def test_image_that_is_too_large_for_a_child_is_refused(file_reader: FileReader) -> None:
    data = written(Image.new("RGBA", (8000, 8000)), "PNG", compress_level=1)
    sentence = "an image of over 16,777,216 pixels cannot be converted for this model"
    await refused(file_reader, image_param(data), sentence)


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


async def test_images_that_are_read_as_they_are_stay(file_reader: FileReader) -> None:
    edge = image_param(written(Image.new("L", (LONGEST_SIDE, 2)), "PNG"))
    upright = image_param(held(1), "image/jpeg")
    given = prompt(HELLO, edge, upright)
    assert await convert_images(given, file_reader, TAKEN) is given


async def test_image_is_scaled_to_what_the_model_sees_of_it(file_reader: FileReader) -> None:
    long = image_param(written(Image.new("L", (LONGEST_SIDE + 24, 100)), "PNG"))
    asked = prompt(long)
    assert await convert_images(asked, file_reader, TAKEN, 400_000) is asked
    (got,) = images_of(await convert_images(asked, file_reader, TAKEN, 65_000))
    assert shown(got).size == (1300, 50)
    # A projector may say that it sees more than a server should get.
    larger = image_param(written(Image.new("L", (2 * LONGEST_SIDE, 2 * LONGEST_SIDE)), "PNG"))
    (got,) = images_of(await convert_images(prompt(larger), file_reader, TAKEN, 10**9))
    assert shown(got).size == (LONGEST_SIDE, LONGEST_SIDE)
    (got,) = images_of(await convert_images(prompt(webp(PICTURE)), file_reader, TAKEN, 600))
    assert shown(got).size == (30, 20)
    (got,) = images_of(await convert_images(prompt(webp(PICTURE)), file_reader, TAKEN, 10**6))
    assert shown(got).size == (60, 40)


async def test_heads_of_many_characters_are_read_in_a_thread(file_reader: FileReader) -> None:
    noise = Image.effect_noise((700, 700), 90)
    large = image_param(written(noise, "PNG"))
    assert isinstance(large.source, Base64ImageSource)
    assert len(large.source.data) > BRIEF
    turned = image_param(held(6), "image/jpeg")
    got = await convert_images(prompt(large, turned), file_reader, TAKEN)
    first, second = images_of(got)
    assert first == large
    assert shown(second).size == (48, 64)


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
