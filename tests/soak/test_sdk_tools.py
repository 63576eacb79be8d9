"""Tools and structured outputs of the SDK with a real model, which is held to their schemas."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

import antiphon
from support.processes import KEY, serving
from support.servers import environ

pytestmark = [pytest.mark.soak, pytest.mark.alone]


class Order(msgspec.Struct):
    customer: str
    articles: Annotated[list[Literal["chair", "lamp", "table"]], msgspec.Meta(min_length=1)]
    urgent: bool


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, default_model: Path
) -> Iterator[antiphon.Client]:
    folder = tmp_path_factory.mktemp("sdk-tools-model")
    small = {**environ(llama_context="2048", llama_threads="2"), "ANTIPHON_API_KEY": KEY}
    with (
        serving(folder, "--model", str(default_model), environ=small) as program,
        antiphon.Client(base_url=program.url, api_key=KEY) as client,
    ):
        yield client


def asked(question: str) -> Any:
    return {
        "model": "claude-local",
        "max_tokens": 200,
        "temperature": 0,
        "messages": [{"role": "user", "content": question}],
    }


@pytest.mark.parametrize("strict", [True, False])
def test_model_calls_a_tool_with_an_input_that_fits_and_then_answers(
    client: antiphon.Client, *, strict: bool
) -> None:
    seen: list[tuple[str, str]] = []

    @antiphon.tool(strict=strict)
    def weather(city: str, unit: Literal["celsius", "kelvin"]) -> str:
        """Look up how warm it is in a city."""
        seen.append((city, unit))
        return "It is 12 degrees."

    runner = client.messages.run_tools(
        **asked("How warm is it in Oslo?"),
        tools=[weather],
        tool_choice={"type": "any"},
        max_iterations=4,
    )
    replies = list(runner)
    assert replies[0].stop_reason == "tool_use"
    assert all(unit in {"celsius", "kelvin"} for _, unit in seen)
    assert len(seen) == sum(len(one.tool_calls) for one in replies if one.stop_reason == "tool_use")
    results = runner.messages[2]["content"]
    assert [one.get("is_error") for one in results] == [None] * len(results)
    assert len(replies) > 1
    assert runner.usage.output_tokens == sum(one.usage.output_tokens for one in replies)


@pytest.mark.parametrize("streamed", [True, False])
def test_answer_of_a_model_is_a_value(client: antiphon.Client, *, streamed: bool) -> None:
    question = asked("Rosa needs a chair and a lamp, quickly. Write her order.")
    if streamed:
        with client.messages.stream(**question, output_format=Order) as stream:
            order = stream.get_final_message().output
    else:
        order = client.messages.parse(**question, output_format=Order).output
    assert order.customer
    assert order.articles
