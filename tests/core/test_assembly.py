from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.assembly import Assembly, unsigned
from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    RedactedThought,
    Refusal,
    Started,
    TextChunk,
    ThinkingChunk,
    ThinkingSignature,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.wire.content import RedactedThinkingBlock, TextBlock, ThinkingBlock, ToolUseBlock
from antiphon.wire.events import (
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    MessageDelta,
    SignatureDelta,
    StreamEvent,
)
from antiphon.wire.fold import fold
from antiphon.wire.messages import CacheCreation, Message, RefusalDetails
from support.assembling import started_assembly
from support.sources import sources_of

CHUNKS = st.lists(st.builds(TextChunk, st.text("abE ", max_size=4), st.integers(0, 5)), max_size=12)
ENDINGS = st.builds(Finished, st.sampled_from(FinishReason), st.integers(0, 2))
SEQUENCES = st.lists(st.text("abE ", min_size=1, max_size=4), max_size=3).map(tuple)


def assembled(
    chunks: list[TextChunk], finished: Finished, sequences: tuple[str, ...] = ()
) -> tuple[Assembly, list[StreamEvent], list[EngineEvent]]:
    """An assembly that was fed until it ended, what it said, and what it was fed."""
    assembly = started_assembly(*sequences)
    said: list[StreamEvent] = [assembly.start()]
    fed: list[EngineEvent] = []
    for event in (*chunks, finished):
        said += assembly.feed(event)
        fed.append(event)
        if assembly.ended:
            break
    return assembly, said, fed


def is_stream(names: list[str]) -> bool:
    """Check sheet 02 section 2 by itself: a machine of states over the names of the events."""
    steps = {
        ("nothing", "message_start"): "between",
        ("between", "content_block_start"): "block",
        ("block", "content_block_delta"): "block",
        ("block", "content_block_stop"): "between",
        ("between", "message_delta"): "ending",
        ("ending", "message_delta"): "ending",
        ("ending", "message_stop"): "end",
    }
    state = "nothing"
    for name in names:
        state = steps.get((state, name), "broken")
    return state == "end"


def indices_are_in_order(events: list[StreamEvent]) -> bool:
    of_starts = [
        event.index
        for event in events
        if event.__struct_config__.tag.endswith("_start") and hasattr(event, "index")
    ]
    current = -1
    for event in events:
        index = getattr(event, "index", None)
        if index is None:
            continue
        current = index if event.__struct_config__.tag == "content_block_start" else current
        if index != current:
            return False
    return of_starts == list(range(len(of_starts)))


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content)


@given(CHUNKS, ENDINGS, SEQUENCES)
def test_any_answer_is_a_stream_of_the_grammar(
    chunks: list[TextChunk], finished: Finished, sequences: tuple[str, ...]
) -> None:
    _, said, _ = assembled(chunks, finished, sequences)
    assert is_stream([str(event.__struct_config__.tag) for event in said])
    assert indices_are_in_order(said)


@given(CHUNKS, ENDINGS)
def test_folded_stream_holds_the_whole_text(chunks: list[TextChunk], finished: Finished) -> None:
    _, said, _ = assembled(chunks, finished)
    assert text_of(fold(said)) == "".join(chunk.text for chunk in chunks)


@given(CHUNKS, ENDINGS, SEQUENCES)
def test_folded_stream_ends_before_the_first_stop_sequence(
    chunks: list[TextChunk], finished: Finished, sequences: tuple[str, ...]
) -> None:
    _, said, _ = assembled(chunks, finished, sequences)
    whole = "".join(chunk.text for chunk in chunks)
    message = fold(said)
    if any(one in whole for one in sequences):
        assert message.stop_reason == "stop_sequence"
        assert whole.startswith(text_of(message) + str(message.stop_sequence))
        assert not any(one in text_of(message) for one in sequences)
    else:
        assert (message.stop_reason, message.stop_sequence) == (finished.reason.value, None)
        assert text_of(message) == whole


@given(CHUNKS, ENDINGS, SEQUENCES)
def test_output_tokens_are_the_sum_of_what_was_fed(
    chunks: list[TextChunk], finished: Finished, sequences: tuple[str, ...]
) -> None:
    assembly, said, fed = assembled(chunks, finished, sequences)
    assert assembly.output_tokens == sum(event.tokens for event in fed)
    assert fold(said).usage.output_tokens == assembly.output_tokens


