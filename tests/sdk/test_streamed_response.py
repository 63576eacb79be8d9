import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon.sdk.streamed_response import Lines
from antiphon.transport.base import ConnectionLost, TransportTimeout
from support.sdk import AsyncScriptedTransport, Reply, ScriptedTransport, message_json

ASKED = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}


def client_of(reply: Reply) -> antiphon.Client:
    return antiphon.Client(api_key="k", transport=ScriptedTransport(reply))


def async_client_of(reply: Reply) -> antiphon.AsyncClient:
    return antiphon.AsyncClient(api_key="k", transport=AsyncScriptedTransport(reply))


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


@given(st.text(st.sampled_from("aé€😀\n\r\u2028")), st.integers(1, 5))
def test_lines_do_not_depend_on_the_pieces(text: str, size: int) -> None:
    lines, texts = Lines(), Lines()
    pieces = [*cut(text.encode(), size), b""]
    found = [line for piece in pieces for line in lines.lines(piece)]
    assert "".join(map(texts.text, pieces)) == text
    assert found == [
        line.removesuffix("\r") for line in text.removesuffix("\n").split("\n") if text
    ]


def test_body_is_read_as_it_comes() -> None:
    reply = Reply(200, {"request-id": "req_1"}, chunks=[b"data: \xc3", b"\xa9\r\n", b"\nend"])
    with client_of(reply).messages.with_streaming_response.create(**ASKED, stream=True) as response:
        assert (response.status_code, response.request_id) == (200, "req_1")
        assert list(response.iter_lines()) == ["data: é", "", "end"]
    assert reply.closed


def test_whole_body_has_every_form() -> None:
    def opened() -> antiphon.sdk.streamed_response.Streamed:
        return client_of(Reply(json=message_json())).messages.with_streaming_response

    with opened().create(**ASKED) as response:
        assert response.parse().text == "Hello"
    with opened().create(**ASKED) as response:
        assert response.json() == message_json()
    with opened().create(**ASKED) as response:
        assert "Hello" in response.text()
    with opened().count_tokens(**{**ASKED, "max_tokens": antiphon.omit}) as response:
        assert "".join(response.iter_text()).startswith("{")


def test_body_that_breaks_off_is_an_error() -> None:
    for error, kind in (
        (ConnectionLost("gone"), antiphon.APIConnectionError),
        (TransportTimeout("late"), antiphon.APITimeoutError),
    ):
        client = client_of(Reply(chunks=[b"{", error]))
        with (
            client.messages.with_streaming_response.create(**ASKED) as response,
            pytest.raises(kind) as caught,
        ):
            response.read()
        assert caught.value.__cause__ is error


def test_async_body_is_read_the_same() -> None:
    async def read() -> None:
        reply = Reply(200, {"request-id": "req_1"}, chunks=[b"a\n\xc3", b"\xa9"])
        messages = async_client_of(reply).messages
        async with messages.with_streaming_response.create(**ASKED) as response:
            assert [line async for line in response.iter_lines()] == ["a", "é"]
        assert reply.closed
        messages = async_client_of(Reply(json=message_json())).messages
        async with messages.with_streaming_response.create(**ASKED) as response:
            assert (await response.parse()).text == "Hello"
        messages = async_client_of(Reply(json=message_json())).messages
        async with messages.with_streaming_response.create(**ASKED) as response:
            assert await response.json() == message_json()
        messages = async_client_of(Reply(chunks=[b"ab", b"c"])).messages
        async with messages.with_streaming_response.create(**ASKED) as response:
            assert "".join([text async for text in response.iter_text()]) == "abc"
        messages = async_client_of(Reply(chunks=[b"{", ConnectionLost("gone")])).messages
        async with messages.with_streaming_response.create(**ASKED) as response:
            with pytest.raises(antiphon.APIConnectionError):
                await response.text()

    asyncio.run(read())
