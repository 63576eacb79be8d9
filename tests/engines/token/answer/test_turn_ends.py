"""The written end of a turn: of a model whose vocabulary has no token for its template's mark."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.prompt import (
    EngineEvent,
    FinishReason,
    Prompt,
    TextChunk,
    Thinking,
    ThinkingChunk,
    Tool,
    ToolCallJson,
    ToolChoice,
)
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.parser import AnswerParser
from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.engines.token.prompt.reasoning_format import THINK
from antiphon.wire.fold import fold
from support.assembling import started_assembly
from support.conversation import answer, ask, calls_in, reason_of, text_of, tokens_in
from support.templates import CHATML
from support.word_machine import THINKING, WordMachine, word_engine

pytestmark = pytest.mark.anyio

MARK = "<|im_end|>"
ENDS = (MARK, "<|im_start|>")
FOREIGN = re.compile("</?think>|</?tool_call>")
"""The control tokens of a vocabulary without those of ChatML."""

SAY = Tool(name="say", input_schema={"properties": {"text": {"type": "string"}}})
EAGER = Tool(name="eager", input_schema={"type": "object"}, eager_input_streaming=True)
CALL = TAGGED.call("say", {"text": f"a {MARK} b"})
LONG_CALL = TAGGED.call("eager", {"text": f"a {MARK} b"})
FORMS = (
    AnswerFormat(TAGGED, turn_ends=ENDS),
    AnswerFormat(TAGGED, (SAY, EAGER), constrained=True, turn_ends=ENDS),
    AnswerFormat(TAGGED, (SAY, EAGER), tags=THINK, turn_ends=ENDS),
    AnswerFormat(TAGGED, (SAY, EAGER), tags=THINK, reasoned=True, turn_ends=ENDS),
    AnswerFormat(TAGGED, (SAY, EAGER), constrained=True, forced=True, turn_ends=ENDS),
)
ANSWERS = (
    "Well",
    "Well.\n",
    "Well <tool",
    "<think>So",
    "<think>So</think>\n\nYes",
    CALL,
    f"Yes\n{LONG_CALL}",
    "",
)


def read(reading: AnswerFormat, pieces: list[str]) -> list[EngineEvent]:
    """Return the events of an answer, which goes on until it has ended."""
    parser = AnswerParser(reading)
    events: list[EngineEvent] = []
    for piece in pieces:
        events += parser.feed(piece, 1)
        if parser.ended:
            return events + parser.finish(FinishReason.END_TURN, 0)
    return events + parser.finish(FinishReason.END_TURN, 1)


def said(events: list[EngineEvent]) -> tuple[str, str, list[tuple[str, str]]]:
    """Return the text, the thought and the calls."""
    thought = "".join(event.text for event in events if isinstance(event, ThinkingChunk))
    return text_of(events).rstrip(), thought.rstrip(), calls_in(events)


@given(
    st.sampled_from(FORMS),
    st.sampled_from(ANSWERS),
    st.sampled_from(ENDS),
    st.sampled_from(["", "\n", "user\nMore.", CALL, MARK]),
    st.lists(st.integers(0, 200), max_size=12),
)
@example(FORMS[1], "Well <tool", MARK, "", [])
@example(FORMS[1], f"Well {LONG_CALL}", MARK, "\n", [])
@example(FORMS[2], "<think>So</thi", MARK, "nk>", [])
def test_answer_ends_at_the_mark_wherever_it_is_cut(
    reading: AnswerFormat, begun: str, mark: str, rest: str, places: list[int]
) -> None:
    text = begun + mark + rest
    ends = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    expected = said(read(reading, [begun]))
    for pieces in ([text], list(text), [text[one:other] for one, other in pairwise(ends)]):
        events = read(reading, pieces)
        assert said(events) == expected
        assert reason_of(events) is FinishReason.END_TURN
        assert tokens_in(events) <= len(pieces) + 1


@given(st.text("<|im_end>st ar", max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_only_what_may_become_a_mark_is_held_back(text: str, places: list[int]) -> None:
    parser = AnswerParser(FORMS[0])
    ends = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    shown = ""
    for one, other in pairwise(ends):
        shown += text_of(parser.feed(text[one:other], 1))
        whole = min((text.find(mark) for mark in ENDS if mark in text[:other]), default=-1)
        held = text[len(shown) : other]
        if whole >= 0:
            assert (shown, parser.ended) == (text[:whole], True)
            return
        assert not held or any(mark.startswith(held) for mark in ENDS)
    assert shown + text_of(parser.finish(FinishReason.END_TURN, 0)) == text


def test_mark_that_a_limit_has_cut_is_dropped() -> None:
    parser = AnswerParser(FORMS[0])
    begun = text_of(parser.feed("Well. <|im_", 1))
    assert begun + text_of(parser.finish(FinishReason.MAX_TOKENS, 0)) == "Well. "


async def foreign(*answers: str, template: str = CHATML, prompt: Prompt) -> list[EngineEvent]:
    """Return the events of a model that has no tokens for the marks of its template."""
    engine = await word_engine(WordMachine(*answers, control=FOREIGN), template)
    return await answer(engine, prompt)


def calling(mode: str, *, schema: bool = False) -> Prompt:
    output = {"type": "object"} if schema else None
    prompt = ask("Say it.", max_tokens=200)
    return replace(prompt, tools=(SAY,), tool_choice=ToolChoice(mode=mode), output_schema=output)


async def test_text_ends_at_the_mark_and_its_tokens_are_charged() -> None:
    events = await foreign(f"Good day.{MARK}\n<|im_start|>user\nMore.", prompt=ask("Hello"))
    assert text_of(events) == "Good day."
    assert reason_of(events) is FinishReason.END_TURN
    assert tokens_in(events) == len(["Good", " day", ".<|", "im_end", "|>"])


async def test_text_hides_the_control_tokens_of_calls() -> None:
    machine = WordMachine(f"Good</tool_call> day.{MARK}", control=FOREIGN)
    assert text_of(await answer(await word_engine(machine), ask("Hello"))) == "Good day."


async def test_model_that_begins_the_next_turn_has_ended_its_own() -> None:
    events = await foreign("Good day.\n<|im_start|>user\nMore.", prompt=ask("Hello"))
    assert (text_of(events), reason_of(events)) == ("Good day.\n", FinishReason.END_TURN)


async def test_mark_that_is_a_token_ends_nothing_as_text() -> None:
    """A model that has the token ends its turn with it, and may write of the mark."""
    machine = WordMachine(f"It ends with {MARK}.", control=FOREIGN)
    engine = await word_engine(machine)
    engine._tokenizer.is_control = _always
    events = await answer(engine, ask("How does ChatML end a turn?"))
    assert text_of(events) == f"It ends with {MARK}."


async def _always(text: str) -> bool:
    return text == MARK


async def test_call_has_the_mark_in_its_texts_and_the_answer_ends_behind_it() -> None:
    for mode in ("auto", "any"):
        events = await foreign(f"{CALL}{MARK}\nuser", prompt=calling(mode))
        assert calls_in(events) == [("say", f'{{"text": "a {MARK} b"}}')]
        assert (text_of(events), reason_of(events)) == ("", FinishReason.END_TURN)


async def test_structured_output_has_the_mark_in_its_texts() -> None:
    given = f'{{"text": "a {MARK} b"}}'
    prompt = replace(ask("Say it."), output_schema={"type": "object"})
    assert text_of(await foreign(given, prompt=prompt)) == given
    assert text_of(await foreign(given, prompt=calling("auto", schema=True))) == given


async def test_thought_ends_with_the_turn_and_the_answer_follows() -> None:
    prompt = replace(ask("Why?", max_tokens=50), thinking=Thinking(mode="enabled", budget=20))
    machine = WordMachine(f"So it is.{MARK}\nuser", f"Yes.{MARK}", control=FOREIGN)
    events = await answer(await word_engine(machine, THINKING), prompt)
    assert said(events) == ("Yes.", "So it is.", [])
    assert tokens_in(events) == len(["So", " it", " is", ".<|", "im_end", "|>"]) + 4
    assert machine.text_of(machine.asked[1].tokens).endswith("So it is.\n</think>\n\n")
    assert machine.open == 0


async def test_thought_that_ends_with_a_part_of_a_mark_keeps_it() -> None:
    prompt = replace(ask("Why?", max_tokens=50), thinking=Thinking(mode="enabled", budget=20))
    events = await foreign("a <|im_</think>", "Yes.", template=THINKING, prompt=prompt)
    assert said(events) == ("Yes.", "a <|im_", [])


async def test_stop_sequences_of_the_caller_are_found_before_the_mark() -> None:
    events = await foreign(f"One two three{MARK}", prompt=ask("Count."))
    assert any(isinstance(event, TextChunk) for event in events)
    assert not any(isinstance(event, ToolCallJson) for event in events)
    for sequence, text, reason in (
        (" two", "One", "stop_sequence"),
        ("three", "One two ", "stop_sequence"),
        ("three<", "One two three", "end_turn"),
    ):
        assembly = started_assembly(sequence)
        stream = [assembly.start()]
        for event in events:
            if not assembly.ended:
                stream += assembly.feed(event)
        message = fold(stream)
        assert message.content[0].text == text
        assert message.stop_reason == reason
