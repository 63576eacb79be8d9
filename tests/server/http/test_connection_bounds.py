"""The limits of one connection: of its bytes and of the time of each of its phases."""

import asyncio
import json
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from antiphon.server.http.cycle import DateLine
from antiphon.server.http.protocol import LARGEST_HEAD, SLICE, EnvelopeProtocol
from support.asgi import HELLO, KEY
from support.connections import SOON_S, Caller, chunk, listening
from support.logs import capture_logs
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

BODY = json.dumps(HELLO).encode()
HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\n"
KEYED = HEAD + f"x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n".encode()
OPT_IN = "anthropic-dangerous-direct-browser-access: true"
GET = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def org(organization: StartOrganization) -> Organization:
    return await organization(text="word " * 100)


@pytest.fixture
async def talkative(organization: StartOrganization) -> Organization:
    """An organization whose answers fill every buffer on their way."""
    return await organization(text="word " * 200_000)


async def test_trailer_is_no_header_of_the_request(org: Organization) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        trailers = f"x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n\r\n".encode()
        caller.send(HEAD + CHUNKED + chunk(BODY) + b"0\r\n" + trailers)
        status, _, body = await caller.answer()
        assert (status, body["error"]["message"]) == (401, "x-api-key header is required")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"0\r\n" + b"x: y\r\n" * 20_000, 431),
        (b"0\r\nx: " + b"y" * 300_000, 431),
        (b"0\r\n" + b"".join(b"x: %b\r\n" % (b"y" * 30_000) for _ in range(9)), 431),
        (b"1;x=" + b"y" * 300_000, 431),
        (b"".join(chunk(b" ", b";x=%b" % (b"y" * 200)) for _ in range(9000)), 400),
        (chunk(b" ") * 60_000, 400),
    ],
    ids=["many", "one", "long", "extension", "extensions", "tiny chunks"],
)
@pytest.mark.parametrize("keyed", [True, False])
async def test_bytes_around_a_body_are_limited(
    org: Organization, raw: bytes, status: int, *, keyed: bool
) -> None:
    async with listening(org.app, patience_s=1) as server:
        caller = await server.connect()
        caller.send((KEYED if keyed else HEAD) + CHUNKED + raw)
        answered, headers, body = await caller.answer()
        # Without a key the answer comes before the rest, of which nothing is kept.
        assert answered in ({status} if keyed else {status, 401})
        assert headers["connection"] == "close"
        assert body["error"]["type"] != "api_error"
        await server.until_closed()


async def test_body_in_small_chunks_is_taken(org: Organization) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        whole = json.dumps({**HELLO, "max_tokens": 1}).encode().ljust(40_000)
        pieces = b"".join(chunk(whole[at : at + 5]) for at in range(0, len(whole), 5))
        caller.send(KEYED + CHUNKED + pieces + b"0\r\n\r\n")
        assert (await caller.answer())[0] == 200


EARLY = {
    "no key": (HEAD, 401),
    "no path": (HEAD.replace(b"messages", b"nowhere"), 404),
    "no method": (HEAD.replace(b"POST", b"PUT"), 405),
    "too long": (KEYED, 413),
    "no body is read": (HEAD.replace(b"POST /v1/messages", b"GET /health"), 200),
    "models": (KEYED.replace(b"POST /v1/messages", b"GET /v1/models"), 200),
    "another site": (KEYED + b"origin: http://x\r\n", 401),
    "preflight": (HEAD.replace(b"POST", b"OPTIONS") + b"origin: http://x\r\n", 204),
}


@pytest.mark.parametrize(("head", "status"), EARLY.values(), ids=EARLY)
async def test_body_that_dribbles_after_an_early_answer_ends_with_the_connection(
    org: Organization, head: bytes, status: int
) -> None:
    async with listening(org.app, patience_s=0.3) as server:
        callers = [await server.connect() for _ in range(20)]
        for caller in callers:
            caller.send(head + b"content-length: 99999999\r\n\r\n{")
        for caller in callers:
            answered, headers = await asyncio.wait_for(caller.head(), SOON_S)
            assert (answered, headers["connection"]) == (status, "close")
        dribbling = asyncio.create_task(dribble(callers))
        await server.until_closed()
        dribbling.cancel()


