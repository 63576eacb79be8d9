import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    TextChunk,
    ThinkingChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.parser import AnswerParser, Rejected
from antiphon.engines.token.prompt.call_syntax import BARE, TAGGED
from antiphon.engines.token.prompt.reasoning_format import THINK, ReasoningTags

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOLS = (
    Tool(name="add", input_schema=SCHEMA),
    Tool(name="eager", input_schema={"type": "object"}, eager_input_streaming=True),
)
PLAIN = AnswerFormat(TAGGED, TOOLS)
THINKING = AnswerFormat(TAGGED, TOOLS, tags=THINK)
LLAMA = AnswerFormat(BARE, TOOLS)
HARMONY = ReasoningTags(
    "<|channel|>analysis<|message|>",
    "<|end|>",
    margin="",
    gap="<|start|>assistant<|channel|>final<|message|>",
    none="<|channel|>final<|message|>",
)
CHOOSING = ReasoningTags(
    "<|think|>",
    "<|end|>",
    margin="",
    gap="<|begin|>assistant<|text|>",
    none="<|text|>",
).choosing()
STRICT = AnswerFormat(
    TAGGED,
    TOOLS,
    tags=HARMONY,
    constrained=True,
    must_fit=frozenset({"add", "eager"}),
    buffered=frozenset({"eager"}),
)
PIECES = [
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool", "_call>", "</tool", "<", ">",
    "\n", " ", "\x0b", "hello", "{", "}", "[", '"', "\\", '"name": ', '"add"', '"eager"',
    ', "arguments": ', "x" * 1200, HARMONY.opening, HARMONY.closing, HARMONY.gap, HARMONY.gap[:9],
    CHOOSING.opening, CHOOSING.gap, CHOOSING.text_mark,
    TAGGED.call("add", {"n": 1}), TAGGED.call("eager", {"a": ["}</tool_call>", {}]}),
    TAGGED.call("unknown", {}), TAGGED.call("add", {"n": "not a number"}),
    TAGGED.call("eager", {"a": "x" * 1200}), TAGGED.before("add"), TAGGED.before("eager"),
    BARE.call("add", {"n": 2}), BARE.call("eager", {"a": [2]}), BARE.before("eager"),
    "```json\n", "```", "<tools>", '{"name": "add", "arguments": {',
    '\n{"name": "eager", "input": {',
]  # fmt: skip
STARTS = ["", "", " ", "<think>so</think>", HARMONY.opening, CHOOSING.text_mark, *PIECES[-15:]]
answers = st.builds(
    lambda start, rest: start + "".join(rest),
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(PIECES), max_size=8),
)
readings = st.sampled_from(
    [
        PLAIN,
        THINKING,
        LLAMA,
        STRICT,
        AnswerFormat(TAGGED),
        AnswerFormat(TAGGED, tags=THINK),
        AnswerFormat(TAGGED, TOOLS, tags=HARMONY, reasoned=True),
        AnswerFormat(TAGGED, TOOLS, tags=CHOOSING),
        AnswerFormat(TAGGED, TOOLS, tags=CHOOSING, reasoned=True),
        AnswerFormat(TAGGED, TOOLS, constrained=True),
        AnswerFormat(TAGGED, TOOLS, constrained=True, turn_ends=("<tools>", "{}")),
        AnswerFormat(TAGGED, TOOLS, constrained=True, forced=True),
        AnswerFormat(BARE, TOOLS, tags=THINK, reasoned=True, constrained=True),
    ]
)
reasons = st.sampled_from(list(FinishReason))


def read(reading: AnswerFormat, pieces: list[str], reason: FinishReason) -> list[EngineEvent]:
    return parsed(reading, pieces, reason)[0]


def parsed(
    reading: AnswerFormat, pieces: list[str], reason: FinishReason
) -> tuple[list[EngineEvent], Rejected | None]:
    """Return the events of an answer; and the call that is rejected, which ends them."""
    parser = AnswerParser(reading)
    events: list[EngineEvent] = []
    for piece in pieces:
        events += parser.feed(piece, 3)
        if parser.rejected is not None:
            return events, parser.rejected
    return events + parser.finish(reason, 1), parser.rejected


def whole(text: str, reading: AnswerFormat = PLAIN, reason: str = "end_turn") -> list[Any]:
    return joined(read(reading, [text], FinishReason(reason)))


