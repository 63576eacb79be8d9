from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.sdk.event_reader import EventReader
from antiphon.sdk.fold import EventOrderError, MessageFold
from antiphon.sdk.types.blocks import TextBlock, ToolUseBlock, UnknownBlock
from antiphon.sdk.types.decoding import decode_answer
from antiphon.sdk.types.message import Message
from antiphon.wire import events as wire
from antiphon.wire.citations import CharLocation
from antiphon.wire.fold import fold as folded_by_the_server
from antiphon.wire.messages import CacheCreation, OutputTokensDetails, RefusalDetails, Usage
from antiphon.wire.messages import Message as WireMessage
from antiphon.wire.sse import EventEncoder
from support.sdk import events_of, frames, message_json

texts = st.text(max_size=6)
counts = st.integers(0, 99)
CALL = {"type": "tool_use", "id": "toolu_1", "name": "n", "input": {}}


def fold(stream: bytes) -> Message:
    reader, folding = EventReader(), MessageFold()
    for event in reader.feed(stream):
        folding.add(event)
    assert folding.stopped
    return folding.message()


@st.composite
def text_blocks(draw: st.DrawFn) -> tuple[wire.StartedBlock, list[wire.Delta]]:
    location = CharLocation(
        cited_text=draw(texts),
        document_index=draw(counts),
        document_title=draw(st.none() | texts),
        start_char_index=0,
        end_char_index=draw(counts),
    )
    deltas: list[wire.Delta] = [wire.TextDelta(text=text) for text in draw(st.lists(texts))]
    if draw(st.booleans()):
        deltas.append(wire.CitationsDelta(citation=location))
    return wire.StartedText(), deltas


@st.composite
def thinking_blocks(draw: st.DrawFn) -> tuple[wire.StartedBlock, list[wire.Delta]]:
    thoughts = draw(st.lists(texts, max_size=3))
    deltas: list[wire.Delta] = [wire.ThinkingDelta(thinking=text) for text in thoughts]
    return wire.StartedThinking(), [*deltas, wire.SignatureDelta(signature=draw(texts))]


@st.composite
def calls(draw: st.DrawFn) -> tuple[wire.StartedBlock, list[wire.Delta]]:
    value = draw(st.dictionaries(texts, st.integers() | texts | st.lists(texts), max_size=3))
    text = msgspec.json.encode(value).decode()
    # Of a call that `max_tokens` cut off, too, both make the part that is certain.
    text = text[: draw(st.integers(0, len(text)))]
    cut = draw(st.integers(0, len(text)))
    pieces: list[wire.Delta] = [
        wire.InputJsonDelta(partial_json=piece) for piece in (text[:cut], text[cut:])
    ]
    kind = draw(st.sampled_from([wire.StartedToolUse, wire.StartedServerToolUse]))
    return kind(id="toolu_1", name=draw(texts)), pieces


redacted = texts.map(lambda data: (wire.StartedRedactedThinking(data=data), []))


@st.composite
def streams(draw: st.DrawFn) -> list[wire.StreamEvent]:
    start = WireMessage(
        model="m",
        id="msg_1",
        content=(),
        stop_reason=None,
        stop_sequence=None,
        usage=Usage(
            input_tokens=draw(counts),
            cache_creation_input_tokens=draw(counts),
            cache_creation=CacheCreation(ephemeral_1h_input_tokens=draw(counts)),
            output_tokens=1,
        ),
    )
    events: list[wire.StreamEvent] = [wire.MessageStart(message=start)]
    blocks = draw(st.lists(text_blocks() | thinking_blocks() | calls() | redacted, max_size=4))
    for index, (started, deltas) in enumerate(blocks):
        events.append(wire.ContentBlockStart(index=index, content_block=started))
        events.append(wire.Ping())
        events.extend(wire.ContentBlockDelta(index=index, delta=delta) for delta in deltas)
        events.append(wire.ContentBlockStop(index=index))
    refused = draw(st.booleans())
    ending = wire.Ending(
        stop_reason="refusal" if refused else "end_turn",
        stop_details=RefusalDetails(category="c") if refused else None,
    )
    usage = wire.DeltaUsage(
        input_tokens=draw(counts),
        cache_creation_input_tokens=draw(counts),
        cache_read_input_tokens=draw(counts),
        output_tokens=draw(counts),
        output_tokens_details=OutputTokensDetails(thinking_tokens=draw(counts)),
    )
    return [*events, wire.MessageDelta(delta=ending, usage=usage), wire.MessageStop()]


