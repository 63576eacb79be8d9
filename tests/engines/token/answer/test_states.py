from dataclasses import replace

import pytest

from antiphon.core.prompt import Tool
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.parser import AnswerParser
from antiphon.engines.token.answer.states import TRANSITIONS, Sign, State
from antiphon.engines.token.notation.notation import Notation
from antiphon.engines.token.prompt.call_syntax import BARE, TAGGED
from antiphon.engines.token.prompt.reasoning_format import THINK

TOOLS = (
    Tool(name="add", input_schema={"properties": {"n": {"type": "integer"}}}),
    Tool(name="eager", input_schema={}, eager_input_streaming=True),
)
FREE = AnswerFormat(TAGGED, TOOLS, tags=THINK)
BOUND = replace(FREE, constrained=True)
FORCED = replace(BOUND, forced=True)
CALLED = TAGGED.call("add", {})
UNFIT_CALL = TAGGED.call("add", {"n": "x"})
UNMARKED = '{"name": "add", "arguments": {'
EAGER = TAGGED.before("eager") + "{"

SECTIONS = AnswerFormat(
    Notation(opening="[C]", lead="", middle=" ", separator="; ", closing=" [/C]"), TOOLS
)
CLOSED = AnswerFormat(
    Notation(opening="[C", lead="]tools ", middle=" ", closing="[/C]", closes_text=True), TOOLS
)
ENDED = replace(FREE, turn_ends=("<|end|>",))
BOUND_SECTIONS = replace(SECTIONS, constrained=True)

# How each row of the table comes about: what has been read before, and what is read then.
ROWS = {
    (State.START, Sign.REASONING_OPENING): (FREE, "", "<think>"),
    (State.START, Sign.CALL_OPENING): (AnswerFormat(BARE, TOOLS), " ", "{"),
    (State.START, Sign.OTHER_TEXT): (FREE, "<thi", "s"),
    (State.REASONING, Sign.REASONING_CLOSING): (FREE, "<think>So</thi", "nk>"),
    (State.AFTER_REASONING, Sign.REASONING_OPENING): (FREE, "<think></think>", "<think>"),
    (State.AFTER_REASONING, Sign.CALL_OPENING): (
        AnswerFormat(BARE, TOOLS, reasoned=True),
        "",
        "{",
    ),
    (State.AFTER_REASONING, Sign.OTHER_TEXT): (FREE, "<think></think>\n\n", "Hi"),
    (State.TEXT, Sign.CALL_OPENING): (FREE, "Hi <tool_call", ">"),
    (State.CALL, Sign.STREAMED_HEAD): (FREE, EAGER[:-1], "{"),
    (State.CALL, Sign.WHOLE_CALL): (FREE, CALLED[:-1], ">"),
    (State.CALL, Sign.NEXT_CALL): (SECTIONS, "[C]add {};", " "),
    (State.CALL, Sign.REJECTED_CALL): (BOUND, UNFIT_CALL[:-1], ">"),
    (State.CALL, Sign.OTHER_TEXT): (FREE, UNFIT_CALL[:-1], ">"),
    (State.CALL, Sign.REPEATED_CALL): (FORCED, CALLED + CALLED[:-1], ">"),
    (State.CALL, Sign.ANSWER_END): (CLOSED, "Hi[C", "]!"),
    (State.AFTER_CALL, Sign.ANSWER_END): (FORCED, CALLED + "\n<tool", "s"),
    (State.ARGUMENTS, Sign.INPUT_END): (FREE, EAGER, "}"),
    (State.CLOSING, Sign.CALL_CLOSING): (FREE, EAGER + "}}\n</tool_call", ">"),
    (State.CLOSING, Sign.NEXT_CALL): (SECTIONS, "[C]eager {};", " "),
    (State.CLOSING, Sign.OTHER_TEXT): (FREE, EAGER + "}", ","),
    (State.START, Sign.TURN_END): (ENDED, " <|end|", ">"),
    (State.REASONING, Sign.TURN_END): (ENDED, "<think>So</thi<|end|", ">"),
    (State.AFTER_REASONING, Sign.TURN_END): (ENDED, "<think></think>\n<|end|", ">"),
    (State.TEXT, Sign.TURN_END): (ENDED, "Hi <tool<|end|", ">"),
    (State.AFTER_CALL, Sign.TURN_END): (ENDED, CALLED + "\n<|end|", ">"),
    (State.AFTER_CALL, Sign.CALL_OPENING): (FREE, CALLED + "\n<tool_call", ">"),
}
# These are passed within one piece, up to the rejection.
HEADS = {
    (State.START, Sign.UNMARKED_HEAD): (BOUND, " ", UNMARKED),
    (State.AFTER_REASONING, Sign.UNMARKED_HEAD): (BOUND, "<think></think>\n", UNMARKED),
    (State.TEXT, Sign.UNMARKED_HEAD): (BOUND, "Hi\n", UNMARKED),
    (State.AFTER_CALL, Sign.UNMARKED_HEAD): (BOUND, CALLED, "\n" + UNMARKED),
}
RETRIES = {
    (State.REJECTED, Sign.RETRY): (BOUND, "Hi " + UNFIT_CALL),
    (State.REJECTED, Sign.RETRY_FROM_START): (
        AnswerFormat(BARE, TOOLS, constrained=True),
        BARE.call("add", {"n": "x"}),
    ),
    (State.REJECTED, Sign.RETRY_WITHIN): (BOUND_SECTIONS, '[C]add {}; add {"n": "x"}; '),
}


def test_each_row_of_the_table_has_an_example() -> None:
    rows = {(state, sign) for state, signs in TRANSITIONS.items() for sign in signs}
    rejected = (State.UNMARKED, Sign.REJECTED_CALL)
    assert rows == {*ROWS, *HEADS, *RETRIES, rejected}
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].name}-{row[1].name}")
def test_sign_leads_to_the_state_of_the_table(row: tuple[State, Sign]) -> None:
    reading, before, then = ROWS[row]
    parser = AnswerParser(reading)
    for character in before:
        parser.feed(character, 1)
    assert parser.state is row[0]
    parser.feed(then, 1)
    assert parser.state is TRANSITIONS[row[0]][row[1]]


@pytest.mark.parametrize("row", HEADS, ids=lambda row: row[0].name)
def test_head_without_a_mark_is_rejected(row: tuple[State, Sign]) -> None:
    reading, before, then = HEADS[row]
    parser = AnswerParser(reading)
    for character in before:
        parser.feed(character, 1)
    assert parser.state is row[0]
    parser.feed(then, 1)
    assert parser.state is TRANSITIONS[State.UNMARKED][Sign.REJECTED_CALL]
    assert parser.rejected is not None
    assert parser.rejected.unmarked


@pytest.mark.parametrize("row", RETRIES, ids=lambda row: row[1].name)
def test_retry_leads_to_the_state_of_the_table(row: tuple[State, Sign]) -> None:
    reading, before = RETRIES[row]
    parser = AnswerParser(reading)
    parser.feed(before, 1)
    assert parser.state is State.REJECTED
    parser.retry()
    assert parser.state is TRANSITIONS[State.REJECTED][row[1]]
