from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Breakpoint, Prompt, Turn
from antiphon.core.thinking_signatures import (
    check_replay,
    restore_thinking,
    sign_omitted,
    sign_thinking,
    thinking_for_engine,
    with_proofs,
    without_foreign_thinking,
)
from antiphon.wire.content import (
    ContentParam,
    RedactedThinkingParam,
    TextParam,
    ThinkingParam,
    ToolResultParam,
)
from antiphon.wire.messages import MessageParam

KEY, ANOTHER = bytes(32), b"\x01" * 32
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INVALID = "Invalid `signature` in `thinking` block"
RESULT = ToolResultParam(tool_use_id="t", content="Seen.")


def thought(thinking: str, signature: str) -> ThinkingParam:
    return ThinkingParam(thinking=thinking, signature=signature)


def conversation(*blocks: ContentParam) -> list[MessageParam]:
    """Blocks of an assistant, one message each, with somebody speaking in between."""
    messages = [MessageParam(role="user", content="Hi")]
    for block in blocks:
        messages += [
            MessageParam(role="assistant", content=[block, TextParam(text="So.")]),
            MessageParam(role="user", content=[RESULT]),
        ]
    return messages


def refusal(*blocks: ContentParam) -> str:
    with pytest.raises(InvalidRequestError) as refused:
        check_replay(conversation(*blocks), KEY)
    return str(refused.value)


@given(TEXT)
def test_thinking_as_it_was_sent_is_taken(thinking: str) -> None:
    shown = thought(thinking, sign_thinking(KEY, thinking))
    omitted = thought("", sign_omitted(KEY, thinking))
    check_replay(conversation(shown, omitted, shown), KEY)


@pytest.mark.covers("blocks of a request: thinking", "effect")
@given(TEXT)
def test_thinking_that_was_not_shown_is_remembered(thinking: str) -> None:
    block = thought("What the caller wrote.", sign_omitted(KEY, thinking))
    check_replay(conversation(block), KEY)
    prompt = Prompt((Turn("user", (TextParam(text="a"),)), Turn("assistant", (block,))), 1)
    known = restore_thinking(prompt).turns[1].content[0]
    assert isinstance(known, ThinkingParam)
    assert known.thinking == (thinking or "What the caller wrote.")
    assert restore_thinking(prompt).turns[0] == prompt.turns[0]


def test_prompt_for_an_engine_has_its_own_thinking_and_its_proofs() -> None:
    hidden = thought("", sign_omitted(KEY, "So", "proof"))
    foreign = thought("Other", sign_thinking(ANOTHER, "Other"))
    text = TextParam(text="a")
    prompt = Prompt((Turn("user", (text,)), Turn("assistant", (hidden, foreign, text))), 1)
    kept = thinking_for_engine(prompt, KEY).turns[1].content
    assert kept == (thought("So", "proof"), text)
    plain = Prompt((Turn("user", (text,)),), 1)
    assert thinking_for_engine(plain, KEY) is plain


def test_a_prompt_without_hidden_thinking_stays_the_same() -> None:
    block = thought("So", sign_thinking(KEY, "So"))
    prompt = Prompt((Turn("assistant", (block,)),), 1)
    assert restore_thinking(prompt) is prompt


def test_changed_thinking_of_the_latest_message_is_called_modified() -> None:
    changed = thought("No", sign_thinking(KEY, "So"))
    assert refusal(changed) == (
        "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant "
        "message cannot be modified. These blocks must remain as they were in the original "
        "response."
    )
    emptied = thought("", sign_thinking(KEY, "So"))
    assert "cannot be modified" in refusal(emptied)


def test_changed_thinking_of_an_earlier_message_has_the_wrong_signature() -> None:
    fine = thought("So", sign_thinking(KEY, "So"))
    changed = thought("No", sign_thinking(KEY, "So"))
    assert refusal(changed, fine) == f"messages.1.content.0: {INVALID}"
    emptied = thought("", sign_thinking(KEY, "So"))
    check_replay(conversation(emptied, fine), KEY)


FOREIGN = [
    *("EqQBCkYIARgCKkA", "", "x", "é", "A" * 120, "reasoning_content", "."),
    sign_thinking(ANOTHER, "So"),
    sign_thinking(ANOTHER, "So", "proof"),
    sign_omitted(ANOTHER, "So"),
]


@pytest.mark.parametrize("signature", FOREIGN)
@pytest.mark.parametrize("thinking", ["So", "No", ""])
def test_foreign_thinking_is_left_out(signature: str, thinking: str) -> None:
    fine = thought("So", sign_thinking(KEY, "So"))
    foreign = thought(thinking, signature), RedactedThinkingParam(data=signature)
    check_replay(conversation(*foreign, fine, *foreign), KEY)
    blocks = (foreign[0], fine, TextParam(text="So."), foreign[1], foreign[0])
    prompt = Prompt((Turn("user", (TextParam(text="a"),)), Turn("assistant", blocks)), 1)
    left = without_foreign_thinking(prompt, KEY)
    assert left.turns == (prompt.turns[0], Turn("assistant", (fine, TextParam(text="So."))))


