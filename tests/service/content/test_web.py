import asyncio
import gzip

import pytest

from antiphon.service.content.web import (
    FAILED,
    LOOK_UPS,
    ForbiddenUrlError,
    TooLargeError,
    UnfetchableError,
    Web,
    look_up,
)
from support.web import FakeNameServer, Serve, allow_loopback, answer, redirect, site

pytestmark = pytest.mark.anyio

MOST = 1000


async def refused(web: Web, url: str, most: int = MOST) -> str:
    with pytest.raises(UnfetchableError) as error:
        await web.get(url, most)
    return str(error.value)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(bytes(1000))
        await writer.drain()


async def cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.internal ESMTP\r\n")


async def test_a_file_comes_from_the_checked_address_under_its_own_name() -> None:
    names = FakeNameServer()
    async with site() as there:
        there.pages["/a?b=c"] = answer(b"hello", Content_Type="text/plain; charset=UTF-8")
        fetched = await Web(names, allow_loopback).get(there.url("/a?b=c") + "#part", MOST)
        host = f"Host: files.example.com:{there.port}\r\n"
    assert (fetched.body, fetched.media_type, fetched.charset) == (b"hello", "text/plain", "UTF-8")
    assert names.asked == ["files.example.com"]
    assert host in there.heads[0]
    for header in ("Authorization", "Cookie", "x-api-key"):
        assert header.lower() not in there.heads[0].lower()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104 - asked for, not bound
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
    ],
)
async def test_no_private_address_is_reached_however_it_is_written(host: str) -> None:
    async with site({"/": answer(b"secret")}) as there:
        assert await refused(Web(), there.url(host=host)) == FAILED
    assert there.heads == []


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:7f00:1"], []]
)
async def test_name_that_resolves_to_a_private_address_is_not_fetched(addresses: list[str]) -> None:
    assert await refused(Web(FakeNameServer([addresses])), "http://files.example.com/") == FAILED


async def test_name_that_resolves_anew_after_the_check_is_not_followed() -> None:
    names = FakeNameServer([["127.0.0.1"], ["127.9.9.9"]])
    async with site({"/": answer(b"hello")}) as there:
        assert (await Web(names, allow_loopback).get(there.url(), MOST)).body == b"hello"
    assert len(names.asked) == 1


async def test_address_that_does_not_answer_is_followed_by_the_next() -> None:
    async with site({"/": answer(b"hello")}) as there:
        web = Web(FakeNameServer([["127.0.0.2", "127.0.0.1"]]), allow_loopback)
        assert (await web.get(there.url(), MOST)).body == b"hello"


