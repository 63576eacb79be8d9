"""Structured outputs, as the official documentation calls them."""


def model_of_pydantic() -> None:
    import anthropic
    import pydantic

    class Order(pydantic.BaseModel):
        product_name: str
        price: float
        quantity: int

    parsed = anthropic.Anthropic().messages.parse(
        model="claude-sonnet-5",
        messages=[{"role": "user", "content": "Ann orders 3 ropes, 4.50 euros each."}],
        max_tokens=1024,
        output_format=Order,
    )
    print(repr(parsed.parsed_output))


def nested_models() -> None:
    from enum import StrEnum

    import pydantic
    from anthropic import Anthropic

    class Rig(StrEnum):
        sloop = "sloop"
        ketch = "ketch"

    class Owner(pydantic.BaseModel):
        name: str
        email: str | None = None

    class Boat(pydantic.BaseModel):
        name: str
        rig: Rig
        owner: Owner
        ports: list[str]

    response = Anthropic().messages.parse(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Describe the boat Petrel."}],
        output_format=Boat,
    )
    boat = response.parsed_output
    print(boat.name, boat.rig is Rig.ketch, boat.owner.name, boat.owner.email, boat.ports)


def asynchronous_output() -> None:
    import asyncio

    import pydantic
    from anthropic import AsyncAnthropic

    class Order(pydantic.BaseModel):
        product_name: str
        price: float
        quantity: int

    async def main() -> None:
        async with AsyncAnthropic() as client:
            response = await client.messages.parse(
                model="claude-sonnet-5",
                max_tokens=1024,
                messages=[{"role": "user", "content": "Ann orders 3 ropes, 4.50 euros each."}],
                output_format=Order,
            )
        print(response.parsed_output.quantity)

    asyncio.run(main())


def output_as_it_comes() -> None:
    import anthropic
    import pydantic

    class Order(pydantic.BaseModel):
        product_name: str
        price: float
        quantity: int

    with anthropic.Anthropic().messages.stream(
        model="claude-sonnet-5",
        messages=[{"role": "user", "content": "Ann orders 3 ropes, 4.50 euros each."}],
        max_tokens=1024,
        output_format=Order,
    ) as stream:
        for event in stream:
            if event.type == "text":
                print(event.parsed_snapshot())
        final = stream.get_final_message()
        print(f"whole: {final.parsed_output}")


def schema_in_the_request() -> None:
    import json

    import anthropic

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Ann orders 3 ropes, 4.50 euros each."}],
        output_config={
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {
                        "product_name": {"type": "string"},
                        "price": {"type": "number"},
                        "quantity": {"type": "integer"},
                    },
                    "required": ["product_name", "price", "quantity"],
                    "additionalProperties": False,
                },
            }
        },
    )
    print(json.loads(response.content[0].text))


def schema_of_a_model() -> None:
    import anthropic
    import pydantic
    from anthropic import transform_schema

    class Order(pydantic.BaseModel):
        product_name: str
        price: float
        quantity: int

    response = anthropic.Anthropic().messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Ann orders 3 ropes, 4.50 euros each."}],
        output_config={"format": {"type": "json_schema", "schema": transform_schema(Order)}},
    )
    print(Order.model_validate_json(response.content[0].text))


def schema_that_is_transformed() -> None:
    import json

    from anthropic import transform_schema

    told = transform_schema(
        {
            "type": "object",
            "properties": {
                "masts": {"type": "integer", "minimum": 1, "maximum": 5},
                "built": {"type": "string", "format": "date"},
            },
            "required": ["masts"],
        }
    )
    print(json.dumps(told, sort_keys=True))


def list_of_values() -> None:
    import anthropic

    response = anthropic.Anthropic().messages.parse(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Three numbers of a lottery"}],
        output_format=list[int],
    )
    print(response.parsed_output)


def dataclass_as_the_type() -> None:
    from dataclasses import dataclass

    import anthropic

    @dataclass
    class Order:
        product_name: str
        price: float
        quantity: int

    response = anthropic.Anthropic().messages.parse(
        model="claude-sonnet-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Ann orders 3 ropes, 4.50 euros each."}],
        output_format=Order,
    )
    print(response.parsed_output.product_name, response.parsed_output.price)


def output_that_is_cut_off() -> None:
    import anthropic
    import pydantic

    class Order(pydantic.BaseModel):
        product_name: str

    client = anthropic.Anthropic()
    response = client.messages.create(
        model="claude-sonnet-5",
        max_tokens=2,
        messages=[{"role": "user", "content": "Ann orders 3 ropes, 4.50 euros each."}],
        output_config={
            "format": {"type": "json_schema", "schema": anthropic.transform_schema(Order)}
        },
    )
    print(response.stop_reason)


def tools_and_an_output() -> None:
    import anthropic
    import pydantic
    from anthropic import beta_tool

    class Report(pydantic.BaseModel):
        harbour: str
        high: bool

    @beta_tool
    def tide_at(harbour: str) -> str:
        """Look up the tide of a harbour."""
        return f"Report high water of {harbour}"

    message = (
        anthropic.Anthropic()
        .beta.messages.tool_runner(
            model="claude-sonnet-5",
            max_tokens=1024,
            tools=[tide_at],
            messages=[{"role": "user", "content": "Report the tide of Whitby."}],
            output_format=Report,
        )
        .until_done()
    )
    print(message.parsed_output)
