"""Answers of servers that are not quite what chat completions say: what is plain is read."""

import json
from typing import Any

import msgspec
import pytest

from antiphon.engines.base import (
    EngineError,
    EngineEvent,
    Finished,
    FinishReason,
    Started,
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
    return Frame("message", value if isinstance(value, str) else json.dumps(value))


def read(*chunks: Any, asked: int = 100, done: bool = True) -> list[EngineEvent]:
    answer = ChatAnswer(asked, ChunkReader(), limited=False)
    events = [event for chunk in chunks for event in answer.feed(frame(chunk))]
    if done:
        events += answer.feed(Frame("message", "[DONE]"))
    return [*events, *answer.end()]


def delta(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said}]}


def finish(reason: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def call(**piece: Any) -> dict[str, Any]:
    return delta(tool_calls=[piece])


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextChunk))


def calls_of(events: list[EngineEvent]) -> list[tuple[str, Any]]:
    content = assembled(events).content
    return [(block.name, block.input) for block in content if isinstance(block, ToolUseBlock)]


@pytest.mark.parametrize(
    "reason", ["eos", "eos_token", "EOS", "", None, "end_turn", "of tomorrow", {"type": "stop"}, 7]
)
def test_unknown_reason_is_the_end_of_the_turn(reason: Any) -> None:
    events = read(delta(content="Hi"), finish(reason))
    assert events == [TextChunk("Hi", 1), Finished(FinishReason.END_TURN)]


def test_empty_reason_of_each_chunk_does_not_end_the_answer() -> None:
    chunks = [
        {"choices": [{"delta": {"content": text}, "finish_reason": ""}]} for text in ("Hi", " you")
    ]
    assert text_of(read(*chunks, finish("length"))) == "Hi you"
    with pytest.raises(EngineError, match="in the middle"):
        read(*chunks, done=False)


def test_unknown_reason_after_a_call_is_tool_use() -> None:
    events = read(call(id="1", function={"name": "f", "arguments": "{}"}), finish("eos"))
    assert assembled(events).stop_reason == "tool_use"


def test_unknown_reason_of_an_answer_as_long_as_it_may_be_is_the_limit() -> None:
    usage = {"choices": [], "usage": {"completion_tokens": 3}}
    assert read(delta(content="Hi"), finish(""), usage, asked=3)[-1] == Finished(
        FinishReason.MAX_TOKENS, 2
    )


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("max_tokens", FinishReason.MAX_TOKENS),
        ("LENGTH", FinishReason.MAX_TOKENS),
        ("model_length", FinishReason.CONTEXT_WINDOW),
        ("SAFETY", FinishReason.REFUSAL),
        ("refusal", FinishReason.REFUSAL),
    ],
)
def test_other_words_for_a_reason_are_understood(reason: str, expected: FinishReason) -> None:
    assert read(delta(content="Hi"), finish(reason))[-1] == Finished(expected)


@pytest.mark.parametrize("reason", ["abort", "error", "cancelled", "insufficient_system_resource"])
def test_answer_that_was_broken_off_fails(reason: str) -> None:
    with pytest.raises(EngineError, match="broken off"):
        read(delta(content="Hi"), finish(reason))


CALL = ("f", {"a": 1})