def test_prompt_without_foreign_thinking_stays_the_same() -> None:
    blocks = thought("So", sign_thinking(KEY, "So")), TextParam(text="So.")
    prompt = Prompt((Turn("assistant", blocks),), 1)
    assert without_foreign_thinking(prompt, KEY) is prompt


def test_turn_of_foreign_thinking_alone_is_dropped_with_its_neighbours_joined() -> None:
    one, two, three = (Turn("user", (TextParam(text=text),)) for text in "abc")
    foreign = Turn("assistant", (thought("So", "x"), RedactedThinkingParam(data="x")))
    said = Turn("assistant", (thought("So", "x"), TextParam(text="So.")))
    marks = (
        Breakpoint(None, (0,), "5m"),
        Breakpoint(0, (0,), "5m"),
        Breakpoint(2, (0,), "5m"),
        Breakpoint(3, (1,), "5m"),
        Breakpoint(4, (0,), "5m"),
    )
    prompt = Prompt((one, foreign, two, said, three, foreign), 1, breakpoints=marks)
    left = without_foreign_thinking(prompt, KEY)
    assert left.turns == (
        Turn("user", (*one.content, *two.content)),
        Turn("assistant", (TextParam(text="So."),)),
        three,
    )
    assert [(mark.turn, mark.path) for mark in left.breakpoints] == [
        (None, (0,)),
        (0, (0,)),
        (0, (1,)),
        (1, (0,)),
        (2, (0,)),
    ]


@pytest.mark.parametrize(
    "signature",
    [
        sign_thinking(KEY, "So")[:-4],
        sign_thinking(KEY, "So")[:20],
        sign_thinking(KEY, "So")[:-4] + "AAAA",
        sign_thinking(KEY, "So") + "AAAA",
        sign_thinking(KEY, "So") + ".Tm8=",
        sign_thinking(KEY, "So") + ".é",
        sign_thinking(KEY, "So") + ".a",
        sign_thinking(KEY, "So") + "._w==",
    ],
)
@pytest.mark.parametrize("thinking", ["So", "No", ""])
def test_signature_of_this_server_that_does_not_fit_is_refused_in_any_message(
    signature: str, thinking: str
) -> None:
    fine = thought("So", sign_thinking(KEY, "So"))
    assert refusal(thought(thinking, signature)) == f"messages.1.content.0: {INVALID}"
    assert refusal(fine, thought(thinking, signature)) == f"messages.3.content.0: {INVALID}"


@pytest.mark.covers("blocks of a request: redacted_thinking", "refused")
def test_redacted_thinking_of_this_server_that_was_changed_is_refused() -> None:
    data = sign_thinking(KEY, "", "proof")[:-4]
    assert refusal(RedactedThinkingParam(data=data)) == (
        "messages.1.content.0: Invalid `data` in `redacted_thinking` block"
    )


def test_consecutive_assistant_messages_are_all_checked_as_the_latest() -> None:
    changed: list[Any] = [thought("No", sign_thinking(KEY, "So"))]
    messages = [
        MessageParam(role="user", content="Hi"),
        MessageParam(role="assistant", content=changed),
        MessageParam(role="assistant", content="So."),
    ]
    with pytest.raises(InvalidRequestError, match="cannot be modified"):
        check_replay(messages, KEY)


def test_a_conversation_without_answers_has_nothing_to_check() -> None:
    check_replay([MessageParam(role="user", content="Hi")], KEY)


@given(TEXT, TEXT)
def test_an_engine_gets_its_own_proofs_back(thinking: str, proof: str) -> None:
    blocks = (
        thought(thinking, sign_thinking(KEY, thinking, proof)),
        thought("", sign_omitted(KEY, thinking, proof)),
        RedactedThinkingParam(data=sign_thinking(KEY, "", proof)),
        TextParam(text="So."),
    )
    check_replay(conversation(*blocks), KEY)
    given_back = (
        with_proofs(restore_thinking(Prompt((Turn("assistant", blocks),), 1)), KEY).turns[0].content
    )
    assert given_back == (
        thought(thinking, proof),
        thought(thinking, proof),
        RedactedThinkingParam(data=proof),
        TextParam(text="So."),
    )


def test_a_prompt_without_thoughts_stays_the_same() -> None:
    prompt = Prompt((Turn("user", (TextParam(text="a"),)),), 1)
    assert with_proofs(prompt, KEY) is prompt


def test_proof_signed_with_another_key_is_dropped() -> None:
    blocks = thought("So", sign_thinking(ANOTHER, "So", "x")), RedactedThinkingParam(data="x")
    prompt = with_proofs(Prompt((Turn("assistant", blocks),), 1), KEY)
    assert prompt.turns[0].content == (thought("So", ""), RedactedThinkingParam(data=""))
