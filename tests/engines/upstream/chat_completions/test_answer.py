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
    TextChunk,
    ThinkingChunk,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.upstream.chat_completions.answer import ChatAnswer
from antiphon.engines.upstream.chat_completions.chunks import ChunkReader
from antiphon.wire.content import ToolUseBlock
from antiphon.wire.sse import Frame
from support.assembling import assembled

STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def frame(value: Any) -> Frame:
    return Frame(
        "message", value if isinstance(value, str) else msgspec.json.encode(value).decode()
    )


def delta(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said}]}


def call(index: int | None, text: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    said = {"index": index, "function": {"name": name, "arguments": text}, **more}
    return delta(tool_calls=[said])


def finish(reason: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def usage(tokens: Any) -> dict[str, Any]:
    return {"choices": [], "usage": {"completion_tokens": tokens}}


def read(*chunks: Any, asked: int = 100, limited: bool = False) -> list[EngineEvent]:
    answer = ChatAnswer(asked, ChunkReader(), limited=limited)
    events = [event for chunk in (*chunks, "[DONE]") for event in answer.feed(frame(chunk))]
    assert answer.done
    return [*events, *answer.end()]


def test_text_delta_becomes_a_text_chunk() -> None:
    events = read(delta(role="assistant", content=None), delta(content="Hi"), STOP, usage(2))
    assert events == [TextChunk("Hi", 1), Finished(FinishReason.END_TURN, 1)]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_read_from_either_field(name: str) -> None:
    events = read(delta(**{name: "Hm"}), delta(content="Yes"), STOP)
    assert events[:2] == [ThinkingChunk("Hm", 1), TextChunk("Yes", 1)]


def test_tokens_add_up_to_the_reported_usage() -> None:
    events = read(delta(content="Hello"), delta(content=" you"), STOP, usage(9))
    assert sum(event.tokens for event in events) == 9


def test_usage_in_every_chunk_sets_its_tokens() -> None:
    chunks = [{**delta(content=text), **usage_only} for text, usage_only in (
        ("a", {"usage": {"completion_tokens": 1}}),
        ("b", {"usage": {"completion_tokens": 1}}),
    )]  # fmt: skip
    events = read(*chunks, STOP)
    assert [event.tokens for event in events] == [1, 0, 0]


def test_end_takes_back_what_the_server_has_not_counted() -> None:
    events = read(delta(content="a"), delta(content="b"), STOP, usage(1))
    assert events[-1] == Finished(FinishReason.END_TURN, -1)


def test_calls_that_interleave_come_one_after_the_other() -> None:
    events = read(
        call(0, '{"a":', "first"),
        call(1, '{"b":', "second"),
        call(0, "1}"),
        call(1, "2}"),
        delta(content="done"),
        finish("tool_calls"),
    )
    assert [event for event in events if not isinstance(event, ToolCallJson)] == [
        ToolCallStart("first", 1),
        ToolCallStart("second", 1),
        TextChunk("done", 1),
        Finished(FinishReason.END_TURN),
    ]
    calls = [block for block in assembled(events).content if isinstance(block, ToolUseBlock)]
    assert [(one.name, one.input) for one in calls] == [("first", {"a": 1}), ("second", {"b": 2})]


def test_current_call_is_streamed() -> None:
    answer = ChatAnswer(100, ChunkReader(), limited=False)
    answer.feed(frame(call(0, "", "first")))
    assert answer.feed(frame(call(0, '{"a":1}'))) == [ToolCallJson('{"a":1}', 1)]
    assert answer.feed(frame(call(1, "", "second"))) == [ToolCallStart("second", 1)]


def test_calls_without_an_index_are_told_apart_by_their_names() -> None:
    events = read(call(None, "{}", "a"), call(None, "{}", "b"), finish("tool_calls"))
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["a", "b"]


def test_calls_of_one_index_are_told_apart_by_their_ids() -> None:
    events = read(call(0, "{}", "a", id="1"), call(0, "{}", "b", id="2"), finish("tool_calls"))
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["a", "b"]


@pytest.mark.parametrize(
    ("tokens", "asked", "limited", "reason"),
    [
        (5, 5, False, FinishReason.MAX_TOKENS),
        (3, 5, False, FinishReason.CONTEXT_WINDOW),
        (None, 5, False, FinishReason.MAX_TOKENS),
        (None, 5, True, FinishReason.CONTEXT_WINDOW),
    ],
)
def test_finish_by_length_is_max_tokens_or_context_window(
    tokens: int | None, asked: int, limited: bool, reason: FinishReason
) -> None:
    events = read(finish("length"), usage(tokens), asked=asked, limited=limited)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason is reason


def test_content_filter_and_refusal_text_finish_as_refusal() -> None:
    filtered = read(delta(content="a"), finish("content_filter"))
    assert filtered == [TextChunk("a", 1), Finished(FinishReason.REFUSAL)]
    assert read(delta(refusal="No."), STOP) == [
        TextChunk("No.", 1),
        Finished(FinishReason.REFUSAL),
    ]


def test_cut_call_keeps_its_complete_part() -> None:
    events = read(call(0, '{"a":1,"b":', "f"), finish("length"))
    (block,) = assembled(events).content
    assert isinstance(block, ToolUseBlock)
    assert block.input == {"a": 1}


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        ["{"],
        ["[]"],
        ['"text"'],
        ["[" * 100_000],
        [{"choices": 5}],
        [delta(tool_calls=[{"index": -1}])],
        [usage(-1)],
        [usage("many")],
        [usage(10**30)],
        [delta(content="a"), {"choices": [{"index": 1, "delta": {"content": "b"}}]}],
        [call(0, "{}")],
        [call(None, "{}")],
        [call(0, "[]", "f"), STOP],
        [call(0, "{", "f"), STOP],
        [call(0, "{}}", "f"), STOP],
        [call(0, "{}", "f"), delta(content="x"), call(0, "more"), STOP],
        [finish("abort")],
        [{"error": "out of memory"}],
        [{"error": {"message": "out of memory", "code": "x"}}],
        [{"error": []}],
        [{"object": "error", "message": "out of memory", "code": 500}],
    ],
)
def test_illegal_stream_fails(chunks: list[Any]) -> None:
    with pytest.raises(EngineError) as caught:
        read(*chunks)
    assert caught.value.kind is EngineErrorKind.FAILED
    assert str(caught.value).startswith("upstream")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, EngineErrorKind.UNSUPPORTED),
        (429, EngineErrorKind.OVERLOADED),
        (504, EngineErrorKind.TIMEOUT),
    ],
)
def test_code_of_an_error_in_a_stream_sets_its_kind(code: int, kind: EngineErrorKind) -> None:
    with pytest.raises(EngineError) as caught:
        read(delta(content="a"), {"error": {"message": "because", "code": code}})
    assert caught.value.kind is kind
    # An upstream may quote the prompt: its words are for the caller, never for the log.
    assert ("because" in str(caught.value)) == (kind is EngineErrorKind.UNSUPPORTED)


