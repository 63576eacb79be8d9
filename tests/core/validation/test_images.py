from base64 import b64encode
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Capabilities
from support import images
from support.images import image_block
from support.requests import ABLE, IMAGE, able, assistant, call, prompt, refusal, result, text, user

WHERE = "messages.0.content.0.image.source.base64"
LARGE = replace(ABLE, context_tokens=1_000_000)
FETCHES = replace(ABLE, url_sources=True)


def base64(data: str, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def document(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "content", "content": list(blocks)}}


def found(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "search_result", "source": "s", "title": "t", "content": list(blocks)}


def refused(content: list[dict[str, Any]]) -> tuple[str, Any]:
    with pytest.raises(InvalidRequestError) as error:
        able(user(content))
    return error.value.message, error.value.details


@pytest.mark.covers("blocks of a request: image", "effect")
@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (images.png(), "image/png"),
        (images.JPEG, "image/jpeg"),
        (images.GIF, "image/gif"),
        (images.WEBP, "image/webp"),
        (images.png_head(8000, 8000), "image/png"),
    ],
)
def test_images_of_all_four_formats_are_taken(image: bytes, kind: str) -> None:
    assert able(user([image_block(image, kind), text("What is this?")]))


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (base64("not base64!"), f"{WHERE}.data: invalid base64 data"),
        (base64(""), f"{WHERE}.data: Could not process image"),
        (base64("aGVsbG8="), f"{WHERE}.data: Could not process image"),
        (image_block(images.png()[:20]), f"{WHERE}.data: Could not process image"),
        (
            image_block(images.JPEG),
            f"{WHERE}.data: Image does not match the provided media type image/png",
        ),
        (
            base64("A" * (10 * 1024 * 1024 + 4)),
            f"{WHERE}: image exceeds 10 MB maximum: 10485764 bytes > 10485760 bytes",
        ),
    ],
)
def test_invalid_image_is_refused_by_name(block: dict[str, Any], sentence: str) -> None:
    assert refusal(user([block])) == sentence


def test_image_of_the_largest_size_is_taken() -> None:
    largest = 10 * 1024 * 1024
    image = b64encode(images.png()).decode()
    padded = image.rstrip("=") + "A" * (largest - len(image.rstrip("=")))
    assert able(user([base64(padded)]))


def test_format_that_a_model_cannot_read_is_refused_by_name() -> None:
    some = replace(ABLE, image_types=frozenset({"image/png", "image/gif"}))
    assert refusal(user([image_block(images.WEBP, "image/webp")]), capabilities=some) == (
        f"{WHERE}.media_type: this model does not take image/webp; it takes image/gif, image/png"
    )


def test_image_with_a_too_long_side_is_refused_with_all_paths() -> None:
    small, large = image_block(), image_block(images.png_head(10, 8001))
    messages = (
        user([text("a"), large, small]),
        assistant([call("x")]),
        user([result("x", [small, large]), document(large), found(large)]),
    )
    with pytest.raises(InvalidRequestError) as error:
        able(*messages)
    assert error.value.message == (
        "messages.0.content.1.image.source.base64.data: At least one of the image dimensions "
        "exceed max allowed size: 8000 pixels"
    )
    assert error.value.error_code == "image_dimensions_too_large"
    assert error.value.details == {
        "max_side_length_pixels": 8000,
        "paths": [
            "messages.0.content.1",
            "messages.2.content.0.content.1",
            "messages.2.content.1.source.content.0",
            "messages.2.content.2.content.0",
        ],
    }


def test_many_images_have_to_be_smaller() -> None:
    image = image_block(images.png_head(2001, 1))
    assert able(user([image] * 20))
    message, details = refused([image_block()] * 20 + [image])
    assert message == (
        "messages.0.content.20.image.source.base64.data: At least one of the image dimensions "
        "exceed max allowed size for many-image requests: 2000 pixels"
    )
    assert details["max_side_length_pixels"] == 2000
    assert details["paths"] == ["messages.0.content.20"]


@pytest.mark.parametrize(("capabilities", "most"), [(ABLE, 100), (LARGE, 600)])
def test_image_beyond_the_maximum_is_refused(capabilities: Capabilities, most: int) -> None:
    images = [image_block()] * most
    assert prompt(user(images), capabilities=capabilities)
    assert refusal(user([*images, image_block()]), capabilities=capabilities) == (
        f"messages: A maximum of {most} images may be provided. Found {most + 1}."
    )


def test_images_by_url_count_towards_the_maximum() -> None:
    assert prompt(user([IMAGE] * 100), capabilities=FETCHES)
    assert refusal(user([IMAGE] * 101), capabilities=FETCHES).endswith("Found 101.")


def test_image_that_must_not_be_scaled_is_refused_if_too_large() -> None:
    strict = {"transformations": {"oversized_image": "error"}}
    assert able(user([image_block(images.png_head(1568, 9), **strict)]))
    message, details = refused(
        [
            image_block(images.png_head(9, 1569), transformations={}),
            image_block(images.png_head(9, 1569), **strict),
        ]
    )
    assert message == (
        "messages.0.content.1.image: the image has 9 x 1569 pixels, and "
        "`transformations.oversized_image` 'error' allows 1568 pixels a side"
    )
    assert details["max_side_length_pixels"] == 1568
    assert details["paths"] == ["messages.0.content.1"]


def test_image_that_may_be_scaled_down_is_taken() -> None:
    downsize = {"transformations": {"oversized_image": "downsize"}}
    assert able(user([image_block(images.png_head(4000, 4000), **downsize)]))
