from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.hints import NO_HINTS, OF_BATCH, Hints
from antiphon.engines.base import EngineError, EngineErrorKind, Prompt, Thinking, Tool, ToolChoice
from antiphon.engines.base import Turn as EngineTurn
from antiphon.engines.upstream.chat_completions.messages import messages_of
from antiphon.engines.upstream.chat_completions.options import ChatOptions
from antiphon.engines.upstream.chat_completions.request import request_of
from antiphon.wire.content import ContentParam

OPTIONS = ChatOptions(url="http://x")
TOOL = Tool(name="f", input_schema={"type": "object"})
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": None}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def result(**more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", **more}


def turn(role: Any, *blocks: dict[str, Any]) -> EngineTurn:
    return EngineTurn(role, tuple(msgspec.convert(blocks, list[ContentParam])))


def body(prompt: Prompt, options: ChatOptions = OPTIONS) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(request_of(prompt, options, "m", 9))
    return decoded


@pytest.mark.parametrize(
    ("role", "blocks", "messages"),
    [
        ("system", [text("a"), text("b")], [{"role": "system", "content": "a\nb"}]),
        ("user", [text("a")], [{"role": "user", "content": "a"}]),
        (
            "user",
            [text("a"), IMAGE],
            [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE_PART]}],
        ),
        (
            "user",
            [{"type": "image", "source": {"type": "url", "url": "https://x/y"}}],
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://x/y"}}],
                }
            ],
        ),
        (
            "assistant",
            [text("a"), CALL],
            [
                {
                    "role": "assistant",
                    "content": "a",
                    "tool_calls": [
                        {
                            "id": "t1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a":null}'},
                        }
                    ],
                }
            ],
        ),
        ("assistant", [{"type": "thinking", "thinking": "x", "signature": "s"}], []),
        (
            "user",
            [result(content="no", is_error=True), text("go on")],
            [
                {"role": "tool", "tool_call_id": "t1", "content": "Error: no"},
                {"role": "user", "content": "go on"},
            ],
        ),
        ("user", [result()], [{"role": "tool", "tool_call_id": "t1", "content": ""}]),
        (
            "user",
            [result(content=[text("see"), IMAGE])],
            [
                {"role": "tool", "tool_call_id": "t1", "content": "see"},
                {"role": "user", "content": [IMAGE_PART]},
            ],
        ),
    ],
)
def test_turn_becomes_messages(role: str, blocks: list[Any], messages: list[Any]) -> None:
    assert messages_of([turn(role, *blocks)]) == messages


def test_thinking_is_sent_back_if_the_model_thinks() -> None:
    thought = {"type": "thinking", "thinking": "x", "signature": "s"}
    (message,) = messages_of([turn("assistant", thought)], thinking=True)
    assert message == {"role": "assistant", "content": "", "reasoning_content": "x"}


