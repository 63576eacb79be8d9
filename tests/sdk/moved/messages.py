"""Messages, as the official documentation calls them."""


def first_message() -> None:
    import anthropic

    client = anthropic.Anthropic()
    message = client.messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    )
    print(message.content[0].text)
    print(message.role, message.type, message.stop_reason, message.stop_sequence, message.model)
    print(message.usage.input_tokens, message.usage.output_tokens)


def key_from_the_environment() -> None:
    import os

    from anthropic import Anthropic

    client = Anthropic(api_key=os.environ.get("ANTHROPIC_API_KEY"))
    message = client.messages.create(
        max_tokens=1024,
        messages=[{"content": "Good evening, lighthouse", "role": "user"}],
        model="claude-sonnet-5",
    )
    print([block.type for block in message.content], message.content[0].text)


def asynchronous_message() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    client = AsyncAnthropic()

    async def main() -> None:
        message = await client.messages.create(
            max_tokens=1024,
            messages=[{"role": "user", "content": "Good evening, lighthouse"}],
            model="claude-sonnet-5",
        )
        print(message.content[0].text)
        await client.close()

    asyncio.run(main())


def several_turns() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[
            {"role": "user", "content": "My boat is called Petrel."},
            {"role": "assistant", "content": "A fine name for a boat."},
            {"role": "user", "content": "Repeat the name of my boat."},
        ],
    )
    print(message.content[0].text, message.usage.input_tokens)


def conversation_that_goes_on() -> None:
    from anthropic import Anthropic

    client = Anthropic()
    question = {"role": "user", "content": "Name a wind."}
    response = client.messages.create(max_tokens=1024, messages=[question], model="claude-sonnet-5")
    again = client.messages.create(
        max_tokens=1024,
        messages=[
            question,
            {"role": response.role, "content": response.content},
            {"role": "user", "content": "Name another wind."},
        ],
        model="claude-sonnet-5",
    )
    print(again.content[0].text, again.usage.input_tokens > response.usage.input_tokens)


def answer_as_a_parameter() -> None:
    import anthropic

    client = anthropic.Anthropic()
    history = [{"role": "user", "content": "Name a wind."}]
    answer = client.messages.create(model="claude-sonnet-5", max_tokens=64, messages=history)
    history += [answer.to_param(), {"role": "user", "content": "Name another wind."}]
    print(history[1]["role"])
    answer = client.messages.create(model="claude-sonnet-5", max_tokens=64, messages=history)
    print(answer.content[0].text)


def conversation_class() -> None:
    import anthropic
    from anthropic.types import MessageParam

    class Conversation:
        def __init__(self, client: anthropic.Anthropic, system: str) -> None:
            self.client, self.system = client, system
            self.messages: list[MessageParam] = []

        def ask(self, text: str) -> str:
            self.messages.append({"role": "user", "content": text})
            response = self.client.messages.create(
                model="claude-sonnet-5",
                max_tokens=256,
                system=self.system,
                messages=self.messages,
            )
            said = next((block.text for block in response.content if block.type == "text"), "")
            self.messages.append({"role": "assistant", "content": said})
            return said

    conversation = Conversation(anthropic.Anthropic(), "You keep a log of a harbour.")
    print(conversation.ask("Name a wind."), conversation.ask("Name another wind."))
    print(len(conversation.messages))


def system_prompt() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=2048,
        system="You are the pilot of a small harbour.",
        messages=[{"role": "user", "content": "How deep is the basin?"}],
    )
    print(response.content[0].text, response.usage.input_tokens)


def system_prompt_in_blocks() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=2048,
        system=[
            {"type": "text", "text": "You are the pilot of a small harbour."},
            {"type": "text", "text": "Depths are in metres."},
        ],
        messages=[{"role": "user", "content": "How deep is the basin?"}],
    )
    print(response.content[0].text, response.usage.input_tokens)


