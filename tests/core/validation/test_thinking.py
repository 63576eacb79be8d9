from typing import Any

import pytest

from antiphon.core.prompt import Thinking
from support.requests import (
    able,
    assistant,
    call,
    prompt,
    refusal,
    result,
    system,
    text,
    tool,
    user,
)

ENABLED = {"type": "enabled", "budget_tokens": 2000}
ADAPTIVE = {"type": "adaptive"}
MODE = "when thinking is enabled or in adaptive mode. Please consult our documentation at https://"


def test_budget_reaches_the_prompt() -> None:
    asked = able(thinking=ENABLED | {"display": "summarized"}, max_tokens=2001)
    assert asked.thinking == Thinking(mode="enabled", budget=2000)


@pytest.mark.parametrize("thinking", [{"type": "disabled"}, ADAPTIVE, ADAPTIVE | {"display": None}])
def test_mode_reaches_the_prompt(thinking: dict[str, Any]) -> None:
    assert able(thinking=thinking).thinking == Thinking(mode=thinking["type"])


@pytest.mark.parametrize("thinking", [{"type": "disabled"}, ADAPTIVE | {"display": "updates"}])
def test_thinking_that_is_not_enabled_is_ignored_by_a_model_without_it(
    thinking: dict[str, Any],
) -> None:
    assert prompt(thinking=thinking).thinking == Thinking()


@pytest.mark.parametrize("max_tokens", [1, 1999, 2000])
def test_budget_must_leave_room_for_the_answer(max_tokens: int) -> None:
    assert refusal(thinking=ENABLED, max_tokens=max_tokens).startswith(
        "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult"
    )


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_thinking_budget_with_a_forced_call_is_refused(choice: dict[str, Any]) -> None:
    fields = {"tools": [tool()], "tool_choice": choice, "max_tokens": 4000}
    assert refusal(thinking=ENABLED, **fields) == (
        "Thinking may not be enabled when tool_choice forces tool use."
    )
    assert able(thinking=ADAPTIVE, **fields).tool_choice.mode == choice["type"]


@pytest.mark.parametrize("thinking", [ENABLED, ADAPTIVE], ids=lambda thinking: thinking["type"])
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("temperature", 0.5, f"`temperature` may only be set to 1 {MODE}"),
        ("top_k", 5, f"`top_k` must be unset {MODE}"),
        ("top_p", 0.9, f"`top_p` must be greater than or equal to 0.95 or unset {MODE}"),
    ],
)
def test_thinking_with_sampling_parameters_is_refused(
    thinking: dict[str, Any], name: str, value: float, sentence: str
) -> None:
    fields = {"max_tokens": 4000, name: value}
    assert refusal(thinking=thinking, **fields).startswith(sentence)
    assert able(thinking={"type": "disabled"}, **fields)


def test_thinking_with_neutral_sampling_parameters_is_accepted() -> None:
    assert able(thinking=ADAPTIVE, temperature=1, top_p=0.95).top_p == 0.95


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
REDACTED = {"type": "redacted_thinking", "data": "x"}


def of_loop(*content: Any, **more: Any) -> dict[str, Any]:
    """A request in the middle of a loop of tools, whose last answer is `content`."""
    messages = [user(), assistant(list(content)), user([result("a")])]
    return {"thinking": ENABLED, "max_tokens": 4000, "messages": messages, **more}


@pytest.mark.parametrize("content", [[call("a")], [text("Let me see."), call("a")]])
def test_tool_loop_that_begins_without_thinking_is_refused(content: list[dict[str, Any]]) -> None:
    assert refusal(**of_loop(*content)) == (
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
        f"`{content[0]['type']}`. When `thinking` is enabled, a final `assistant` message must "
        "start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` "
        "blocks). We recommend you include thinking blocks from previous turns. To avoid this "
        "requirement, disable `thinking`. Please consult our documentation at "
        "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
    )
    for thinking in (ADAPTIVE, {"type": "disabled"}):
        assert able(**of_loop(*content, thinking=thinking))


@pytest.mark.parametrize("thought", [THOUGHT, REDACTED], ids=lambda block: block["type"])
def test_tool_loop_that_begins_with_thinking_is_accepted(thought: dict[str, Any]) -> None:
    assert able(**of_loop(thought, call("a")))
    longer = [
        *of_loop(thought, call("a"))["messages"],
        system(),
        assistant([call("b")]),
        user([result("b"), text("Well?")]),
    ]
    assert able(**of_loop(messages=longer))


def test_earlier_turns_need_no_thinking() -> None:
    loop = of_loop(call("a"))["messages"]
    over = [*loop, assistant("So."), user("And?")]
    assert able(**of_loop(messages=over))
    again = [*over, assistant([THOUGHT, call("b")]), user([result("b")])]
    assert able(**of_loop(messages=again))
    without = [*over, assistant([call("b")]), user([result("b")])]
    assert refusal(**of_loop(messages=without)).startswith("messages.5.content.0.type: Expected")


@pytest.mark.parametrize("content", ["I", [text("I")]])
def test_prefill_must_begin_with_thinking(content: Any) -> None:
    messages = [user(), assistant(content)]
    assert refusal(**of_loop(messages=messages)).startswith(
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`."
    )
    assert able(**of_loop(messages=[user(), assistant([THOUGHT, text("I")])]))


def test_empty_last_message_is_no_prefill() -> None:
    assert able(**of_loop(messages=[user(), assistant([])]))


def first_block(number: int, found: str) -> str:
    return (
        f"messages.{number}.content.0: If an assistant message contains any thinking blocks, the "
        f"first block must be `thinking` or `redacted_thinking`. Found `{found}`."
    )


@pytest.mark.parametrize("thought", [THOUGHT, REDACTED], ids=lambda block: block["type"])
def test_thinking_behind_another_block_is_refused(thought: dict[str, Any]) -> None:
    messages = [user(), assistant([text("So."), thought]), user()]
    fields: dict[str, Any] = {"messages": messages, "max_tokens": 4000}
    assert refusal(thinking=ENABLED, **fields) == first_block(1, "text")
    for thinking in (ADAPTIVE, {"type": "disabled"}):
        assert able(thinking=thinking, **fields)
    # The sentence about the last message is for one without thinking.
    assert refusal(**of_loop(call("a"), thought)) == first_block(1, "tool_use")
    early = [user(), assistant([THOUGHT, text("So.")]), user(), *messages[1:]]
    assert refusal(**fields | {"messages": early, "thinking": ENABLED}) == first_block(3, "text")


def test_thinking_between_other_blocks_is_accepted_after_a_first_one() -> None:
    content = [REDACTED, text("So."), THOUGHT, text("Well.")]
    assert able(**of_loop(messages=[user(), assistant(content), user()]))
    assert able(**of_loop(messages=[user(), assistant([]), assistant("So."), user()]))


def test_budget_of_any_size_is_capped() -> None:
    huge = 10**400
    asked = able(thinking={"type": "enabled", "budget_tokens": huge}, max_tokens=huge + 1)
    assert asked.thinking.budget == 2**31 - 1
    assert asked.max_tokens == 2**31 - 1
