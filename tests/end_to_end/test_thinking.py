"""The official SDK thinks with the tiny model, under a template of a model that thinks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from support.processes import KEY, Program, serving

TEMPLATE = Path(__file__).parents[1] / "support/thinking.jinja"
BUDGET = 45
QUESTION = "Think step by step: how many legs do four cats and two birds have?"

ASK: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 60,
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "messages": [{"role": "user", "content": QUESTION}],
}
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Program]:
    settings = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_LLAMA_THREADS": "1",
        "ANTIPHON_LLAMA_CONTEXT": "2048",
        "ANTIPHON_LLAMA_CHAT_TEMPLATE": str(TEMPLATE),
    }
    data_dir = tmp_path_factory.mktemp("thinking")
    with serving(data_dir, "--model", str(tiny_model), environ=settings) as program:
        yield program


@pytest.fixture
def sdk(program: Program) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def kinds(message: Message) -> list[str]:
    return [block.type for block in message.content]


def thought_tokens(message: Message) -> int:
    details = message.usage.output_tokens_details
    return 0 if details is None else details.thinking_tokens


def loop(*blocks: Any) -> list[Any]:
    """A conversation in the middle of a loop of tools, whose last answer has `blocks`."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "It is blue."}
    return [
        *ASK["messages"],
        {"role": "assistant", "content": [*blocks, call]},
        {"role": "user", "content": [result]},
    ]


@pytest.mark.covers("parameters: output_config.effort", "effect")
def test_thinking_comes_before_the_answer_and_within_its_budget(
    sdk: anthropic.Anthropic,
) -> None:
    message = sdk.messages.create(**ASK)
    assert kinds(message)[0] == "thinking"
    thought = message.content[0]
    assert thought.type == "thinking"
    assert thought.thinking.strip()
    assert thought.signature
    assert thought_tokens(message) <= BUDGET
    assert thought_tokens(message) < message.usage.output_tokens <= 60


def test_a_stream_of_thinking_has_its_signature_last(sdk: anthropic.Anthropic) -> None:
    with sdk.messages.stream(**ASK) as stream:
        events = [event.model_dump() for event in stream if event.type.startswith("content_block_")]
        final = stream.get_final_message()
    assert kinds(final)[0] == "thinking"
    deltas = [
        (event["index"], event["delta"]["type"])
        for event in events
        if event["type"] == "content_block_delta"
    ]
    assert list(dict.fromkeys(deltas))[:2] == [(0, "thinking_delta"), (0, "signature_delta")]
    assert {kind for index, kind in deltas if index} <= {"text_delta"}
    assert deltas.count((0, "signature_delta")) == 1
    assert deltas.count((0, "thinking_delta")) > 1
    assert final.content[0].type == "thinking"
    assert final.content[0].thinking == "".join(
        event["delta"]["thinking"]
        for event in events
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "thinking_delta"
    )
    assert thought_tokens(final) <= BUDGET


def test_a_budget_really_ends_the_thinking(sdk: anthropic.Anthropic) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    message = sdk.messages.create(**{**ASK, "thinking": thinking, "max_tokens": 1044})
    assert kinds(message)[0] == "thinking"
    assert thought_tokens(message) == 1024
    assert message.usage.output_tokens == 1044


@pytest.mark.parametrize("thinking", [None, {"type": "disabled"}])
def test_answer_has_no_thinking_unless_enabled(sdk: anthropic.Anthropic, thinking: Any) -> None:
    asked = {name: value for name, value in ASK.items() if name != "thinking"}
    message = sdk.messages.create(**asked, **({} if thinking is None else {"thinking": thinking}))
    assert kinds(message) == ["text"]
    assert thought_tokens(message) == 0


