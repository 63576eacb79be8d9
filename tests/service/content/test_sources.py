import asyncio
from base64 import b64encode
from typing import Any

import msgspec
import pytest

from antiphon.core.errors import InvalidRequestError
from antiphon.service.content.sources import CHARSETS, LARGEST_IMAGE, MOST_URLS, UrlSources
from antiphon.service.content.web import Web
from antiphon.wire.content import Base64ImageSource, Base64PdfSource, PlainTextSource
from antiphon.wire.messages import CreateMessageParams
from support import images
from support.requests import EPHEMERAL, assistant, call, params, result, text, user
from support.web import FakeNameServer, Serve, allow_loopback, answer, site

pytestmark = pytest.mark.anyio

MOST = 10_000_000


def sources(most: int = MOST, patience_s: float = 5.0) -> UrlSources:
    return UrlSources(Web(FakeNameServer(), allow_loopback), most, patience_s)


def by_url(kind: str, url: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "url", "url": url}, **more}


async def fetched(*blocks: dict[str, Any], using: UrlSources | None = None) -> CreateMessageParams:
    return await (using or sources()).fetched(params(user([text("a"), *blocks])))


async def refused(page: bytes | Serve, kind: str = "image", using: UrlSources | None = None) -> str:
    async with site({"/": page}) as there:
        with pytest.raises(InvalidRequestError) as error:
            await fetched(by_url(kind, there.url()), using=using)
    return error.value.message


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not writer.is_closing():
        writer.write(bytes(100_000))
        await writer.drain()


async def silent(writer: asyncio.StreamWriter) -> None:
    del writer
    await asyncio.sleep(60)


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (images.png(), "image/png"),
        (images.JPEG, "image/jpeg"),
        (images.GIF, "image/gif"),
        (images.WEBP, "image/webp"),
    ],
)
async def test_type_of_a_fetched_image_comes_from_its_bytes(image: bytes, kind: str) -> None:
    async with site({"/": answer(image, Content_Type="text/html")}) as there:
        wished = {"transformations": {"oversized_image": "downsize"}}
        found = await fetched(by_url("image", there.url(), **wished))
    block: Any = found.messages[0].content[1]
    assert block.source == Base64ImageSource(media_type=kind, data=b64encode(image).decode())
    assert block.transformations.oversized_image == "downsize"


@pytest.mark.covers("blocks of a request: document: url", "effect")
async def test_type_of_a_fetched_document_comes_from_its_server() -> None:
    latin = answer("Grüße".encode("latin-1"), Content_Type="text/plain; charset=ISO-8859-1")
    pages = {
        "/pdf": answer(b"%PDF-1.7", Content_Type="application/pdf"),
        "/text": answer("\ufeffGrüße".encode(), Content_Type="text/plain"),
        "/latin": latin,
    }
    async with site({**pages}) as there:
        blocks = [by_url("document", there.url(path), title=path) for path in pages]
        found = await fetched(*blocks)
    pdf, plain, old = (block.source for block in found.messages[0].content[1:])  # type: ignore[union-attr]
    assert pdf == Base64PdfSource(media_type="application/pdf", data="JVBERi0xLjc=")
    assert plain == old == PlainTextSource(media_type="text/plain", data="Grüße")


async def test_blocks_inside_of_blocks_are_fetched_and_the_rest_stays() -> None:
    async with site({"/": answer(images.png())}) as there:
        image = by_url("image", there.url())
        inside = {"type": "document", "source": {"type": "content", "content": [text("b"), image]}}
        found = {"type": "search_result", "source": "s", "title": "t", "content": [image]}
        asked = params(
            user("plain"),
            assistant([call("x")]),
            user([result("x", [text("a"), image, inside, found]), result("y", "c"), inside, image]),
        )
        given = await sources().fetched(asked)
    said = msgspec.json.encode(given).decode()
    assert said.count('"base64"') == 5
    assert '"url"' not in said
    here_now = msgspec.json.encode(given.messages[2].content[3].source).decode()  # type: ignore[union-attr]
    there_then = '{"type":"url","url":"' + there.url() + '"}'
    assert said.replace(here_now, there_then) == msgspec.json.encode(asked).decode()
    assert len(there.heads) == 1, "one URL is fetched once"


async def test_request_without_urls_is_left_alone() -> None:
    asked = params(user([text("a"), images.image_block()]))
    assert await sources().fetched(asked) is asked


@pytest.mark.parametrize(
    ("kind", "page", "sentence"),
    [
        (
            "image",
            answer(b"<html>", Content_Type="image/png"),
            "image.source.base64.data: The file format is invalid or unsupported",
        ),
        (
            "image",
            answer(status="404 Not Found"),
            "image.source.url: Unable to download the file. Please verify the URL and try again.",
        ),
        (
            "document",
            answer(b"<html>", Content_Type="text/html"),
            "document.source.url: The file must be of type application/pdf or text/plain.",
        ),
        (
            "document",
            answer(b"\xff", Content_Type="text/plain"),
            "document.source.url: The text is not utf-8.",
        ),
        (
            "document",
            answer(b"a", Content_Type="text/plain; charset=punycode"),
            f"document.source.url: The text must be in one of {', '.join(CHARSETS)}.",
        ),
        (
            "image",
            endless,
            f"image.source.url: The file has more than {LARGEST_IMAGE} bytes.",
        ),
        ("document", endless, f"document.source.url: The file has more than {MOST} bytes."),
    ],
)
async def test_failed_fetch_is_refused_with_the_path(
    kind: str, page: bytes | Serve, sentence: str
) -> None:
    assert await refused(page, kind) == f"messages.0.content.1.{sentence}"


@pytest.mark.parametrize("page", [silent, dripping])
async def test_slow_server_is_given_up_after_the_patience(page: Serve) -> None:
    said = await refused(page, "document", sources(patience_s=0.2))
    where = "messages.0.content.1.document.source.url"
    assert said == f"{where}: The file did not arrive within 0.2 seconds."


async def test_files_of_one_request_share_its_bytes() -> None:
    async with site({"/": answer(bytes(600), Content_Type="text/plain")}) as there:
        one, two = (by_url("document", there.url(f"/?{n}")) for n in "ab")
        there.pages["/?a"] = there.pages["/?b"] = there.pages["/"]
        assert await fetched(one, using=sources(1000))
        with pytest.raises(InvalidRequestError, match=r"content\.\d\.document\.source\.url: The"):
            await fetched(one, two, using=sources(1000))


async def test_url_beyond_the_maximum_is_refused() -> None:
    async with site() as there:
        many = [by_url("document", there.url(f"/{n}")) for n in range(MOST_URLS + 1)]
        with pytest.raises(InvalidRequestError, match="A maximum of 100 URLs may be provided"):
            await fetched(*many)
    assert there.heads == []


async def test_block_whose_url_was_fetched_keeps_its_breakpoint() -> None:
    async with site({"/": answer(images.png(), **{"Content-Type": "image/png"})}) as there:
        request = await fetched(by_url("image", there.url(), cache_control=EPHEMERAL))
    block = request.messages[0].content[1]
    assert isinstance(block.source, Base64ImageSource)
    assert block.cache_control.ttl == "5m"


async def test_url_counts_as_often_as_it_is_named() -> None:
    text_page = answer(b"x" * 1000, Content_Type="text/plain")
    async with site({"/": text_page}) as there:
        block = by_url("document", there.url())
        assert await fetched(*[block] * 5, using=sources(5000))
        with pytest.raises(InvalidRequestError, match="messages: The files together are too"):
            await fetched(*[block] * 6, using=sources(5000))
    assert len(there.heads) == 2
