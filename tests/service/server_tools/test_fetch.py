"""`web_fetch` alone: which URLs are fetched, however they are written, and how texts are read."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest

from antiphon.core.prompt import Prompt, Turn, WebFetchTool
from antiphon.core.server_tools.domains import Domains
from antiphon.core.server_tools.rounds import ServerCall
from antiphon.service.content.file_reader import FileReader
from antiphon.service.content.web import Web
from antiphon.service.server_tools.web.fetch import WebFetch
from antiphon.wire.content import TextParam
from antiphon.wire.server_blocks import WebFetchResultBlock
from support.web import FakeNameServer, Site, allow_loopback, answer, redirect, site

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
async def there() -> AsyncGenerator[Site]:
    async with site() as one:
        one.pages["/secret"] = answer(b"It rains.", Content_Type="text/plain")
        yield one


async def fetched(url: str, domains: Domains = Domains()) -> Any:  # noqa: B008 - it is frozen
    """Fetch a URL that the user has named; return the text, or the code of the error."""
    tool = WebFetchTool(name="web_fetch", kind="web_fetch", input_schema={}, domains=domains)
    web, reader = Web(FakeNameServer(), allow_loopback), FileReader()
    fetch = WebFetch(tool, web, reader, lambda: NOON, 10_000)
    prompt = Prompt((Turn("user", (TextParam(text=f"Read {url}"),)),), 1)
    try:
        result = await fetch.run(ServerCall("srvtoolu_1", "web_fetch", {"url": url}), prompt)
    finally:
        await reader.aclose()
    content: Any = result.block.content
    if isinstance(content, WebFetchResultBlock):
        return content.content.source.data
    return content.error_code


BLOCKED = Domains(blocked=("xn--bcher-kva.example", "evil.example", "example.com/secret"))


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "EVIL.example", "evil.example.", "a.evil.example"),
        # Letters of full width and a full stop of another script are ASCII to a name server.
        *("\uff45vil.example", "evil\u3002example", "e%76il.example", "evil%2Eexample"),
        *("b\u00fccher.example", "B\u00dcCHER.example", "bu\u0308cher.example"),
    ],
)
async def test_host_that_is_blocked_is_not_asked_however_it_is_written(
    there: Site, host: str
) -> None:
    assert await fetched(there.url("/secret", host=host), BLOCKED) in {
        "url_not_allowed",
        "url_not_accessible",
    }
    assert there.heads == []
    assert await fetched(there.url("/secret", host="good.example"), BLOCKED) == "It rains."


PATHS = (
    *("/secret", "/a/../secret", "/a/%2e%2e/secret", "/%73ecret", "/./secret", "/a/./../secret"),
    *("/secret#part", "/secret?a=b"),
)


@pytest.mark.parametrize("path", PATHS)
async def test_path_that_is_blocked_is_not_asked_for_however_it_is_written(
    there: Site, path: str
) -> None:
    assert await fetched(there.url(path, host="example.com"), BLOCKED) == "url_not_allowed"
    assert there.heads == []


@pytest.mark.parametrize("path", ["/docs/../secret", "/docs/%2E%2E/secret", "/docs%2F..%2Fsecret"])
async def test_path_does_not_lead_out_of_what_is_allowed(there: Site, path: str) -> None:
    domains = Domains(allowed=("example.com/docs",))
    assert await fetched(there.url(path, host="example.com"), domains) == "url_not_allowed"
    there.pages["/docs"] = redirect(there.url(path, host="example.com"))
    url = there.url("/docs", host="example.com")
    assert await fetched(url, domains) == "url_not_allowed"
    assert len(there.heads) == 1


async def test_domain_in_another_script_is_allowed_by_its_name_in_ascii(there: Site) -> None:
    domains = Domains(allowed=("xn--bcher-kva.example/%C3%BC",))
    there.pages["/%C3%BC"] = answer(b"It rains.", Content_Type="text/plain")
    url = there.url("/\u00fc", host="b\u00fccher.example")
    assert await fetched(url, domains) == "It rains."


@pytest.mark.parametrize(
    "url",
    [
        *("http://user:word@evil.example/", "http://good.example@evil.example/", "https://["),
        *("http://evil.example:99999/", "file:///etc/passwd", "http://", "http:///a", "//a/b"),
        *("http://[::ffff:7f00:1]/", "http://[fe80::1%25eth0]/", "gopher://a.example/"),
    ],
)
async def test_address_that_is_none_is_told(url: str) -> None:
    assert await fetched(url) in {"url_not_accessible", "url_not_in_prior_context"}


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("Käse".encode("latin-1"), "; charset=ISO-8859-1", "Käse"),
        ("Käse €".encode("cp1252"), "; charset=windows-1252", "Käse €"),
        ("Käse".encode("utf-16"), "", "Käse"),
        ("Käse".encode("utf-16"), "; charset=utf-16", "Käse"),
        ("\ufeffKäse".encode(), "; charset=utf-8", "Käse"),
        ("Käse".encode(), "; charset=no-such", "Käse"),
        ("Käse".encode(), "; charset=punycode", "Käse"),
        ("Käse".encode(), "", "Käse"),
        ("Käse".encode("latin-1"), "", "K\ufffdse"),
        (b"\\ud800+2AA-", "; charset=utf-7", "\\ud800+2AA-"),
    ],
)
async def test_text_is_read_as_its_server_says(
    there: Site, body: bytes, charset: str, text: str
) -> None:
    there.pages["/a"] = answer(body, Content_Type=f"text/plain{charset}")
    assert await fetched(there.url("/a")) == text


async def test_line_breaks_in_a_url_are_no_part_of_the_page(there: Site) -> None:
    there.pages["/autf-8x"] = answer("<p>K\u00e4se".encode(), Content_Type="text/html")
    assert await fetched(there.url("/a\nutf-8\nx")) == "K\u00e4se"


# A text on which the parser takes minutes.
SLOW = answer(b"<!--" * 100_000, Content_Type="text/html")


def fetching(there: Site, reader: FileReader, turns: asyncio.Semaphore, reading_s: float) -> Any:
    tool = WebFetchTool(name="web_fetch", kind="web_fetch", input_schema={})
    web, url = Web(FakeNameServer(), allow_loopback), there.url("/slow")
    fetch = WebFetch(tool, web, reader, lambda: NOON, 1_000_000, turns=turns, reading_s=reading_s)
    prompt = Prompt((Turn("user", (TextParam(text=url),)),), 1)
    return fetch.run(ServerCall("srvtoolu_1", "web_fetch", {"url": url}), prompt)


async def test_slow_pages_leave_a_reader_to_others_and_are_given_up(there: Site) -> None:
    there.pages["/slow"] = SLOW
    reader, turns = FileReader(children=2), asyncio.Semaphore(1)
    try:
        pages = [asyncio.create_task(fetching(there, reader, turns, 60.0)) for _ in range(3)]
        async with asyncio.timeout(50):
            while not turns.locked():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            async with reader.borrow() as child:
                assert await child.page(b64encode(b"http://a\n\n<p>Hi").decode()) == ("", "Hi")
        assert not any(page.done() for page in pages)
        for page in pages:
            page.cancel()
        await asyncio.wait(pages)
        given_up = await fetching(there, reader, turns, 0.2)
        assert given_up.block.content.error_code == "unsupported_content_type"
        assert not turns.locked()
    finally:
        await reader.aclose()