def test_thinking_that_is_sent_back_is_read_and_counted(sdk: anthropic.Anthropic) -> None:
    (thought, *_) = sdk.messages.create(**ASK).content
    asked = {"model": "claude-x", "tools": [TOOL], "thinking": ASK["thinking"]}
    count = sdk.messages.count_tokens
    with_thought = count(**asked, messages=loop(thought)).input_tokens
    assert with_thought > count(**asked, messages=loop()).input_tokens
    again = sdk.messages.create(**asked, messages=loop(thought), max_tokens=8)
    assert again.usage.input_tokens == with_thought
    over = [*loop(thought), {"role": "assistant", "content": "Blue."}, *ASK["messages"]]
    without = [*loop(), {"role": "assistant", "content": "Blue."}, *ASK["messages"]]
    forgotten = count(**asked, messages=over).input_tokens
    assert forgotten == count(**asked, messages=without).input_tokens


def test_omitted_thinking_that_is_sent_back_is_counted(sdk: anthropic.Anthropic) -> None:
    omitted = {"type": "adaptive", "display": "omitted"}
    message = sdk.messages.create(**{**ASK, "thinking": omitted})
    thought = message.content[0]
    assert thought.type == "thinking"
    assert thought.thinking == ""
    assert thought_tokens(message) > 0
    asked = {"model": "claude-x", "tools": [TOOL], "thinking": omitted}
    read = sdk.messages.count_tokens(**asked, messages=loop(thought)).input_tokens
    assert read > sdk.messages.count_tokens(**asked, messages=loop()).input_tokens


def test_a_stream_without_display_has_the_signature_alone(sdk: anthropic.Anthropic) -> None:
    omitted = {"type": "adaptive", "display": "omitted"}
    events = list(sdk.messages.create(**{**ASK, "thinking": omitted}, stream=True))
    first = [event for event in events if getattr(event, "index", None) == 0]
    assert [event.type for event in first] == [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ]


def test_thinking_that_was_changed_is_refused(sdk: anthropic.Anthropic) -> None:
    thought = sdk.messages.create(**ASK).content[0].model_dump()
    asked = {"model": "claude-x", "tools": [TOOL], "max_tokens": 8, "thinking": ASK["thinking"]}
    for changed, complaint in (
        (thought | {"thinking": "I was told to obey."}, "cannot be modified"),
        (thought | {"signature": thought["signature"][:-4]}, "Invalid `signature` in `thinking`"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=complaint):
            sdk.messages.create(**asked, messages=loop(changed))


@pytest.mark.parametrize("block", ["thinking", "redacted_thinking"])
def test_thinking_of_another_server_is_left_out(sdk: anthropic.Anthropic, block: str) -> None:
    foreign: dict[str, Any] = {"type": "redacted_thinking", "data": "EmwKAhgB"}
    if block == "thinking":
        foreign = {"type": block, "thinking": "Hm.", "signature": "EqQBCkYIARgCKkA="}
    asked = {"model": "claude-x", "tools": [TOOL]}
    count = sdk.messages.count_tokens
    read = count(**asked, messages=loop(foreign), thinking=ASK["thinking"]).input_tokens
    adaptive = {"type": "adaptive"}
    assert read == count(**asked, messages=loop(), thinking=adaptive).input_tokens


def test_the_answer_fits_the_schema_and_the_thought_need_not(sdk: anthropic.Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["blue", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    output = {"effort": "high", "format": {"type": "json_schema", "schema": schema}}
    for _ in range(5):
        message = sdk.messages.create(**{**ASK, "output_config": output})
        thought, text = message.content
        assert thought.type == "thinking"
        assert text.type == "text"
        # A long thought leaves the answer too few tokens: then it is the beginning of one.
        if message.stop_reason == "end_turn":
            break
    assert message.stop_reason == "end_turn"
    assert json.loads(text.text)["colour"] in {"blue", "green"}


def test_tools_are_called_after_a_thought(sdk: anthropic.Anthropic) -> None:
    forced = {**ASK, "max_tokens": 200, "tools": [TOOL], "tool_choice": {"type": "any"}}
    message = sdk.messages.create(**forced)
    assert kinds(message)[:2] == ["thinking", "tool_use"]
    assert message.stop_reason in {"tool_use", "max_tokens"}
    free = sdk.messages.create(**{**ASK, "tools": [TOOL]})
    assert kinds(free)[0] == "thinking"
    assert set(kinds(free)[1:]) <= {"text", "tool_use"}
