import json
from itertools import combinations
from typing import Any

import pytest

from antiphon.core.errors import InvalidRequestError
from antiphon.core.generation import Capabilities, Prompt, Turn
from antiphon.core.validation import check_fits, prompt_for, prompt_to_count
from antiphon.wire.content import TextParam
from antiphon.wire.faults import BodyDecoder
from antiphon.wire.messages import CountTokensParams, CreateMessageParams

CAPABILITIES = Capabilities(context_tokens=200, max_output_tokens=100)
DECODER = BodyDecoder(CreateMessageParams)
OLD, NEW = "2023-06-01", "2026-10-21"
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}


def user(content: Any = "Hi") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "Hello") -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def system(content: Any = "Be brief") -> dict[str, Any]:
    return {"role": "system", "content": content}


def text(words: str, ttl: str | None = None) -> dict[str, Any]:
    mark = {} if ttl is None else {"cache_control": {"type": "ephemeral", "ttl": ttl}}
    return {"type": "text", "text": words, **mark}


def params(*messages: dict[str, Any], **fields: Any) -> CreateMessageParams:
    body = {"model": "m", "max_tokens": 8, "messages": messages or [user()], **fields}
    return DECODER.decode(json.dumps(body).encode())


def prompt(*messages: dict[str, Any], version: str = OLD, **fields: Any) -> Prompt:
    return prompt_for(params(*messages, **fields), CAPABILITIES, version)


def said(*messages: dict[str, Any], **fields: Any) -> list[tuple[str, list[str]]]:
    """The turns of a request: who speaks, and the texts of the blocks."""
    return [
        (turn.role, [block.text for block in turn.content if isinstance(block, TextParam)])
        for turn in prompt(*messages, **fields).turns
    ]


def refusal(*messages: dict[str, Any], version: str = OLD, **fields: Any) -> str:
    with pytest.raises(InvalidRequestError) as error:
        prompt(*messages, version=version, **fields)
    return str(error.value)


# What is made of a valid conversation.


def test_string_is_one_text_block() -> None:
    assert prompt(user("Hi")).turns == (Turn("user", (TextParam(text="Hi"),)),)


def test_system_prompt_is_the_first_turn() -> None:
    assert said(user(), system="Be brief") == [("system", ["Be brief"]), ("user", ["Hi"])]


def test_blocks_of_a_system_prompt_are_kept_apart() -> None:
    blocks = [text("Be brief"), text("Be kind")]
    assert said(user(), system=blocks)[0] == ("system", ["Be brief", "Be kind"])


@pytest.mark.parametrize("empty", ["", []])
def test_empty_system_prompt_is_no_turn(empty: Any) -> None:
    assert said(user(), system=empty) == [("user", ["Hi"])]


def test_messages_of_one_role_in_a_row_are_one_turn() -> None:
    messages = [user("a"), user([text("b"), text("c")]), assistant("d"), assistant("e"), user("f")]
    assert said(*messages) == [
        ("user", ["a", "b", "c"]),
        ("assistant", ["d", "e"]),
        ("user", ["f"]),
    ]


def test_system_messages_keep_their_place() -> None:
    messages = [user("a"), system("b"), system("c"), assistant("d"), user("e")]
    assert [role for role, _ in said(*messages)] == ["user", "system", "assistant", "user"]


def test_last_system_message_may_end_the_array() -> None:
    assert said(user("a"), system("b"))[-1] == ("system", ["b"])


@pytest.mark.parametrize("empty", ["", []])
def test_empty_user_message_beside_another_says_nothing(empty: Any) -> None:
    assert said(user(empty), user("a"), user(empty)) == [("user", ["a"])]


@pytest.mark.parametrize("empty", ["", []])
def test_empty_assistant_message_at_the_end_is_no_prefill(empty: Any) -> None:
    assert said(user("a"), assistant(empty)) == [("user", ["a"])]


def test_last_assistant_message_is_a_prefill() -> None:
    assert said(user("a"), assistant("The answer is"))[-1] == ("assistant", ["The answer is"])