@pytest.mark.parametrize(
    ("role", "block"),
    [
        ("user", {"type": "image", "source": {"type": "file", "file_id": "f"}}),
        ("user", {"type": "document", "source": {"type": "content", "content": [text("c")]}}),
        ("user", {"type": "search_result", "source": "s", "title": "t", "content": [text("r")]}),
        ("user", result(content=[{"type": "tool_reference", "tool_name": "f"}])),
        ("user", CALL),
        ("assistant", IMAGE),
    ],
)
def test_block_without_a_translation_is_refused(role: str, block: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as caught:
        messages_of([turn(role, block)])
    assert caught.value.kind is EngineErrorKind.UNSUPPORTED


ROLES = st.sampled_from(["system", "user", "assistant"])


@given(st.lists(st.tuples(ROLES, st.lists(st.text(min_size=1), min_size=1)), max_size=8))
def test_messages_keep_the_order_of_the_turns(conversation: list[tuple[str, list[str]]]) -> None:
    turns = [turn(role, *map(text, texts)) for role, texts in conversation]
    messages = [(one["role"], one["content"]) for one in messages_of(turns)]
    assert messages == [(role, "\n".join(texts)) for role, texts in conversation]


HI = (turn("user", text("Hi")),)


def test_minimal_prompt_has_a_minimal_body() -> None:
    assert body(Prompt(HI, 5)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 1.0,
        "max_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice(), "auto"),
        (ToolChoice(mode="any"), "required"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="tool", name="f"), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choice_is_translated(choice: ToolChoice, said: Any) -> None:
    asked = body(Prompt(HI, 5, tools=(TOOL,), tool_choice=choice))
    assert asked["tool_choice"] == said
    assert "parallel_tool_calls" not in asked


def test_choice_without_parallel_use_disables_parallel_calls() -> None:
    asked = body(Prompt(HI, 5, tools=(TOOL,), tool_choice=ToolChoice(parallel=False)))
    assert asked["parallel_tool_calls"] is False


def test_tools_keep_their_fields() -> None:
    tool = Tool(
        name="f",
        input_schema={"type": "object"},
        description="Does.",
        strict=True,
        input_examples=({"a": 1},),
    )
    (said,) = body(Prompt(HI, 5, tools=(tool,)))["tools"]
    assert said["function"] == {
        "name": "f",
        "parameters": {"type": "object"},
        "description": 'Does.\n\nExamples of its input:\n{"a":1}',
        "strict": True,
    }


def test_parameters_and_options_are_translated() -> None:
    options = ChatOptions(
        url="http://x",
        max_tokens_field="max_completion_tokens",
        thinking=True,
        extra={"seed": 1},
    )
    asked = body(
        Prompt(
            (*HI, turn("assistant", text("And"))),
            5,
            top_p=0.5,
            top_k=7,
            effort="low",
            output_schema={"type": "object"},
            thinking=Thinking(mode="adaptive"),
        ),
        options,
    )
    assert asked["max_completion_tokens"] == 9
    assert "max_tokens" not in asked
    assert (asked["top_p"], asked["top_k"], asked["reasoning_effort"]) == (0.5, 7, "low")
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert asked["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "low"}
    assert asked["continue_final_message"]
    assert asked["seed"] == 1


@pytest.mark.parametrize(
    ("options", "effort", "told"),
    [
        ({"thinking": True}, "max", "high"),
        ({"thinking": True}, None, None),
        ({"thinking": True, "efforts": ()}, "low", None),
        ({}, "low", None),
        ({"efforts": ("max", "high")}, "medium", "high"),
        ({"efforts": ("max", "high")}, "max", "max"),
    ],
)
def test_effort_is_the_nearest_level_that_the_server_takes(
    options: dict[str, Any], effort: str | None, told: str | None
) -> None:
    chosen = ChatOptions(url="http://x", **options)
    asked = body(Prompt(HI, 5, effort=effort), chosen)
    assert asked.get("reasoning_effort") == told
    assert asked.get("chat_template_kwargs", {}).get("reasoning_effort") == (
        told if "thinking" in options else None
    )


def test_template_gets_its_switch_and_its_variables() -> None:
    kwargs = {"preserve_thinking": True}
    silent = ChatOptions(url="http://x", chat_template_kwargs=kwargs)
    assert body(Prompt(HI, 5), silent)["chat_template_kwargs"] == kwargs
    thinks = ChatOptions(
        url="http://x", thinking=True, thinking_switch="thinking", chat_template_kwargs=kwargs
    )
    assert body(Prompt(HI, 5), thinks)["chat_template_kwargs"] == {"thinking": False, **kwargs}


@pytest.mark.parametrize(
    ("choice", "strict"),
    [
        (ToolChoice(), []),
        (ToolChoice(mode="none"), []),
        (ToolChoice(mode="any"), ["f", "g"]),
        (ToolChoice(mode="tool", name="f"), ["f"]),
    ],
)
def test_forced_tools_are_strict(choice: ToolChoice, strict: list[str]) -> None:
    tools = (TOOL, Tool(name="g", input_schema={"type": "object"}))
    asked = body(Prompt(HI, 5, tools=tools, tool_choice=choice))
    functions = [tool["function"] for tool in asked["tools"]]
    assert [one["name"] for one in functions if one.get("strict")] == strict


def test_salt_is_sent_only_to_a_server_that_knows_it_and_never_empty() -> None:
    salted = Prompt((turn("user", text("a")),), 5, cache_salt="s1")
    plain = Prompt((turn("user", text("a")),), 5)
    for prompt, knows, sent in [(salted, True, "s1"), (salted, False, None), (plain, True, None)]:
        asked = msgspec.json.decode(request_of(prompt, OPTIONS, "m", 9, salted=knows))
        assert asked.get("cache_salt") == sent
        assert ("cache_salt" in asked) == (sent is not None)


@pytest.mark.parametrize(
    ("option", "hints", "sent"),
    [
        (True, OF_BATCH, 100),
        (True, NO_HINTS, None),
        (True, Hints(session_id="s"), None),
        (False, OF_BATCH, None),
    ],
)
def test_priority_is_sent_for_requests_of_batches_where_the_server_takes_it(
    option: bool, hints: Hints, sent: int | None
) -> None:
    options = msgspec.structs.replace(OPTIONS, priority=option)
    asked = msgspec.json.decode(request_of(Prompt(HI, 5, hints=hints), options, "m", 9))
    assert asked.get("priority", "absent") == (sent or "absent")


def test_extra_of_the_operator_replaces_the_priority() -> None:
    options = msgspec.structs.replace(OPTIONS, priority=True, extra={"priority": 7})
    asked = msgspec.json.decode(request_of(Prompt(HI, 5, hints=OF_BATCH), options, "m", 9))
    assert asked["priority"] == 7
