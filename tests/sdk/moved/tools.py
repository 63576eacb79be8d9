"""Tools, as the official documentation calls them."""


def one_tool() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[
            {
                "name": "tide_at",
                "description": "Look up the tide of a harbour",
                "input_schema": {
                    "type": "object",
                    "properties": {"harbour": {"type": "string", "description": "Its name"}},
                    "required": ["harbour"],
                },
            }
        ],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
    )
    print(response.stop_reason)
    call = next(block for block in response.content if block.type == "tool_use")
    print(call.name, call.input, call.id.startswith("toolu_"))


def result_of_a_tool() -> None:
    from anthropic import Anthropic
    from anthropic.types import MessageParam, ToolParam

    client = Anthropic()
    question: MessageParam = {"role": "user", "content": "Is it high tide in Whitby?"}
    tools: list[ToolParam] = [
        {
            "name": "tide_at",
            "description": "Look up the tide of a harbour",
            "input_schema": {
                "type": "object",
                "properties": {"harbour": {"type": "string"}},
            },
        }
    ]
    message = client.messages.create(
        model="claude-sonnet-5", max_tokens=1024, messages=[question], tools=tools
    )
    assert message.stop_reason == "tool_use"
    tool = next(block for block in message.content if block.type == "tool_use")
    response = client.messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[
            question,
            {"role": message.role, "content": message.content},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": tool.id,
                        "content": [{"type": "text", "text": "High water at six"}],
                    }
                ],
            },
        ],
        tools=tools,
    )
    print(response.stop_reason, response.content[0].text)


def loop_of_an_agent() -> None:
    import anthropic

    client = anthropic.Anthropic()
    tools = [
        {
            "name": "tide_at",
            "input_schema": {"type": "object", "properties": {"harbour": {"type": "string"}}},
        }
    ]

    def run_tool(name: str, given: dict) -> str:
        return f"High water at six ({name} {given['harbour']})"

    messages = [{"role": "user", "content": "Is it high tide in Whitby?"}]
    while True:
        response = client.messages.create(
            model="claude-sonnet-5", max_tokens=1024, tools=tools, messages=messages
        )
        print(response.stop_reason)
        if response.stop_reason != "tool_use":
            break
        messages.append({"role": "assistant", "content": response.content})
        results = [
            {
                "type": "tool_result",
                "tool_use_id": block.id,
                "content": run_tool(block.name, block.input),
            }
            for block in response.content
            if block.type == "tool_use"
        ]
        messages.append({"role": "user", "content": results})
    print(response.content[-1].text)


def parallel_calls() -> None:
    import anthropic

    client = anthropic.Anthropic()
    tools = [
        {
            "name": name,
            "input_schema": {"type": "object", "properties": {"harbour": {"type": "string"}}},
        }
        for name in ("tide_at", "wind_at")
    ]
    messages = [{"role": "user", "content": "Tide and wind in Whitby?"}]
    response = client.messages.create(
        model="claude-sonnet-5", max_tokens=1024, tools=tools, messages=messages
    )
    calls = [block for block in response.content if block.type == "tool_use"]
    print([(call.name, call.input) for call in calls])
    messages.append({"role": "assistant", "content": response.content})
    messages.append(
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "High water at six"}
                for call in calls
            ],
        }
    )
    response = client.messages.create(
        model="claude-sonnet-5", max_tokens=1024, tools=tools, messages=messages
    )
    print(response.content[0].text)


def one_call_at_a_time() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[
            {"name": name, "input_schema": {"type": "object", "properties": {}}}
            for name in ("tide_at", "wind_at")
        ],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        messages=[{"role": "user", "content": "Tide and wind in Whitby?"}],
    )
    print([block.name for block in response.content if block.type == "tool_use"])


def tool_that_must_be_called() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[
            {
                "name": "record_sighting",
                "description": "Record a ship",
                "input_schema": {
                    "type": "object",
                    "properties": {
                        "kind": {"type": "string", "enum": ["barque"]},
                        "masts": {"type": "integer", "minimum": 3, "maximum": 3},
                    },
                    "required": ["kind", "masts"],
                },
            }
        ],
        tool_choice={"type": "tool", "name": "record_sighting"},
        messages=[{"role": "user", "content": "I see a ship."}],
    )
    print(response.stop_reason, [block.input for block in response.content])


def any_tool_and_none() -> None:
    import anthropic

    client = anthropic.Anthropic()
    for choice in ({"type": "any"}, {"type": "none"}):
        response = client.messages.create(
            model="claude-sonnet-5",
            max_tokens=1024,
            tools=[{"name": "tide_at", "input_schema": {"type": "object", "properties": {}}}],
            tool_choice=choice,
            messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
        )
        print(response.stop_reason, [block.type for block in response.content])


def result_that_is_an_error() -> None:
    import anthropic

    client = anthropic.Anthropic()
    tools = [{"name": "tide_at", "input_schema": {"type": "object", "properties": {}}}]
    messages = [{"role": "user", "content": "Is it high tide in Whitby?"}]
    response = client.messages.create(
        model="claude-sonnet-5", max_tokens=1024, tools=tools, messages=messages
    )
    messages.append({"role": "assistant", "content": response.content})
    messages.append(
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": response.content[-1].id,
                    "content": "ConnectionError: the gauge does not answer",
                    "is_error": True,
                }
            ],
        }
    )
    response = client.messages.create(
        model="claude-sonnet-5", max_tokens=1024, tools=tools, messages=messages
    )
    print(response.content[0].text)


def result_with_a_picture() -> None:
    import base64
    from pathlib import Path

    import anthropic

    client = anthropic.Anthropic()
    tools = [{"name": "tide_at", "input_schema": {"type": "object", "properties": {}}}]
    messages = [{"role": "user", "content": "Is it high tide in Whitby?"}]
    response = client.messages.create(
        model="claude-sonnet-5", max_tokens=1024, tools=tools, messages=messages
    )
    data = base64.b64encode(Path("chart.png").read_bytes()).decode()
    result = {
        "type": "tool_result",
        "tool_use_id": response.content[-1].id,
        "content": [
            {"type": "text", "text": "High water at six"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": data},
            },
        ],
    }
    messages += [
        {"role": "assistant", "content": response.content},
        {"role": "user", "content": [result]},
    ]
    response = client.messages.create(
        model="claude-sonnet-5", max_tokens=1024, tools=tools, messages=messages
    )
    print(response.content[0].text)


def strict_tool() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        tools=[
            {
                "name": "tide_at",
                "strict": True,
                "input_schema": {
                    "type": "object",
                    "properties": {"harbour": {"type": "string"}},
                    "required": ["harbour"],
                    "additionalProperties": False,
                },
            }
        ],
        messages=[{"role": "user", "content": "Is it high tide in Whitby?"}],
    )
    print(response.content[-1].input)
