"""A program of tools and outputs that runs on both SDKs; only what it imports differs."""

import asyncio
import sys
from typing import Any

import pydantic

if sys.argv[1] == "anthropic":
    from anthropic import Anthropic, AsyncAnthropic, beta_async_tool, beta_tool
    from anthropic.lib.tools import ToolError
else:
    from antiphon import AsyncClient as AsyncAnthropic  # type: ignore[assignment]
    from antiphon import Client as Anthropic  # type: ignore[assignment]
    from antiphon import ToolError, beta_async_tool, beta_tool  # type: ignore[assignment]


class Order(pydantic.BaseModel):
    customer: str
    pieces: int


@beta_tool
def weather(city: str, unit: str = "celsius") -> str:
    """Look up the weather of a city.

    Args:
        city: As people write it.
        unit: Of the temperature.
    """
    return f"12 degrees {unit} in {city}"


@beta_tool
def balance(account: int) -> str:
    """Look up a balance."""
    if account != 7:
        raise ToolError(f"There is no account {account}. There is 7.")
    return "12.50 euros"


@beta_async_tool
async def slow_weather(city: str) -> str:
    """Look up the weather of a city, slowly."""
    return f"12 degrees in {city}"


def asked(question: str, **more: Any) -> Any:
    message = {"role": "user", "content": question}
    return {"model": "claude-x", "max_tokens": 200, "messages": [message], **more}


OSLO = asked("How warm is it in Oslo?", tools=[weather])
ORDER = asked("Rosa needs sketchbooks.")


def run_tools(client: Any) -> None:
    messages = client.beta.messages
    print(weather.name, weather.description, sorted(weather.input_schema["properties"]))
    for message in messages.tool_runner(**OSLO):
        print(message.stop_reason, message.content[0].text)
    for stream in messages.tool_runner(**OSLO, stream=True):
        print([event.text for event in stream if event.type == "text"])
        print(stream.get_final_message().stop_reason)
    print([message.stop_reason for message in messages.tool_runner(**OSLO, max_iterations=1)])
    runner = messages.tool_runner(**OSLO)
    for message in runner:
        response = runner.generate_tool_call_response()
        if response is not None:
            response["content"][0]["cache_control"] = {"type": "ephemeral"}
            runner.append_messages(message, response)
        print(message.stop_reason)
    runner = messages.tool_runner(**OSLO)
    for message in runner:
        runner.set_messages_params(lambda params: {**params, "max_tokens": 100})
        print(message.stop_reason)
    last = messages.tool_runner(**asked("What is the balance of account 8?", tools=[balance]))
    print(last.until_done().content[0].text)


def parse(client: Any) -> None:
    message = client.messages.parse(**ORDER, output_format=Order)
    print(message.parsed_output, message.content[0].text)
    with client.messages.stream(**ORDER, output_format=Order) as stream:
        print(stream.get_final_message().parsed_output)


async def run_async() -> None:
    async with AsyncAnthropic() as client:
        question = asked("How warm is it in Bergen?", tools=[slow_weather])
        async for message in client.beta.messages.tool_runner(**question):
            print(message.stop_reason, message.content[0].text)
        print((await client.messages.parse(**ORDER, output_format=Order)).parsed_output)


if __name__ == "__main__":
    with Anthropic() as shared:
        run_tools(shared)
        parse(shared)
    asyncio.run(run_async())