def joined(events: list[EngineEvent]) -> list[Any]:
    """Say what events say, however it was cut."""
    said: list[Any] = []
    for event in events:
        if isinstance(event, ToolCallStart):
            said.append((ToolCallStart, event.name))
        elif isinstance(event, Finished):
            said.append((Finished, event.reason))
        elif said and said[-1][0] is type(event):
            said[-1] = (type(event), said[-1][1] + event.text)
        else:
            said.append((type(event), event.text))
    return said


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(ends)]


END = (Finished, FinishReason.END_TURN)


cuts = st.lists(st.integers(0, 5000), max_size=20)


@given(answers, cuts, readings, reasons)
def test_pieces_cut_anywhere_give_the_same_events(
    text: str, places: list[int], reading: AnswerFormat, reason: FinishReason
) -> None:
    expected, rejected = parsed(reading, [text], reason)
    for pieces in (cut(text, places), list(text)):
        events, again = parsed(reading, pieces, reason)
        assert joined(events) == joined(expected)
        assert (again and (again.at, again.why)) == (rejected and (rejected.at, rejected.why))


@given(answers, cuts, readings, reasons)
def test_tokens_of_the_events_add_up_to_those_of_the_pieces(
    text: str, places: list[int], reading: AnswerFormat, reason: FinishReason
) -> None:
    pieces = cut(text, places)
    events, rejected = parsed(reading, pieces, reason)
    spent = sum(event.tokens for event in events)
    if rejected is None:
        assert spent == 3 * len(pieces) + 1
        assert [event for event in events if isinstance(event, Finished)] == events[-1:]
    else:
        assert (spent + rejected.tokens) % 3 == 0
        assert spent + rejected.tokens <= 3 * len(pieces)


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        (LLAMA, BARE.call("add", {"n": 1}) + " \n"),
        (PLAIN, TAGGED.before("eager") + "{}}\n</tool _call>abc"),
        (PLAIN, "<tool_call>\x0b" + TAGGED.call("eager", {}).removeprefix("<tool_call>")),
        (PLAIN, TAGGED.before("eager") + '{"a": "' + "x" * 1200),
    ],
    ids=["space after a bare call", "broken closing", "foreign space", "long input"],
)
def test_cut_before_each_character_gives_the_same_events(reading: AnswerFormat, text: str) -> None:
    end = FinishReason.END_TURN
    assert joined(read(reading, list(text), end)) == joined(read(reading, [text], end))


@given(answers, readings, reasons)
def test_whole_calls_are_valid_and_input_follows_a_start(
    text: str, reading: AnswerFormat, reason: FinishReason
) -> None:
    events, _ = parsed(reading, [text], reason)
    said = joined(events)
    for before, (kind, what) in pairwise([(None, ""), *said]):
        if kind is ToolCallJson:
            assert before[0] is ToolCallStart
            if before[1] == "add" and reason is FinishReason.END_TURN:
                assert isinstance(json.loads(what).get("n", 1), int)


@given(st.text(max_size=40), readings)
def test_text_without_call_syntax_stays_text(text: str, reading: AnswerFormat) -> None:
    if "<" not in text and "{" not in text:
        said = whole(text, reading)
        assert [kind for kind, _ in said[:-1]] in ([TextChunk], [])
        assert "".join(what for _, what in said[:-1]).strip() == text.strip()


def test_call_between_texts_is_read() -> None:
    text = f"Let me see.\n{TAGGED.call('add', {'n': 1})}\nDone."
    assert whole(text) == [
        (TextChunk, "Let me see."),
        (ToolCallStart, "add"),
        (ToolCallJson, '{"n": 1}'),
        (TextChunk, "\nDone."),
        END,
    ]


def test_calls_follow_one_another_without_text() -> None:
    text = f"{TAGGED.call('add', {})}\n{TAGGED.call('eager', {'a': 1})}\n"
    assert whole(text) == [
        (ToolCallStart, "add"),
        (ToolCallJson, "{}"),
        (ToolCallStart, "eager"),
        (ToolCallJson, '{"a": 1}'),
        END,
    ]


@pytest.mark.parametrize(
    "text",
    [
        TAGGED.call("unknown", {}),
        TAGGED.call("add", {"n": "x"}),
        '<tool_call>\n{"name": "add", "arguments": [1]}\n</tool_call>',
        '<tool_call>\n{"name": 1}\n</tool_call>',
        "<tool_call>\n{broken}\n</tool_call>",
        "<tool_call>nothing",
        "<tool_call>",
        '<tool_call>{"name": "add"} and more',
    ],
)
def test_invalid_call_is_text(text: str) -> None:
    assert whole(text) == [(TextChunk, text), END]


