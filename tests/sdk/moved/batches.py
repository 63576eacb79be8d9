"""Batches, as the official documentation calls them."""


def batch_that_is_created() -> None:
    import anthropic
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from anthropic.types.messages.batch_create_params import Request

    client = anthropic.Anthropic()
    batch = client.messages.batches.create(
        requests=[
            Request(
                custom_id="first-ship",
                params=MessageCreateParamsNonStreaming(
                    model="claude-sonnet-5",
                    max_tokens=1024,
                    messages=[{"role": "user", "content": "Good evening, lighthouse"}],
                ),
            ),
            Request(
                custom_id="second-ship",
                params=MessageCreateParamsNonStreaming(
                    model="claude-sonnet-5",
                    max_tokens=1024,
                    messages=[{"role": "user", "content": "Good night, lighthouse"}],
                ),
            ),
        ]
    )
    print(batch.id.startswith("msgbatch_"), batch.type, batch.processing_status)
    print(batch.expires_at > batch.created_at, batch.cancel_initiated_at, batch.archived_at)


def batch_that_is_waited_for() -> None:
    import time

    import anthropic

    client = anthropic.Anthropic()
    created = client.messages.batches.create(
        requests=[
            {
                "custom_id": f"ship-{number}",
                "params": {
                    "model": "claude-sonnet-5",
                    "max_tokens": 1024,
                    "messages": [{"role": "user", "content": f"Good evening, ship {number}"}],
                },
            }
            for number in range(3)
        ]
    )
    while True:
        batch = client.messages.batches.retrieve(created.id)
        if batch.processing_status == "ended":
            break
        time.sleep(0.01)
    counts = batch.request_counts
    print(counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired)
    for result in sorted(client.messages.batches.results(batch.id), key=lambda one: one.custom_id):
        match result.result.type:
            case "succeeded":
                print(result.custom_id, result.result.message.content[0].text)
            case "errored":
                print(result.custom_id, result.result.error.error.type)
            case "expired":
                print(result.custom_id, "expired")


def results_with_errors() -> None:
    import time

    from anthropic import Anthropic

    client = Anthropic()
    batch = client.messages.batches.create(
        requests=[
            {
                "custom_id": "good",
                "params": {
                    "model": "claude-sonnet-5",
                    "max_tokens": 64,
                    "messages": [{"role": "user", "content": "Good evening, lighthouse"}],
                },
            },
            {
                "custom_id": "bad",
                "params": {
                    "model": "claude-sonnet-5",
                    "max_tokens": 64,
                    "messages": [{"role": "nobody", "content": "Good evening, lighthouse"}],
                },
            },
        ]
    )
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        time.sleep(0.01)
    for result in sorted(client.messages.batches.results(batch.id), key=lambda one: one.custom_id):
        if result.result.type == "errored":
            invalid = result.result.error.error.type == "invalid_request_error"
            print("repair the request" if invalid else "try again", result.custom_id)
        else:
            print(result.result.type, result.custom_id)


def list_of_batches() -> None:
    import anthropic

    client = anthropic.Anthropic()
    made = [
        client.messages.batches.create(
            requests=[
                {
                    "custom_id": "only",
                    "params": {
                        "model": "claude-sonnet-5",
                        "max_tokens": 64,
                        "messages": [{"role": "user", "content": "Good evening, lighthouse"}],
                    },
                }
            ]
        ).id
        for _ in range(3)
    ]
    # More pages are fetched as they are needed.
    listed = [batch.id for batch in client.messages.batches.list(limit=2)]
    print(set(made) <= set(listed), len(listed) == len(set(listed)))


def pages_of_batches_asynchronously() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        async with AsyncAnthropic() as client:
            for _ in range(2):
                await client.messages.batches.create(
                    requests=[
                        {
                            "custom_id": "only",
                            "params": {
                                "model": "claude-sonnet-5",
                                "max_tokens": 64,
                                "messages": [{"role": "user", "content": "Good evening"}],
                            },
                        }
                    ]
                )
            first = await client.beta.messages.batches.list(limit=1)
            print(len(first.data), first.has_next_page(), first.last_id == first.data[0].id)
            print(str(first.next_page_info()).find(first.last_id) > 0)
            second = await first.get_next_page()
            print(len(second.data), second.data[0].id != first.data[0].id)
            async for batch in client.beta.messages.batches.list(limit=20):
                print(batch.type)
                break

    asyncio.run(main())


def batch_that_is_cancelled() -> None:
    import anthropic

    client = anthropic.Anthropic()
    created = client.messages.batches.create(
        requests=[
            {
                "custom_id": "only",
                "params": {
                    "model": "claude-sonnet-5",
                    "max_tokens": 64,
                    "messages": [{"role": "user", "content": "This answer takes a minute."}],
                },
            }
        ]
    )
    batch = client.messages.batches.cancel(created.id)
    print(batch.id == created.id, batch.cancel_initiated_at is not None)


def batch_that_is_deleted() -> None:
    import time

    import anthropic

    client = anthropic.Anthropic()
    created = client.messages.batches.create(
        requests=[
            {
                "custom_id": "only",
                "params": {
                    "model": "claude-sonnet-5",
                    "max_tokens": 64,
                    "messages": [{"role": "user", "content": "Good evening, lighthouse"}],
                },
            }
        ]
    )
    while client.messages.batches.retrieve(created.id).processing_status != "ended":
        time.sleep(0.01)
    print(client.messages.batches.delete(created.id).type)
    try:
        client.messages.batches.retrieve(created.id)
    except anthropic.NotFoundError as error:
        print(error.status_code)


def results_asynchronously() -> None:
    import asyncio

    from anthropic import AsyncAnthropic

    async def main() -> None:
        async with AsyncAnthropic() as client:
            batch = await client.messages.batches.create(
                requests=[
                    {
                        "custom_id": "only",
                        "params": {
                            "model": "claude-sonnet-5",
                            "max_tokens": 64,
                            "messages": [{"role": "user", "content": "Good evening, ship"}],
                        },
                    }
                ]
            )
            while batch.processing_status != "ended":
                await asyncio.sleep(0.01)
                batch = await client.messages.batches.retrieve(batch.id)
            async for entry in await client.messages.batches.results(batch.id):
                if entry.result.type == "succeeded":
                    print(entry.custom_id, entry.result.message.content[0].text)

    asyncio.run(main())


def batch_with_a_shared_prefix() -> None:
    import time

    import anthropic
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from anthropic.types.messages.batch_create_params import Request

    client = anthropic.Anthropic()
    system = [
        {"type": "text", "text": "You keep the log."},
        {
            "type": "text",
            "text": "Whole log of the year: " + "calm, " * 3000,
            "cache_control": {"type": "ephemeral"},
        },
    ]
    batch = client.messages.batches.create(
        requests=[
            Request(
                custom_id=f"day-{day}",
                params=MessageCreateParamsNonStreaming(
                    model="claude-sonnet-5",
                    max_tokens=64,
                    system=system,
                    messages=[{"role": "user", "content": f"Day {day}"}],
                ),
            )
            for day in (1, 2)
        ]
    )
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        time.sleep(0.01)
    texts = [
        one.result.message.content[0].text for one in client.messages.batches.results(batch.id)
    ]
    print(sorted(texts))
