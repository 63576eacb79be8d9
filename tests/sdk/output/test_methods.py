"""Answers of both clients that are values of a type."""

import asyncio
from typing import Any

import msgspec
import pytest

import antiphon
from support.sdk import (
    AsyncScriptedTransport,
    Reply,
    ScriptedTransport,
    events_of,
    frames,
    message_json,
)

ASKED: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


class Order(msgspec.Struct):
    customer: str
    pieces: list[int]


JSON = '{"customer": "Ann", "pieces": [1, 2]}'


def reply(text: str = JSON) -> Reply:
    return Reply(
        headers={"request-id": "req_1"},
        json=message_json(content=[{"type": "text", "text": text}]),
    )


def stream(*pieces: str) -> Reply:
    return Reply(headers={"request-id": "req_1"}, chunks=[frames(events_of(*pieces))])


def client_of(*replies: Reply) -> tuple[antiphon.Client, ScriptedTransport]:
    transport = ScriptedTransport(*replies)
    return antiphon.Client(api_key="k", transport=transport), transport


def async_client_of(*replies: Reply) -> antiphon.AsyncClient:
    return antiphon.AsyncClient(api_key="k", transport=AsyncScriptedTransport(*replies))


def test_answer_is_parsed() -> None:
    client, transport = client_of(reply())
    message = client.messages.parse(**ASKED, output_format=Order)
    assert message.output == Order("Ann", [1, 2])
    form = transport.body()["output_config"]["format"]
    assert form["schema"] == antiphon.transform_schema(Order)


def test_answer_of_an_async_client_is_parsed() -> None:
    async def ask() -> antiphon.ParsedMessage[list[int]]:
        return await async_client_of(reply("[1]")).messages.parse(**ASKED, output_format=list[int])

    assert asyncio.run(ask()).output == [1]


def test_unions_and_schemas_are_formats() -> None:
    client, _ = client_of(reply(), reply('{"a": 1}'))
    either = client.messages.parse(**ASKED, output_format=Order | None)
    assert either.output == Order("Ann", [1, 2])
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert client.messages.parse(**ASKED, output_format=schema).output == {"a": 1}


def test_raw_answer_is_parsed() -> None:
    client, _ = client_of(reply())
    raw = client.messages.with_raw_response.parse(**ASKED, output_format=Order)
    assert raw.request_id == "req_1"
    assert raw.parse().output == Order("Ann", [1, 2])

    async def ask() -> Any:
        return await async_client_of(reply()).messages.parse.raw(**ASKED, output_format=Order)

    assert asyncio.run(ask()).parse().output == Order("Ann", [1, 2])


def test_long_answer_is_streamed_underneath() -> None:
    client, transport = client_of(stream(JSON))
    message = client.messages.parse(**{**ASKED, "max_tokens": 64_000}, output_format=Order)
    assert transport.body()["stream"] is True
    assert message.output.customer == "Ann"


def test_answer_grows_in_a_stream() -> None:
    client, _ = client_of(stream('{"customer": "A', 'nn", "pieces": [1,', " 2]}"))
    with client.messages.stream(**ASKED, output_format=Order) as events:
        seen = [events.partial_output for event in events if event.type == "text"]
        message = events.get_final_message()
    assert seen == [
        {},
        {"customer": "Ann", "pieces": [1]},
        {"customer": "Ann", "pieces": [1, 2]},
    ]
    assert message.output == Order("Ann", [1, 2])


def test_stream_of_an_async_client_is_parsed() -> None:
    async def ask() -> None:
        client = async_client_of(stream(JSON[:20], JSON[20:]))
        async with client.messages.stream(**ASKED, output_format=Order) as events:
            message = await events.get_final_message()
            assert events.partial_output == msgspec.json.decode(JSON)
        assert message.output == Order("Ann", [1, 2])

    asyncio.run(ask())


def test_answer_that_does_not_fit_is_kept_in_the_error() -> None:
    client, _ = client_of(reply('{"customer": 1}'), stream('{"customer": 1}'))
    with pytest.raises(antiphon.OutputError, match="customer: Expected `str`, got `int`") as failed:
        client.messages.parse(**ASKED, output_format=Order)
    assert failed.value.message.text == '{"customer": 1}'
    with (
        client.messages.stream(**ASKED, output_format=Order) as events,
        pytest.raises(antiphon.OutputError),
    ):
        events.get_final_message()