@given(CHUNKS, ENDINGS, SEQUENCES)
def test_no_delta_is_empty(
    chunks: list[TextChunk], finished: Finished, sequences: tuple[str, ...]
) -> None:
    _, said, _ = assembled(chunks, finished, sequences)
    assert all(event.delta.text for event in said if isinstance(event, ContentBlockDelta))


@given(CHUNKS, ENDINGS, SEQUENCES, st.builds(TextChunk, st.text(), st.just(1)) | ENDINGS)
def test_feeding_after_the_end_is_refused(
    chunks: list[TextChunk], finished: Finished, sequences: tuple[str, ...], late: EngineEvent
) -> None:
    assembly, _, _ = assembled(chunks, finished, sequences)
    cost = assembly.output_tokens
    with pytest.raises(RuntimeError, match="has ended"):
        assembly.feed(late)
    assert assembly.output_tokens == cost


def test_text_after_the_end_is_refused_and_costs_nothing() -> None:
    assembly, _, _ = assembled([TextChunk("Hi", 2)], Finished(FinishReason.END_TURN))
    with pytest.raises(RuntimeError, match="has ended"):
        assembly.feed(TextChunk(" you", 1))
    assert assembly.output_tokens == 2


def test_message_start_has_id_model_and_input_tokens() -> None:
    message = started_assembly().start().message
    assert (message.id, message.model, message.content) == ("msg_01", "m", ())
    assert (message.stop_reason, message.usage.input_tokens) == (None, 7)
    assert message.usage.output_tokens == 0


def test_cost_is_known_at_any_moment() -> None:
    assembly = started_assembly()
    assembly.feed(TextChunk("Hi", 2))
    assembly.feed(TextChunk(" you", 1))
    assert assembly.output_tokens == 3


def test_chunk_without_text_opens_no_block() -> None:
    assembly = started_assembly()
    assert assembly.feed(TextChunk("", 1)) == []


def test_answer_without_text_has_no_blocks() -> None:
    _, said, _ = assembled([], Finished(FinishReason.MAX_TOKENS))
    assert fold(said).content == ()
    assert len(said) == 3


def test_text_that_was_held_back_is_sent_when_the_model_stops() -> None:
    _, said, _ = assembled([TextChunk("the EN", 2)], Finished(FinishReason.END_TURN), ("END",))
    assert fold(said).content == (TextBlock(text="the EN"),)


def test_stop_sequence_ends_the_message_at_once() -> None:
    assembly = started_assembly("END")
    assembly.start()
    assembly.feed(TextChunk("the E", 2))
    events = assembly.feed(TextChunk("ND of", 2))
    assert assembly.ended
    deltas = [event for event in events if isinstance(event, MessageDelta)]
    assert [(end.delta.stop_reason, end.delta.stop_sequence) for end in deltas] == [
        ("stop_sequence", "END")
    ]


def test_final_usage_repeats_the_input_tokens() -> None:
    _, said, _ = assembled([], Finished(FinishReason.END_TURN, tokens=1))
    usage = next(event for event in said if isinstance(event, MessageDelta)).usage
    assert (usage.input_tokens, usage.output_tokens) == (7, 1)


@given(CHUNKS, ENDINGS, SEQUENCES)
def test_answer_that_is_not_streamed_folds_to_the_same_message(
    chunks: list[TextChunk], finished: Finished, sequences: tuple[str, ...]
) -> None:
    folds = []
    for streamed, feed in ((True, Assembly.feed), (False, Assembly.feed), (False, Assembly.gather)):
        assembly = started_assembly(*sequences, streamed=streamed)
        events: list[StreamEvent] = [assembly.start()]
        for event in (*chunks, finished):
            if not assembly.ended:
                events += feed(assembly, event)
        folds.append((fold(events), assembly.output_tokens))
    assert folds[0] == folds[1] == folds[2]


def test_text_of_an_answer_that_is_not_streamed_is_one_piece() -> None:
    assembly = started_assembly(streamed=False)
    fed = (TextChunk("Hello", 2), TextChunk(" you", 1), Finished(FinishReason.END_TURN))
    events = [assembly.start(), *(event for one in fed for event in assembly.feed(one))]
    assert sum(isinstance(event, ContentBlockDelta) for event in events) == 1
    assert fold(events).content == (TextBlock(text="Hello you"),)


