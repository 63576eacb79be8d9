from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.sdk import event_reader
from antiphon.sdk.event_reader import EventReader
from antiphon.sdk.types.events import (
    Ping,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    StreamItem,
    TextDelta,
    UnknownDelta,
    UnknownEvent,
)
from antiphon.wire.plain_frames import plain_frames
from support.sdk import events_of, frame, frames

EVENTS = events_of("Hel", "lo\n", "data: x", "ü€😀", "\r\n", "")
STREAM = frames(EVENTS)


def read(*chunks: bytes) -> list[StreamItem]:
    reader = EventReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    assert reader.fault is None
    return [*events, *reader.rest()]


def came(events: list[StreamItem]) -> list[object]:
    return [event.to_dict() for event in events]


def test_stream_of_the_api_is_read_in_the_quick_way() -> None:
    found = plain_frames(STREAM.removesuffix(b"\n\n"))
    assert found is not None
    assert [msgspec.json.decode(text) for text in found[1]] == EVENTS
    assert came(read(STREAM)) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_stream_is_read_wherever_it_is_cut(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    reader = EventReader()
    chunks = [STREAM[start:end] for start, end in pairwise(ends)]
    # Each event is there with its last byte; nothing is left for the end of the answer.
    assert came([event for chunk in chunks for event in reader.feed(chunk)]) == EVENTS


def test_stream_is_read_byte_by_byte() -> None:
    for ending in (b"\n", b"\r\n", b"\r"):
        stream = STREAM.replace(b"\n", ending)
        reader = EventReader()
        pieces = (stream[at : at + 1] for at in range(len(stream)))
        assert came([event for piece in pieces for event in reader.feed(piece)]) == EVENTS


PING = b'data: {"type":"ping"}'


@pytest.mark.parametrize(
    ("stream", "count"),
    [
        (b"\xef\xbb\xbf" + frame({"type": "ping"}), 1),
        (b"\xef\xbb\xbf" + PING + b"\n\n", 1),
        (b": a comment\n\n" + frame({"type": "ping"}), 1),
        (b": a comment\n" + frame({"type": "ping"}), 1),
        (b"id: 7\nretry: 10\n" + frame({"type": "ping"}), 1),
        (b'event: ping\ndata: {"type":\ndata: "ping"}\n\n', 1),
        (b'data: {"type":\ndata: "ping"}\n\n', 1),
        (b'data: {"type":\r\ndata: "ping"}\r\n\r\n', 1),
        (b'event:ping\ndata:{"type":"ping"}\n\n', 1),
        (PING + b"\nevent: ping\n\n", 1),
        (PING + b"\n\n" + PING + b"\n\n", 2),
        (b"\n\n\n" + frame({"type": "ping"}) + b"\n\n", 1),
        (b"event: ping\n\n", 0),
        (b"event: ping\ndata: \n\n", 0),
        (b"event: ping\ndata\n\n", 0),
        (frame({"type": "ping"}) + b"data: [DONE]\n\n", 1),
        (PING + b"\n\ndata: [DONE]\n\n", 1),
        # The standard drops an event without its empty line; a server that ends so means it.
        (b"event: ping\n" + PING, 1),
        (b"event: ping\n" + PING + b"\n", 1),
        (b'event: ping\ndata: {"type":"pi', 0),
    ],
)
def test_other_forms_of_the_standard_are_read(stream: bytes, count: int) -> None:
    assert read(stream) == [Ping()] * count
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == [Ping()] * count


def test_unknown_parts_are_kept() -> None:
    events = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "hum_delta", "hum": "mm"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "hum", "hum": ""}},
        {"type": "weather", "rain": True},
        {"type": "ping", "late": 1},
    ]
    first, second, third, fourth, fifth = read(frames(events))
    assert isinstance(first, RawContentBlockDeltaEvent)
    assert first.delta == TextDelta(text="a")
    assert isinstance(second, RawContentBlockDeltaEvent)
    assert isinstance(second.delta, UnknownDelta)
    assert second.delta.type == "hum_delta"
    assert isinstance(third, RawContentBlockStartEvent)
    assert third.content_block.to_dict() == {"type": "hum", "hum": ""}
    assert isinstance(fourth, UnknownEvent)
    assert fourth.type == "weather"
    assert fifth.extra == {"late": 1}
    assert came([first, second, third, fourth, fifth]) == events


def test_unknown_field_of_an_event_is_kept() -> None:
    event = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "a", "tone": 1},
        "at": 3,
    }
    (read_event,) = read(frame(event))
    assert read_event.extra == {"at": 3}
    assert read_event.to_dict() == event


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"{", "an event is not JSON: Input data was truncated"),
        (b"7", "an event is not an object with a type"),
        (b"{}", "an event is not an object with a type"),
        (b'{"type":3}', "an event is not an object with a type"),
        (b"<html>", "an event is not JSON: JSON is malformed: invalid character (byte 0)"),
        (b'"\xff"', "an event is not JSON"),
    ],
)
def test_bytes_of_something_else_are_a_fault_behind_the_events_before(
    data: bytes, fault: str
) -> None:
    reader = EventReader()
    assert reader.feed(frame({"type": "ping"}) + b"event: x\ndata: " + data + b"\n\n") == [Ping()]
    assert reader.fault is not None
    assert reader.fault.startswith(fault)


def test_event_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_reader, "LARGEST_FRAME", 100)
    reader = EventReader()
    reader.feed(b"event: x\ndata: " + b"a" * 80)
    assert reader.fault is None
    assert reader.waiting == 95
    reader.feed(b"a" * 10)
    assert reader.fault == "an event has more than 100 bytes"


def test_frame_with_two_events_does_not_stand_for_an_empty_one() -> None:
    ping = b'data: {"type": "ping"}\n'
    reader = EventReader()
    assert reader.feed(ping + ping + b"\ndata:  \n\n") == []
    assert reader.fault is not None
