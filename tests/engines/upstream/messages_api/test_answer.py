from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import (
    EngineError,
    EngineErrorKind,
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
from antiphon.engines.upstream.messages_api.answer import UpstreamMessage
from antiphon.engines.upstream.messages_api.events import Reader
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.wire.sse import Frame
from support.assembling import assembled

ORIGIN = ProofEnvelope("http://x", "m")
START = {"type": "message_start", "message": {}}
STOP = {"type": "message_stop"}
PING = {"type": "ping"}


def begin(index: int, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {
        "type": "content_block_start",
        "index": index,
        "content_block": {"type": kind, **more},
    }


def piece(index: int, kind: str, **said: Any) -> dict[str, Any]:
    delta = {"type": kind, **said}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def close(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str | None = "end_turn", tokens: Any = 5) -> dict[str, Any]:
    usage = {"output_tokens": tokens}
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def error(kind: str, message: str = "because") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


TEXT = [begin(0), piece(0, "text_delta", text="Hi"), close(0)]


def read(*events: Any, asked: int = 5, limited: bool = False) -> list[EngineEvent]:
    answer = UpstreamMessage(asked, ORIGIN, Reader(), limited=limited)
    found: list[EngineEvent] = []
    for event in events:
        text = event if isinstance(event, str) else msgspec.json.encode(event).decode()
        name = event.get("type", "message") if isinstance(event, dict) else "message"
        found += answer.feed(Frame(name, text))
        if answer.done:
            break
    return [*found, *answer.end()]


def test_tokens_behind_the_text_are_those_of_the_end() -> None:
    assert read(START, PING, *TEXT, ending(), STOP) == [
        TextChunk("Hi", 1),
        Finished(FinishReason.END_TURN, 4),
    ]


def test_thinking_and_a_call_are_read() -> None:
    events = read(
        START,
        begin(0, "thinking", thinking=""),
        piece(0, "thinking_delta", thinking="Hm"),
        piece(0, "signature_delta", signature="abc"),
        close(0),
        begin(1, "tool_use", name="f", id="x", input={}),
        piece(1, "input_json_delta", partial_json=""),
        piece(1, "input_json_delta", partial_json='{"a":1}'),
        close(1),
        ending("tool_use"),
        STOP,
    )
    assert events == [
        ThinkingChunk("Hm", 1),
        ThinkingSignature(ORIGIN.close("abc")),
        ToolCallStart("f", 1),
        ToolCallJson('{"a":1}', 1),
        Finished(FinishReason.END_TURN, 2),
    ]
    assert assembled(events).stop_reason == "tool_use"


def test_unnamed_event_is_read_and_an_unknown_one_ignored() -> None:
    named = ['{"type":"content_block_start","index":0,"content_block":{"type":"text"}}']
    events = read(START, {"type": "news"}, *named, close(0), ending(), STOP)
    assert events == [Finished(FinishReason.END_TURN, 5)]


def test_citations_delta_yields_no_event() -> None:
    citation = piece(0, "citations_delta", citation={})
    events = read(START, begin(0), citation, close(0), ending(), STOP)
    assert events == [Finished(FinishReason.END_TURN, 5)]


def test_redacted_thinking_is_passed_on() -> None:
    hidden = begin(0, "redacted_thinking", data="x")
    signed = [begin(1, "thinking"), piece(1, "signature_delta", signature="s"), close(1)]
    events = read(START, hidden, close(0), *signed, ending(), STOP)
    assert events == [
        RedactedThought(ORIGIN.close("x")),
        ThinkingSignature(ORIGIN.close("s")),
        Finished(FinishReason.END_TURN, 5),
    ]
    assert [block.__struct_config__.tag for block in assembled(events).content] == [
        "redacted_thinking",
        "thinking",
    ]


def test_a_start_says_how_long_the_prompt_is_and_what_of_it_was_cached() -> None:
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5},
    }
    start = {"type": "message_start", "message": {"usage": usage}}
    assert read(start, ending(), STOP)[0] == Started(
        input_tokens=30, cache_read_tokens=20, cache_write_5m_tokens=2, cache_write_1h_tokens=5
    )
    bare = {"type": "message_start", "message": {"usage": {"input_tokens": 3}}}
    assert read(bare, ending(), STOP)[0] == Started(input_tokens=3)
    zero = {"type": "message_start", "message": {"usage": {"input_tokens": 0}}}
    assert len(read(zero, ending(), STOP)) == 1


def test_refusal_carries_its_details() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    refused = {**ending("refusal"), "delta": {"stop_reason": "refusal", "stop_details": details}}
    assert read(START, refused, STOP) == [
        Finished(FinishReason.REFUSAL, 5, Refusal("cyber", "No."))
    ]
    (end,) = read(START, ending("refusal"), STOP)
    message = assembled([end])
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None


