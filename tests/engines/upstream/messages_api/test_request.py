from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import Prompt, Thinking, Tool, ToolChoice, Turn
from antiphon.engines.upstream.messages_api.options import MessagesOptions
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.engines.upstream.messages_api.request import as_sent, count_of, headers_of, request_of
from support.tool_changes import addition, decoded, defining, definition, removal

OPTIONS = MessagesOptions(url="http://x")
ORIGIN = ProofEnvelope("http://x", "m")
TEXT = {"type": "text", "text": "Hi"}
BLOCKS = [
    TEXT,
    {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
    {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": None, "b": [{"c": None}]}},
    {"type": "tool_result", "tool_use_id": "t"},
    {"type": "tool_result", "tool_use_id": "t", "content": [TEXT], "is_error": True},
    {"type": "document", "source": {"type": "url", "url": "https://x"}, "title": "T"},
    {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [{"type": "tool_reference", "tool_name": "f"}],
    },
    {"type": "search_result", "source": "s", "title": "t", "content": [TEXT]},
    {"type": "thinking", "thinking": "x", "signature": "s"},
    {"type": "redacted_thinking", "data": "x"},
    addition("f"),
    removal("f", cache_control={"type": "ephemeral"}),
    definition("f", strict=False, input_examples=[{"a": None}]),
    defining({"type": "bash_20250124", "name": "bash"}),
]


def turn(role: Any, *blocks: dict[str, Any]) -> Turn:
    return Turn(role, tuple(map(decoded, blocks)))


def body(prompt: Prompt, options: MessagesOptions = OPTIONS) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(request_of(prompt, options, ORIGIN, "m", 9))
    return decoded


@given(st.sampled_from(BLOCKS))
def test_blocks_are_sent_as_they_came(block: dict[str, Any]) -> None:
    assert as_sent(decoded(block)) == block


def test_minimal_prompt_has_a_minimal_body() -> None:
    assert body(Prompt((turn("user", TEXT),), 5)) == {
        "model": "m",
        "messages": [{"role": "user", "content": [TEXT]}],
        "max_tokens": 9,
        "stream": True,
    }


def test_only_the_first_system_turn_is_the_system_prompt() -> None:
    turns = (turn("system", TEXT), turn("user", TEXT), turn("system", TEXT))
    asked = body(Prompt(turns, 5))
    assert asked["system"] == [TEXT]
    assert [message["role"] for message in asked["messages"]] == ["user", "system"]


def test_thinking_is_sent_back_only_with_resend_thinking() -> None:
    thought = {"type": "thinking", "thinking": "x", "signature": "s"}
    prompt = Prompt((turn("user", TEXT), turn("assistant", thought), turn("user", TEXT)), 5)
    assert [message["role"] for message in body(prompt)["messages"]] == ["user", "user"]
    options = MessagesOptions(url="http://x", resend_thinking=True)
    assert body(prompt, options)["messages"][1]["content"] == [thought]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (ToolChoice(), {"type": "auto"}),
        (ToolChoice(mode="none"), {"type": "none"}),
        (
            ToolChoice(mode="any", parallel=False),
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        (ToolChoice(mode="tool", name="f"), {"type": "tool", "name": "f"}),
    ],
)
def test_tools_and_tool_choice_are_sent(choice: ToolChoice, said: dict[str, Any]) -> None:
    tool = Tool(
        name="f",
        input_schema={"type": "object"},
        description="d",
        strict=True,
        input_examples=({"a": 1},),
        eager_input_streaming=True,
    )
    asked = body(Prompt((turn("user", TEXT),), 5, tools=(tool,), tool_choice=choice))
    assert asked["tool_choice"] == said
    assert asked["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object"},
            "strict": True,
            "input_examples": [{"a": 1}],
            "eager_input_streaming": True,
        }
    ]


def test_late_tools_are_sent_as_deferred_ones() -> None:
    tools = (Tool(name="a", input_schema={}), Tool(name="late", input_schema={}, deferred=True))
    asked = body(Prompt((turn("user", TEXT),), 5, tools=tools, offered=tools))
    assert {tool["name"]: tool.get("defer_loading") for tool in asked["tools"]} == {
        "a": None,
        "late": True,
    }


def test_changes_of_tools_are_sent_with_their_betas() -> None:
    def betas(*blocks: dict[str, Any], options: MessagesOptions = OPTIONS) -> str | None:
        prompt = Prompt((turn("user", TEXT), turn("system", *blocks)), 5, offered=())
        return headers_of(prompt, options).get("anthropic-beta")

    changes, definitions = "mid-conversation-tool-changes-2026-07-01", "inline-tools-2026-09-15"
    assert betas(TEXT) is None
    assert betas(TEXT, removal("f")) == betas(addition("f")) == changes
    assert betas(addition("f"), definition("g")) == f"{changes},{definitions}"
    own = MessagesOptions(url="http://x", headers={"Anthropic-Beta": "own-2026", "x": "y"})
    assert betas(TEXT, options=own) is None
    assert betas(removal("f"), options=own) == f"own-2026,{changes}"


def test_choice_is_sent_with_tools_that_only_messages_define() -> None:
    choice = ToolChoice(mode="any")
    turns = (turn("user", TEXT), turn("system", definition("f")))
    tool = Tool(name="f", input_schema={})
    asked = body(Prompt(turns, 5, offered=(tool,), tool_choice=choice))
    assert "tools" not in asked
    assert asked["tool_choice"] == {"type": "any"}
    assert asked["messages"][1]["content"] == [definition("f")]


def test_parameters_and_options_are_translated() -> None:
    prompt = Prompt(
        (turn("user", TEXT),),
        5,
        temperature=0.5,
        top_p=0.1,
        top_k=3,
        effort="low",
        output_schema={"type": "object"},
        thinking=Thinking(mode="enabled", budget=1024),
    )
    asked = body(prompt, MessagesOptions(url="http://x", thinking=True))
    assert (asked["temperature"], asked["top_p"], asked["top_k"]) == (0.5, 0.1, 3)
    assert asked["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert asked["output_config"]["effort"] == "low"
    assert asked["output_config"]["format"]["schema"] == {"type": "object"}


def test_body_of_a_count_has_only_model_and_messages() -> None:
    counted = msgspec.json.decode(count_of(Prompt((turn("user", TEXT),), 5), OPTIONS, ORIGIN, "m"))
    assert set(counted) == {"model", "messages"}


def test_proofs_go_back_only_to_the_upstream_that_signed_them() -> None:
    other = ProofEnvelope("http://y", "m")
    own = {"type": "thinking", "thinking": "x", "signature": ORIGIN.close("s")}
    hidden = {"type": "redacted_thinking", "data": ORIGIN.close("d")}
    foreign = [
        {"type": "thinking", "thinking": "x", "signature": other.close("s")},
        {"type": "thinking", "thinking": "x", "signature": ""},
        {"type": "redacted_thinking", "data": other.close("d")},
    ]
    asked = body(Prompt((turn("user", TEXT), turn("assistant", own, hidden, *foreign, TEXT)), 5))
    assert asked["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "x", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        TEXT,
    ]


@pytest.mark.parametrize("url", ["http://x/", "http://x/v1", "http://x/v1/"])
def test_proof_is_accepted_for_every_spelling_of_its_url(url: str) -> None:
    assert ProofEnvelope(url, "m").open(ORIGIN.close("s")) == "s"
    assert ProofEnvelope(url, "n").open(ORIGIN.close("s")) is None
