from itertools import permutations

import pytest
from msgspec.structs import replace

from antiphon.wire.citations import CharLocation
from antiphon.wire.content import RedactedThinkingBlock, TextBlock, ToolUseBlock
from antiphon.wire.errors import ErrorDetail
from antiphon.wire.events import (
    CitationsDelta,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    Delta,
    DeltaUsage,
    Ending,
    ErrorEvent,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    SignatureDelta,
    StartedBlock,
    StartedRedactedThinking,
    StartedText,
    StartedThinking,
    StartedToolUse,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from antiphon.wire.fold import BrokenStreamError, Fold, fold
from antiphon.wire.messages import (
    CacheCreation,
    Message,
    OutputTokensDetails,
    RefusalDetails,
    Usage,
)

CITATION = CharLocation(
    cited_text="Hi",
    document_index=0,
    document_title=None,
    start_char_index=0,
    end_char_index=2,
)
START = MessageStart(
    message=Message(
        model="m",
        id="msg_01",
        content=(),
        stop_reason=None,
        stop_sequence=None,
        usage=Usage(input_tokens=25, output_tokens=1),
    )
)
END = MessageDelta(
    delta=Ending(stop_reason="end_turn"), usage=DeltaUsage(input_tokens=25, output_tokens=4)
)
STOP = MessageStop()
ERROR = ErrorEvent(error=ErrorDetail(type="api_error", message="Broken"), request_id="req_1")


def opened(index: int = 0, text: str = "") -> ContentBlockStart:
    return ContentBlockStart(index=index, content_block=StartedText(text=text))


def delta(text: str, index: int = 0) -> ContentBlockDelta:
    return ContentBlockDelta(index=index, delta=TextDelta(text=text))


def closed(index: int = 0) -> ContentBlockStop:
    return ContentBlockStop(index=index)


def test_deltas_are_joined_to_the_text_of_their_block() -> None:
    message = fold([START, opened(), delta("Hel"), delta("lo"), closed(), END, STOP])
    assert message.content == (TextBlock(text="Hello"),)


def test_text_that_a_block_starts_with_comes_before_its_deltas() -> None:
    message = fold([START, opened(text="Hel"), delta("lo"), closed(), END, STOP])
    assert message.content == (TextBlock(text="Hello"),)


def test_blocks_keep_their_order() -> None:
    blocks = [opened(), delta("one"), closed(), opened(1), delta("two", 1), closed(1)]
    message = fold([START, *blocks, END, STOP])
    assert message.content == (TextBlock(text="one"), TextBlock(text="two"))


def test_stream_without_blocks_is_a_message_without_content() -> None:
    assert fold([START, END, STOP]).content == ()


def test_fields_of_message_start_are_kept() -> None:
    message = fold([START, END, STOP])
    assert (message.id, message.model, message.role) == ("msg_01", "m", "assistant")


def test_ending_comes_from_the_message_delta() -> None:
    ending = Ending(stop_reason="stop_sequence", stop_sequence="END")
    end = MessageDelta(delta=ending, usage=DeltaUsage(input_tokens=25, output_tokens=4))
    message = fold([START, end, STOP])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


def test_counters_of_the_message_delta_replace_those_of_the_start() -> None:
    usage = DeltaUsage(
        input_tokens=1,
        cache_creation_input_tokens=2,
        cache_read_input_tokens=3,
        output_tokens=4,
        output_tokens_details=OutputTokensDetails(thinking_tokens=5),
    )
    end = MessageDelta(delta=Ending(stop_reason="end_turn"), usage=usage)
    assert fold([START, end, STOP]).usage == Usage(
        input_tokens=1,
        cache_creation_input_tokens=2,
        cache_read_input_tokens=3,
        cache_creation=CacheCreation(ephemeral_5m_input_tokens=2),
        output_tokens=4,
        output_tokens_details=OutputTokensDetails(thinking_tokens=5),
    )


def test_last_of_several_message_deltas_counts() -> None:
    later = MessageDelta(
        delta=Ending(stop_reason="max_tokens"), usage=DeltaUsage(input_tokens=25, output_tokens=9)
    )
    message = fold([START, END, later, STOP])
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 9)


@pytest.mark.parametrize("place", range(6))
def test_ping_may_stand_anywhere(place: int) -> None:
    events: list[StreamEvent] = [START, opened(), delta("Hi"), closed(), END, STOP]
    whole = fold(events)
    events.insert(place, Ping())
    assert fold(events) == whole


