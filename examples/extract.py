"""Structured extraction: `python examples/extract.py LETTER` prints an order as JSON.

The fields are a class of pydantic. Its schema goes along with the request, and the server holds the
answer to it: a grammar lets the model write nothing else. So no answer has to be repaired, and none
asked for again.
"""

import argparse
from pathlib import Path

import anthropic
from pydantic import BaseModel, Field, ValidationError


class Item(BaseModel):
    article: str
    pieces: int
    dollars_each: float


class Order(BaseModel):
    customer: str = Field(description="the person or company that orders")
    email: str | None = Field(description="null if the letter has none")
    items: list[Item]
    urgent: bool

    @property
    def dollars(self) -> float:
        return sum(item.pieces * item.dollars_each for item in self.items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("letter", type=Path, help="a text file with an order")
    parser.add_argument("--model", default="claude-local")
    arguments = parser.parse_args()

    client = anthropic.Anthropic()  # reads ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY
    try:
        message = client.messages.parse(
            model=arguments.model,
            max_tokens=1024,
            output_format=Order,
            system="Extract the order from the letter.",
            messages=[{"role": "user", "content": arguments.letter.read_text(encoding="utf-8")}],
        )
    except ValidationError as error:
        # What `max_tokens` cuts off is no JSON any more. A larger limit helps, or a better model.
        raise SystemExit("The answer was cut off before its end.") from error
    order = message.parsed_output
    if order is None:  # the model declined
        raise SystemExit(f"There is no order in the answer: it ended by {message.stop_reason}.")
    print(order.model_dump_json(indent=2))
    print(f"{order.dollars:.2f} dollars in all")


if __name__ == "__main__":
    main()