@pytest.mark.parametrize("feed", [Assembly.feed, Assembly.gather])
def test_cost_of_an_answer_that_is_not_streamed_is_known_at_any_moment(feed: Any) -> None:
    assembly = started_assembly(streamed=False)
    assert feed(assembly, TextChunk("Hello", 2)) == []
    assert assembly.output_tokens == 2
    assert feed(assembly, Finished(FinishReason.END_TURN))
    assert assembly.ended


PIECES = st.lists(
    st.builds(TextChunk, st.text("ab", max_size=3), st.integers(0, 3))
    | st.builds(ThinkingChunk, st.text("ab", max_size=3), st.integers(0, 3))
    | st.builds(ToolCallStart, st.sampled_from(["f", "g"]), st.integers(0, 3))
    | st.builds(ThinkingSignature, st.text("ab", max_size=3))
    | st.builds(RedactedThought, st.text("ab", max_size=3)),
    max_size=10,
)


def answered(pieces: list[EngineEvent], reason: FinishReason) -> list[EngineEvent]:
    """Give each call an input, so that the answer is one that an engine can give."""
    events: list[EngineEvent] = []
    for piece in pieces:
        events.append(piece)
        if isinstance(piece, ToolCallStart):
            events += [ToolCallJson('{"a":', 1), ToolCallJson(" 1}", 2)]
    return [*events, Finished(reason, 1)]


@pytest.mark.covers("blocks of an answer: tool_use", "effect")
@pytest.mark.covers("blocks of an answer: thinking", "effect")
@pytest.mark.covers("events: input_json_delta", "effect")
@pytest.mark.covers("events: thinking_delta", "effect")
@pytest.mark.covers("events: signature_delta", "effect")
@pytest.mark.covers("stop reasons: tool_use", "effect")
@given(PIECES, st.sampled_from(FinishReason), st.booleans())
def test_any_answer_of_all_kinds_of_blocks_is_a_stream_of_the_grammar(
    pieces: list[EngineEvent], reason: FinishReason, streamed: bool
) -> None:
    ids = iter(range(100))
    assembly = started_assembly(
        streamed=streamed,
        tool_use_id=lambda: f"toolu_{next(ids)}",
        sign=lambda thinking, _: f"signed {thinking}",
    )
    fed = answered(pieces, reason)
    events: list[StreamEvent] = [assembly.start()]
    for event in fed:
        events += assembly.feed(event)
    assert is_stream([type(event).__struct_config__.tag for event in events])
    assert indices_are_in_order(events)
    message = fold(events)
    calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
    assert [call.name for call in calls] == [
        piece.name for piece in pieces if isinstance(piece, ToolCallStart)
    ]
    assert all(call.input == {"a": 1} for call in calls)
    assert len({call.id for call in calls}) == len(calls)
    for block in message.content:
        if isinstance(block, ThinkingBlock):
            assert block.signature == f"signed {block.thinking}"
    ended = "tool_use" if calls and reason is FinishReason.END_TURN else reason.value
    assert message.stop_reason == ended
    assert message.usage.output_tokens == sum(event.tokens for event in fed)
    assert message.usage.output_tokens_details.thinking_tokens == sum(
        event.tokens for event in fed if isinstance(event, ThinkingChunk)
    )


def test_thinking_that_is_not_shown_is_a_block_with_its_signature_alone() -> None:
    assembly = started_assembly(shows_thinking=False, sign=lambda text, _: text)
    events = [
        event
        for fed in (ThinkingChunk("So", 1), ThinkingChunk("...", 1), TextChunk("Hi", 1))
        for event in assembly.feed(fed)
    ]
    assert [type(event) for event in events[:3]] == [
        ContentBlockStart,
        ContentBlockDelta,
        ContentBlockStop,
    ]
    assert events[1] == ContentBlockDelta(index=0, delta=SignatureDelta(signature="So..."))


def test_an_answer_without_thinking_is_not_signed() -> None:
    assert unsigned("anything", "") == ""


