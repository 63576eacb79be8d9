"""Images at the whole program, with a real projector."""

from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from support.images import image_block
from support.upstreams import antiphon_server

pytestmark = pytest.mark.anyio

PICTURE = Image.linear_gradient("L").resize((60, 40)).convert("RGB")


def block(kind: str, picture: Image.Image = PICTURE, **options: Any) -> dict[str, Any]:
    data = BytesIO()
    picture.save(data, kind, **options)
    return image_block(data.getvalue(), f"image/{kind.lower()}")


def turned() -> dict[str, Any]:
    """Return a JPEG whose camera was not held upright."""
    notes = Image.Exif()
    notes[0x0112] = 6
    return block("JPEG", exif=notes)


async def test_image_is_read_by_llama_cpp_as_it_was_converted(
    tiny_model: Path, projector: Path
) -> None:
    def body(image: dict[str, Any], **fields: Any) -> dict[str, Any]:
        content = [image, {"type": "text", "text": "What is this?"}]
        messages = [{"role": "user", "content": content}]
        return {"model": "claude-x", "messages": messages, **fields}

    async with (
        antiphon_server(tiny_model, projector) as at,
        httpx2.AsyncClient(
            base_url=at["url"],
            headers={"x-api-key": at["api_key"], "anthropic-version": "2023-06-01"},
            timeout=60,
        ) as client,
    ):
        answers, counts = [], []
        large = block("PNG", PICTURE.resize((3000, 2000)))
        for image in (block("PNG"), block("WEBP", lossless=True), turned(), large):
            asked = body(image, max_tokens=16, temperature=0)
            answers.append((await client.post("/v1/messages", json=asked)).json())
            counted = await client.post("/v1/messages/count_tokens", json=body(image))
            counts.append(counted.json())
    png, webp, *_ = answers
    assert png["content"] == webp["content"]
    assert png["content"][0]["text"]
    for answer, count in zip(answers, counts, strict=True):
        assert count == {"input_tokens": answer["usage"]["input_tokens"]}
    assert counts[0] == counts[1]
