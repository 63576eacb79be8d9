import asyncio
from typing import Any

import pytest

from antiphon.service.console.openid.asking import (
    LARGEST_ANSWER,
    ProviderAwayError,
    ProviderError,
    ProviderRefusedError,
    ask_json,
)
from support.web import Serve, answer, redirect, site

pytestmark = [
    pytest.mark.anyio,
    # Connections that other tests of a worker have left may be collected while these run.
    pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning"),
]


async def silent(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 1000)
        await writer.drain()


async def trickling(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
    await writer.drain()
    await asyncio.Event().wait()


async def cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.internal ESMTP\r\n")


async def ask(page: bytes | Serve, **more: Any) -> dict[str, Any]:
    async with site({"/x": page}) as there:
        return await ask_json(there.url("/x", "127.0.0.1"), **more)


async def test_answer_is_an_object() -> None:
    assert await ask(answer(b'{"a": [1]}')) == {"a": [1]}


async def test_form_is_posted() -> None:
    async with site({"/x": answer(b"{}")}) as there:
        await ask_json(there.url("/x", "127.0.0.1"), form={"code": "a b"}, headers={"X-Y": "z"})
        (head,) = there.heads
    assert head.startswith("POST /x HTTP/1.1")
    assert "X-Y: z" in head
    assert "application/x-www-form-urlencoded" in head
    assert "gzip" not in head


@pytest.mark.parametrize("page", [silent, trickling], ids=["silent", "trickling"])
async def test_slow_provider_is_away(page: Serve) -> None:
    with pytest.raises(ProviderAwayError):
        await ask(page, patience_s=0.05)


@pytest.mark.parametrize(
    "page", [cut_off, no_http, answer(status="503 Busy"), answer(status="429 Later")]
)
async def test_provider_that_breaks_off_is_away(page: bytes | Serve) -> None:
    with pytest.raises(ProviderAwayError):
        await ask(page)


@pytest.mark.parametrize(
    "page",
    [
        endless,
        answer(b" " * (LARGEST_ANSWER + 1)),
        answer(b"[]"),
        answer(b"<html>"),
        answer(b"[" * 100_000),
        answer(b"\xff"),
        answer(b"{}", Content_Encoding="gzip"),
    ],
    ids=["endless", "large", "list", "html", "deep", "bytes", "said to be packed"],
)
async def test_answer_that_is_no_small_object_is_an_error(page: bytes | Serve) -> None:
    if page == answer(b"{}", Content_Encoding="gzip"):
        # What is not unpacked cannot grow.
        assert await ask(page) == {}
        return
    with pytest.raises(ProviderError) as error:
        await ask(page)
    assert not isinstance(error.value, ProviderAwayError)


async def test_redirect_is_not_followed() -> None:
    async with site({"/x": redirect("/y"), "/y": answer(b"{}")}) as there:
        with pytest.raises(ProviderRefusedError):
            await ask_json(there.url("/x", "127.0.0.1"))
        assert len(there.heads) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"error": "invalid_grant"}', "invalid_grant"), (b'{"error": 7}', ""), (b"no", "")],
)
async def test_refusal_has_its_code(body: bytes, code: str) -> None:
    with pytest.raises(ProviderRefusedError) as error:
        await ask(answer(body, "400 Bad Request"))
    assert error.value.code == code


@pytest.mark.parametrize("address", ["http://id.example.org/", "file:///etc/passwd", "https://[x"])
async def test_unsafe_address_is_not_asked(address: str) -> None:
    with pytest.raises(ProviderError, match="neither https nor on this machine"):
        await ask_json(address)
