"""Answers of servers that are not quite what the Claude API says: what is plain is read."""

import json
from typing import Any

import pytest

from antiphon.engines.base import (
    EngineError,
    EngineEvent,
    Finished,
    FinishReason,
    Started,
    TextChunk,
    ThinkingChunk,
    ThinkingSignature,
)
from antiphon.engines.upstream.messages_api.answer import UpstreamMessage
from antiphon.engines.upstream.messages_api.events import Reader
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.wire.content import ToolUseBlock
from antiphon.wire.sse import Frame
from support.assembling import assembled

ENVELOPE = ProofEnvelope("http://x", "m")
START = {"type": "message_start", "message": {}}
STOP = {"type": "message_stop"}


def begin(index: Any, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: Any, **said: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": said}


def close(index: Any) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: Any = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def started(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"usage": usage}}


TEXT = [begin(0, type="text", text=""), piece(0, type="text_delta", text="Hi"), close(0)]


def frame(event: Any) -> Frame:
    if isinstance(event, Frame):
        return event
    if isinstance(event, str):
        return Frame("message", event)
    return Frame(event.get("type") or "message", json.dumps(event))


def read(*events: Any, asked: int = 100) -> list[EngineEvent]:
    answer = UpstreamMessage(asked, ENVELOPE, Reader(), limited=False)
    found = [said for event in events for said in answer.feed(frame(event))]
    return [*found, *answer.end()]


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextChunk))


def calls_of(events: list[EngineEvent]) -> list[tuple[str, Any]]:
    content = assembled(events).content
    return [(block.name, block.input) for block in content if isinstance(block, ToolUseBlock)]


@pytest.mark.parametrize(
    ("start", "end", "prompt"),
    [
        ({"input_tokens": 0}, {"input_tokens": 33, "cache_read_input_tokens": 11},
         Started(input_tokens=44, cache_read_tokens=11)),
        ({"input_tokens": 9}, {"input_tokens": 33.0, "cache_read_input_tokens": "11"},
         Started(input_tokens=44, cache_read_tokens=11)),
        ({"input_tokens": 9}, {"input_tokens": 0}, Started(input_tokens=9)),
        ({"input_tokens": 9, "cache_read_input_tokens": 5}, {"input_tokens": 10},
         Started(input_tokens=15, cache_read_tokens=5)),
        ({"input_tokens": 9}, {"input_tokens": 0, "cache_read_input_tokens": 9},
         Started(input_tokens=9, cache_read_tokens=9)),
        ({}, {"input_tokens": 1, "cache_creation_input_tokens": 7},
         Started(input_tokens=8, cache_write_5m_tokens=7)),
        ({}, {"input_tokens": 1, "cache_creation_input_tokens": 7,
              "cache_creation": {"ephemeral_1h_input_tokens": 5}},
         Started(input_tokens=8, cache_write_5m_tokens=2, cache_write_1h_tokens=5)),
        ({}, {"input_tokens": -1}, None),
        ({}, {}, None),
    ],
)  # fmt: skip
def test_end_has_the_prompt_as_the_server_counted_it_last(
    start: dict[str, Any], end: dict[str, Any], prompt: Started | None
) -> None:
    assert read(started(**start), *TEXT, ending(**end), STOP)[-1] == Finished(
        FinishReason.END_TURN, prompt=prompt
    )


@pytest.mark.parametrize("tokens", [5, 5.0, "5"])
def test_count_of_another_type_is_read(tokens: Any) -> None:
    assert read(START, *TEXT, ending(output_tokens=tokens), STOP)[-1].tokens == 4


@pytest.mark.parametrize("tokens", [0, -1, "many", None, 10**30])
def test_count_that_says_nothing_is_left_out(tokens: Any) -> None:
    assert read(START, *TEXT, ending(output_tokens=tokens), STOP)[-1].tokens == 0


def test_end_takes_back_what_the_server_has_not_counted() -> None:
    pieces = [piece(0, type="text_delta", text=text) for text in "Hello"]
    events = read(START, TEXT[0], *pieces, close(0), ending(output_tokens=2), STOP)
    assert sum(event.tokens for event in events) == 2


@pytest.mark.parametrize("reason", ["eos", "", None, "compaction", 5])
def test_unknown_reason_is_the_end_of_the_turn(reason: Any) -> None:
    assert read(START, *TEXT, ending(reason), STOP)[-1] == Finished(FinishReason.END_TURN)