@pytest.mark.parametrize(
    "chunks",
    [
        [call(index=0, id="x", function={"arguments": '{"a"'}),
         call(index=0, function={"name": "f", "arguments": ":1}"})],
        [call(index=0, id="x", function={"name": None, "arguments": '{"a":1}'}),
         call(index=0, function={"name": "f"})],
        [call(index=0, id="x", function={"name": "", "arguments": ""}),
         call(index=0, function={"name": "f"}), call(index=0, function={"arguments": '{"a":1}'})],
        [call(id="x", function={"arguments": '{"a":1}'}), call(function={"name": "f"})],
        [call(function={"arguments": '{"a":1}'}), call(id="x", function={"name": "f"})],
        [call(index=0, id="x"), call(index=0, function=None),
         call(index=0, function={"name": "f", "arguments": '{"a":1}'})],
        [call(index=0, function={"name": "f", "arguments": {"a": 1}})],
        [call(index="0", id=5, function={"name": "f", "arguments": '{"a"'}),
         call(index=0.0, id=5, function={"arguments": ":1}"})],
        [call(index=0, id="x", function={"name": "f", "arguments": '{"a"'}),
         call(index=0, id="y", function={"name": "f", "arguments": ":1}"})],
        [call(index=0, id="x", function={"name": "f", "arguments": "{}"}),
         call(index=0, function={"arguments": '{"a":1}'})],
        [call(index=0, id="x", function={"name": "f", "arguments": '{"a":1}'}),
         call(index=0, id="x", function={"name": "f", "arguments": '{"a":1}'})],
        [call(index=0, id="x", function={"name": "f", "arguments": '{"a":1}'}),
         call(index=0, function={"arguments": "\n"})],
        [call(name="f", arguments={"a": 1})],
        [delta(tool_calls={"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}})],
        [delta(function_call={"name": "f", "arguments": '{"a"'}),
         delta(function_call={"arguments": ":1}"})],
        [call(index=0), call(index=1, function={"name": "f", "arguments": '{"a":1}'})],
    ],
)  # fmt: skip
def test_pieces_of_one_call_in_any_order_are_one_call(chunks: list[Any]) -> None:
    assert calls_of(read(*chunks, finish("tool_calls"))) == [CALL]


def test_empty_list_is_an_input_without_fields() -> None:
    assert calls_of(read(call(function={"name": "f", "arguments": []}), STOP)) == [("f", {})]


def test_new_ids_for_each_piece_do_not_split_a_call() -> None:
    pieces = [call(index=0, id="1", function={"name": "f"})]
    pieces += [call(index=0, id=str(i), function={"arguments": x}) for i, x in enumerate('{"a":1}')]
    assert calls_of(read(*pieces, STOP)) == [CALL]


def test_calls_of_index_0_are_told_apart() -> None:
    same = {"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}}
    other = {"index": 0, "function": {"name": "g", "arguments": "{}"}}
    assert calls_of(read(call(**same), call(**other), call(**same), STOP)) == [
        CALL,
        ("g", {}),
        CALL,
    ]


def test_text_behind_a_call_without_a_name_waits_for_it() -> None:
    answer = ChatAnswer(100, ChunkReader(), limited=False)
    assert answer.feed(frame(call(index=0, function={"arguments": '{"a":1}'}))) == []
    assert answer.feed(frame(delta(content="Hi"))) == []
    assert answer.feed(frame(call(index=0, function={"name": "f"}))) == [
        ToolCallStart("f", 1),
        ToolCallJson('{"a":1}', 1),
        TextChunk("Hi", 1),
    ]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        ["a", {"text": "b"}],
        {"type": "text", "text": "ab"},
        [{"type": "text", "text": {"value": None, "content": "ab"}}],
    ],
)
def test_content_in_parts_is_text(content: Any) -> None:
    assert text_of(read(delta(content=content), STOP)) == "ab"


def test_thinking_in_parts_of_the_content_is_thinking() -> None:
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    events = read(delta(content=[part]), delta(content="Yes"), STOP)
    assert events[:2] == [ThinkingChunk("Hm", 1), TextChunk("Yes", 1)]


def test_number_as_content_is_read_as_it_is_written() -> None:
    assert text_of(read(delta(content=5), delta(content=" %"), STOP)) == "5 %"


@pytest.mark.parametrize(
    "odd",
    [
        delta(content=None, tool_calls=None, role=7, refusal=None),
        {"choices": None},
        {"choices": {}},
        delta(content={"type": []}),
        delta(content=[{"type": {}, "text": None}]),
        {"choices": [None]},
        {"choices": [{"delta": None}]},
        {"choices": [{"index": None, "delta": {"content": ""}}], "usage": []},
        {},
        None,
        "",
        " ",
        "null",
    ],
)
def test_what_says_nothing_is_passed_over(odd: Any) -> None:
    events = read(delta(content="a"), odd, delta(content="b"), STOP)
    assert events[:2] == [TextChunk("a", 1), TextChunk("b", 1)]


def test_done_may_have_space_around_it() -> None:
    answer = ChatAnswer(100, ChunkReader(), limited=False)
    answer.feed(frame(delta(content="a")))
    answer.feed(Frame("message", "[DONE] "))
    assert answer.done
    assert answer.end() == [Finished(FinishReason.END_TURN)]


def test_done_without_any_answer_fails() -> None:
    with pytest.raises(EngineError, match="in the middle"):
        read(delta(role="assistant"), call(index=-1))


def test_reason_without_done_is_an_end() -> None:
    assert text_of(read(delta(content="a"), STOP, done=False)) == "a"


def test_text_behind_the_reason_is_kept() -> None:
    assert text_of(read(delta(content="a"), STOP, delta(content="b"))) == "ab"


def test_events_that_a_line_end_separates_are_read() -> None:
    lines = "\n".join(json.dumps(delta(content=text)) for text in "ab")
    assert text_of(read(lines, STOP)) == "ab"


def test_whole_message_without_a_stream_is_read() -> None:
    message = {"role": "assistant", "content": "Hi", "tool_calls": None}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    whole = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    assert read(whole, done=False) == [
        TextChunk("Hi", 1),
        Finished(FinishReason.END_TURN, 3, prompt=Started(input_tokens=9)),
    ]


def test_whole_message_at_the_end_of_a_stream_is_not_read_twice() -> None:
    last = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert text_of(read(delta(content="Hi"), last)) == "Hi"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (['"a\\ud83d"', '"\\ude00b"'], "a😀b"),
        (['"\\ud83d"', '""', '"\\ude00"'], "😀"),
        (['"a\\ud83d"', '"b"'], "ab"),
        (['"a\\ude00b"'], "ab"),
        (['"a"', '"\\ud83d"'], "a"),
        (['"a\\ud83d\\ude00"'], "a😀"),
        (['"\\u00e9\\ud83d"', '"\\ud83d\\ude00é"'], "é😀é"),
    ],
)
def test_halves_of_a_character_are_joined(texts: list[str], expected: str) -> None:
    chunks = [f'{{"choices":[{{"delta":{{"content":{text}}}}}]}}' for text in texts]
    assert text_of(read(*chunks, STOP)) == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (['{"a":"\\ud83d', '\\ude00"}'], "😀"),
        (['{"a":"\\ud8', '3d\\ude00"}'], "😀"),
        (['{"a":"\\', 'ud83d"}'], "\ufffd"),
        (['{"a":"\\ud83d"}'], "\ufffd"),
        (['{"a":"\\ude00"}'], "\ufffd"),
        (['{"a":"\\\\ud83d"}'], "\\ud83d"),
        (['{"a":"\ud83d', '\ude00"}'], "😀"),
        (['{"a":"\ud83d"}'], "\ufffd"),
    ],
)
def test_halves_of_a_character_in_an_input_are_joined(pieces: list[str], expected: str) -> None:
    first = call(index=0, function={"name": "f"})
    chunks = [call(index=0, function={"arguments": piece}) for piece in pieces]
    assert calls_of(read(first, *chunks, STOP)) == [("f", {"a": expected})]


