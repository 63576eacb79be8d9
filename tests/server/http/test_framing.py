"""Which bytes on a connection are one request: no part of one is ever taken for another."""

import asyncio
import json
from typing import Any

import pytest

from support.asgi import HELLO, KEY
from support.connections import SOON_S, Caller, listening
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

BODY = json.dumps({**HELLO, "max_tokens": 5}).encode()
KEYED = (
    "POST /v1/messages HTTP/1.1\r\nhost: x\r\n"
    f"x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n"
).encode()
GET = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
SIZED = b"content-length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKS = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.fixture
async def org(organization: StartOrganization) -> Organization:
    return await organization(text="Yes.")


async def answers(caller: Caller, count: int) -> list[Any]:
    return [(await caller.answer())[2] for _ in range(count)]


async def nothing_more(caller: Caller) -> bool:
    """Whether nothing else comes for a moment."""
    try:
        return await asyncio.wait_for(caller.reader.read(1), 0.1) == b""
    except TimeoutError:
        return True


UPGRADES = [
    b"connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
    b"UPGRADE: websocket\r\nconnection: keep-alive, upgrade\r\nsec-websocket-version: 13\r\n",
]


@pytest.mark.parametrize("framed", [SIZED, CHUNKS], ids=["sized", "in chunks"])
@pytest.mark.parametrize("upgrade", UPGRADES, ids=["h2c", "websocket"])
async def test_upgrade_is_ignored_wherever_its_head_is_cut(
    org: Organization, upgrade: bytes, framed: bytes
) -> None:
    """A parser that switched its protocol would take the body for the next request."""
    raw = KEYED + upgrade + framed
    async with listening(org.app) as server:
        for cut in range(len(KEYED), len(raw) - len(BODY) + 2, 3):
            caller = await server.connect()
            caller.send(raw[:cut])
            await asyncio.sleep(0.002)
            caller.send(raw[cut:] + GET)
            message, health = await answers(caller, 2)
            assert (message["type"], health) == ("message", {"status": "ok"})
            caller.writer.close()


@pytest.mark.parametrize("before", [GET, b"\r\n\r\n", KEYED + CHUNKS], ids=["GET", "lines", "POST"])
async def test_body_beside_an_upgrade_is_no_request(org: Organization, before: bytes) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        head = KEYED + UPGRADES[0] + b"content-length: %d\r\n\r\n" % len(GET)
        caller.send(before + head)
        await asyncio.sleep(0.02)
        caller.send(GET)
        *_, last = await answers(caller, 2 if before.strip() else 1)
        assert last["error"]["message"].startswith("The request body is not valid JSON")
        assert await nothing_more(caller)


async def test_many_upgrades_in_one_write_are_answered(org: Organization) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send((GET[:-2] + UPGRADES[0] + b"\r\n") * 500)
        assert await answers(caller, 500) == [{"status": "ok"}] * 500


async def test_connect_is_refused_and_ends_the_connection(org: Organization) -> None:
    async with listening(org.app) as server:
        for target in (b"x:80", b"/health", b"http://x/health"):
            caller = await server.connect()
            caller.send(b"CONNECT %b HTTP/1.1\r\nhost: x\r\n\r\n" % target + GET)
            status, headers, body = await caller.answer()
            assert (status, headers["connection"]) == (400, "close")
            assert body["error"]["type"] == "invalid_request_error"
            assert await asyncio.wait_for(caller.reader.read(), SOON_S) == b""


HOST = b"host: x\r\n"
REFUSED = {
    "no host": (KEYED.replace(HOST, b""), "The request must have one valid Host header."),
    "two hosts": (KEYED + HOST, "The request must have one valid Host header."),
    "two other hosts": (KEYED + b"host: y\r\n", "The request must have one valid Host header."),
    "a host with a path": (KEYED.replace(HOST, b"host: x/y\r\n"), "valid Host header."),
    "a host with a space": (KEYED.replace(HOST, b"host: x y\r\n"), "valid Host header."),
    "a host with a user": (KEYED.replace(HOST, b"host: a@y\r\n"), "valid Host header."),
    "two hosts of HTTP/1.0": (KEYED.replace(b"1.1", b"1.0") + HOST, "valid Host header."),
    "HTTP/2.0": (KEYED.replace(b"1.1", b"2.0"), "HTTP/2.0 is not supported"),
    "HTTP/0.9": (KEYED.replace(b"1.1", b"0.9"), "HTTP/0.9 is not supported"),
    "gzip in chunks": (KEYED + b"transfer-encoding: gzip, chunked\r\n", "no other coding"),
    "two codings": (
        KEYED + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        "no other coding",
    ),
}


@pytest.mark.parametrize(("head", "sentence"), REFUSED.values(), ids=REFUSED)
async def test_head_that_others_may_read_otherwise_is_refused(
    org: Organization, head: bytes, sentence: str
) -> None:
    framed = CHUNKS[CHUNKS.index(b"\r\n\r\n") + 2 :] if b"transfer" in head else SIZED
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(head + framed + GET)
        status, headers, body = await caller.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert sentence in body["error"]["message"]
        assert await asyncio.wait_for(caller.reader.read(), SOON_S) == b""


@pytest.mark.parametrize(
    "host",
    ["", "x", "x:80", "[::1]:8000", "127.0.0.1", "a-b_c.d~e:1"],
)
@pytest.mark.parametrize("framed", [SIZED, CHUNKS.replace(b"chunked", b"CHUNKED")], ids=len)
async def test_any_valid_host_and_case_of_chunked_is_taken(
    org: Organization, host: str, framed: bytes
) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(KEYED.replace(HOST, f"HOST: {host}\r\n".encode()) + framed + GET)
        assert [body["type"] for body in await answers(caller, 1)] == ["message"]


async def test_http_1_0_needs_no_host(org: Organization) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert (await caller.answer())[0] == 200


@pytest.mark.parametrize("trailer", [b"connection: close", b"Connection: x, Close"])
async def test_connection_ends_after_a_trailer_that_ends_it(
    org: Organization, trailer: bytes
) -> None:
    """The parser drops all that follows such a trailer."""
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(KEYED + CHUNKS[:-2] + trailer + b"\r\n\r\n" + GET)
        assert (await caller.answer())[2]["type"] == "message"
        assert await asyncio.wait_for(caller.reader.read(), SOON_S) == b""