async def test_tls_handshake_names_the_host_of_the_url() -> None:
    greetings = []

    async def greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greetings.append(await reader.read(2000))
        writer.close()

    server = await asyncio.start_server(greeted, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert (
            await refused(
                Web(FakeNameServer(), allow_loopback), f"https://files.example.com:{port}/"
            )
            == FAILED
        )
    assert b"files.example.com" in greetings[0]


async def test_proxies_of_the_environment_are_not_used(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with site({"/": answer(b"hello")}) as there:
        assert (await Web(FakeNameServer(), allow_loopback).get(there.url(), MOST)).body == b"hello"


async def test_redirects_are_followed_three_times() -> None:
    pages: dict[str, bytes | Serve] = {f"/{n}": redirect(f"/{n - 1}") for n in range(1, 5)}
    async with site({**pages, "/0": answer(b"hello")}) as there:
        web = Web(FakeNameServer(), allow_loopback)
        assert (await web.get(there.url("/3"), MOST)).body == b"hello"
        assert await refused(web, there.url("/4")) == "The URL redirects more than 3 times."


async def test_every_redirect_is_checked() -> None:
    async with site({"/": answer(b"secret")}) as there:
        there.pages["/in"] = redirect(there.url(host="inside.example.com"))
        names = FakeNameServer([["127.0.0.1"], ["10.0.0.1"]])
        assert await refused(Web(names, allow_loopback), there.url("/in")) == FAILED
        there.pages["/file"] = redirect("file:///etc/passwd")
        said = await refused(Web(FakeNameServer(), allow_loopback), there.url("/file"))
    assert said == "Only http and https URLs are fetched."
    assert names.asked == ["files.example.com", "inside.example.com"]
    assert len(there.heads) == 2


@pytest.mark.parametrize(
    "page",
    [
        answer(b"the secret of the server", "500 Internal Server Error"),
        answer(b"the secret of the server", "403 Forbidden"),
        answer(b"", "204 No Content"),
        cut_off,
        no_http,
    ],
)
async def test_failure_does_not_reveal_the_servers_answer(page: bytes | Serve) -> None:
    async with site({"/": page}) as there:
        assert await refused(Web(FakeNameServer(), allow_loopback), there.url()) == FAILED


async def test_server_that_is_not_there_is_told_in_the_same_words() -> None:
    async with site() as there:
        pass
    assert await refused(Web(FakeNameServer(), allow_loopback), there.url()) == FAILED
    assert await refused(Web(), "http://no-such-name.invalid/") == FAILED


async def test_more_bytes_than_asked_for_are_not_read() -> None:
    async with site({"/": endless, "/said": answer(bytes(MOST + 1))}) as there:
        web = Web(FakeNameServer(), allow_loopback)
        for path in ("/", "/said"):
            assert await refused(web, there.url(path)) == "The file has more than 1000 bytes."
        there.pages["/most"] = answer(bytes(MOST))
        assert len((await web.get(there.url("/most"), MOST)).body) == MOST


async def test_compressed_file_is_not_decompressed() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    async with site({"/": answer(bomb, Content_Encoding="gzip")}) as there:
        said = await refused(Web(FakeNameServer(), allow_loopback), there.url(), 100_000)
        head = there.heads[0]
    assert said == "The file comes compressed, and was asked for as it is."
    assert "Accept-Encoding: identity" in head


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "Only http and https URLs are fetched."),
        ("ftp://example.com/a", "Only http and https URLs are fetched."),
        ("//example.com/a", "Only http and https URLs are fetched."),
        ("cat.png", "Only http and https URLs are fetched."),
        ("", "Only http and https URLs are fetched."),
        ("http://", "Only http and https URLs are fetched."),
        ("http://example.com:99999/", "This is not a URL."),
        ("http://[::1/", "This is not a URL."),
        ("http://me:word@example.com/", "The URL must not carry a user name or a password."),
    ],
)
async def test_other_urls_than_http_are_refused(url: str, said: str) -> None:
    names = FakeNameServer()
    assert await refused(Web(names, allow_loopback), url) == said
    assert names.asked == []


async def test_look_up_resolves_names_as_the_system_does() -> None:
    assert "127.0.0.1" in await look_up("localhost", 80)
    assert await look_up("127.1", 80) == ["127.0.0.1"]


async def test_redirect_that_the_caller_does_not_permit_is_not_followed() -> None:
    web = Web(FakeNameServer(), allow_loopback)
    async with site() as there:
        there.pages["/a"] = redirect(there.url("/b", host="other.example.org"))
        there.pages["/b"] = answer(b"hello")
        with pytest.raises(ForbiddenUrlError):
            await web.get(there.url("/a"), MOST, lambda url: "other" not in url)
        assert len(there.heads) == 1
        with pytest.raises(ForbiddenUrlError):
            await web.get(there.url("/a"), MOST, lambda url: "other" in url)
        assert len(there.heads) == 1
        assert (await web.get(there.url("/a"), MOST, lambda url: "example" in url)).body == b"hello"


async def test_slow_name_server_keeps_few_threads_busy() -> None:
    goes_on, asked = asyncio.Event(), list[str]()

    async def slow(host: str, port: int) -> list[str]:
        del port
        asked.append(host)
        await goes_on.wait()
        raise OSError("no such name")

    web = Web(slow, allow_loopback)
    fetches = [
        asyncio.create_task(web.get(f"http://n{number}.example/", MOST)) for number in range(9)
    ]
    while len(asked) < LOOK_UPS:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for fetch in fetches[:5]:
        fetch.cancel()
    await asyncio.wait(fetches[:5])
    for _ in range(20):
        await asyncio.sleep(0)
    # The callers are gone, and the threads of the system are not free.
    assert asked == ["n0.example", "n1.example"]
    goes_on.set()
    done = await asyncio.gather(*fetches[5:], return_exceptions=True)
    assert all(isinstance(one, UnfetchableError) for one in done)
    assert asked[LOOK_UPS:] == [f"n{number}.example" for number in range(5, 9)]


async def test_file_that_is_too_large_is_told_apart() -> None:
    async with site({"/": answer(b"a" * 11)}) as there:
        with pytest.raises(TooLargeError):
            await Web(FakeNameServer(), allow_loopback).get(there.url(), 10)