def test_call_that_does_not_fit_is_rejected_and_another_takes_its_place() -> None:
    parser = AnswerParser(AnswerFormat(TAGGED, TOOLS, constrained=True))
    wrong = f"Look. {TAGGED.call('add', {'n': 'x'})}"
    said = parser.feed(wrong, 5)
    assert joined(said) == [(TextChunk, "Look.")]
    assert parser.rejected == Rejected(at=6, name="add", why=".n: type", tokens=0)
    parser.retry()
    assert joined(parser.feed(TAGGED.call("add", {"n": 1}), 4)) == [
        (ToolCallStart, "add"),
        (ToolCallJson, '{"n": 1}'),
    ]


def test_optional_call_that_does_not_fit_is_sent_and_a_required_one_rejected() -> None:
    parser = AnswerParser(AnswerFormat(TAGGED, TOOLS, constrained=True))
    parser.demanding = False
    assert parser.feed(TAGGED.call("add", {"n": "x"}), 1)[0] == ToolCallStart("add", 1)
    parser = AnswerParser(
        AnswerFormat(TAGGED, TOOLS, constrained=True, must_fit=frozenset({"add"}))
    )
    parser.demanding = False
    assert parser.feed(TAGGED.call("add", {"n": "x"}), 1) == []
    assert parser.rejected is not None
    assert parser.rejected.tokens == 1


def test_optional_call_too_complex_to_check_is_sent_and_a_required_one_rejected() -> None:
    way = {"required": ["a"], "properties": {"a": {"$ref": "#"}}}
    tools = (Tool(name="add", input_schema={"anyOf": [way, {"maxProperties": 0}]}),)
    given: dict[str, object] = {}
    for _ in range(300):
        given = {"a": given}
    loose = AnswerParser(AnswerFormat(TAGGED, tools, constrained=True))
    assert loose.feed(TAGGED.call("add", given), 1)[0] == ToolCallStart("add", 1)
    required = AnswerFormat(TAGGED, tools, constrained=True, must_fit=frozenset({"add"}))
    strict = AnswerParser(required)
    assert strict.feed(TAGGED.call("add", given), 1) == []
    assert strict.rejected is not None
    assert strict.rejected.why == ": too complex to be checked"


def test_eager_input_that_must_be_checked_waits_for_its_end() -> None:
    parser = AnswerParser(
        AnswerFormat(TAGGED, TOOLS, constrained=True, buffered=frozenset({"eager"}))
    )
    assert parser.feed(TAGGED.before("eager") + '{"a": 1', 1) == []
    assert parser.feed("}" + TAGGED.after, 1)[0] == ToolCallStart("eager", 2)


def test_call_that_is_cut_is_sent_as_far_as_it_came() -> None:
    text = TAGGED.before("add") + '{"n": 1'
    assert whole(text, reason="max_tokens")[:2] == [
        (ToolCallStart, "add"),
        (ToolCallJson, '{"n": 1'),
    ]
    nameless = '<tool_call>\n{"name": "ad'
    assert whole(nameless, reason="max_tokens") == [(Finished, FinishReason.MAX_TOKENS)]


def test_complete_input_is_kept_when_its_closing_tag_is_cut() -> None:
    text = TAGGED.before("add") + '{"n": 1}}\n</tool'
    assert whole(text, reason="max_tokens")[1] == (ToolCallJson, '{"n": 1}')


def test_cut_opening_of_a_call_is_not_shown_as_text() -> None:
    assert whole("Hi <tool", reason="max_tokens")[0] == (TextChunk, "Hi")
    assert whole("a <", reason="max_tokens")[0] == (TextChunk, "a <")
    forced = AnswerFormat(TAGGED, TOOLS, forced=True)
    assert whole("<", forced, reason="max_tokens") == [(Finished, FinishReason.MAX_TOKENS)]


@pytest.mark.covers("tools: eager_input_streaming", "effect")
def test_eager_input_comes_as_it_is_written() -> None:
    parser = AnswerParser(PLAIN)
    assert parser.feed(TAGGED.before("eager"), 5) == []
    assert parser.feed('{"a', 1) == [ToolCallStart("eager", 6), ToolCallJson('{"a', 0)]
    assert parser.feed('": 1', 2) == [ToolCallJson('": 1', 2)]
    assert parser.feed("}}\n</tool", 2) == [ToolCallJson("}", 2)]
    assert parser.feed("_call>", 2) == []
    assert parser.finish(FinishReason.END_TURN, 1) == [Finished(FinishReason.END_TURN, 3)]