def usage(**counts: Any) -> dict[str, Any]:
    return {"choices": [], "usage": counts}


@pytest.mark.parametrize(
    ("counts", "prompt"),
    [
        ({"prompt_tokens": 100}, Started(input_tokens=100)),
        ({"prompt_tokens": 100.0}, Started(input_tokens=100)),
        ({"prompt_tokens": "100"}, Started(input_tokens=100)),
        ({"prompt_tokens": 100, "cached_tokens": 80},
         Started(input_tokens=100, cache_read_tokens=80)),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 80}},
         Started(input_tokens=100, cache_read_tokens=80)),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": "80"}},
         Started(input_tokens=100, cache_read_tokens=80)),
        ({"prompt_tokens": 100, "prompt_tokens_details": None, "prompt_cache_hit_tokens": 80},
         Started(input_tokens=100, cache_read_tokens=80)),
        ({"prompt_tokens": 100, "cache_read_input_tokens": 80},
         Started(input_tokens=100, cache_read_tokens=80)),
        ({"prompt_tokens": 100, "cached_tokens": 800},
         Started(input_tokens=100, cache_read_tokens=100)),
        ({"prompt_tokens": 100, "cached_tokens": -1}, Started(input_tokens=100)),
        ({"prompt_tokens": 0}, None),
        ({"prompt_tokens": "many", "cached_tokens": 80}, None),
        ({"prompt_tokens": True}, None),
    ],
)  # fmt: skip
def test_end_has_the_prompt_as_the_server_counted_it(
    counts: dict[str, Any], prompt: Started | None
) -> None:
    end = read(delta(content="Hi"), STOP, usage(**counts))[-1]
    assert end == Finished(FinishReason.END_TURN, prompt=prompt)


def test_usage_in_the_choice_counts() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 9}}
    end = read(delta(content="Hi"), {"choices": [choice]})[-1]
    assert end == Finished(FinishReason.END_TURN, prompt=Started(input_tokens=9))


@pytest.mark.parametrize(
    ("tokens", "rest"), [(5.0, 4), ("5", 4), (0, 0), (-1, 0), ("many", 0), (10**30, 0), (5.5, 0)]
)
def test_counts_of_other_types_are_read_or_left_out(tokens: Any, rest: int) -> None:
    end = read(delta(content="Hi"), STOP, usage(completion_tokens=tokens))[-1]
    assert end == Finished(FinishReason.END_TURN, rest)


@pytest.mark.parametrize("deep", ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900])
def test_values_nested_too_deeply_fail(deep: str) -> None:
    chunk = f'{{"choices":[{{"delta":{{"content":5,"tool_calls":[{{"name":{deep}}}]}}}}]}}'
    try:
        read(chunk, STOP)
    except EngineError as error:
        assert "upstream failed" in str(error)  # noqa: PT017


def test_error_of_the_server_is_never_quoted_from_its_json() -> None:
    with pytest.raises(EngineError) as caught:
        read('{"choices": [{"delta": {"content": secret}}]}')
    assert "secret" not in str(caught.value)


def test_pieces_of_an_input_are_looked_at_a_fixed_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call that waits for its end does not make each piece behind it dearer."""
    decoded: list[int] = []
    decode = msgspec.json.decode

    def counting(text: Any, **more: Any) -> Any:
        decoded.append(len(text))
        return decode(text, **more)

    monkeypatch.setattr(msgspec.json, "decode", counting)
    first = call(index=0, function={"name": "f", "arguments": '{"a":"' + "x" * 50_000})
    pieces = [call(index=1, function={"name": "g", "arguments": '{"b":['})]
    pieces += [call(index=1, function={"arguments": piece}) for piece in ("[]", ",", "{}") * 500]
    answer = ChatAnswer(100, ChunkReader(), limited=False)
    given = [frame(chunk) for chunk in (first, *pieces)]
    for one in given:
        answer.feed(one)
    assert sum(decoded) <= 2 * sum(len(one.data) for one in given)