async def dribble(callers: list[Caller], piece: bytes = b" ") -> None:
    while True:
        for caller in callers:
            if not caller.writer.is_closing():
                caller.send(piece)
        await asyncio.sleep(0.02)


async def test_early_answer_reaches_a_caller_who_still_sends(org: Organization) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(HEAD + b"content-length: 3000000\r\n\r\n" + bytes(3_000_000))
        assert (await caller.answer())[0] == 401
        assert await caller.reader.read() == b""


async def test_empty_lines_do_not_keep_a_connection_open(org: Organization) -> None:
    async with listening(org.app, idle_s=0.3) as server:
        caller = await server.connect()
        caller.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await caller.answer())[0] == 200
        dribbling = asyncio.create_task(dribble([caller], b"\r\n"))
        await server.until_closed()
        dribbling.cancel()


async def test_idle_connection_is_closed_and_a_busy_one_is_not(org: Organization) -> None:
    async with listening(org.app, idle_s=0.4) as server:
        caller = await server.connect()
        for _ in range(4):
            caller.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await caller.answer())[0] == 200
            await asyncio.sleep(0.2)
        await server.until_closed()


async def test_second_head_that_dribbles_is_refused(org: Organization) -> None:
    async with listening(org.app, patience_s=0.3) as server:
        caller = await server.connect()
        caller.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await caller.answer())[0] == 200
        caller.send(b"GET /health HTTP/1.1\r\nx: ")
        dribbling = asyncio.create_task(dribble([caller]))
        status, _, body = await caller.answer()
        assert (status, body["error"]["message"]) == (400, "The request did not come in 0.3 s.")
        await server.until_closed()
        dribbling.cancel()


