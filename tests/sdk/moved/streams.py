"""Streams, as the official documentation calls them."""


def text_as_it_comes() -> None:
    import anthropic

    client = anthropic.Anthropic()

    with client.messages.stream(
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
    ) as stream:
        for text in stream.text_stream:
            print(text, end="|", flush=True)


def text_as_it_comes_asynchronously() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    client = AsyncAnthropic()

    async def main() -> None:
        async with client.messages.stream(
            max_tokens=1024,
            messages=[{"role": "user", "content": "Good evening, lighthouse"}],
            model="claude-sonnet-5",
        ) as stream:
            async for text in stream.text_stream:
                print(text, end="|", flush=True)
            print()
            message = await stream.get_final_message()
        print(message.content[0].text, message.usage.output_tokens)
        await client.close()

    asyncio.run(main())


def events_of_an_answer() -> None:
    from anthropic import Anthropic

    stream = Anthropic().messages.create(
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
        stream=True,
    )
    for event in stream:
        print(event.type)


def events_of_an_answer_asynchronously() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        async with AsyncAnthropic() as client:
            stream = await client.messages.create(
                max_tokens=1024,
                messages=[{"role": "user", "content": "Good evening, lighthouse"}],
                model="claude-sonnet-5",
                stream=True,
            )
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    print(event.delta.text, end="|")
                elif event.type == "message_delta":
                    print(event.delta.stop_reason, event.usage.output_tokens)

    asyncio.run(main())


def every_kind_of_event() -> None:
    import anthropic

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    ) as stream:
        for event in stream:
            if event.type == "message_start":
                print("begins", event.message.role, event.message.usage.input_tokens)
            elif event.type == "content_block_start":
                print("block", event.index, event.content_block.type)
            elif event.type == "text":
                print(event.text, "/", event.snapshot)
            elif event.type == "content_block_stop":
                print("block ends", event.index, event.content_block.text)
            elif event.type == "message_delta":
                print("delta", event.delta.stop_reason)
            elif event.type == "message_stop":
                print("ends", event.message.content[0].text)


def final_message_after_the_stream() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        client = AsyncAnthropic()
        async with client.messages.stream(
            max_tokens=1024,
            messages=[{"role": "user", "content": "Good evening, lighthouse"}],
            model="claude-sonnet-5",
        ) as stream:
            async for event in stream:
                if event.type == "text":
                    print(event.text, end="", flush=True)
                elif event.type == "content_block_stop":
                    print("\nblock is whole:", event.content_block.text)
        accumulated = await stream.get_final_message()
        print("message is whole:", accumulated.to_dict()["content"][0]["text"])
        await client.close()

    asyncio.run(main())


def final_text_without_events() -> None:
    import anthropic

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        max_tokens=64000,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    ) as stream:
        print(stream.get_final_text())


def long_answer_in_one_piece() -> None:
    import anthropic

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        max_tokens=128000,
        messages=[{"role": "user", "content": "Tell me of the tide in many words."}],
    ) as stream:
        message = stream.get_final_message()
    print(next(block.text for block in message.content if block.type == "text"))


def thoughts_as_they_come() -> None:
    import anthropic

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        max_tokens=3200,
        thinking={"type": "enabled", "budget_tokens": 1600},
        messages=[{"role": "user", "content": "Think about the moon and the tide."}],
    ) as stream:
        state = "not-started"
        for event in stream:
            if event.type == "thinking":
                if state == "not-started":
                    print("Thoughts:")
                    state = "started"
                print(event.thinking, end="", flush=True)
            elif event.type == "text":
                if state != "finished":
                    print("\nText:")
                    state = "finished"
                print(event.text, end="", flush=True)


def deltas_of_thoughts() -> None:
    import anthropic

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        max_tokens=16000,
        thinking={"type": "enabled", "budget_tokens": 10000},
        messages=[{"role": "user", "content": "Think about the moon and the tide."}],
    ) as stream:
        for event in stream:
            if event.type == "content_block_start":
                print(f"\n{event.content_block.type}:", end=" ")
            elif event.type == "content_block_delta":
                if event.delta.type == "thinking_delta":
                    print(event.delta.thinking, end="|")
                elif event.delta.type == "text_delta":
                    print(event.delta.text, end="|")


def input_of_a_tool_as_it_comes() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        client = AsyncAnthropic()
        async with client.messages.stream(
            max_tokens=1024,
            model="claude-sonnet-5",
            tools=[
                {
                    "name": "tide_at",
                    "description": "Look up the tide of a harbour",
                    "input_schema": {
                        "type": "object",
                        "properties": {"harbour": {"type": "string"}},
                        "required": ["harbour"],
                    },
                }
            ],
            messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
        ) as stream:
            async for event in stream:
                if event.type == "input_json":
                    print(f"delta: {event.partial_json!r}")
                    print(f"snapshot: {event.snapshot}")
        await client.close()

    asyncio.run(main())


def input_of_a_tool_from_deltas() -> None:
    import json

    import anthropic

    pieces: dict[int, str] = {}
    with anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[
            {
                "name": "tide_at",
                "input_schema": {
                    "type": "object",
                    "properties": {"harbour": {"type": "string"}},
                },
                "eager_input_streaming": True,
            }
        ],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
        stream=True,
    ) as stream:
        for event in stream:
            if event.type == "content_block_start" and event.content_block.type == "tool_use":
                print(event.content_block.name)
                pieces[event.index] = ""
            elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                pieces[event.index] += event.delta.partial_json
    print([json.loads(text) for text in pieces.values()])


def stream_that_is_left_early() -> None:
    import anthropic

    client = anthropic.Anthropic()
    with client.messages.stream(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Tell me of the tide in many words."}],
    ) as stream:
        for text in stream.text_stream:
            print(text)
            break
    stream = client.messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Tell me of the tide in many words."}],
        stream=True,
    )
    print(next(iter(stream)).type)
    stream.close()


def snapshot_in_the_middle() -> None:
    import anthropic

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    ) as stream:
        for event in stream:
            if event.type == "text":
                print(stream.current_message_snapshot.content[0].text)
        print(stream.response.headers["content-type"].split(";")[0])


def error_before_a_stream() -> None:
    import anthropic

    client = anthropic.Anthropic(max_retries=0)
    try:
        with client.messages.stream(
            model="claude-sonnet-5",
            max_tokens=1024,
            messages=[{"role": "user", "content": "This request meets a storm."}],
        ) as stream:
            for text in stream.text_stream:
                print(text)
    except anthropic.APIStatusError as error:
        print(type(error).__name__, error.status_code)


def cache_hits_in_a_stream() -> None:
    import anthropic

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        max_tokens=64,
        system=[
            {
                "type": "text",
                "text": "The log of the harbour. " * 1200,
                "cache_control": {"type": "ephemeral"},
            }
        ],
        messages=[{"role": "user", "content": "How deep is the basin?"}],
    ) as stream:
        usage = stream.get_final_message().usage
    print(usage.cache_creation_input_tokens + usage.cache_read_input_tokens > 1000)