def test_the_input_of_a_call_that_was_not_started_is_a_defect() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        started_assembly().feed(ToolCallJson("{}", 1))


def test_call_without_input_has_an_empty_object() -> None:
    assembly = started_assembly()
    events = [assembly.start()]
    for fed in (ToolCallStart("f", 1), ToolCallJson("", 0), Finished(FinishReason.END_TURN)):
        events += assembly.feed(fed)
    (block,) = fold(events).content
    assert block == ToolUseBlock(id="toolu_", name="f", input={})


def test_an_answer_whose_engine_says_the_size_of_the_prompt_begins_with_it() -> None:
    assembly = started_assembly(
        started=Started(
            input_tokens=100,
            cache_read_tokens=70,
            cache_write_5m_tokens=20,
            cache_write_1h_tokens=4,
        )
    )
    events = [
        assembly.start(),
        *assembly.feed(TextChunk("Hi", 1)),
        *assembly.feed(Finished(FinishReason.END_TURN)),
    ]
    usage = fold(events).usage
    assert (assembly.usage.input_tokens, assembly.usage.cache_read_input_tokens) == (6, 70)
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (6, 70)
    assert usage.cache_creation_input_tokens == 24
    assert usage.cache_creation.ephemeral_5m_input_tokens == 20
    assert usage.cache_creation.ephemeral_1h_input_tokens == 4


def test_engine_that_says_the_size_twice_is_a_defect() -> None:
    with pytest.raises(RuntimeError, match="has started"):
        started_assembly().feed(Started(input_tokens=7))


@pytest.mark.covers("stop reasons: refusal", "effect")
@pytest.mark.parametrize("refusal", [None, Refusal("cyber", "No.")])
def test_a_refusal_says_why_as_far_as_the_engine_does(refusal: Refusal | None) -> None:
    assembly = started_assembly()
    said = assembly.feed(Finished(FinishReason.REFUSAL, 1, refusal))
    message = fold([assembly.start(), *said])
    known = refusal or Refusal()
    assert message.stop_reason == "refusal"
    assert message.stop_details == RefusalDetails(
        category=known.category, explanation=known.explanation
    )


@pytest.mark.covers("blocks of an answer: redacted_thinking", "effect")
def test_signatures_hold_the_proofs_of_the_engine() -> None:
    assembly = started_assembly(sign=lambda text, proof: f"{text}|{proof}")
    fed = [
        ThinkingChunk("So", 1),
        ThinkingSignature("a"),
        ThinkingChunk("Hm", 1),
        ThinkingSignature("b"),
        RedactedThought("c"),
        ThinkingSignature("d"),
        Finished(FinishReason.END_TURN),
    ]
    events: list[StreamEvent] = [assembly.start()]
    for event in fed:
        events += assembly.feed(event)
    assert is_stream([type(event).__struct_config__.tag for event in events])
    assert indices_are_in_order(events)
    assert fold(events).content == (
        ThinkingBlock(thinking="So", signature="So|a"),
        ThinkingBlock(thinking="Hm", signature="Hm|b"),
        RedactedThinkingBlock(data="|c"),
        ThinkingBlock(thinking="", signature="|d"),
    )


def folded(thinking: str, *events: EngineEvent) -> Message:
    """The answer to a caller who asked for `thinking` in this way."""
    assembly = started_assembly(thinking=thinking, sign=lambda thought, _: f"signed {thought}")
    streamed: list[StreamEvent] = [assembly.start()]
    for event in events:
        streamed += assembly.feed(event)
    assert is_stream([type(event).__struct_config__.tag for event in streamed])
    assert indices_are_in_order(streamed)
    return fold(streamed)


THOUGHT_AND_TEXT = (
    ThinkingChunk("Hm.", 3),
    ThinkingChunk("", 1),
    TextChunk("Hi", 1),
    Finished(FinishReason.END_TURN, 1),
)


@pytest.mark.covers("usage: output_tokens_details", "effect")
@pytest.mark.parametrize("thinking", ["disabled", "enabled", "adaptive"])
def test_thinking_is_counted_and_shown_only_if_enabled(thinking: str) -> None:
    message = folded(thinking, *THOUGHT_AND_TEXT)
    kinds = [type(block) for block in message.content]
    assert kinds == [TextBlock] if thinking == "disabled" else [ThinkingBlock, TextBlock]
    assert message.usage.output_tokens == 6
    assert message.usage.output_tokens_details.thinking_tokens == 4


