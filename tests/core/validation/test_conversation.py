from typing import Any

import pytest

from antiphon.core.prompt import Turn
from antiphon.wire.content import TextParam
from support.requests import IMAGE, assistant, prompt, refusal, system, text, turn_texts, user
from support.tool_changes import addition

# What is made of a valid conversation.


def test_string_is_one_text_block() -> None:
    assert prompt(user("Hi")).turns == (Turn("user", (TextParam(text="Hi"),)),)


def test_system_prompt_is_the_first_turn() -> None:
    assert turn_texts(user(), system="Be brief") == [("system", ["Be brief"]), ("user", ["Hi"])]


def test_blocks_of_a_system_prompt_are_kept_apart() -> None:
    blocks = [text("Be brief"), text("Be kind")]
    assert turn_texts(user(), system=blocks)[0] == ("system", ["Be brief", "Be kind"])


@pytest.mark.parametrize("empty", ["", []])
def test_empty_system_prompt_is_no_turn(empty: Any) -> None:
    assert turn_texts(user(), system=empty) == [("user", ["Hi"])]


def test_messages_of_one_role_in_a_row_are_one_turn() -> None:
    messages = [user("a"), user([text("b"), text("c")]), assistant("d"), assistant("e"), user("f")]
    assert turn_texts(*messages) == [
        ("user", ["a", "b", "c"]),
        ("assistant", ["d", "e"]),
        ("user", ["f"]),
    ]


def test_system_messages_keep_their_place() -> None:
    messages = [user("a"), system("b"), system("c"), assistant("d"), user("e")]
    assert [role for role, _ in turn_texts(*messages)] == ["user", "system", "assistant", "user"]


def test_last_system_message_may_end_the_array() -> None:
    assert turn_texts(user("a"), system("b"))[-1] == ("system", ["b"])


@pytest.mark.parametrize("empty", ["", []])
def test_empty_user_message_beside_another_is_ignored(empty: Any) -> None:
    assert turn_texts(user(empty), user("a"), user(empty)) == [("user", ["a"])]


@pytest.mark.parametrize("empty", ["", []])
def test_empty_assistant_message_at_the_end_is_no_prefill(empty: Any) -> None:
    assert turn_texts(user("a"), assistant(empty)) == [("user", ["a"])]


def test_last_assistant_message_is_a_prefill() -> None:
    assert turn_texts(user("a"), assistant("The answer is"))[-1] == ("assistant", ["The answer is"])


# Rules of the conversation.

USE_THE_SYSTEM_PARAMETER = (
    "messages.0: use the top-level 'system' parameter for the initial system prompt; the "
    "directive-only form (content: [] with output_config) is accepted at any position"
)
PRECEDE_AN_ASSISTANT = (
    "role 'system' must precede an 'assistant' message or end the array; the directive-only form "
    "(content: [] with output_config) is accepted at any position"
)
ONLY_TEXT = "role 'system' supports text, tool_addition, and tool_removal blocks only"
NOT_BLANK = "system text blocks must contain non-whitespace text"
NOT_EMPTY = "system content must contain at least one block"
AFTER_USER = (
    "role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool "
    "result; the directive-only form (content: [] with output_config) is accepted at any position"
)
EMPTY_TEXT = "text content blocks must be non-empty"
BLANK_TEXT = "text content blocks must contain non-whitespace text"
EMPTY_USER = "user messages must have non-empty content"
EMPTY_ASSISTANT = (
    "all messages must have non-empty content except for the optional final assistant message"
)
TRAILING = "messages: final assistant content cannot end with trailing whitespace"

DIRECTIVE = {"role": "system", "content": [], "output_config": {"effort": "medium"}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}

SCOPED = "a turn-scoped system message"
WHY = " (clear_at: 'next_user_message')"


def scoped(content: Any = "Be quick") -> dict[str, Any]:
    return {**system(content), "clear_at": "next_user_message"}