@pytest.mark.parametrize(
    "events",
    [
        [*TEXT, ending(), STOP],
        [START, START, *TEXT, ending(), STOP],
        [*TEXT, started(input_tokens=9), ending(), STOP],
        [START, *TEXT[1:], ending(), STOP],
        [START, *TEXT[:2], ending(), STOP],
        [START, TEXT[1], ending()],
        [START, *TEXT, ending()],
        [START, *TEXT, STOP],
        [START, *TEXT, "[DONE]"],
        [START, *TEXT, ending(), "[DONE] "],
        [START, ending(), *TEXT, STOP],
        [START, close(3), *TEXT, ending(), STOP],
        [START, begin("0", type="text"), piece("0", type="text_delta", text="Hi"), close("0"),
         ending(), STOP],
        [START, begin(0.0, type="text"), piece(0.0, text="Hi"), close(None), ending(), STOP],
        [START, begin(7, type="text"), piece(7, type="text_delta", text="Hi"), close(7),
         ending(), STOP],
        [START, begin(0, type="text", text=None), piece(0, type="text_delta", text=["H", "i"]),
         ending(), STOP],
        [START, begin(0, text="Hi"), close(0), ending(), STOP],
        [START, begin(0, type="text"), piece(0, type="delta of tomorrow"), piece(0, text="Hi"),
         close(0), ending(), STOP],
        [START, {**TEXT[1], "type": ""}, ending()],
        [Frame("ping", ""), Frame("ping", "ping"), Frame("message", " "), *TEXT, ending(), STOP],
        [Frame("news", json.dumps(event)) for event in (START, *TEXT, ending(), STOP)],
        [Frame(event["type"], json.dumps({**event, "type": None}))
         for event in (START, *TEXT, ending(), STOP)],
        [{key: value for key, value in event.items() if key != "type"}
         for event in (START, *TEXT, ending())],
        ["\n".join(map(json.dumps, (START, *TEXT, ending(), STOP)))],
        [{"type": "message", "content": [{"type": "text", "text": "Hi"}],
          "stop_reason": "end_turn"}],
        [START, {"type": "content_block_delta", "delta": "Hi"}, ending(None), "null", STOP],
    ],
)  # fmt: skip
def test_plain_text_is_read_however_it_comes(events: list[Any]) -> None:
    said = read(*events)
    assert text_of(said) == "Hi"
    assert said[-1].tokens == 0
    assert assembled([event for event in said if not isinstance(event, Started)])


def test_answer_without_its_end_fails() -> None:
    for events in ([START, *TEXT], [START, STOP], [STOP], [START, ending(None), STOP]):
        with pytest.raises(EngineError, match="in the middle"):
            read(*events)


TOOL = begin(0, type="tool_use", id="x", name="f", input={})
INPUT = [piece(0, partial_json='{"a"'), piece(0, partial_json=":1}")]


@pytest.mark.parametrize(
    "events",
    [
        [TOOL, *INPUT, close(0)],
        [TOOL, *INPUT],
        [begin("0", type="tool_use", id=5, name="f", input=None), *INPUT, close(0)],
        [begin(0, name="f"), *INPUT, close(0)],
        [TOOL, piece(0, partial_json={"a": 1}), close(0)],
        [begin(0, type="tool_use", id="x", name="f", input={"a": 1}), close(0)],
        [TOOL, piece(None, partial_json='{"a":1}'), close(None)],
        [TOOL, piece(4, partial_json='{"a":1}'), close(0)],
    ],
)
def test_plain_call_is_read_however_it_comes(events: list[Any]) -> None:
    assert calls_of(read(START, *events, ending("tool_use"), STOP)) == [("f", {"a": 1})]


def test_blocks_that_interleave_come_one_after_the_other() -> None:
    events = read(
        START,
        begin(0, type="tool_use", name="f"),
        begin(1, type="tool_use", name="g"),
        piece(1, partial_json='{"b":2}'),
        begin(2, type="text"),
        piece(2, text="Hi"),
        piece(0, partial_json='{"a":1}'),
        close(0),
        close(1),
        close(2),
        ending("tool_use"),
        STOP,
    )
    assert calls_of(events) == [("f", {"a": 1}), ("g", {"b": 2})]
    assert text_of(events) == "Hi"


def test_thinking_without_its_stop_keeps_its_signature() -> None:
    events = read(
        START,
        piece(0, thinking="Hm"),
        piece(0, signature="abc"),
        ending(),
    )
    assert events[:2] == [ThinkingChunk("Hm", 1), ThinkingSignature(ENVELOPE.close("abc"))]


def test_halves_of_a_character_are_joined() -> None:
    halves = [
        f'{{"type":"content_block_delta","index":0,"delta":{{"text":"{text}"}}}}'
        for text in ("a\\ud83d", "\\ude00b")
    ]
    events = read(START, TEXT[0], *halves, close(0), ending(), STOP)
    assert text_of(events) == "a😀b"


@pytest.mark.parametrize(
    "error", [{"type": "error", "error": "broken"}, {"type": "error"}, {"error": {"message": 5}}]
)
def test_error_of_any_form_is_one(error: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as caught:
        read(START, *TEXT, error)
    assert "broken" not in str(caught.value)
