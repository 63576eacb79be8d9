from antiphon.core.blocks import images_of, replace_images
from antiphon.core.images import usual_tokens
from antiphon.core.prompt import Prompt, Turn
from antiphon.wire.content import (
    ImageParam,
    TextParam,
    ToolResultParam,
    UrlSource,
)
from support import images
from support.images import image_param

FAR = ImageParam(source=UrlSource(url="https://example.com/cat.png"))
NEAR = image_param(images.png(56, 57))
TEXT = TextParam(text="abcd")
TURNS = (
    Turn("user", (TEXT, NEAR)),
    Turn("user", (ToolResultParam(tool_use_id="t", content=[TEXT, FAR]), TEXT)),
)


def test_images_are_found_where_they_stand() -> None:
    assert list(images_of(Prompt(TURNS, 1))) == [NEAR, FAR]


def test_images_are_replaced_where_they_stand() -> None:
    mark = TextParam(text="!")
    said = replace_images(TURNS, lambda _: [mark])
    assert said[0].content == (TEXT, mark)
    assert said[1].content == (ToolResultParam(tool_use_id="t", content=[TEXT, mark]), TEXT)
    assert list(images_of(Prompt(replace_images(TURNS, lambda _: []), 1))) == []


def test_image_costs_a_token_for_each_patch_and_never_more_than_there_are() -> None:
    assert usual_tokens(NEAR) == 2 * 3
    assert usual_tokens(image_param(images.png(1, 1))) == 1
    assert usual_tokens(image_param(images.png_head(3136, 28))) == 56
    assert usual_tokens(image_param(images.png_head(8000, 8000))) == 1568
    assert usual_tokens(FAR) == 1568