REFUSALS = [
    ([assistant(), user()], 'messages: first message must use the "user" role'),
    ([assistant("")], 'messages: first message must use the "user" role'),
    ([system(), user()], USE_THE_SYSTEM_PARAMETER),
    ([system(" "), user()], USE_THE_SYSTEM_PARAMETER),
    ([system("")], f"messages.0: {NOT_EMPTY}"),
    ([user(), system([])], f"messages.1: {NOT_EMPTY}"),
    ([system([IMAGE])], f"messages.0: {ONLY_TEXT}"),
    ([user(), system([text("a"), IMAGE])], f"messages.1: {ONLY_TEXT}"),
    ([user(), system(), user()], f"messages.1: {PRECEDE_AN_ASSISTANT}"),
    ([user(), system(), system(), user()], f"messages.2: {PRECEDE_AN_ASSISTANT}"),
    ([user(), system(" "), user()], f"messages.1: {PRECEDE_AN_ASSISTANT}"),
    ([user(), system(" ")], f"messages.1: {NOT_BLANK}"),
    ([user(), system([text("a"), text("")])], f"messages.1: {NOT_BLANK}"),
    ([user(), assistant(), system(" ")], f"messages.2: {NOT_BLANK}"),
    ([user(), assistant(), system()], f"messages.2: {AFTER_USER}"),
    ([user(""), user([]), assistant(), user()], f"messages.0: {EMPTY_USER}"),
    ([user(), assistant(), user(""), user("")], f"messages.2: {EMPTY_USER}"),
    ([user("")], f"messages.0: {EMPTY_USER}"),
    ([user(), assistant(""), user()], f"messages.1: {EMPTY_ASSISTANT}"),
    ([user(), user(), assistant(""), assistant([]), user()], f"messages.2: {EMPTY_ASSISTANT}"),
    ([user([text("")])], f"messages: {EMPTY_TEXT}"),
    (
        [user([text("a"), text("", "5m")])],
        "messages.0.content.1.text: cache_control cannot be set for empty text blocks",
    ),
    (
        [user(), assistant([text("a"), THOUGHT | {"thinking": "", "signature": ""}])],
        "messages.1.content.1.thinking: each thinking block must contain thinking",
    ),
    ([DIRECTIVE], "messages: at least one message is required"),
    ([DIRECTIVE, assistant()], 'messages: first message must use the "user" role'),
    ([DIRECTIVE, system(), user()], USE_THE_SYSTEM_PARAMETER),
    ([user(), DIRECTIVE, system(" ")], f"messages.2: {NOT_BLANK}"),
    ([user(), DIRECTIVE, assistant(""), user()], f"messages.2: {EMPTY_ASSISTANT}"),
    ([user(""), DIRECTIVE, assistant()], f"messages.0: {EMPTY_USER}"),
    ([user() | {"output_config": {}}], "messages.0.output_config: Extra inputs are not permitted"),
    (
        [user(), assistant() | {"clear_at": "never"}],
        "messages.1.clear_at: clear_at is only permitted on role 'system' messages",
    ),
    ([user(), scoped([addition("a")])], f"messages.1: {SCOPED} supports text blocks only{WHY}"),
    (
        [user(), scoped() | {"output_config": {"effort": "low"}}],
        f"messages.1: output_config is not permitted on {SCOPED}{WHY}",
    ),
    (
        [user(), scoped([text("a"), text("b", "5m")])],
        f"messages.1.content.1: cache_control is not permitted on {SCOPED}{WHY}",
    ),
    ([user(), scoped(), user()], f"messages.1: {PRECEDE_AN_ASSISTANT}"),
    ([user(), scoped(" "), assistant(), user()], f"messages.1: {NOT_BLANK}"),
    ([user([text("a"), text("")])], f"messages: {EMPTY_TEXT}"),
    ([user(" \n")], f"messages: {BLANK_TEXT}"),
    ([user("a"), assistant("\t")], f"messages: {BLANK_TEXT}"),
    ([user(), assistant("The answer is ")], TRAILING),
    ([user(), assistant("Yes\n"), assistant("")], TRAILING),
    ([user(), assistant([text("a "), text("b\u3000")])], TRAILING),
]


