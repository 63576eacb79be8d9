"""Functions as tools, and what runs them, as the official documentation calls them."""


def function_as_a_tool() -> None:
    import json

    from anthropic import beta_tool

    @beta_tool
    def speed(miles: float, hours: float) -> str:
        """Divide a way by a time.

        Args:
            miles: The way, in nautical miles.
            hours: The time.

        Returns:
            The speed in knots.
        """
        return str(miles / hours)

    told = speed.to_dict()
    print(told["name"], told["description"])
    properties = told["input_schema"]["properties"]
    print(json.dumps({name: one["description"] for name, one in properties.items()}))
    print(told["input_schema"]["required"], told["input_schema"]["type"])
    print(speed.call({"miles": 12, "hours": 3}))


def runner_of_tools() -> None:
    import json
    from typing import Literal

    from anthropic import Anthropic, beta_tool

    client = Anthropic()

    @beta_tool
    def tide_at(harbour: str, unit: Literal["m", "ft"] = "m") -> str:
        """Look up the tide of a harbour.

        Args:
            harbour: Its name.
            unit: Of the height.
        """
        print(f"looked up {harbour} in {unit}")
        return json.dumps({"harbour": harbour, "said": "High water at six"})

    runner = client.beta.messages.tool_runner(
        max_tokens=1024,
        model="claude-sonnet-5",
        tools=[tide_at],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
    )
    for message in runner:
        print(message.stop_reason, message.content[0].text)


def runner_until_it_is_done() -> None:
    import anthropic
    from anthropic import beta_tool

    @beta_tool
    def tide_at(harbour: str) -> str:
        """Look up the tide of a harbour."""
        return f"High water at six in {harbour}"

    final = (
        anthropic.Anthropic()
        .beta.messages.tool_runner(
            model="claude-sonnet-5",
            max_tokens=1024,
            tools=[tide_at],
            messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
        )
        .until_done()
    )
    print(final.stop_reason, final.content[0].text)


def runner_that_streams() -> None:
    import anthropic
    from anthropic import beta_tool

    @beta_tool
    def tide_at(harbour: str) -> str:
        """Look up the tide of a harbour."""
        return f"High water at six in {harbour}"

    runner = anthropic.Anthropic().beta.messages.tool_runner(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[tide_at],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
        stream=True,
    )
    for stream in runner:
        for event in stream:
            if event.type == "text":
                print(event.text, end="|")
        print(stream.get_final_message().stop_reason)


def asynchronous_runner() -> None:
    import asyncio

    from anthropic import AsyncAnthropic, beta_async_tool

    @beta_async_tool
    async def tide_at(harbour: str) -> str:
        """Look up the tide of a harbour."""
        await asyncio.sleep(0)
        return f"High water at six in {harbour}"

    async def main() -> None:
        async with AsyncAnthropic() as client:
            runner = client.beta.messages.tool_runner(
                model="claude-sonnet-5",
                max_tokens=1024,
                tools=[tide_at],
                messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
            )
            async for message in runner:
                print(message.stop_reason, [block.type for block in message.content])

    asyncio.run(main())


def runner_with_an_error_of_a_tool() -> None:
    import anthropic
    from anthropic import beta_tool
    from anthropic.tools import ToolError

    @beta_tool
    def tide_at(harbour: str) -> str:
        """Look up the tide of a harbour."""
        raise ToolError([{"type": "text", "text": f"High water is unknown in {harbour}"}])

    runner = anthropic.Anthropic().beta.messages.tool_runner(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[tide_at],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
    )
    for message in runner:
        response = runner.generate_tool_call_response()
        print(message.stop_reason, response and response["content"][0]["is_error"])


def runner_with_other_parameters() -> None:
    import anthropic
    from anthropic import beta_tool

    @beta_tool
    def tide_at(harbour: str) -> str:
        """Look up the tide of a harbour."""
        return f"High water at six in {harbour}"

    runner = anthropic.Anthropic().beta.messages.tool_runner(
        model="claude-sonnet-5",
        max_tokens=1024,
        max_iterations=5,
        tools=[tide_at],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
    )
    for message in runner:
        runner.set_messages_params(lambda params: {**params, "max_tokens": 2048})
        print(message.stop_reason)


def function_that_is_called_by_hand() -> None:
    import anthropic
    from anthropic import beta_tool

    @beta_tool
    def tide_at(harbour: str) -> str:
        """Look up the tide of a harbour."""
        return f"High water at six in {harbour}"

    message = anthropic.Anthropic().beta.messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[tide_at.to_dict()],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
    )
    call = next(block for block in message.content if block.type == "tool_use")
    print(tide_at.call(call.input))


def memory_in_a_folder() -> None:
    import anthropic
    from anthropic.tools import BetaLocalFilesystemMemoryTool

    memory = BetaLocalFilesystemMemoryTool(base_path="notes")
    runner = anthropic.Anthropic().beta.messages.tool_runner(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[memory],
        messages=[{"role": "user", "content": "Remember that Petrel needs paint."}],
    )
    print(runner.until_done().stop_reason)
