"""A search of tools by the server, with the SDK: the scripted engine and the tiny model."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from support.processes import KEY, Program
from support.tool_search import BM25, deferred

NAME = BM25["name"]
TOOLS: Any = [
    BM25,
    deferred("get_weather", "Get the weather of a city."),
    deferred("send_mail", "Send a letter."),
]
ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "tools": TOOLS,
    "tool_choice": {"type": "tool", "name": NAME},
}
QUESTION: Any = {"role": "user", "content": "What is the weather in Paris?"}


@pytest.fixture(params=["scripted", "tiny"])
def sdk(request: pytest.FixtureRequest) -> Iterator[anthropic.Anthropic]:
    program: Program = request.getfixturevalue(request.param)
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def count(sdk: anthropic.Anthropic, *messages: Any) -> int:
    given: Any = {name: ASK[name] for name in ("model", "tools")}
    return sdk.messages.count_tokens(messages=messages, **given).input_tokens


def test_forced_search_runs_and_its_answer_goes_on(sdk: anthropic.Anthropic) -> None:
    with sdk.messages.stream(**ASK, max_tokens=200, messages=[QUESTION]) as stream:
        message = stream.get_final_message()
    search, found = message.content[:2]
    assert (search.type, found.type) == ("server_tool_use", "tool_search_tool_result")
    assert search.name == NAME
    assert search.id == found.tool_use_id
    usage = message.usage
    assert usage.output_tokens <= 200
    # The second round, if there was one, has read the first prompt and what came of the call.
    first = count(sdk, QUESTION)
    said: Any = [block.to_dict() for block in message.content]
    assert usage.input_tokens >= first
    if message.stop_reason != "max_tokens" or len(said) > 2:
        again = count(sdk, QUESTION, {"role": "assistant", "content": said[:2]})
        assert usage.input_tokens >= first + again
    # All of it can be sent back.
    after = {"role": "user", "content": "Thank you."}
    calls = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "Rain."}
        for block in said
        if block["type"] == "tool_use"
    ]
    if calls:
        after = {"role": "user", "content": calls}
    assert count(sdk, QUESTION, {"role": "assistant", "content": said}, after) > first
