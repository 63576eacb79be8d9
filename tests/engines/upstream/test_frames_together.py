"""Frames that come together are read at once, and say what they say one by one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import EngineError, EngineEvent, TextChunk
from antiphon.engines.upstream.chat_completions.answer import ChatAnswer
from antiphon.engines.upstream.chat_completions.chunks import ChunkReader
from antiphon.engines.upstream.engine import Answering
from antiphon.engines.upstream.messages_api.answer import UpstreamMessage
from antiphon.engines.upstream.messages_api.events import Reader
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.wire.sse import Frame

READER = Reader()
CHUNKS = ChunkReader()
ENVELOPE = ProofEnvelope("http://x", "m")


def message() -> UpstreamMessage:
    return UpstreamMessage(100, ENVELOPE, READER, limited=False)


def chat() -> ChatAnswer:
    return ChatAnswer(100, CHUNKS, limited=False)


def one_by_one(answer: ChatAnswer | UpstreamMessage, frames: list[Frame]) -> list[Any]:
    found: list[Any] = []
    try:
        for frame in frames:
            found += answer.feed(frame)
            if answer.done:
                break
        found += [answer.begun, *answer.end()]
    except EngineError as error:
        found.append((error.kind, str(error)))
    return found


def together(answer: Answering, frames: list[Frame], size: int) -> list[Any]:
    found: list[Any] = []
    try:
        for place in range(0, len(frames), size):
            # The events before a fault have to be there.
            for event in answer.feed_all(frames[place : place + size]):
                found.append(event)  # noqa: PERF402
            if answer.done:
                break
        found += [answer.begun, *answer.end()]
    except EngineError as error:
        found.append((error.kind, str(error)))
    return found


TEXTS = st.sampled_from(["a", "b ", "c", "ü", "\ufffd", "d\ud83d", "\ude00b", "", "😀"])
INDEX = st.sampled_from([0, 0, 0, 1, None])


def piece(index: int | None, **said: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": said}


def begin(index: int, kind: str, name: str) -> dict[str, Any]:
    block = {"type": kind, "name": name} if kind == "tool_use" else {"type": kind}
    return {"type": "content_block_start", "index": index, "content_block": block}


PIECES = st.builds(piece, INDEX, type=st.just("text_delta"), text=TEXTS)
EVENTS: st.SearchStrategy[Any] = st.one_of(
    PIECES,
    PIECES,
    st.builds(piece, INDEX, text=TEXTS, thinking=TEXTS),
    st.builds(piece, INDEX, partial_json=st.sampled_from(["{", "}", "{}"])),
    st.builds(piece, INDEX, signature=TEXTS),
    st.builds(begin, st.integers(0, 1), st.sampled_from(["text", "tool_use"]), st.just("f")),
    st.sampled_from(
        [
            {"type": "message_start", "message": {"usage": {"input_tokens": 9}}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
             "usage": {"output_tokens": 2, "input_tokens": 11}},
            {"type": "message_stop"},
            {"type": "ping"},
            {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
            {"type": "content_block_delta", "index": "0", "delta": {"text": ["e"]}},
        ]
    ),
)  # fmt: skip


def delta(index: int | None, reason: str | None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": said, "finish_reason": reason}]}


def call(index: int | None, name: str | None, text: str) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": text}}


CONTENTS = st.builds(delta, st.sampled_from([0, 0, 0, None]), st.none(), content=TEXTS)
REASONS = st.sampled_from([None, "stop"])
CHAT: st.SearchStrategy[Any] = st.one_of(
    CONTENTS,
    CONTENTS,
    st.builds(delta, INDEX, REASONS, content=TEXTS),
    st.builds(delta, INDEX, REASONS, content=TEXTS, reasoning=TEXTS),
    st.builds(delta, INDEX, REASONS, content=TEXTS, refusal=TEXTS),
    st.builds(
        delta,
        st.just(0),
        REASONS,
        tool_calls=st.lists(
            st.builds(
                call, INDEX, st.sampled_from([None, "f"]), st.sampled_from(["", "{", "}", "{}"])
            ),
            max_size=2,
        ),
    ),
    st.sampled_from(
        [
            {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
            {"choices": [{"delta": {"content": "f"}, "usage": {"completion_tokens": 1}}]},
            {"choices": [{"delta": {"content": "g"}}], "usage": {"completion_tokens": 1}},
            {"choices": [{"delta": {"content": "h"}}, {"delta": {"content": "i"}}]},
            {"choices": [{"delta": {"content": "j"}}], "object": "error"},
            {"choices": [{"delta": {"content": "k"}}], "error": "x"},
            {"choices": [{"delta": {"content": "l", "function_call": {"name": "f"}}}]},
            {"choices": [{"delta": {"content": ["m"]}}]},
            {"choices": None},
        ]
    ),
)
JUNK = st.sampled_from(["", " ", "null", "{", '{"choices":', "[]}", "[DONE]", "[DONE] ", "{}{}"])
RARE_NAMES = st.sampled_from(["ping", "error", "message_start", "message"])


@st.composite
def said(draw: st.DrawFn, events: st.SearchStrategy[Any]) -> list[Frame]:
    """Frames of one event each, and at times one with another name, with two events, or junk."""
    frames = [Frame("message", json.dumps(one)) for one in draw(st.lists(events, max_size=12))]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        data = draw(st.one_of(JUNK, st.tuples(events, events).map(lines)))
        frame = Frame(draw(RARE_NAMES), data)
        frames.insert(draw(st.integers(0, len(frames))), frame)
    return frames


def lines(events: tuple[Any, ...]) -> str:
    return "\n".join(map(json.dumps, events))


def test_frame_with_two_events_does_not_stand_for_an_empty_one() -> None:
    two = "\n".join(json.dumps(one) for one in (piece(0, text="a"), {"type": "message_stop"}))
    frames = [Frame("ping", two), Frame("ping", "")]
    assert together(message(), frames, 2) == one_by_one(message(), frames)
    two = "\n".join(json.dumps(delta(0, "stop", content=text)) for text in "ab")
    frames = [Frame("message", two), Frame("message", "")]
    assert together(chat(), frames, 2) == one_by_one(chat(), frames)


@given(said(EVENTS), st.integers(1, 13))
def test_events_that_come_together_say_the_same(frames: list[Frame], size: int) -> None:
    assert together(message(), frames, size) == one_by_one(message(), frames)


@given(said(CHAT), st.integers(1, 13))
def test_chunks_that_come_together_say_the_same(frames: list[Frame], size: int) -> None:
    assert together(chat(), frames, size) == one_by_one(chat(), frames)


def frames_of(*events: Any) -> list[Frame]:
    return [Frame("message", json.dumps(event)) for event in events]


A, END = piece(0, text="a"), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
CALL = begin(1, "tool_use", "f")
B, USAGE = delta(0, None, content="b"), {"choices": [], "usage": {"completion_tokens": 2}}


@pytest.mark.parametrize(
    ("answer", "events"),
    [
        (message, [A, piece(0, text="\ud83d"), A, END]),
        (message, [A, piece(0, text="\ud83d"), piece(0, text="\ude00"), A, END]),
        (message, [A, piece(0, text="\ud83d"), A, piece(0, text="\ude00"), END]),
        (message, [A, piece(0, text="a", partial_json="{}"), END]),
        (message, [A, CALL, piece(1, text="a", partial_json="{}"), END]),
        (message, [CALL, A, A, piece(1, partial_json="{}"), A, END]),
        (message, [A, piece(0, text="a", signature="s"), END]),
        (message, [A, piece(0, text="a", thinking="t"), A, END]),
        (message, [A, A, END, {"type": "message_stop"}, A]),
        (chat, [B, delta(0, None, content="\ud83d"), B, delta(0, "stop")]),
        (chat, [B, delta(0, "length", content="b")]),
        (chat, [B, delta(1, None, content="b")]),
        (chat, [delta(1, None, content="b"), delta(1, "stop", content="b")]),
        (chat, [B, delta(0, None, content="b", refusal="c"), delta(0, "stop")]),
        (chat, [B, delta(0, None, content="b", reasoning="c"), B, delta(0, "stop")]),
        (chat, [B, delta(0, None, content="b", tool_calls=[call(0, "f", "{}")])]),
        (chat, [B, delta(0, None, content="b", function_call={"name": "f"}), delta(0, "stop")]),
        (chat, [B, USAGE, B, B, delta(0, "stop")]),
        (chat, [B, {**B, "object": "error"}]),
    ],
)
def test_all_that_a_piece_of_text_brings_is_read(answer: Any, events: list[Any]) -> None:
    frames = frames_of(*events)
    for size in range(1, len(events) + 1):
        assert together(answer(), frames, size) == one_by_one(answer(), frames)


def test_frames_are_no_lines_of_one_event() -> None:
    halves = [json.dumps(A)[:9], json.dumps(A)[9:]]
    frames = [Frame("message", half) for half in halves]
    with pytest.raises(EngineError):
        list(message().feed_all(frames))


@pytest.mark.parametrize(
    ("answer", "text", "fault"),
    [
        (message, piece(0, text="a"), {"type": "error", "error": {"type": "api_error"}}),
        (chat, delta(0, None, content="a"), {"error": "x"}),
    ],
)
def test_what_comes_before_a_fault_is_there(answer: Any, text: Any, fault: Any) -> None:
    for bad in (*frames_of(fault), Frame("message", "no JSON")):
        found: list[EngineEvent] = []
        with pytest.raises(EngineError):
            found.extend(answer().feed_all([*frames_of(text, text), bad]))
        assert found == [TextChunk("a", 1)] * 2


def test_reader_takes_frames_apart_that_are_one_event_each() -> None:
    texts = [json.dumps(piece(0, text=text)) for text in "ab"]
    apart = [Frame("message", text) for text in texts]
    assert len(READER.read_all(apart) or ()) == 2
    assert READER.read_all([Frame("message", "".join(texts))]) is None
    assert READER.read_all([Frame("message", texts[0][:9]), Frame("message", texts[0][9:])]) is None
    assert CHUNKS.read_all(["{}", "{}"]) is not None
    assert CHUNKS.read_all(["{}{}"]) is None