def prefilled_answer() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=20,
        messages=[
            {"role": "user", "content": "Which bird is black and white? (A) gull (B) puffin"},
            {"role": "assistant", "content": "The answer is ("},
        ],
    )
    print(message.content[0].text)


def stop_sequences() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=500,
        stop_sequences=["</list>"],
        messages=[{"role": "user", "content": "List three fish in <list> tags."}],
    )
    print(message.stop_reason, message.stop_sequence, message.content[0].text)


def every_reason_to_stop() -> None:
    from anthropic import Anthropic

    client = Anthropic()

    def handle(response) -> str:
        if response.stop_reason == "tool_use":
            return "run the tools"
        if response.stop_reason == "max_tokens":
            return f"cut off: {response.content[0].text}"
        if response.stop_reason == "refusal":
            return "declined"
        return response.content[0].text

    for most in (5, 500):
        message = client.messages.create(
            model="claude-sonnet-5",
            max_tokens=most,
            messages=[{"role": "user", "content": "Tell me of the tide in many words."}],
        )
        print(message.stop_reason, handle(message))


def metadata_and_service_tier() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        metadata={"user_id": "5f0c9a"},
        service_tier="auto",
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    )
    print(message.content[0].text, message.usage.service_tier)


def sampling_parameters() -> None:
    import anthropic

    # Parameters of their own here; the official SDK has dropped them and takes them so.
    message = anthropic.Anthropic(
        default_headers={"anthropic-version": "2023-06-01"}
    ).messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        extra_body={"temperature": 0.2, "top_p": 0.9, "top_k": 40},
    )
    print(message.content[0].text)


def counted_tokens() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.count_tokens(
        model="claude-sonnet-5",
        system="You are a ferryman",
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    )
    print(response.to_json())
    print(response.input_tokens)


def counted_tokens_with_tools() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.count_tokens(
        model="claude-sonnet-5",
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
    print(response.input_tokens)


def extended_thinking() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=16000,
        thinking={"type": "enabled", "budget_tokens": 10000},
        messages=[{"role": "user", "content": "Think about the moon and the tide."}],
    )
    for block in response.content:
        if block.type == "thinking":
            print(f"Thought: {block.thinking} {bool(block.signature)}")
        elif block.type == "text":
            print(f"Answer: {block.text}")


def thinking_kept_in_the_next_turn() -> None:
    import anthropic

    client = anthropic.Anthropic()
    thinking = {"type": "enabled", "budget_tokens": 2000}
    messages = [{"role": "user", "content": "Think about the moon and the tide."}]
    first = client.messages.create(
        model="claude-sonnet-5", max_tokens=4000, thinking=thinking, messages=messages
    )
    messages.append({"role": "assistant", "content": first.content})
    messages.append({"role": "user", "content": "Think about the moon and the tide again."})
    second = client.messages.create(
        model="claude-sonnet-5", max_tokens=4000, thinking=thinking, messages=messages
    )
    print([block.type for block in second.content])


def adaptive_thinking_and_effort() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=16000,
        thinking={"type": "adaptive"},
        output_config={"effort": "medium"},
        messages=[{"role": "user", "content": "Think about the moon and the tide."}],
    )
    print([block.type for block in response.content])


def text_blocks_with_isinstance() -> None:
    from anthropic import Anthropic
    from anthropic.types import Message, TextBlock

    message: Message = Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    )
    print(isinstance(message, Message))
    print("".join(block.text for block in message.content if isinstance(block, TextBlock)))


def answer_as_json_and_as_a_dictionary() -> None:
    import json

    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    )
    print(message.to_dict()["content"][0]["text"], message.model_dump()["usage"]["output_tokens"])
    print(json.loads(message.to_json())["role"], json.loads(message.model_dump_json())["type"])


def unknown_parameters_and_properties() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        extra_headers={"x-harbour": "north"},
        extra_query={"debug": "1"},
        extra_body={"metadata": {"user_id": "a"}},
    )
    print(message.content[0].text)