@pytest.mark.parametrize(
    "events",
    [
        [],
        [START],
        [START, END],
        [START, opened()],
        [START, opened(), END, STOP],
        [START, opened(), STOP],
        [START, STOP],
        [END, STOP],
        [END, START, STOP],
        [STOP],
        [opened()],
        [delta("Hi")],
        [closed()],
        [START, START],
        [START, END, START],
        [START, delta("Hi")],
        [START, closed()],
        [START, opened(1)],
        [START, opened(-1)],
        [START, opened(), opened()],
        [START, opened(), opened(1)],
        [START, opened(), delta("Hi", 1)],
        [START, opened(), closed(1)],
        [START, opened(), closed(), delta("Hi")],
        [START, opened(), closed(), closed()],
        [START, opened(), closed(), opened()],
        [START, END, opened()],
        [START, END, STOP, STOP],
        [START, END, STOP, Ping()],
        [START, END, STOP, START],
        [START, END, STOP, END],
        [START, END, STOP, ERROR],
        [ERROR],
        [START, opened(), delta("Hi"), ERROR],
    ],
    ids=lambda events: "-".join(type(event).__name__ for event in events) or "nothing",
)
def test_events_out_of_order_are_refused(events: list[StreamEvent]) -> None:
    with pytest.raises(BrokenStreamError):
        fold(events)


def test_only_one_order_of_the_events_of_a_stream_is_accepted() -> None:
    events = [START, opened(), delta("Hi"), closed(), END, STOP]
    accepted = []
    for order in permutations(events):
        try:
            fold(order)
        except BrokenStreamError:
            continue
        accepted.append(list(order))
    assert accepted == [events]


def test_fold_of_an_error_event_raises_with_its_message() -> None:
    with pytest.raises(BrokenStreamError, match="ended in an error: Broken"):
        fold([START, ERROR])


def test_message_of_half_a_stream_is_refused_and_of_the_whole_is_given() -> None:
    folding = Fold()
    folding.add(START)
    folding.add(END)
    with pytest.raises(BrokenStreamError, match="ended before its message did"):
        folding.message()
    folding.add(STOP)
    assert folding.message().stop_reason == "end_turn"


def in_block(started: StartedBlock, *deltas: Delta) -> list[StreamEvent]:
    return [
        START,
        ContentBlockStart(index=0, content_block=started),
        *(ContentBlockDelta(index=0, delta=one) for one in deltas),
        ContentBlockStop(index=0),
        END,
        STOP,
    ]


@pytest.mark.parametrize(
    ("started", "other"),
    [
        (StartedText(), ThinkingDelta(thinking="x")),
        (StartedText(), InputJsonDelta(partial_json="{}")),
        (StartedThinking(), TextDelta(text="x")),
        (StartedToolUse(id="toolu_1", name="f"), TextDelta(text="x")),
        (StartedToolUse(id="toolu_1", name="f"), SignatureDelta(signature="x")),
        (StartedThinking(), CitationsDelta(citation=CITATION)),
    ],
)
def test_delta_of_another_kind_of_block_is_refused(started: StartedBlock, other: Delta) -> None:
    with pytest.raises(BrokenStreamError, match="in a block of another kind"):
        fold(in_block(started, other))


def test_input_that_is_no_object_is_refused() -> None:
    started = StartedToolUse(id="toolu_1", name="f")
    with pytest.raises(BrokenStreamError, match="not an object"):
        fold(in_block(started, InputJsonDelta(partial_json="[1]")))


def test_input_that_was_cut_is_what_of_it_is_certain() -> None:
    started = StartedToolUse(id="toolu_1", name="f")
    pieces = ('{"city": "Par', 'is", "days": [1, 2')
    message = fold(in_block(started, *(InputJsonDelta(partial_json=piece) for piece in pieces)))
    assert message.content == (
        ToolUseBlock(id="toolu_1", name="f", input={"city": "Paris", "days": [1]}),
    )


def test_redacted_thinking_is_complete_at_its_start() -> None:
    hidden = ContentBlockStart(index=0, content_block=StartedRedactedThinking(data="x"))
    message = fold([START, hidden, closed(), END, STOP])
    assert message.content == (RedactedThinkingBlock(data="x"),)
    with pytest.raises(BrokenStreamError, match="another kind"):
        fold([START, hidden, delta("a"), closed(), END, STOP])


def test_the_details_of_a_refusal_are_in_the_message() -> None:
    details = RefusalDetails(category="cyber", explanation=None)
    end = MessageDelta(
        delta=Ending(stop_reason="refusal", stop_details=details),
        usage=DeltaUsage(input_tokens=25, output_tokens=4),
    )
    assert fold([START, end, STOP]).stop_details == details


def test_the_citations_of_a_text_are_folded_into_it() -> None:
    other = replace(CITATION, document_index=1)
    deltas = (
        TextDelta(text="Hi"),
        CitationsDelta(citation=CITATION),
        CitationsDelta(citation=other),
        TextDelta(text=" "),
    )
    started = StartedText(citations=())
    events = [
        START,
        ContentBlockStart(index=0, content_block=started),
        *(ContentBlockDelta(index=0, delta=one) for one in deltas),
        closed(),
        END,
        STOP,
    ]
    assert fold(events).content == (TextBlock(text="Hi ", citations=(CITATION, other)),)
