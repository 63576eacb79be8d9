"""Streams of servers that keep no rule: what comes of them is an answer, or an error of the SDK."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import antiphon
from antiphon.sdk.event_reader import EventReader
from antiphon.sdk.types.decoding import decode_answer
from antiphon.sdk.types.message import Message, Usage
from support.sdk import Reply, ScriptedTransport, events_of, frame, frames, message_json

ASKED: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
CITATION = {
    "type": "char_location",
    "cited_text": "a",
    "document_index": 0,
    "start_char_index": 0,
    "end_char_index": 1,
}
BLOCKS: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    (
        {"type": "text", "text": "", "citations": []},
        [{"type": "text_delta", "text": "Hi"}, {"type": "citations_delta", "citation": CITATION}],
    ),
    (
        {"type": "thinking", "thinking": "", "signature": ""},
        [
            {"type": "thinking_delta", "thinking": "Hm"},
            {"type": "signature_delta", "signature": "s"},
        ],
    ),
    (
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        [{"type": "input_json_delta", "partial_json": '{"a":1}'}],
    ),
    ({"type": "later", "x": "a"}, [{"type": "later_delta", "x": "b"}]),
]
WRITTEN = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
USAGE = {"input_tokens": 1, "cache_creation_input_tokens": 3, "cache_creation": WRITTEN}
OTHERS: list[Any] = [None, True, -1, 1.5, 2**70, "", "x", [], [None], ["x"], {}, {"type": 1}]


def hostile_events() -> list[Any]:
    start = {"type": "message_start", "message": message_json(content=[], usage=USAGE)}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE}
    events: list[Any] = [start]
    for index, (block, deltas) in enumerate(BLOCKS):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": one} for one in deltas]
        events.append({"type": "content_block_stop", "index": index})
    failed = {"type": "error", "error": {"type": "api_error", "message": "m"}}
    return [*events, end, failed, {"type": "message_stop"}]


def places(value: Any, *above: Any) -> list[tuple[Any, ...]]:
    inner: Any = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [above, *(one for name, item in inner for one in places(item, *above, name))]


@st.composite
def spoilt(draw: st.DrawFn) -> list[Any]:
    """Events, of which a few are left out, doubled, moved, or have a value of another type."""
    events = copy.deepcopy(hostile_events())  # its parts are shared
    if draw(st.booleans()):
        events.pop(-2)  # the error, behind which nothing is read
    for _ in range(draw(st.integers(1, 3))):
        at, to = draw(st.integers(0, len(events) - 1)), draw(st.integers(0, len(events) - 1))
        how = draw(st.sampled_from(["drop", "double", "move", "value", "value", "value", "value"]))
        if how == "drop":
            del events[at]
        elif how == "double":
            events.insert(to, copy.deepcopy(events[at]))
        elif how == "move":
            events.insert(to, events.pop(at))
        else:
            *above, last = draw(st.sampled_from(places(events[at], at)[1:] or [(at,)]))
            inner: Any = events
            for name in above:
                inner = inner[name]
            inner[last] = copy.deepcopy(draw(st.sampled_from(OTHERS)))
    return events


def hostile_frame(event: Any) -> bytes:
    return b"event: e\ndata: " + msgspec.json.encode(event) + b"\n\n"


def client_of(raw: bytes) -> antiphon.Client:
    return antiphon.Client(api_key="k", transport=ScriptedTransport(Reply(chunks=(raw,))))


def final_message(raw: bytes) -> Message:
    with client_of(raw).messages.stream(**ASKED) as stream:
        for event in stream:
            repr(event)
            getattr(event, "snapshot", None)
        message: Message = stream.get_final_message()
    return message


@settings(max_examples=150, deadline=None)
@given(spoilt())
def test_stream_without_rules_is_an_answer_or_an_error_of_the_sdk(events: list[Any]) -> None:
    try:
        message = final_message(b"".join(map(hostile_frame, events)))
    except antiphon.APIError as error:
        if error.partial is not None:
            error.partial.to_json()
        return
    assert copy.deepcopy(message).to_dict() == message.to_dict()
    assert isinstance(message.text, str)
    assert message.to_param()
    assert message.usage.model_dump()


def test_index_below_zero_names_no_block() -> None:
    events = events_of("Hel", "lo")
    next(one for one in events if one["type"] == "content_block_delta")["index"] = -1
    with pytest.raises(antiphon.APIResponseValidationError, match="block -1 has not been started"):
        final_message(frames(events))


def test_text_behind_the_end_of_its_block_is_in_the_message() -> None:
    start, block, delta, stop, *rest = (one for one in events_of("Hello") if one["type"] != "ping")
    assert final_message(frames([start, block, stop, delta, *rest])).text == "Hello"


@pytest.mark.parametrize("place", ["message_start", "message_delta"])
def test_usage_of_null_is_none_at_all(place: str) -> None:
    events = events_of("Hello")
    for event in events:
        if event["type"] == place:
            event.get("message", event)["usage"] = None
    message = final_message(frames(events))
    assert message.text == "Hello"
    assert message.usage.output_tokens >= 0


def test_count_of_null_is_none_at_all() -> None:
    usage = {"input_tokens": None, "output_tokens": 2, "cache_read_input_tokens": None}
    answer = decode_answer(Message, msgspec.json.encode(message_json(usage=usage)))
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (0, 2)
    assert answer.to_dict()["usage"] == usage


def test_error_that_is_a_text_is_an_error_of_the_server() -> None:
    raw = frame({"type": "error", "error": "upstream is gone"})
    with pytest.raises(antiphon.InternalServerError, match="upstream is gone"):
        final_message(raw)


@pytest.mark.parametrize("line", [b"data:   ", b"data: [DONE]"])
def test_frame_that_says_nothing_is_no_event(line: bytes) -> None:
    reader = EventReader()
    said = b"event: x\n" + line + b"\n\n"
    found = reader.feed(said + frame({"type": "message_stop"}) + said)
    assert [event.type for event in found] == ["message_stop"]
    assert reader.fault is None


def test_answers_without_usage_share_nothing() -> None:
    def without(model: str) -> Message:
        came = message_json(model=model)
        del came["usage"]
        return decode_answer(Message, msgspec.json.encode(came))

    first, second = without("a"), without("b")
    assert first.usage.to_dict() == second.usage.to_dict() == Usage().to_dict()


@pytest.mark.parametrize("content", [None, "Hello", [1], ["Hello"], {}])
def test_answer_whose_content_is_none_is_refused(content: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match="content"):
        decode_answer(Message, msgspec.json.encode(message_json(content=content)))
