from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    Finished,
    FinishReason,
    Prompt,
    Started,
    TextChunk,
    Turn,
)
from antiphon.engines.scripted import (
    BREATH,
    DEFAULT_TEXT,
    ScriptedEngine,
    ScriptedOptions,
    open_scripted,
)
from antiphon.engines.scripted_prompt import TURN_TOKENS, count_prompt, tokens
from antiphon.engines.step_runner import BRIEF
from antiphon.schemas.steps import Work, WorkStoppedError
from antiphon.wire.content import ImageParam, TextParam, UrlSource
from support.conversation import answer

pytestmark = pytest.mark.anyio


class Clock:
    """Sleeps in no time, and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def engine(clock: Clock | None = None, **options: Any) -> ScriptedEngine:
    return ScriptedEngine(msgspec.convert(options, ScriptedOptions), (clock or Clock()).sleep)


def ask(*texts: str, max_tokens: int = 1000) -> Prompt:
    """A conversation that the user begins."""
    roles = ("user", "assistant")
    turns = (
        Turn("assistant" if place % len(roles) else "user", (TextParam(text=text),))
        for place, text in enumerate(texts)
    )
    return Prompt(tuple(turns), max_tokens)


@pytest.mark.parametrize(
    "prompt",
    [ask("word " * 100_000), ask(*["Hi"] * 2001), ask("?" * 100_000)],
    ids=["words", "turns", "signs"],
)
def test_count_of_a_long_prompt_leaves_the_event_loop_and_can_be_stopped(prompt: Prompt) -> None:
    with pytest.raises(WorkStoppedError):
        count_prompt(prompt, Work(BRIEF))
    stopped = Work()
    stopped.stop()
    with pytest.raises(WorkStoppedError):
        count_prompt(prompt, stopped)


async def said(scripted: ScriptedEngine, *texts: str) -> str:
    events = await answer(scripted, ask(*texts))
    return "".join(event.text for event in events if isinstance(event, TextChunk))


async def ending(scripted: ScriptedEngine, prompt: Prompt) -> tuple[FinishReason, int]:
    """Why the answer ended, and what all of it cost."""
    events = await answer(scripted, prompt)
    *chunks, last = events
    assert isinstance(last, Finished)
    assert all(isinstance(chunk, TextChunk) for chunk in chunks)
    return last.reason, sum(event.tokens for event in events)


# What it says.


async def test_answer_without_options_is_the_default_text() -> None:
    assert await said(engine(), "Hi") == DEFAULT_TEXT


async def test_text_option_is_the_answer() -> None:
    assert await said(engine(text="Good day."), "Hi") == "Good day."


async def test_first_matching_reply_is_the_answer() -> None:
    replies = [{"when": "bye", "text": "A"}, {"when": "^good", "text": "B"}, {"text": "C"}]
    scripted = engine(replies=replies)
    assert await said(scripted, "good bye") == "A"
    assert await said(scripted, "good day") == "B"
    assert await said(scripted, "What?") == "C"


async def test_text_option_is_the_answer_where_no_reply_matches() -> None:
    assert await said(engine(text="What?", replies=[{"when": "bye", "text": "A"}]), "Hi") == "What?"


async def test_only_the_last_question_is_matched() -> None:
    replies = [{"when": "bye", "text": "A"}]
    assert await said(engine(text="B", replies=replies), "bye", "Bye!", "Hi") == "B"


async def test_pattern_spans_lines() -> None:
    replies = [{"when": "one.*two", "text": "A"}]
    assert await said(engine(replies=replies), "one\nand two") == "A"


async def test_echo_option_answers_with_the_question() -> None:
    assert await said(engine(echo=True), "Hi  there,\nyou") == "Hi  there,\nyou"


async def test_matching_reply_with_echo_answers_with_the_question() -> None:
    scripted = engine(text="A", replies=[{"when": "^say", "echo": True}])
    assert await said(scripted, "say it") == "say it"
    assert await said(scripted, "no") == "A"


async def test_prompt_without_a_question_is_answered() -> None:
    prompt = Prompt((Turn("system", (TextParam(text="Be brief"),)),), 100)
    assert await ending(engine(echo=True), prompt) == (FinishReason.END_TURN, 1)


async def test_images_of_a_question_are_not_read() -> None:
    image = ImageParam(source=UrlSource(url="https://example.com"))
    prompt = Prompt((Turn("user", (TextParam(text="a"), image, TextParam(text="b"))),), 100)
    events = await answer(engine(echo=True), prompt)
    assert events[:-1] == [TextChunk("ab", 1)]


async def test_prefill_is_continued() -> None:
    assert await said(engine(text="The answer is 42."), "?", "The answer is") == " 42."


async def test_other_prefill_is_answered_with_the_whole_text() -> None:
    assert await said(engine(text="The answer is 42."), "?", "Perhaps") == "The answer is 42."


async def test_prefill_of_the_whole_text_leaves_an_empty_answer() -> None:
    assert await ending(engine(text="Yes"), ask("?", "Yes")) == (FinishReason.END_TURN, 1)


# Tokens.


@given(st.text())
def test_tokens_join_to_the_whole_text(text: str) -> None:
    assert "".join(tokens(text)) == text
    assert all(tokens(text))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Good day, you!", ("Good", " day", ",", " you", "!")),
        ("abcdefghijklmno", ("abcdefghijkl", "mno")),
        ("a  b\n", ("a", " ", " b", "\n")),
        ("", ()),
    ],
)
def test_tokens_are_words_with_the_space_before_them(text: str, pieces: tuple[str, ...]) -> None:
    assert tokens(text) == pieces


async def test_every_chunk_costs_one_token_and_so_does_the_end() -> None:
    events = await answer(engine(text="Good day."), ask("Hi"))
    assert events == [
        TextChunk("Good", 1),
        TextChunk(" day", 1),
        TextChunk(".", 1),
        Finished(FinishReason.END_TURN, tokens=1),
    ]


async def test_prompt_costs_its_words_and_some_for_each_turn() -> None:
    assert await engine().count_tokens(ask("Good day", "Hi", "Bye.")) == 3 * TURN_TOKENS + 2 + 1 + 2


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (0, (FinishReason.MAX_TOKENS, 0)),
        (2, (FinishReason.MAX_TOKENS, 2)),
        (3, (FinishReason.MAX_TOKENS, 3)),
        (4, (FinishReason.END_TURN, 4)),
        (9, (FinishReason.END_TURN, 4)),
    ],
)
async def test_answer_never_costs_more_than_was_asked_for(
    max_tokens: int, expected: tuple[FinishReason, int]
) -> None:
    scripted = engine(text="one two three")
    assert await ending(scripted, ask("Hi", max_tokens=max_tokens)) == expected


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (-1, (FinishReason.CONTEXT_WINDOW, 0)),
        (0, (FinishReason.CONTEXT_WINDOW, 0)),
        (2, (FinishReason.CONTEXT_WINDOW, 2)),
        (3, (FinishReason.CONTEXT_WINDOW, 3)),
        (4, (FinishReason.END_TURN, 4)),
    ],
)
async def test_answer_ends_where_the_context_window_does(
    room: int, expected: tuple[FinishReason, int]
) -> None:
    scripted = engine(text="one two three", context_tokens=TURN_TOKENS + 1 + room)
    assert await ending(scripted, ask("Hi", max_tokens=50)) == expected


async def test_output_is_unlimited_without_max_output_tokens() -> None:
    assert engine(context_tokens=50).capabilities.max_output_tokens is None
    assert engine(context_tokens=50, max_output_tokens=7).capabilities.max_output_tokens == 7


# Errors.


@pytest.mark.parametrize("kind", EngineErrorKind)
async def test_reply_can_fail_at_once(kind: EngineErrorKind) -> None:
    with pytest.raises(EngineError) as error:
        await said(engine(replies=[{"error": kind}]), "Hi")
    assert error.value.kind is kind


@pytest.mark.parametrize(("after", "count"), [(0, 0), (2, 2), (99, 3)])
async def test_reply_can_fail_after_some_tokens(after: int, count: int) -> None:
    replies = [{"text": "one two three", "error": "failed", "after": after}]
    events = engine(replies=replies).generate(ask("Hi"))
    assert isinstance(await anext(events), Started)
    heard = [await anext(events) for _ in range(count)]
    with pytest.raises(EngineError, match="the script says so"):
        await anext(events)
    assert heard == [TextChunk(text, 1) for text in ("one", " two", " three")][:count]


# Time.


async def test_engine_sleeps_for_nothing_by_default() -> None:
    clock = Clock()
    await said(engine(clock, text="one two three"), "Hi")
    assert clock.slept == []


async def test_speed_is_a_pause_before_each_token() -> None:
    clock = Clock()
    await said(engine(clock, text="one two three", tokens_per_second=4), "Hi")
    assert clock.slept == [0.25] * 3


async def test_engine_sleeps_once_for_delay_and_prefill() -> None:
    clock = Clock()
    replies = [{"text": "one", "delay_s": 2}]
    await said(engine(clock, replies=replies, prefill_tokens_per_second=10), "Hi")
    assert clock.slept == [2 + (TURN_TOKENS + 1) / 10]


async def test_long_answer_at_full_speed_lets_others_work() -> None:
    clock = Clock()
    await said(engine(clock, text=" a" * (3 * BREATH)), "Hi")
    assert clock.slept == [0] * 3


# Its life.


async def test_engine_is_ready_until_it_is_closed() -> None:
    scripted = engine()
    assert scripted.ready
    await scripted.aclose()
    assert not scripted.ready


async def test_options_are_read_when_the_engine_is_opened() -> None:
    config = EngineConfig("m", Path("unused"), {"text": "Hello", "context_tokens": "50"})
    scripted = await open_scripted(config)
    assert scripted.capabilities.context_tokens == 50
    assert await said(scripted, "Hi") == "Hello"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"speed": 5}, "unknown name 'speed'"),
        ({"text": 5}, "should be text, not a whole number"),
        ({"replies": [{"whem": "x"}]}, "replies[0]: unknown name 'whem' (did you mean 'when'?)"),
        ({"replies": [{"when": "("}]}, "unterminated subpattern"),
        (
            {"replies": [{"error": "tired"}]},
            "unknown value 'tired' (there are: unsupported, over",
        ),
        ({"replies": [{"after": -1}]}, "of at least 0"),
        ({"replies": [{"delay_s": -1}]}, "of at least 0"),
        ({"tokens_per_second": -1}, "of at least 0"),
        ({"context_tokens": 0}, "of at least 1"),
        ({"max_output_tokens": 0}, "of at least 1"),
    ],
    ids=str,
)
async def test_invalid_options_are_a_start_error(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(EngineStartError) as error:
        await open_scripted(EngineConfig("m", options=options))
    assert str(error.value).startswith("model m: ")
    assert reason in str(error.value)