def test_call_is_held_until_it_is_complete() -> None:
    parser = AnswerParser(PLAIN)
    call = TAGGED.call("add", {"n": 1})
    assert parser.feed(call[:-1], 5) == []
    assert parser.feed(">", 1) == [ToolCallStart("add", 6), ToolCallJson('{"n": 1}', 0)]


def test_reasoning_is_apart_from_text() -> None:
    said = whole("<think>\nHm <b>.\n</think>\n\nHello", THINKING)
    assert said == [(ThinkingChunk, "\nHm <b>.\n"), (TextChunk, "Hello"), END]
    again = "<think>Hm</think><think>So</think>Hi <think>"
    assert whole(again, THINKING) == [(ThinkingChunk, "HmSo"), (TextChunk, "Hi <think>"), END]


def test_space_between_reasoning_and_the_answer_is_dropped() -> None:
    before = AnswerFormat(TAGGED, TOOLS, tags=THINK, reasoned=True)
    assert whole(" \n\nHi ", before) == [(TextChunk, "Hi "), END]


@pytest.mark.parametrize("cut", range(1, 40))
def test_channels_of_harmony_are_read_as_reasoning(cut: int) -> None:
    tags = HARMONY
    said = f"{tags.opening}Hm{tags.closing}{tags.gap}Hi"
    parser = AnswerParser(AnswerFormat(TAGGED, tags=tags))
    events = [*parser.feed(said[:cut], 1), *parser.feed(said[cut:], 1)]
    events += parser.finish(FinishReason.END_TURN, 1)
    thought = "".join(event.text for event in events if isinstance(event, ThinkingChunk))
    text = "".join(event.text for event in events if isinstance(event, TextChunk))
    assert (thought, text) == ("Hm", "Hi")
    assert sum(event.tokens for event in events) == 3


@pytest.mark.parametrize("reasoned", [False, True])
@pytest.mark.parametrize("cut", range(1, 50))
def test_mark_of_a_text_is_no_part_of_it(cut: int, reasoned: bool) -> None:
    reading = AnswerFormat(TAGGED, TOOLS, tags=CHOOSING, reasoned=reasoned)
    thought = "" if reasoned else "<|think|>Hm<|end|>"
    events = {
        before: read(reading, [text[:cut], text[cut:]], FinishReason.END_TURN)
        for before in ("<|text|>", "<|begin|>assistant<|text|>")
        for text in [f"{thought}{before}Hi <|text|>"]
    }
    said = [(TextChunk, "Hi <|text|>"), END]
    for found in events.values():
        assert joined(found) == (said if reasoned else [(ThinkingChunk, "Hm"), *said])
    plain = AnswerFormat(TAGGED, TOOLS, tags=CHOOSING)
    assert whole("<|text|>Hi", plain) == [(TextChunk, "Hi"), END]
    assert whole(CALL, plain)[0] == (ToolCallStart, "add")


def test_bare_call_is_read_only_at_the_beginning_of_an_answer() -> None:
    call = BARE.call("add", {"n": 1})
    assert whole(call, LLAMA)[:2] == [(ToolCallStart, "add"), (ToolCallJson, '{"n": 1}')]
    assert whole("No " + call, LLAMA) == [(TextChunk, "No " + call), END]


FORCED = AnswerFormat(TAGGED, TOOLS, constrained=True, forced=True)
CALL = TAGGED.call("add", {"n": 1})


@pytest.mark.parametrize("rest", ["\nIt is", "\n" + CALL, "x", "\n<tool x"])
def test_forced_answer_ends_where_the_model_does_anything_but_another_call(rest: str) -> None:
    parser = AnswerParser(FORCED)
    events = [*parser.feed(CALL, 9), *parser.feed(rest, 4)]
    assert [type(event) for event in events] == [ToolCallStart, ToolCallJson]
    assert parser.ended
    assert parser.finish(FinishReason.END_TURN, 0) == [Finished(FinishReason.END_TURN, 4)]


def test_forced_answer_makes_different_calls() -> None:
    parser = AnswerParser(FORCED)
    events = parser.feed(CALL + "\n" + TAGGED.call("add", {"n": 2}) + "\n", 20)
    assert sum(isinstance(event, ToolCallStart) for event in events) == 2
    assert not parser.ended