def test_count_has_the_turns_of_the_same_message() -> None:
    fields = {"system": "Be brief", "messages": [user("a"), assistant("b"), user("c")]}
    body = json.dumps({"model": "m", **fields}).encode()
    counted = prompt_to_count(BodyDecoder(CountTokensParams).decode(body))
    assert counted.turns == prompt(*fields["messages"], system="Be brief").turns


def test_count_is_refused_where_the_message_is() -> None:
    body = json.dumps({"model": "m", "messages": [assistant()]}).encode()
    with pytest.raises(InvalidRequestError, match="first message must use"):
        prompt_to_count(BodyDecoder(CountTokensParams).decode(body))


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
AFTER_USER = "role 'system' must follow a 'user' message"
EMPTY_TEXT = "text content blocks must be non-empty"
BLANK_TEXT = "text content blocks must contain non-whitespace text"
EMPTY_USER = "user messages must have non-empty content"
EMPTY_ASSISTANT = (
    "all messages must have non-empty content except for the optional final assistant message"
)
TRAILING = "messages: final assistant content cannot end with trailing whitespace"

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
    (
        [user([text("a"), IMAGE])],
        "messages.0.content.1.image: this model does not take image blocks",
    ),
    ([user(""), user([]), assistant(), user()], f"messages.0: {EMPTY_USER}"),
    ([user(), assistant(), user(""), user("")], f"messages.2: {EMPTY_USER}"),
    ([user("")], f"messages.0: {EMPTY_USER}"),
    ([user(), assistant(""), user()], f"messages.1: {EMPTY_ASSISTANT}"),
    ([user(), user(), assistant(""), assistant([]), user()], f"messages.2: {EMPTY_ASSISTANT}"),
    ([user([text("")])], f"messages: {EMPTY_TEXT}"),
    ([user([text("a"), text("")])], f"messages: {EMPTY_TEXT}"),
    ([user(" \n")], f"messages: {BLANK_TEXT}"),
    ([user("a"), assistant("\t")], f"messages: {BLANK_TEXT}"),
    ([user(), assistant("The answer is ")], TRAILING),
    ([user(), assistant("Yes\n"), assistant("")], TRAILING),
    ([user(), assistant([text("a "), text("b\u3000")])], TRAILING),
]


