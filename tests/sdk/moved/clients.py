"""Clients, raw answers, models and paths, as the official documentation calls them."""


def models_that_are_listed() -> None:
    import anthropic

    client = anthropic.Anthropic()
    for model in client.models.list(limit=20):
        print(model.id, model.type, model.display_name)


def one_model() -> None:
    import anthropic

    model = anthropic.Anthropic().models.retrieve("claude-sonnet-5")
    print(model.type, model.created_at is not None)


def models_asynchronously() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        async with AsyncAnthropic() as client:
            page = await client.models.list()
            print(len(page.data), page.has_more)
            async for model in client.models.list():
                print(model.id)

    asyncio.run(main())


def request_id() -> None:
    import anthropic

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    )
    print(message._request_id.startswith("req_"))


def raw_answer() -> None:
    from anthropic import Anthropic

    response = Anthropic().messages.with_raw_response.create(
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
    )
    print(response.headers.get("content-type"), response.status_code)
    print(response.request_id == response.headers.get("request-id"))
    message = response.parse()
    print(message.content[0].text)


def raw_answer_asynchronously() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        async with AsyncAnthropic() as client:
            response = await client.messages.with_raw_response.create(
                max_tokens=1024,
                messages=[{"role": "user", "content": "Good evening, lighthouse"}],
                model="claude-sonnet-5",
            )
            message = await response.parse()
            print(response.headers.get("content-type"), message.content[0].text)

    asyncio.run(main())


def answer_line_by_line() -> None:
    import json

    from anthropic import Anthropic

    with Anthropic().messages.with_streaming_response.create(
        max_tokens=1024,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
    ) as response:
        print(response.headers.get("content-type"))
        print(json.loads("".join(response.iter_lines()))["role"])


def client_as_a_context() -> None:
    from anthropic import Anthropic

    with Anthropic() as client:
        message = client.messages.create(
            max_tokens=64,
            messages=[{"role": "user", "content": "Good evening, lighthouse"}],
            model="claude-sonnet-5",
        )
        print(message.content[0].text)


def many_calls_at_once() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        async with AsyncAnthropic() as client:
            answers = await asyncio.gather(
                *(
                    client.messages.create(
                        max_tokens=64,
                        messages=[{"role": "user", "content": f"Ship {number}"}],
                        model="claude-sonnet-5",
                    )
                    for number in range(5)
                )
            )
        print([answer.content[0].text for answer in answers])

    asyncio.run(main())


def headers_by_default() -> None:
    from anthropic import Anthropic

    client = Anthropic(
        default_headers={"anthropic-version": "2023-06-01", "x-harbour": "north"},
        default_query={"debug": "1"},
    )
    message = client.messages.create(
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
    )
    print(message.content[0].text)


def path_without_a_method() -> None:
    import anthropic

    client = anthropic.Anthropic()
    found = client.post(
        "/v1/messages/count_tokens",
        cast_to=dict[str, int],
        body={
            "model": "claude-sonnet-5",
            "messages": [{"role": "user", "content": "Good evening, lighthouse"}],
        },
    )
    print(found)


def beta_features() -> None:
    import anthropic

    response = anthropic.Anthropic().beta.messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        betas=["context-management-2025-06-27"],
    )
    print(response.content[0].text)


def types_of_beta() -> None:
    import anthropic
    from anthropic.types.beta import BetaMessage, BetaMessageParam, BetaTextBlock

    messages: list[BetaMessageParam] = [{"role": "user", "content": "Good evening, lighthouse"}]
    message: BetaMessage = anthropic.Anthropic().beta.messages.create(
        model="claude-sonnet-5", max_tokens=64, messages=messages
    )
    print([block.text for block in message.content if isinstance(block, BetaTextBlock)])


def parameters_that_are_left_out() -> None:
    import anthropic
    from anthropic import NOT_GIVEN, omit

    message = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=64,
        system=omit,
        thinking=NOT_GIVEN,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
    )
    print(message.content[0].text)


def http_client_of_ones_own() -> None:
    from anthropic import Anthropic, DefaultHttpxClient

    client = Anthropic(http_client=DefaultHttpxClient(trust_env=False))
    message = client.messages.create(
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
    )
    print(message.content[0].text)


def log_of_the_sdk() -> None:
    import logging

    import anthropic

    log = logging.getLogger("anthropic")
    log.setLevel(logging.WARNING)
    message = anthropic.Anthropic().messages.create(
        max_tokens=64,
        messages=[{"role": "user", "content": "Good evening, lighthouse"}],
        model="claude-sonnet-5",
    )
    print(message.content[0].text)


def version() -> None:
    import anthropic

    print(len(anthropic.__version__.split(".")))