@pytest.mark.parametrize(
    "event", [TextChunk("Hi", 1), ToolCallStart("look", 1)], ids=lambda event: type(event).__name__
)
def test_answer_with_a_budget_begins_with_thinking_if_only_with_none(event: EngineEvent) -> None:
    message = folded("enabled", event, Finished(FinishReason.END_TURN, 1))
    assert message.content[0] == ThinkingBlock(thinking="", signature="signed ")
    assert len(message.content) == 2
    assert not folded("enabled", Finished(FinishReason.END_TURN, 1)).content
    assert len(folded("adaptive", event, Finished(FinishReason.END_TURN, 1)).content) == 1


def test_proofs_are_not_shown_if_thinking_is_disabled() -> None:
    hidden = (ThinkingChunk("Hm.", 1), ThinkingSignature("a"), RedactedThought("b"))
    end = Finished(FinishReason.END_TURN, 1)
    assert not folded("disabled", *hidden, end).content
    (first, second) = folded("enabled", RedactedThought("b"), TextChunk("Hi", 1), end).content
    assert (type(first), type(second)) == (RedactedThinkingBlock, TextBlock)


def test_finished_corrects_the_size_of_the_prompt() -> None:
    assembly = started_assembly(started=Started(input_tokens=7, cache_write_1h_tokens=2))
    start = assembly.start()
    told = Started(
        input_tokens=100, cache_read_tokens=80, cache_write_5m_tokens=3, cache_write_1h_tokens=2
    )
    events = [start, *assembly.feed(TextChunk("Hi", 1))]
    events += assembly.feed(Finished(FinishReason.END_TURN, prompt=told))
    usage = fold(events).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (15, 80)
    assert usage.cache_creation == CacheCreation(
        ephemeral_5m_input_tokens=3, ephemeral_1h_input_tokens=2
    )
    assert assembly.usage == msgspec.structs.replace(
        usage, output_tokens=0, output_tokens_details=assembly.usage.output_tokens_details
    )


def test_last_event_takes_tokens_back() -> None:
    assembly = started_assembly()
    assembly.feed(ThinkingChunk("Hm", 5))
    assembly.feed(TextChunk("Hi", 5))
    assembly.feed(Finished(FinishReason.END_TURN, -7))
    assert (assembly.output_tokens, assembly.thinking_tokens) == (3, 3)
    assembly = started_assembly()
    assembly.feed(Finished(FinishReason.END_TURN, -7))
    assert assembly.output_tokens == 0


def test_correction_is_kept_when_held_text_ends_the_message() -> None:
    assembly = started_assembly("[", sources=sources_of(["The grass is green."]))
    events = [assembly.start(), *assembly.feed(TextChunk("It is [", 1))]
    end = Finished(FinishReason.END_TURN, prompt=Started(input_tokens=99))
    message = fold([*events, *assembly.feed(end)])
    assert (message.stop_reason, message.usage.input_tokens) == ("stop_sequence", 99)


def test_usage_says_the_service_tier_of_the_answer() -> None:
    end = Finished(FinishReason.END_TURN, prompt=Started(input_tokens=99))
    assembly = started_assembly(service_tier="batch")
    stream = [assembly.start(), *assembly.feed(end)]
    assert fold(stream).usage.service_tier == assembly.usage.service_tier == "batch"
    assert started_assembly().start().message.usage.service_tier == "standard"


def test_id_of_a_call_ends_with_what_the_model_wrote_as_its_identifier() -> None:
    assembly = started_assembly(tool_use_id=lambda: "toolu_01abcdefghijklmnop")
    events = [assembly.start(), *assembly.feed(ToolCallStart("look", 1, "XYZ000001"))]
    events += [
        *assembly.feed(ToolCallStart("look", 1)),
        *assembly.feed(Finished(FinishReason.END_TURN)),
    ]
    calls = [block for block in fold(events).content if isinstance(block, ToolUseBlock)]
    assert [call.id for call in calls] == ["toolu_01abcdefgXYZ000001", "toolu_01abcdefghijklmnop"]
