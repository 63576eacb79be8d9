"""The prompt cache, as the official documentation calls it."""


def long_system_prompt() -> None:
    import anthropic

    client = anthropic.Anthropic()
    for _ in range(2):
        response = client.messages.create(
            model="claude-sonnet-5",
            max_tokens=1024,
            system=[
                {"type": "text", "text": "You know the rules of this harbour."},
                {
                    "type": "text",
                    "text": "A rule of the harbour. " * 1500,
                    "cache_control": {"type": "ephemeral"},
                },
            ],
            messages=[{"role": "user", "content": "May I anchor here?"}],
        )
        usage = response.usage
        total = usage.cache_read_input_tokens + usage.cache_creation_input_tokens
        print(total > 1500, usage.input_tokens)
    print(usage.cache_read_input_tokens > 1500)


def tools_with_a_breakpoint() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[
            {"name": "wind_at", "input_schema": {"type": "object", "properties": {}}},
            {
                "name": "tide_at",
                "description": "Look up the tide. " * 1500,
                "input_schema": {"type": "object", "properties": {}},
                "cache_control": {"type": "ephemeral"},
            },
        ],
        messages=[{"role": "user", "content": "May I anchor here?"}],
    )
    usage = response.usage
    print(usage.cache_read_input_tokens + usage.cache_creation_input_tokens > 1500)


def conversation_with_breakpoints() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        system=[
            {
                "type": "text",
                "text": "A line of the chart. " * 1500,
                "cache_control": {"type": "ephemeral"},
            }
        ],
        messages=[
            {"role": "user", "content": "Where is the reef?"},
            {"role": "assistant", "content": "To the north."},
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "And the wreck?",
                        "cache_control": {"type": "ephemeral"},
                    }
                ],
            },
        ],
    )
    print(response.content[0].text, response.usage.output_tokens)


def prefix_that_is_kept_for_an_hour() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        system=[
            {
                "type": "text",
                "text": "A page of the almanac. " * 1500,
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            }
        ],
        messages=[{"role": "user", "content": "When does the sun rise?"}],
    )
    usage = response.usage
    creation = usage.cache_creation
    print(creation.ephemeral_5m_input_tokens)
    print(creation.ephemeral_1h_input_tokens + usage.cache_read_input_tokens > 1500)


def breakpoint_of_the_whole_request() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
        cache_control={"type": "ephemeral"},
    )
    print(message.content[0].text)