TEXTS = st.text('ab{}"\\ \ufffd\n', max_size=4)
CALLS = st.builds(
    call,
    st.sampled_from([None, 0, 1, 2]),
    st.one_of(TEXTS, st.sampled_from(["{}", '{"a":', "1}", '"b"}', "[]"])),
    st.sampled_from([None, "f", "g"]),
    id=st.sampled_from([None, "x", "y"]),
)
CHUNKS = st.one_of(
    st.builds(delta, content=TEXTS),
    st.builds(delta, reasoning_content=TEXTS),
    CALLS,
    CALLS,
    st.builds(usage, st.integers(0, 9)),
    st.builds(finish, st.sampled_from(["stop", "length", "tool_calls"])),
)


@given(st.lists(CHUNKS, max_size=12), st.sampled_from(["stop", "length", "tool_calls"]))
def test_any_chunks_make_a_legal_message_or_an_engine_error(
    chunks: list[dict[str, Any]], reason: str
) -> None:
    try:
        events = read(*chunks, finish(reason))
    except EngineError as error:
        assert error.kind is EngineErrorKind.FAILED  # noqa: PT017 - not every example raises
        return
    assert all(event.tokens >= 0 for event in events[:-1])
    assert assembled(events).usage.output_tokens >= 0


@given(st.permutations([(i, part) for i in range(3) for part in range(3)]))
def test_calls_survive_every_interleaving(order: list[tuple[int, int]]) -> None:
    """Each call's own pieces stay in order; between calls anything goes."""
    pieces = {i: iter(['{"n":', str(i), "}"]) for i in range(3)}
    named: set[int] = set()
    chunks = []
    for i, _ in order:
        chunks.append(call(i, next(pieces[i]), None if i in named else f"f{i}"))
        named.add(i)
    message = assembled(read(*chunks, finish("tool_calls")))
    found = {(b.name, b.input["n"]) for b in message.content if isinstance(b, ToolUseBlock)}
    assert found == {("f0", 0), ("f1", 1), ("f2", 2)}
