import asyncio
import gc
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import pytest
from msgspec import structs

from antiphon import testing
from antiphon.settings import SettingsError
from antiphon.testing import Server
from antiphon.transport.base import (
    AsyncResponseStream,
    ConnectError,
    ConnectionLost,
    HttpRequest,
    TransportTimeout,
)
from support.in_process import HELLO, create, events, get, opened, request, said


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with testing.server(ping_interval_s=0.05) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server of the module, as new."""
    running.reset()
    return running


async def async_opened(server: Server, **changes: object) -> AsyncResponseStream:
    sent = request(server, body={**HELLO, **changes})
    return await server.async_transport().open(sent, connect_timeout=None, timeout=10)


def slowly(server: Server) -> None:
    """Let the next answer take longer than any test."""
    server.answers("one two three four five six seven eight", tokens_per_second=0.5)


def silence_of(stream: Any) -> None:
    """Read until nothing comes for a moment that is shorter than the time between pings."""
    while stream.read_chunk(0.02):
        pass


async def async_silence_of(stream: Any) -> None:
    """As `silence_of`."""
    while await stream.read_chunk(0.02):
        pass


def servers() -> set[threading.Thread]:
    """Return the threads of the servers that run."""
    return {thread for thread in threading.enumerate() if thread.name == "antiphon-testing"}


def until_left(server: Server) -> None:
    """Wait until the server has seen its caller leave."""
    seen = server.requests.last.left.wait(10)
    assert seen


def test_stream_comes_piece_by_piece_and_is_cancelled_by_closing_it(server: Server) -> None:
    server.answers("one two three", tokens_per_second=20)
    stream = opened(server, stream=True)
    pieces = list(iter(lambda: stream.read_chunk(10), b""))
    assert len(pieces) > 2
    assert pieces[-1].endswith(b'{"type":"message_stop"}\n\n')
    slowly(server)
    stream = opened(server, stream=True)
    stream.close()
    until_left(server)
    with pytest.raises(ConnectionLost):
        stream.read_chunk(1)


def test_late_answers_are_timeouts_and_cancel_the_request(server: Server) -> None:
    server.answers("Late", delay=3600)
    with pytest.raises(TransportTimeout, match=r"no answer .* in 0.25 s"):
        opened(server, timeout=0.25)
    until_left(server)
    slowly(server)
    stream = opened(server, stream=True)
    stream.read_chunk(10)
    with pytest.raises(TransportTimeout, match="nothing came"):
        silence_of(stream)
    until_left(server)


def test_no_other_address_is_reached(server: Server) -> None:
    elsewhere = HttpRequest(method="GET", url="http://example.org/v1/models")
    with pytest.raises(ConnectError, match=r"example\.org"):
        server.transport().open(elsewhere, connect_timeout=None, timeout=1)


def test_threads_share_a_server(server: Server) -> None:
    texts = [f"Text {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda text: said(server, text), texts)) == texts
    assert len(server.requests) == 40


@pytest.mark.anyio
async def test_asynchronous_stream_does_the_same(server: Server) -> None:
    server.answers("one two three", tokens_per_second=20)
    stream = await async_opened(server, stream=True)
    pieces = []
    while piece := await stream.read_chunk(10):
        pieces.append(piece)
    assert len(pieces) > 2
    assert json.loads(await (await async_opened(server)).read(10))["type"] == "message"
    slowly(server)
    stream = await async_opened(server, stream=True)
    await stream.read_chunk(10)
    with pytest.raises(TransportTimeout):
        await async_silence_of(stream)
    await asyncio.to_thread(until_left, server)
    slowly(server)
    reading = asyncio.ensure_future((await async_opened(server, stream=True)).read(10))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.to_thread(until_left, server)
    server.answers("Late", delay=3600)
    opening = asyncio.ensure_future(async_opened(server))
    await asyncio.to_thread(server.requests.wait_for, len(server.requests) + 1)
    opening.cancel()
    await asyncio.to_thread(until_left, server)
    server.fails(testing.connection_lost)
    with pytest.raises(ConnectionLost):
        await async_opened(server)


@pytest.mark.anyio
async def test_server_is_an_asynchronous_context_too() -> None:
    async with testing.server() as server:
        stream = await async_opened(server)
        assert stream.status == 200
        assert json.loads(await stream.read(10))["content"][0]["text"] == "Hi"
    with pytest.raises(SettingsError):
        await testing.server(ping_interval_s=-1).__aenter__()
    before = servers()
    starting = asyncio.ensure_future(testing.server().__aenter__())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert servers() == before
    with pytest.raises(testing.UnusedAnswersError):
        async with testing.server(strict=True) as server:
            server.answers("Never")


def test_request_that_runs_at_the_end_is_told_so() -> None:
    with testing.server(ping_interval_s=0.05) as server:
        slowly(server)
        stream = opened(server, stream=True)
    assert events(stream)[-1]["error"]["type"] == "overloaded_error"
    with pytest.raises((ConnectError, ConnectionLost)):
        opened(server)


def test_each_server_has_its_own_limits_batches_and_requests() -> None:
    with testing.server() as one, testing.server() as other:
        one.limit(requests_per_minute=1)
        assert [create(one)[0] for _ in range(2)] == [200, 429]
        assert create(other)[0] == 200
        assert (len(one.requests), len(other.requests)) == (2, 1)
        one.limit(requests_per_minute=None)
        assert create(one)[0] == 200
        with pytest.raises(TypeError, match="tokens_per_hour"):
            one.limit(tokens_per_hour=1)


def test_settings_are_those_of_the_file() -> None:
    with testing.server(aliases=["small-*"], limits={"concurrent_requests": 1}) as server:
        assert create(server)[0] == 404
        assert create(server, model="small-1")[0] == 200
    with pytest.raises(SettingsError, match="ping-interval-s"), testing.server(ping_interval_s=-1):
        pass
    with pytest.raises(TypeError, match="data_dir"), testing.server(data_dir="here"):
        pass
    with pytest.raises(RuntimeError, match="with"):
        _ = testing.server().key


def test_administrators_key_reads_the_usage_of_the_bill(server: Server) -> None:
    said(server)
    sent = request(server, "/v1/organizations/me", method="GET", x_api_key=server.admin_key)
    stream = server.transport().open(sent, connect_timeout=None, timeout=10)
    assert stream.status == 200
    assert get(server, "/v1/organizations/me")[0] == 403


def test_official_client_uses_a_port_that_opens_when_it_is_asked_for(server: Server) -> None:
    server.fails(testing.overloaded_error).answers("Good morning")
    server.fails(testing.connection_lost(after="Half"), when="cut")
    client = anthropic.Anthropic(api_key=server.key, base_url=server.url, max_retries=1)
    assert server.url == server.url
    with client:
        message = client.messages.create(**HELLO)
        assert message.content[0].text == "Good morning"
        cut = {**HELLO, "messages": [{"role": "user", "content": "cut"}]}
        with (
            pytest.raises(httpx2.RemoteProtocolError),
            client.messages.stream(**cut) as stream,
        ):
            stream.get_final_message()
    assert [one.status for one in server.requests] == [529, 200, 200]


@pytest.mark.anyio
async def test_application_answers_a_client_that_calls_one(server: Server) -> None:
    transport = httpx2.ASGITransport(app=server.app)
    async with httpx2.AsyncClient(transport=transport, base_url=server.base_url) as http:
        client = anthropic.AsyncAnthropic(api_key=server.key, http_client=http, max_retries=0)
        message = await client.messages.create(**HELLO)
        assert message.content[0].text == "Hi"
        server.fails(testing.api_error)
        with pytest.raises(anthropic.InternalServerError):
            await client.messages.create(**HELLO)
        page = await client.models.list(limit=1)
    assert [one.id for one in page.data] == ["scripted"]
    assert server.requests.last.query == "limit=1"


@pytest.mark.parametrize(
    "header", [("x-mine", "a\r\nb: c"), ("x-mine", "\N{EURO SIGN}"), ("not a name", "a")]
)
def test_request_that_no_network_would_carry_is_refused(
    server: Server, header: tuple[str, str]
) -> None:
    sent = structs.replace(request(server, body=HELLO), headers=(header,))
    with pytest.raises(ValueError, match="header"):
        server.transport().open(sent, connect_timeout=None, timeout=10)
    with pytest.raises(ValueError, match="header"):
        asyncio.run(server.async_transport().open(sent, connect_timeout=None, timeout=10))


def test_call_from_the_servers_own_loop_is_told_so(server: Server) -> None:
    client, errors = server.client(max_retries=0, timeout=60), []

    def asks_again(_: object) -> str:
        try:
            client.models.list()
        except RuntimeError as error:
            errors.append(str(error))
        return "after all"

    server.answers(asks_again)
    assert said(server) == "after all"
    assert errors == ["a function of the test runs in the loop of the server"]


def test_asynchronous_stream_that_is_forgotten_is_cancelled(server: Server) -> None:
    async def forget() -> None:
        stream = await async_opened(server, stream=True)
        await stream.read_chunk(10)

    slowly(server)
    asyncio.run(forget())
    gc.collect()
    assert server.requests[-1].left.wait(10)
