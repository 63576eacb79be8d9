from typing import Any

import pytest

from antiphon.server.app import build_app
from antiphon.service.content.file_reader import FileReader
from antiphon.service.content.sources import UrlSources
from antiphon.service.content.web import FAILED, Web
from antiphon.service.messages import Messages
from support import images
from support.asgi import HELLO, Client
from support.images import image_block
from support.web import FakeNameServer, allow_loopback, answer, site

pytestmark = pytest.mark.anyio

QUESTION = {"type": "text", "text": "What is this?"}


def asked(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [QUESTION, *blocks]}]}


def by_url(url: str, kind: str = "image") -> dict[str, Any]:
    return {"type": kind, "source": {"type": "url", "url": url}}


async def counted(client: Client, *blocks: dict[str, Any]) -> int:
    body = {"model": HELLO["model"], **asked(*blocks)}
    return (await client.post("/v1/messages/count_tokens", body)).json["input_tokens"]


async def test_image_is_billed_as_it_is_counted(client) -> None:
    caller = await client(images=True)
    picture = image_block(images.png(56, 30))
    answered = await caller.create(**asked(picture))
    assert answered.status == 200
    count = await counted(caller, picture)
    assert count == await counted(caller) + 4
    assert answered.json["usage"]["input_tokens"] == count


async def test_images_in_results_and_documents_cost_the_same(client) -> None:
    caller = await client(images=True)
    inside = {"type": "content", "content": [QUESTION, image_block()]}
    empty = {"type": "content", "content": [QUESTION]}
    with_image = await counted(caller, {"type": "document", "source": inside})
    assert with_image == await counted(caller, {"type": "document", "source": empty}) + 1
    large = image_block(images.png(1568, 784))
    assert await counted(caller, large) == await counted(caller) + 56 * 28


@pytest.mark.covers("blocks of a request: image", "effect")
async def test_too_large_image_is_refused_with_its_paths_in_the_details(client) -> None:
    caller = await client(images=True)
    answered = await caller.create(**asked(image_block(images.png_head(9000, 1))))
    assert answered.error[:2] == (400, "invalid_request_error")
    assert answered.json["error"]["details"] == {
        "error_code": "image_dimensions_too_large",
        "max_side_length_pixels": 8000,
        "paths": ["messages.0.content.1"],
    }


async def test_image_for_a_model_without_images_is_refused(client) -> None:
    answered = await (await client()).create(**asked(image_block()))
    assert answered.error == (
        400,
        "invalid_request_error",
        "messages.0.content.1.image: this model does not take image blocks",
    )


async def test_url_source_is_refused_unless_fetching_is_enabled(client) -> None:
    caller = await client(images=True)
    for kind in ("image", "document"):
        said = (await caller.create(**asked(by_url("http://127.0.0.1:1/", kind)))).error[2]
        assert said.startswith(f"messages.0.content.1.{kind}.source: this server fetches no {kind}")


async def test_url_of_this_machine_is_not_fetched(client) -> None:
    caller = await client({"url_sources": True}, images=True)
    async with site({"/": answer(images.png())}) as there:
        for host in ("127.0.0.1", "localhost", "[::1]"):
            answered = await caller.create(**asked(by_url(there.url(host=host))))
            assert answered.error == (
                400,
                "invalid_request_error",
                f"messages.0.content.1.image.source.url: {FAILED}",
            )
    assert there.heads == []


async def test_model_gets_the_bytes_behind_a_url(platform) -> None:
    opened = await platform(images=True)
    opened.messages = Messages(
        opened.models,
        opened.admitter,
        opened.entropy,
        b"key",
        caching=opened.caching,
        file_reader=FileReader(),
        url_sources=UrlSources(Web(FakeNameServer(), allow_loopback), 1_000_000),
    )
    caller = Client(build_app(opened))
    async with site() as there:
        there.pages["/cat.png"] = answer(images.png(56, 30))
        there.pages["/text"] = answer(b"one two three", Content_Type="text/plain")
        there.pages["/long.png"] = answer(images.png_head(8001, 1))
        image = await counted(caller, by_url(there.url("/cat.png")))
        text = await counted(caller, by_url(there.url("/text"), "document"))
        long = await caller.create(**asked(by_url(there.url("/long.png"))))
    plain = {"type": "text", "media_type": "text/plain", "data": "one two three"}
    assert image == await counted(caller) + 4
    assert text == await counted(caller, {"type": "document", "source": plain})
    assert long.json["error"]["details"]["error_code"] == "image_dimensions_too_large"
