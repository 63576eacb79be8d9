from antiphon.core.prompt import Prompt, Turn
from antiphon.engines.upstream.options import estimate
from antiphon.wire.content import Base64ImageSource, ImageParam, ToolResultParam
from support import images
from support.images import image_param

NEAR = image_param(images.png(56, 57))


def test_estimate_counts_an_image_and_not_its_base64() -> None:
    source = Base64ImageSource(media_type="image/png", data=NEAR.source.data + "A" * 400_000)  # type: ignore[union-attr]
    result = ToolResultParam(tool_use_id="t", content=[ImageParam(source=source)])
    empty = ToolResultParam(tool_use_id="t", content=[])
    with_image = estimate(Prompt((Turn("user", (result,)),), 1))
    assert with_image == estimate(Prompt((Turn("user", (empty,)),), 1)) + 6