@pytest.mark.parametrize(("messages", "sentence"), REFUSALS)
def test_broken_rule_is_said_in_the_words_of_the_api(
    messages: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(*messages) == sentence


@pytest.mark.parametrize(
    ("prompt_text", "sentence"),
    [
        (" ", f"system: {BLANK_TEXT}"),
        ([text("a"), text("\n")], f"system: {BLANK_TEXT}"),
        ([text("")], f"system: {EMPTY_TEXT}"),
        ([text("a"), IMAGE], "system.1: Input does not match the expected shape."),
    ],
)
def test_broken_rule_of_the_system_prompt_is_said(prompt_text: Any, sentence: str) -> None:
    assert refusal(user(), system=prompt_text) == sentence


def test_trailing_whitespace_is_allowed_where_it_is_no_prefill() -> None:
    assert len(said(user("a "), assistant("b "), user("c "))) == 3


# Breakpoints of the prompt cache.


def test_four_breakpoints_are_taken() -> None:
    blocks = [text("a", "1h"), text("b", "5m")]
    assert len(said(user(blocks), system=blocks[:1], cache_control={"type": "ephemeral"})) == 2


def test_fifth_breakpoint_is_refused() -> None:
    blocks = [text("a", "5m"), text("b", "5m")]
    assert refusal(user(blocks), assistant(), user(blocks), system=blocks[:1]) == (
        "A maximum of 4 blocks with cache_control may be provided. Found 5."
    )


def test_automatic_breakpoint_counts() -> None:
    blocks = [text("a", "5m"), text("b", "5m")]
    sentence = refusal(user(blocks), system=blocks, cache_control={"type": "ephemeral"})
    assert sentence.endswith("Found 5.")


@pytest.mark.parametrize(
    ("system_ttl", "ttls", "path"),
    [
        ("1h", ["5m", "1h"], "messages.0.content.1"),
        ("5m", ["1h"], "messages.0.content.0"),
        ("5m", [None, "5m", "1h"], "messages.0.content.2"),
    ],
)
def test_long_breakpoint_after_a_short_one_is_refused(
    system_ttl: str, ttls: list[str | None], path: str
) -> None:
    blocks = [text("a", ttl) for ttl in ttls]
    assert refusal(user(blocks), system=[text("s", system_ttl)]) == (
        f"{path}.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
        "ttl='5m' cache_control block. Note that blocks are processed in the following order: "
        "`tools`, `system`, `messages`."
    )


# Sampling.


def test_sampling_parameters_reach_the_prompt() -> None:
    asked = prompt(temperature=0.5, top_k=3, top_p=0.9)
    assert (asked.temperature, asked.top_k, asked.top_p) == (0.5, 3, 0.9)


def test_top_k_beyond_every_vocabulary_stays_within_an_engines_integers() -> None:
    assert prompt(top_k=10**30).top_k == 2**31 - 1


@pytest.mark.parametrize("version", [OLD, NEW])
def test_sampling_that_is_not_asked_for_is_the_default(version: str) -> None:
    asked = prompt(version=version)
    assert (asked.temperature, asked.top_k, asked.top_p) == (1.0, None, None)


@pytest.mark.parametrize(("name", "value"), [("temperature", 1.0), ("top_k", 0), ("top_p", 1)])
def test_sampling_parameter_is_an_unknown_key_in_the_newer_version(name: str, value: float) -> None:
    assert refusal(version=NEW, **{name: value}) == f"{name}: Extra inputs are not permitted"


# How many tokens.


def test_prompt_holds_what_was_asked_for() -> None:
    assert prompt(max_tokens=100).max_tokens == 100


def test_answer_of_no_tokens_may_be_asked_for() -> None:
    assert prompt(max_tokens=0).max_tokens == 0


def test_answer_of_no_tokens_cannot_be_streamed() -> None:
    assert refusal(max_tokens=0, stream=True) == (
        "max_tokens: must be greater than 0 when `stream` is true"
    )


@pytest.mark.parametrize("asked", [101, 10**30])
def test_more_tokens_than_the_model_can_say_are_refused(asked: int) -> None:
    assert refusal(max_tokens=asked) == (
        f"max_tokens: {asked} > 100, which is the maximum allowed number of output tokens for m"
    )


def test_prompt_that_leaves_room_fits() -> None:
    check_fits(199, CAPABILITIES)


@pytest.mark.parametrize(("tokens", "maximum"), [(200, 199), (201, 200), (999, 200)])
def test_prompt_that_leaves_no_room_is_refused(tokens: int, maximum: int) -> None:
    with pytest.raises(InvalidRequestError) as error:
        check_fits(tokens, CAPABILITIES)
    assert str(error.value) == f"prompt is too long: {tokens} tokens > {maximum} maximum"


# Of two broken rules the one that stands first here is reported.
IN_ORDER: list[tuple[dict[str, Any], str]] = [
    ({"top_k": 1}, "top_k: "),
    ({"messages": [assistant("a")]}, "messages: first message"),
    ({"system": " "}, "system: "),
    ({"messages": [user([text("a"), IMAGE])]}, "messages.0.content.1.image: "),
    ({"max_tokens": 101}, "max_tokens: "),
]


@pytest.mark.parametrize(("first", "second"), list(combinations(IN_ORDER, 2)))
def test_of_two_broken_rules_the_one_that_comes_first_is_reported(
    first: tuple[dict[str, Any], str], second: tuple[dict[str, Any], str]
) -> None:
    fields = {"messages": [user()], **second[0], **first[0]}
    messages = fields.pop("messages")
    assert refusal(*messages, version=NEW, **fields).startswith(first[1])


def test_rules_are_checked_in_the_order_of_the_reference() -> None:
    bad = [user(""), assistant(" "), user([text("")]), assistant("a ")]
    assert refusal(*bad).startswith("messages.0: ")
    assert refusal(user(), *bad[1:]).endswith(BLANK_TEXT)
    assert refusal(user(), assistant(), *bad[2:]).endswith(EMPTY_TEXT)
    assert refusal(user(), assistant(), user(), *bad[3:]) == TRAILING


def test_conversation_without_a_system_prompt_starts_with_the_user() -> None:
    assert conversation(params(user("a")))[0].role == "user"