async def test_head_that_arrives_in_parts_behind_a_large_body_is_taken(org: Organization) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        body = json.dumps({**HELLO, "max_tokens": 1}).encode().ljust(200_000)
        caller.send(KEYED + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert (await caller.answer())[0] == 200
        for part in (b"GET /health HT", b"TP/1.1\r\nhost: ", b"x\r\n\r\n"):
            caller.send(part)
            await asyncio.sleep(0.05)
        assert (await caller.answer())[0] == 200


async def test_unfinished_request_is_told_when_its_connection_ends(talkative: Organization) -> None:
    """It stops although another request has arrived behind it."""
    async with listening(talkative.app) as server:
        caller = await server.connect()
        await asked(caller, stream=True)
        caller.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.wait_for(caller.reader.read(10_000), SOON_S)
        caller.writer.transport.abort()
        async with asyncio.timeout(SOON_S):
            while not await talkative.entries():  # noqa: ASYNC110 - the ledger has no event for it
                await asyncio.sleep(0.02)
        (entry,) = (await talkative.entries()).values()
        assert entry.outcome == "interrupted"


@pytest.mark.parametrize("behind", [b"", b"GET /heal", GET, 3 * GET, GET + b"POST / HT"], ids=len)
async def test_hang_up_is_noticed_whatever_stands_behind_the_request(
    organization: StartOrganization, behind: bytes
) -> None:
    slow = await organization(tokens_per_second=2, text="on " * 1000)
    async with listening(slow.app) as server:
        caller = await server.connect()
        await asked(caller)
        await asyncio.sleep(0.2)
        caller.send(behind)
        await asyncio.sleep(0.1)
        caller.writer.close()
        await server.until_closed()
        async with asyncio.timeout(SOON_S):
            while not await slow.entries():  # noqa: ASYNC110 - the ledger has no event for it
                await asyncio.sleep(0.02)


async def asked(caller: Caller, **changes: Any) -> None:
    body = json.dumps({**HELLO, "max_tokens": 150_000, **changes}).encode()
    caller.send(KEYED + b"content-length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize("stream", [True, False])
async def test_answer_that_nobody_reads_is_cut_and_billed(
    talkative: Organization, *, stream: bool
) -> None:
    async with listening(talkative.app, write_s=0.3) as server:
        caller = await server.connect(reads_little=True)
        await asked(caller, stream=stream)
        async with asyncio.timeout(SOON_S):
            while not await talkative.entries():  # noqa: ASYNC110 - the ledger has no event for it
                await asyncio.sleep(0.02)
        await server.until_closed()
        (entry,) = (await talkative.entries()).values()
        assert entry.outcome == ("interrupted" if stream else "completed")
        assert entry.tokens.output > 0


async def test_answer_that_is_read_slowly_is_not_cut(talkative: Organization) -> None:
    async with listening(talkative.app, write_s=0.3) as server:
        caller = await server.connect()
        await asked(caller, stream=True, max_tokens=20_000)
        read = b""
        while not read.endswith(b"0\r\n\r\n"):
            part = await asyncio.wait_for(caller.reader.read(100_000), SOON_S)
            assert part
            read = read[-10:] + part
            await asyncio.sleep(0.02)


async def test_connection_that_closes_does_not_wait_for_its_reader_for_ever(
    talkative: Organization,
) -> None:
    async with listening(talkative.app, write_s=0.3, idle_s=0.3) as server:
        caller = await server.connect(reads_little=True)
        # Little enough that the server's own buffer is not called full.
        await asked(caller, max_tokens=9000)
        await asyncio.sleep(0.2)
        assert server.connections == 1
        await server.until_closed()


def test_body_that_is_dropped_is_read_a_piece_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """libuv would read eight megabytes of one connection before it looks at another."""
    size = 8 * 2**20
    pieces: list[int] = []
    take = EnvelopeProtocol.data_received

    def noted(connection: EnvelopeProtocol, data: bytes) -> None:
        if connection._closing:
            pieces[-1] += 1
        take(connection, data)

    monkeypatch.setattr(EnvelopeProtocol, "data_received", noted)

    async def refused(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body"})

    def send_all(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as caller:
            caller.sendall(HEAD + b"content-length: %d\r\n\r\n" % (2 * size))
            assert caller.recv(100).startswith(b"HTTP/1.1 401")
            caller.sendall(bytes(size))

    async def serve() -> None:
        async with listening(refused) as server:
            sending = asyncio.create_task(asyncio.to_thread(send_all, server.port))
            while not sending.done():
                pieces.append(0)
                time.sleep(0.01)  # noqa: ASYNC251 - what is sent meanwhile waits in the kernel
                await asyncio.sleep(0)
            # What the kernel still has is read while the server ends, in turns of its own.
            pieces.append(0)
            await sending

    uvloop.run(serve())
    *turns, _ = pieces
    assert sum(turns) > 10
    # A turn may end between two of them.
    assert max(turns) <= 2


async def test_requests_behind_another_wait_outside_of_memory(org: Organization) -> None:
    """However many are sent at once, only those of one slice are parsed before the first ends."""
    async with listening(org.app) as server:
        caller = await server.connect()
        await asked(caller, stream=True, max_tokens=3)
        one = GET
        caller.send(one * 5_000)
        answered = (await caller.reader.readuntil(b"0\r\n\r\n")).count(b"HTTP/1.1 200")
        (connection,) = server._server.server_state.connections
        assert len(connection.waiting) <= SLICE // len(one) + 1
        for _ in range(5_000):
            assert (await caller.answer())[0] == 200
            assert len(connection.waiting) <= 2 * SLICE // len(one)
            assert len(connection._kept) <= LARGEST_HEAD + 256 * 1024
        assert answered == 1


async def test_stream_to_http_1_0_has_no_chunks_and_ends_with_the_connection(
    org: Organization,
) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        body = json.dumps({**HELLO, "stream": True, "max_tokens": 5}).encode()
        head = KEYED.replace(b"HTTP/1.1", b"HTTP/1.0")
        caller.send(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        status, headers = await caller.head()
        assert (status, headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in headers
        events = await asyncio.wait_for(caller.reader.read(), SOON_S)
        assert events.startswith(b"event: message_start\ndata: ")
        assert events.endswith(b'data: {"type":"message_stop"}\n\n')


async def test_http_1_0_gets_no_interim_answer(org: Organization) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        head = KEYED.replace(b"HTTP/1.1", b"HTTP/1.0")
        body = json.dumps({**HELLO, "max_tokens": 5}).encode()
        caller.send(head + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body))
        await asyncio.sleep(0.05)
        caller.send(body)
        assert (await caller.answer())[0] == 200


@pytest.mark.parametrize(
    "lines",
    [
        f"x-api-key: {KEY} \t\r\nanthropic-version:\t2023-06-01 \r\n",
        f"authorization: Bearer {KEY} \r\nanthropic-version: 2023-06-01\t\r\n",
        f"x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\norigin: http://x\r\n{OPT_IN} \r\n",
        f"x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\ncontent-encoding: identity\t\r\n",
        f"x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\nexpect: 100-continue \r\n",
    ],
    ids=["key", "bearer", "browser", "encoding", "expectation"],
)
async def test_space_around_a_header_is_no_part_of_its_value(org: Organization, lines: str) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        body = json.dumps({**HELLO, "max_tokens": 5}).encode()
        caller.send(HEAD + lines.encode() + b"content-length: %d \r\n\r\n" % len(body))
        if "expect" in lines:
            assert await asyncio.wait_for(caller.head(), SOON_S) == (100, {})
        caller.send(body)
        assert (await caller.answer())[0] == 200


@pytest.mark.parametrize(
    "length", ["0" * 5000 + "5", "0005", "00", "9" * 19, "1" + "0" * 18], ids=len
)
async def test_length_with_zeros_or_many_digits_is_refused(org: Organization, length: str) -> None:
    async with listening(org.app, patience_s=0.3) as server:
        caller = await server.connect()
        caller.send(KEYED + f"content-length: {length}\r\n\r\n".encode())
        status, headers, body = await caller.answer()
        assert status == (413 if length[0] != "0" else 400)
        assert headers["connection"] == "close"
        assert body["error"]["type"] in {"request_too_large", "invalid_request_error"}


DATED = {
    "an answer": KEYED + b"content-length: %d\r\n\r\n" % len(BODY) + BODY,
    "a refusal": HEAD + b"\r\n",
    "no HTTP": b"no HTTP\r\n\r\n",
    "no path": GET.replace(b"health", b"nowhere"),
    "a long head": b"GET / HTTP/1.1\r\nx: " + b"x" * 70_000,
    "a preflight": b"OPTIONS / HTTP/1.1\r\nhost: x\r\norigin: http://x\r\n\r\n",
    "a stream": KEYED + b"content-length: %d\r\n\r\n" % (len(BODY) + 15) + BODY[:-1]
    + b', "stream":true}',
}  # fmt: skip


@pytest.mark.parametrize("raw", DATED.values(), ids=DATED)
async def test_every_answer_has_its_date_once(org: Organization, raw: bytes) -> None:
    async with listening(org.app) as server:
        caller = await server.connect()
        caller.send(raw)
        head = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), SOON_S)
        (line,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"date:")]
        assert parsedate_to_datetime(line.decode().partition(": ")[2])


def test_date_is_made_once_a_second() -> None:
    moments = iter([0.0, 0.9, 1.0])
    date = DateLine(lambda: next(moments))
    first, second, third = date(), date(), date()
    assert first == b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    assert second is first
    assert third == b"date: Thu, 01 Jan 1970 00:00:01 GMT\r\n"


async def test_tls_on_a_port_of_http_is_refused_and_logged(org: Organization) -> None:
    async with listening(org.app) as server:
        with capture_logs() as logs:
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection("127.0.0.1", server.port, ssl=True)
            await server.until_closed()
        (line,) = (one for one in logs if "TLS" in one["event"])
        assert line["hint"] == (
            f"The base URL should be http://127.0.0.1:{server.port}, with http, or a proxy has to "
            "end TLS."
        )
        # A body may begin with the same byte.
        caller = await server.connect()
        caller.send(HEAD + b"content-length: 3\r\n\r\n")
        await asyncio.sleep(0.05)
        caller.send(b"\x16\x03\x01")
        assert (await caller.answer())[0] == 401
        assert not any("TLS" in one["event"] for one in logs[1:])