@pytest.mark.parametrize(("messages", "sentence"), REFUSALS)
def test_invalid_conversation_is_refused_in_the_words_of_the_api(
    messages: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(*messages) == sentence


@pytest.mark.parametrize(
    ("prompt_text", "sentence"),
    [
        (" ", f"system: {BLANK_TEXT}"),
        ([text("a"), text("\n")], f"system: {BLANK_TEXT}"),
        ([text("")], f"system: {EMPTY_TEXT}"),
        ([text("", "1h")], "system.0.text: cache_control cannot be set for empty text blocks"),
        ([text("a"), IMAGE], "system.1: Input does not match the expected shape."),
    ],
)
def test_invalid_system_prompt_is_refused_in_the_words_of_the_api(
    prompt_text: Any, sentence: str
) -> None:
    assert refusal(user(), system=prompt_text) == sentence


@pytest.mark.parametrize(
    "messages",
    [
        [DIRECTIVE, user("a"), assistant("b")],
        [user("a"), DIRECTIVE, assistant("b")],
        [user("a"), assistant("b"), DIRECTIVE],
        [user("a"), DIRECTIVE, DIRECTIVE | {"content": ""}, assistant("b")],
    ],
)
def test_directive_is_accepted_anywhere_and_ignored(messages: list[dict[str, Any]]) -> None:
    assert turn_texts(*messages) == [("user", ["a"]), ("assistant", ["b"])]


def test_system_message_may_be_followed_by_a_directive() -> None:
    messages = [user("a"), system("b") | {"clear_at": "never"}, DIRECTIVE, assistant("c")]
    assert [role for role, _ in turn_texts(*messages)] == ["user", "system", "assistant"]


@pytest.mark.covers("messages: clear_at", "effect")
def test_turn_scoped_message_is_read_until_the_next_user_message() -> None:
    turns = [user("a"), scoped("b"), system("c"), scoped("d")]
    assert turn_texts(*turns) == [("user", ["a"]), ("system", ["b", "c", "d"])]
    # An answer does not clear it, and neither does a prefill.
    assert turn_texts(*turns, assistant("e"))[1] == ("system", ["b", "c", "d"])
    grown = turn_texts(*turns, assistant("e"), user("f"), scoped("g"))
    assert grown == [
        ("user", ["a"]),
        ("system", ["c"]),
        ("assistant", ["e"]),
        ("user", ["f"]),
        ("system", ["g"]),
    ]
    cleared = [user("a"), scoped("b"), assistant("e"), user("f")]
    assert [role for role, _ in turn_texts(*cleared)] == ["user", "assistant", "user"]
    kept = [user("a"), scoped("b") | {"clear_at": "never"}, *cleared[2:]]
    assert [role for role, _ in turn_texts(*kept)] == ["user", "system", "assistant", "user"]


def test_signed_thinking_without_text_is_accepted() -> None:
    omitted = THOUGHT | {"thinking": ""}
    assert len(prompt(user(), assistant([omitted, text("a")]), user()).turns) == 3


def test_trailing_whitespace_is_allowed_where_it_is_no_prefill() -> None:
    assert len(turn_texts(user("a "), assistant("b "), user("c "))) == 3


def test_rules_are_checked_in_the_order_of_the_reference() -> None:
    bad = [user(""), assistant(" "), user([text("")]), assistant("a ")]
    assert refusal(*bad).startswith("messages.0: ")
    assert refusal(user(), *bad[1:]).endswith(BLANK_TEXT)
    assert refusal(user(), assistant(), *bad[2:]).endswith(EMPTY_TEXT)
    assert refusal(user(), assistant(), user(), *bad[3:]) == TRAILING