@given(streams())
def test_fold_equals_what_the_server_answers_without_a_stream(
    events: list[wire.StreamEvent],
) -> None:
    answered = msgspec.json.encode(folded_by_the_server(events))
    message = fold(EventEncoder().encode_all(events))
    assert message == decode_answer(Message, answered)
    assert message.to_dict() == msgspec.json.decode(answered)
    # Parts of it go back to the server on their own.
    assert message.to_param()["content"] == msgspec.json.decode(answered)["content"]
    assert message.usage.to_dict() == msgspec.json.decode(answered)["usage"]


def test_fold_keeps_what_it_does_not_know() -> None:
    def delta(piece: str) -> dict[str, Any]:
        return {"type": "hum_delta", "hum": piece, "pitch": len(piece)}

    block = {"type": "hum", "hum": "h", "pitch": None, "key": "a"}
    events = events_of("mm", "m", block=block, delta=delta, ending={"mood": "calm"})
    events[0]["message"]["tone"] = 1
    events[0]["message"]["usage"]["joules"] = 7
    events[-2]["context_management"] = {"applied_edits": []}
    events[-2]["usage"]["watts"] = 2
    message = fold(frames(events))
    came = {"type": "hum", "hum": "hmmm", "pitch": 1, "key": "a"}
    assert isinstance(message.content[0], UnknownBlock)
    assert message.to_dict() == message_json(
        content=[came],
        tone=1,
        mood="calm",
        context_management={"applied_edits": []},
        usage={"input_tokens": 3, "output_tokens": 5, "joules": 7, "watts": 2},
    )


def test_unknown_field_of_a_block_is_kept() -> None:
    events = events_of("a", "b", block={"type": "text", "text": "", "shade": "dark"})
    assert fold(frames(events)).content[0].to_dict() == {
        "type": "text",
        "text": "ab",
        "shade": "dark",
    }


def test_container_is_kept_until_another_one_is_named() -> None:
    events = events_of("a", ending={"container": {"id": "c", "expires_at": "soon"}})
    events.insert(-1, {**events[-2], "delta": {"stop_reason": "end_turn", "container": None}})
    container = fold(frames(events)).container
    assert container is not None
    assert container.id == "c"


@pytest.mark.parametrize("text", ['{"a": "\\q"}', "[1]"])
def test_input_that_is_no_json_object_is_marked(text: str) -> None:
    def delta(piece: str) -> dict[str, Any]:
        return {"type": "input_json_delta", "partial_json": piece}

    (call,) = fold(frames(events_of(text, block=CALL, delta=delta))).tool_calls
    assert call.input == {"INVALID_JSON": text}


def test_call_without_pieces_has_the_input_it_began_with() -> None:
    block = {**CALL, "input": {"a": 1}}
    assert fold(frames(events_of(block=block))).content == [
        ToolUseBlock(id="toolu_1", name="n", input={"a": 1})
    ]


def test_text_that_a_block_begins_with_is_kept() -> None:
    events = events_of("b", block={"type": "text", "text": "a"})
    assert fold(frames(events)).content == [TextBlock(text="ab")]


def test_message_so_far_has_the_pieces_so_far() -> None:
    reader, folding = EventReader(), MessageFold()
    events = reader.feed(frames(events_of("a", "b", "c")))
    seen = []
    for event in events:
        folding.add(event)
        seen.append(folding.message().text)
    assert seen == ["", "", "", "a", "ab", "abc", "abc", "abc", "abc"]


def _without(*types: str) -> list[dict[str, Any]]:
    return [event for event in events_of("a") if event["type"] not in types]


START = events_of()[0]


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        (_without("message_start"), "content_block_start before message_start"),
        ([START, *events_of("a")], "a second message_start"),
        (_without("content_block_start"), "content block 0 has not been started"),
        (
            [START, {"type": "content_block_start", "index": 1, "content_block": CALL}],
            "content block 1 starts out of order",
        ),
        (events_of()[-2:], "message_delta before message_start"),
        (events_of()[-1:], "message_stop before message_start"),
        ([], "no message_start has come yet"),
    ],
)
def test_order_that_no_server_keeps_is_told(events: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(EventOrderError, match=fault):
        fold_any(frames(events))


def fold_any(stream: bytes) -> Message:
    folding = MessageFold()
    for event in EventReader().feed(stream):
        folding.add(event)
    return folding.message()
