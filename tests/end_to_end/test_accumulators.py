"""Whatever streams the server can write, the official SDKs build the same message of them."""

import base64
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.assembly import AnswerSpec, Assembly
from antiphon.core.documents import Pages
from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    Started,
    TextChunk,
    ThinkingChunk,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.wire.events import MessageDelta, Ping, StreamEvent
from antiphon.wire.fold import fold
from antiphon.wire.sse import EventEncoder
from support.assembling import STARTED
from support.node import node
from support.sources import search_result, sources_of

# Integers that are exact in JavaScript as well. No signed zeros, and no exponents: of those the
# TypeScript SDKs, the older line above all, make other numbers than JSON says.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.integers(-(10**6), 10**6).map(lambda number: number / 1000)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
COST = st.integers(0, 3)
SOURCES = sources_of(
    ["The grass is green. The sky is blue.", Pages(("Page one.",)), search_result("A result.")]
)
CLAIMS = st.lists(
    st.sampled_from(["The grass is green. ", "It is", " [source 2]", "[source 3, 4]", ".", "\n"]),
    min_size=2,
    max_size=6,
).map(lambda texts: [TextChunk(text, 1) for text in texts])
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["\n\n", "\r", "data: x\n\n", "\u2028", "END", "e\u0301", "\U0001f600"]
)


@st.composite
def calls(draw: st.DrawFn) -> list[EngineEvent]:
    """One call, its input cut anywhere."""
    value = draw(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    start: EngineEvent = ToolCallStart(draw(st.sampled_from(["f", "get_weather"])), draw(COST))
    return [start, *(ToolCallJson(piece, draw(COST)) for piece in pieces)]


@st.composite
def answers(draw: st.DrawFn) -> list[StreamEvent]:
    """What the assembly says of an answer of an engine, with pings where a server adds them."""
    said = draw(
        st.lists(
            st.builds(TextChunk, TEXTS, COST).map(lambda event: [event])
            | CLAIMS
            | st.builds(ThinkingChunk, TEXTS, COST).map(lambda event: [event])
            | calls(),
            max_size=8,
        )
    )
    ids = iter(range(100))
    spec = AnswerSpec(
        "msg_01",
        "claude-opus-5-5",
        stop_sequences=draw(st.sampled_from([(), ("END",)])),
        streamed=draw(st.booleans()),
        shows_thinking=draw(st.booleans()),
        tool_use_id=lambda: f"toolu_{next(ids):024}",
        sign=lambda thinking, _: base64.b64encode(thinking.encode()).decode(),
        sources=draw(st.sampled_from([None, SOURCES])),
    )
    ending = Finished(draw(st.sampled_from(FinishReason)), draw(COST))
    started = Started(input_tokens=draw(st.integers(0, 10**6)))
    events = streamed(spec, started, [*(event for part in said for event in part), ending])
    for place in draw(st.lists(st.integers(1, len(events) - 1), max_size=2)):
        events.insert(place, Ping())
    return events


def streamed(spec: AnswerSpec, started: Started, fed: Iterable[EngineEvent]) -> list[StreamEvent]:
    assembly = Assembly(spec, started)
    events: list[StreamEvent] = [assembly.start()]
    for event in fed:
        if not assembly.ended:
            events += assembly.feed(event)
    return events


def encoded(events: Iterable[StreamEvent]) -> bytes:
    encoder = EventEncoder()
    return b"".join(map(encoder.encode, events))


def message_of(events: list[StreamEvent]) -> Any:
    return plain(json.loads(msgspec.json.encode(fold(events))))


class Replay(httpx2.BaseTransport):
    """Answers every request with the same stream."""

    def __init__(self) -> None:
        self.stream = b""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=self.stream, request=request)


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay()


@pytest.fixture(scope="module")
def sdk(replay: Replay) -> Iterator[anthropic.Anthropic]:
    with (
        httpx2.Client(transport=replay) as http,
        anthropic.Anthropic(
            api_key="none", base_url="http://replay", http_client=http, max_retries=0
        ) as client,
    ):
        yield client


def accumulated(sdk: anthropic.Anthropic, replay: Replay, events: list[StreamEvent]) -> Any:
    """The message that the Python SDK builds of a stream."""
    replay.stream = encoded(events)
    with sdk.messages.stream(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
    ) as stream:
        return plain(stream.get_final_message().to_dict(mode="json"))


def plain(message: Any) -> Any:
    """Leave out what the SDK adds."""
    for part in (message, *message["content"]):
        part.pop("parsed_output", None)
    return message


