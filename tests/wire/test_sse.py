import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.wire.errors import ErrorDetail
from antiphon.wire.events import (
    ContentBlockDelta,
    ContentBlockStop,
    ErrorEvent,
    MessageStop,
    Ping,
    StreamEvent,
    TextDelta,
)
from antiphon.wire.sse import EventEncoder, Frame, FrameDecoder

EVENTS = st.one_of(
    st.just(Ping()),
    st.just(MessageStop()),
    st.builds(ContentBlockStop, index=st.integers(0, 9)),
    st.builds(
        ContentBlockDelta,
        index=st.integers(0, 9),
        delta=st.builds(TextDelta, text=st.text(st.characters(codec="utf-8"))),
    ),
)
LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


def frames_of(*chunks: bytes) -> list[Frame]:
    decoder = FrameDecoder()
    return [frame for chunk in chunks for frame in decoder.feed(chunk)]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def test_frame_is_the_events_name_and_its_json() -> None:
    event = ContentBlockDelta(index=0, delta=TextDelta(text="Hi"))
    assert EventEncoder().encode(event) == (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}'
        b"\n\n"
    )


def test_frame_of_an_event_without_fields_is_its_type() -> None:
    encoder = EventEncoder()
    assert encoder.encode(Ping()) == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert encoder.encode(Ping()) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_frame_of_an_error_carries_the_request_id() -> None:
    error = ErrorEvent(
        error=ErrorDetail(type="overloaded_error", message="Overloaded"), request_id="req_1"
    )
    assert frames_of(EventEncoder().encode(error)) == [
        Frame(
            "error",
            '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},'
            '"request_id":"req_1"}',
        )
    ]


@given(st.lists(EVENTS, max_size=5), LINE_ENDS, st.lists(st.integers(0, 10_000), max_size=12))
def test_events_survive_any_cut_of_their_bytes(
    events: list[StreamEvent], line_end: bytes, places: list[int]
) -> None:
    encoder = EventEncoder()
    stream = b"".join(map(encoder.encode, events)).replace(b"\n", line_end)
    frames = frames_of(*cut(stream, places))
    assert [msgspec.json.decode(frame.data, type=StreamEvent) for frame in frames] == events
    assert [frame.event for frame in frames] == [
        msgspec.json.decode(frame.data)["type"] for frame in frames
    ]


@given(st.lists(EVENTS, max_size=12))
def test_events_that_are_written_together_are_written_as_one_by_one(
    events: list[StreamEvent],
) -> None:
    encoder = EventEncoder()
    assert encoder.encode_all(events) == b"".join(map(encoder.encode, events))


def test_line_breaks_in_texts_end_no_frame_of_a_run() -> None:
    texts = ["a\n\nevent: x\ndata: {}\n\n", "\r\n", "\u2028"]
    run = [ContentBlockDelta(index=0, delta=TextDelta(text=text)) for text in texts]
    encoder = EventEncoder()
    for some in (run[:1], run):
        assert encoder.encode_all(some) == b"".join(map(encoder.encode, some))


LINES = st.sampled_from(
    ["", "", "data: a", "data:b", "data", "event: ping", "event", ": comment", "id: 7", "data: ü"]
)


@given(st.lists(st.tuples(LINES, LINE_ENDS)), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_do_not_depend_on_where_the_bytes_were_cut(
    lines: list[tuple[str, bytes]], places: list[int]
) -> None:
    stream = b"".join(line.encode() + end for line, end in lines)
    assert frames_of(*cut(stream, places)) == frames_of(stream)
    assert frames_of(*(stream[place : place + 1] for place in range(len(stream)))) == (
        frames_of(stream)
    )


USUAL = st.sampled_from(
    ["event: a\ndata: 1\n\n", "data: 2\n\n", "event: b\ndata: ü\n\n", "event: c\ndata: \n\n"]
)
OTHER = st.sampled_from(
    (
        *("\ufeff", "\n", "\n\n", ": x\n\n", "id: 9\n", "\r", "data:4\n\n"),
        *("event: \ndata: 3\n\n", "data: 5\ndata: 6\n\n", "event: d\n\n", "data: 7\n"),
        *("data: \nevent: e\n\n", "data: 8\r\n\r\n"),
    )
)


@given(
    st.lists(st.one_of(USUAL, USUAL, OTHER)), st.lists(st.integers(0, 10_000), max_size=6),
    st.booleans(),
)  # fmt: skip
def test_frames_of_usual_forms_are_those_of_the_standard(
    parts: list[str], places: list[int], broken: bool
) -> None:
    stream = "".join(parts).encode()
    if broken:
        stream = stream.replace("ü".encode(), b"\xc3")
    whole = frames_of(*cut(stream, places))
    assert whole == frames_of(*(stream[place : place + 1] for place in range(len(stream))))


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_lines_may_end_in_three_ways(line_end: str) -> None:
    stream = f"event: ping{line_end}data: 1{line_end}{line_end}".encode()
    assert frames_of(stream) == [Frame("ping", "1")]


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b": comment\ndata: 1\n: another\n\n", [Frame("message", "1")]),
        (b"data: 1\ndata: 2\n\n", [Frame("message", "1\n2")]),
        (b"data\ndata:\n\n", [Frame("message", "\n")]),
        (b"data:  two spaces\n\n", [Frame("message", " two spaces")]),
        (b"data: a: b\n\n", [Frame("message", "a: b")]),
        (b"event: ping\n\n", []),
        (b"event: ping\n\ndata: 1\n\n", [Frame("message", "1")]),
        (b"event: a\nevent: b\ndata: 1\n\n", [Frame("b", "1")]),
        (b"id: 1\nretry: 5\nbogus\ndata: 1\n\n", [Frame("message", "1")]),
        (b"data: 1\n", []),
        (b"\n\n\ndata: 1\n\n\n\n", [Frame("message", "1")]),
        (b"data: \xff\n\n", [Frame("message", "\ufffd")]),
    ],
)
def test_stream_is_read_as_the_standard_says(stream: bytes, frames: list[Frame]) -> None:
    assert frames_of(stream) == frames


def test_carriage_return_at_the_end_of_a_chunk_ends_its_line_at_once() -> None:
    assert frames_of(b"data: 1\r\r") == [Frame("message", "1")]


def test_line_feed_after_a_carriage_return_of_the_chunk_before_is_no_second_line_end() -> None:
    assert frames_of(b"data: 1\r", b"\ndata: 2\r", b"", b"\n", b"\n") == [Frame("message", "1\n2")]


def test_character_that_is_cut_in_two_stays_whole() -> None:
    euro = "€".encode()
    assert frames_of(b"data: " + euro[:1], euro[1:2], euro[2:] + b"\n\n") == [Frame("message", "€")]


def test_byte_order_mark_at_the_start_is_dropped() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b"\xef\xbb\xbfdata: a\n\n") == [Frame("message", "a")]
    assert decoder.feed(b"\xef\xbb\xbfdata: a\n\n") == []


@pytest.mark.parametrize(
    ("stream", "rest"),
    [
        (b"data: a\n\n", None),
        (b"data: a\n", Frame("message", "a")),
        (b"data: a", Frame("message", "a")),
        (b"event: b\ndata: a", Frame("b", "a")),
        (b": comment", None),
        (b"event: b", None),
    ],
)
def test_rest_is_the_frame_without_an_end(stream: bytes, rest: Frame | None) -> None:
    decoder = FrameDecoder()
    decoder.feed(stream)
    assert decoder.rest() == rest
    assert decoder.rest() is None