@pytest.mark.parametrize(
    ("reason", "tokens", "limited", "expected"),
    [
        ("max_tokens", 5, False, FinishReason.MAX_TOKENS),
        ("max_tokens", 4, False, FinishReason.CONTEXT_WINDOW),
        ("max_tokens", 5, True, FinishReason.CONTEXT_WINDOW),
        ("model_context_window_exceeded", 5, False, FinishReason.CONTEXT_WINDOW),
        ("stop_sequence", 5, False, FinishReason.END_TURN),
        ("refusal", 5, False, FinishReason.REFUSAL),
    ],
)
def test_stop_reason_maps_to_a_finish_reason(
    reason: str, tokens: int, limited: bool, expected: FinishReason
) -> None:
    (end,) = read(START, ending(reason, tokens), STOP, limited=limited)
    assert isinstance(end, Finished)
    assert end.reason is expected


def test_llama_cpp_may_leave_out_the_start_and_end_what_it_has_not_begun() -> None:
    assert read(*TEXT, ending(), STOP)[0] == TextChunk("Hi", 1)
    assert len(read(START, close(0), ending(), STOP)) == 1


@pytest.mark.parametrize(
    "events",
    [
        [],
        [START],
        [START, *TEXT],
        [START, START],
        [*TEXT, START],
        [STOP],
        [START, STOP],
        [START, ending(None), STOP],
        [START, ending("pause_turn"), STOP],
        [START, begin(1)],
        [START, begin(0), begin(1)],
        [START, begin(0), piece(1, "text_delta", text="a")],
        [START, piece(0, "text_delta", text="a")],
        [START, begin(0), piece(0, "input_json_delta", partial_json="{}")],
        [START, begin(0), piece(0, "thinking_delta", thinking="a")],
        [START, begin(0), piece(0, "news_delta")],
        [START, begin(0), close(1)],
        [START, begin(0, "server_tool_use", name="f")],
        [START, begin(0, "tool_use")],
        [START, begin(0, "tool_use", name="f"), piece(0, "input_json_delta", partial_json="[1]"),
         close(0)],
        [START, begin(0, "tool_use", name="f"), piece(0, "input_json_delta", partial_json="["),
         begin(0, "tool_use", name="f"), ending(), STOP],
        [START, begin(0, "tool_use", name="f"), piece(0, "input_json_delta", partial_json='{"a"'),
         close(0), begin(1), piece(1, "text_delta", text="a"), ending("max_tokens"), STOP],
        ["no JSON"],
        ["[]"],
        ["{" * 100_000],
        [{"type": "content_block_start"}],
        [{"type": "error"}],
        [error("api_error")],
        [error("authentication_error")],
        [error("of tomorrow")],
    ],
)  # fmt: skip
def test_illegal_stream_fails(events: list[Any]) -> None:
    with pytest.raises(EngineError) as caught:
        read(*events)
    assert caught.value.kind is EngineErrorKind.FAILED
    assert str(caught.value).startswith("upstream")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", EngineErrorKind.OVERLOADED),
        ("rate_limit_error", EngineErrorKind.OVERLOADED),
        ("timeout_error", EngineErrorKind.TIMEOUT),
        ("invalid_request_error", EngineErrorKind.UNSUPPORTED),
    ],
)
def test_errors_in_the_middle_keep_their_kind(kind: str, expected: EngineErrorKind) -> None:
    with pytest.raises(EngineError) as caught:
        read(START, *TEXT, error(kind))
    assert caught.value.kind is expected
    # An upstream may quote the prompt: its words are for the caller, never for the log.
    assert ("because" in str(caught.value)) == (expected is EngineErrorKind.UNSUPPORTED)


EVENTS = st.one_of(
    st.sampled_from([START, STOP, PING, ending(), ending("max_tokens")]),
    st.builds(begin, st.integers(0, 2)),
    st.builds(begin, st.integers(0, 2), st.just("tool_use"), name=st.just("f")),
    st.builds(begin, st.integers(0, 2), st.just("thinking")),
    st.builds(begin, st.integers(0, 2), st.just("redacted_thinking"), data=st.just("x")),
    st.builds(piece, st.integers(0, 2), st.just("signature_delta"), signature=st.just("s")),
    st.builds(piece, st.integers(0, 2), st.just("text_delta"), text=st.text("a\ufffd")),
    st.builds(
        piece,
        st.integers(0, 2),
        st.just("input_json_delta"),
        partial_json=st.sampled_from(["", "{", "}", "[", '{"a":1', "x"]),
    ),
    st.builds(close, st.integers(0, 2)),
)


@given(st.lists(EVENTS, max_size=10))
def test_any_events_make_a_legal_message_or_an_engine_error(events: list[dict[str, Any]]) -> None:
    try:
        found = read(*events)
    except EngineError as caught:
        assert caught.kind is EngineErrorKind.FAILED  # noqa: PT017 - not every example raises
        return
    assembled(found)