@pytest.mark.covers("events: citations_delta", "effect")
@given(events=answers())
def test_the_python_sdk_builds_the_message_that_the_fold_does(
    sdk: anthropic.Anthropic, replay: Replay, events: list[StreamEvent]
) -> None:
    assert accumulated(sdk, replay, events) == message_of(events)


def recorded(amount: int) -> list[list[StreamEvent]]:
    """The same streams at every run."""
    streams: list[list[StreamEvent]] = []

    @settings(max_examples=amount, derandomize=True, database=None)
    @given(answers())
    def collect(events: list[StreamEvent]) -> None:
        streams.append(events)

    collect()
    return streams


def cut(stream: bytes, chance: random.Random) -> list[bytes]:
    places = sorted(chance.randrange(len(stream)) for _ in range(chance.randrange(4)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


def replayed(streams: Iterable[list[StreamEvent]], path: Path) -> None:
    """Have both lines of the TypeScript SDK build the messages of these streams."""
    chance = random.Random(1)  # noqa: S311 - the same cuts at every run
    with path.open("w", encoding="utf-8") as file:
        for events in streams:
            pieces = cut(encoded(events), chance)
            case = {
                "pieces": [base64.b64encode(piece).decode() for piece in pieces],
                "message": message_of(events),
            }
            file.write(json.dumps(case) + "\n")
    node("replay.mjs", str(path))


@pytest.mark.usefixtures("typescript")
@pytest.mark.parametrize("amount", [40, pytest.param(300, marks=pytest.mark.soak)])
def test_the_typescript_sdk_builds_the_message_that_the_fold_does(
    tmp_path: Path, amount: int
) -> None:
    streams = recorded(amount)
    assert len(streams) >= amount
    cited = [stream for stream in streams if b"citations_delta" in encoded(stream)]
    assert len(cited) >= amount // 30
    replayed(streams, tmp_path / "streams.jsonl")


CUT_INPUTS = [
    "",
    "{",
    '{"a',
    '{"a"',
    '{"a":',
    '{"a": "b',
    '{"a": "b"',
    '{"a": "b",',
    '{"a": "b", "c": 1,',
    '{"a": "b", "c": tr',
    '{"a": [1, {"b": "c"}',
    '{"a": {"b": {"c": "d',
]
# What may have been cut in the middle of a number the SDKs read in different ways.
UNCERTAIN_INPUTS = ['{"a": "b", "c": 1', '{"a": "b", "c": true', '{"a": [1, 2']


def called(text: str) -> list[StreamEvent]:
    """The stream of a call whose input ends here, because there were no more tokens."""
    fed = (
        TextChunk("I call.", 1),
        ToolCallStart("f", 1),
        ToolCallJson(text, 1),
        Finished(FinishReason.MAX_TOKENS),
    )
    return streamed(AnswerSpec("msg_01", "m"), STARTED, fed)


@pytest.mark.parametrize("text", CUT_INPUTS)
def test_the_python_sdk_takes_an_input_that_was_cut(
    sdk: anthropic.Anthropic, replay: Replay, text: str
) -> None:
    events = called(text)
    assert accumulated(sdk, replay, events) == message_of(events)


@pytest.mark.parametrize("text", UNCERTAIN_INPUTS)
def test_the_python_sdk_keeps_the_certain_part_of_a_cut_input(
    sdk: anthropic.Anthropic, replay: Replay, text: str
) -> None:
    events = called(text)
    messages = [accumulated(sdk, replay, events), message_of(events)]
    inputs = [message["content"][-1].pop("input") for message in messages]
    assert messages[0] == messages[1]
    assert set(inputs[0]) >= set(inputs[1])


@pytest.mark.usefixtures("typescript")
def test_the_typescript_sdk_takes_an_input_that_was_cut(tmp_path: Path) -> None:
    replayed(map(called, CUT_INPUTS), tmp_path / "streams.jsonl")


def test_the_final_usage_is_what_the_python_sdk_hands_out(
    sdk: anthropic.Anthropic, replay: Replay
) -> None:
    events = streamed(
        AnswerSpec("msg_01", "m"),
        STARTED,
        (ThinkingChunk("So.", 2), TextChunk("Hi", 1), Finished(FinishReason.END_TURN, 1)),
    )
    ending = next(event for event in events if isinstance(event, MessageDelta))
    usage = accumulated(sdk, replay, events)["usage"]
    assert usage["output_tokens"] == ending.usage.output_tokens == 4
    assert usage["output_tokens_details"]["thinking_tokens"] == 2
