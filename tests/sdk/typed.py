"""What a type checker sees of tools and outputs; tests/sdk/test_typed.py has it checked."""

from typing import Any, assert_type

import msgspec

import antiphon
from antiphon.types import Message


class Order(msgspec.Struct):
    customer: str


@antiphon.tool
def half(n: int) -> float:
    return n / 2


@antiphon.tool(strict=True)
async def double(n: int) -> int:
    return n * 2


def outputs(client: antiphon.Client) -> None:
    parsed = client.messages.parse(model="m", max_tokens=1, messages=[], output_format=Order)
    assert_type(parsed, antiphon.ParsedMessage[Order])
    assert_type(parsed.parsed_output, Order | None)
    assert_type(parsed.output.customer, str)
    several = client.messages.parse(model="m", max_tokens=1, messages=[], output_format=list[Order])
    assert_type(several.output, list[Order])
    either = client.messages.parse(model="m", max_tokens=1, messages=[], output_format=Order | None)
    assert_type(either.output, Any)
    with client.messages.stream(
        model="m", max_tokens=1, messages=[], output_format=Order
    ) as stream:
        assert_type(stream.get_final_message().output, Order)
    with client.messages.stream(model="m", max_tokens=1, messages=[]) as plain:
        assert_type(plain.get_final_message(), Message)


def runs(client: antiphon.Client) -> None:
    assert_type(half(3), float)
    runner = client.messages.run_tools(model="m", max_tokens=1, messages=[], tools=[half])
    assert_type(runner, antiphon.ToolRunner[Message, Message])
    streams = client.messages.run_tools(
        model="m", max_tokens=1, messages=[], tools=[half], stream=True
    )
    assert_type(next(streams), antiphon.MessageStream)
    values = client.messages.run_tools(
        model="m", max_tokens=1, messages=[], tools=[half], output_format=Order
    )
    assert_type(values.until_done().output, Order)
    client.messages.run_tools(
        model="m",
        max_tokens=1,
        messages=[],
        max_iteration=3,  # type: ignore[call-overload]
    )


async def async_runs(client: antiphon.AsyncClient) -> None:
    assert_type(await double(3), int)
    parsed = await client.messages.parse(model="m", max_tokens=1, messages=[], output_format=Order)
    assert_type(parsed.output, Order)
    runner = client.messages.run_tools(
        model="m",
        max_tokens=1,
        messages=[],
        tools=[half, double],
        output_format=Order,
        stream=True,
    )
    async for stream in runner:
        assert_type(stream, antiphon.AsyncParsedMessageStream[Order])
    assert_type((await runner.until_done()).output, Order)
