from typing import Any

import pytest

from support.requests import able, assistant, call, refusal, result, system, text, user

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
HIDDEN = {"type": "redacted_thinking", "data": "x"}
ALONE = "`tool_use` ids were found without `tool_result` blocks immediately after:"
ANSWER_IT = (
    "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
)
UNEXPECTED = "unexpected `tool_use_id` found in `tool_result` blocks:"
CALLED = (
    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
)

TAKEN: list[list[dict[str, Any]]] = [
    [user(), assistant([call("a")]), user([result("a")])],
    [user(), assistant([text("t"), call("a"), call("b")]), user([result("b"), result("a")])],
    [user(), assistant([call("a")]), assistant([call("b")]), user([result("a"), result("b")])],
    [user(), assistant([call("a"), call("b")]), user([result("a")]), user([result("b")])],
    [user(), assistant([call("a")]), user([result("a"), text("t")]), user("more")],
    [user(), assistant([call("a")]), user([result("a")]), system(), assistant("t")],
    [user(), assistant([THOUGHT, HIDDEN, call("a")]), user([result("a")]), assistant()],
    [
        *[user(), assistant([call("a")]), user([result("a")])],
        *[assistant([call("b")]), user([result("b", is_error=True)])],
    ],
]


@pytest.mark.parametrize("messages", TAKEN)
def test_call_with_its_result_in_the_next_message_is_accepted(
    messages: list[dict[str, Any]],
) -> None:
    assert able(*messages).turns


REFUSALS: list[tuple[list[dict[str, Any]], str]] = [
    ([user(), assistant([call("a")])], f"messages.1: {ALONE} a. {ANSWER_IT}"),
    ([user(), assistant([call("a")]), user()], f"messages.1: {ALONE} a. {ANSWER_IT}"),
    (
        [user(), assistant(), assistant([call("a"), call("b"), call("c")]), user([result("b")])],
        f"messages.2: {ALONE} a, c. {ANSWER_IT}",
    ),
    (
        [user(), assistant([call("a")]), user([text("t"), result("a")])],
        f"messages.1: {ALONE} a. {ANSWER_IT}",
    ),
    (
        [user(), assistant([call("a")]), user("t"), user([result("a")])],
        f"messages.1: {ALONE} a. {ANSWER_IT}",
    ),
    (
        [user(), assistant([call("a")]), user([result("a"), text("t"), result("b")])],
        f"messages.2.content.2: {UNEXPECTED} b. {CALLED}",
    ),
    ([user([result("a")])], f"messages.0.content.0: {UNEXPECTED} a. {CALLED}"),
    (
        [user(), assistant([call("a")]), user([result("a")]), assistant(), user([result("a")])],
        f"messages.4.content.0: {UNEXPECTED} a. {CALLED}",
    ),
    (
        [user(), assistant([call("a"), call("a")])],
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
    (
        [user(), assistant([call("a")]), user([result("a")]), assistant([text("t"), call("a")])],
        "messages.3.content.1: `tool_use` ids must be unique",
    ),
    (
        [user(), assistant([call("a")]), user([result("a"), result("a")])],
        (
            "messages.2.content.1: each tool_use must have a single result. Found multiple "
            "`tool_result` blocks with id: a"
        ),
    ),
    (
        [user([text("t"), call("a")])],
        "messages.0.content.1: `tool_use` blocks can only be in `assistant` messages",
    ),
    (
        [user([THOUGHT])],
        "messages.0.content.0: `thinking` blocks can only be in `assistant` messages",
    ),
    (
        [user(), assistant([result("a")])],
        "messages.1.content.0: `tool_result` blocks can only be in `user` messages",
    ),
]


@pytest.mark.parametrize(("messages", "sentence"), REFUSALS)
def test_unpaired_call_or_result_is_refused_in_the_words_of_the_api(
    messages: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(*messages) == sentence
