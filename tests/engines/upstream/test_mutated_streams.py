"""Valid answers with mistakes: types changed, events cut, doubled, lost and in another order.

Each ends with a complete answer or with one `EngineError`. A complete answer has every text that
was received, and mistakes that leave the meaning plain change nothing at all.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from antiphon.engines.base import (
    EngineError,
    EngineEvent,
    Prompt,
    Started,
    TextChunk,
    ThinkingChunk,
    Tool,
)
from antiphon.engines.upstream.chat_completions.answer import ChatAnswer
from antiphon.engines.upstream.chat_completions.chunks import ChunkReader
from antiphon.engines.upstream.checked_calls import CheckedCalls
from antiphon.engines.upstream.messages_api.answer import UpstreamMessage
from antiphon.engines.upstream.messages_api.events import Reader
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.wire.content import TextBlock, ToolUseBlock
from antiphon.wire.messages import Message
from antiphon.wire.sse import Frame, FrameDecoder
from support.assembling import assembled
from support.conversation import turn

Stream = list[dict[str, Any]]
WORDS = ("alpha", "beta", "gamma")
READER = Reader()


def chat(
    texts: tuple[str, ...] = WORDS, reason: str = "stop", indices: tuple[Any, ...] = (0, 1)
) -> Stream:
    """A valid stream of chat completions: thinking, text, two calls, the reason, the usage."""
    said = [{"role": "assistant", "content": ""}, {"reasoning_content": "Hm"}]
    said += [{"content": text} for text in texts]
    for number, index in enumerate(indices):
        name, first = f"f{number}", {"index": index, "id": f"call_{number}", "type": "function"}
        said.append({"tool_calls": [{**first, "function": {"name": name, "arguments": ""}}]})
        pieces = ('{"city":', f'"Rome {number}"', "}")
        said += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces
        ]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in said]
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "cached_tokens": 80}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    return [*chunks, end, {"choices": [], "usage": usage}]


def messages(texts: tuple[str, ...] = WORDS) -> Stream:
    """A valid stream of the Claude API: text, a call, the reason and the usage."""
    text = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": one}}
        for one in texts
    ]
    tool = {"type": "tool_use", "id": "toolu_1", "name": "f0", "input": {}}
    usage = {"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 20}
    return [
        {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *text,
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        *(
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": piece},
            }
            for piece in ('{"city":', '"Rome 0"', "}")
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
        {"type": "message_stop"},
    ]


def as_chat(frames: list[Frame]) -> list[EngineEvent]:
    answer = ChatAnswer(100, ChunkReader(), limited=False)
    events = [event for frame in frames for event in answer.feed(frame)]
    return [*events, *answer.end()]


def as_messages(frames: list[Frame]) -> list[EngineEvent]:
    answer = UpstreamMessage(100, ProofEnvelope("http://x", "m"), READER, limited=False)
    events = [event for frame in frames for event in answer.feed(frame)]
    return [event for event in (*events, *answer.end()) if not isinstance(event, Started)]


TOOLS = tuple(Tool(name=f"f{number}", input_schema={}) for number in range(2))
Read = Callable[[list[Frame]], list[EngineEvent]]
BOTH: st.SearchStrategy[tuple[Stream, Read]] = st.sampled_from(
    [(chat(), as_chat), (messages(), as_messages)]
)


def framed(stream: Stream, *, named: bool = False) -> list[Frame]:
    """Return the frames of a stream, with the names of its events where they have one."""
    return [
        Frame(str(event.get("type", "message")) if named else "message", json.dumps(event))
        for event in stream
    ]


def said_in(message: Message) -> tuple[str, list[tuple[str, Any]], Any]:
    text = "".join(block.text for block in message.content if isinstance(block, TextBlock))
    calls = [
        (block.name, block.input) for block in message.content if isinstance(block, ToolUseBlock)
    ]
    usage = message.usage
    counts = (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
    return text, calls, (counts, message.stop_reason)


DONE = Frame("message", "[DONE]")
PROPER = {
    as_chat: said_in(assembled(as_chat([*framed(chat()), DONE]))),
    as_messages: said_in(assembled(as_messages(framed(messages())))),
}


def test_valid_streams_are_read() -> None:
    counts = ((20, 80, 20), "tool_use")
    first, second = ("f0", {"city": "Rome 0"}), ("f1", {"city": "Rome 1"})
    assert PROPER[as_chat] == ("alphabetagamma", [first, second], counts)
    assert PROPER[as_messages] == ("alphabetagamma", [first], counts)


# Mistakes that leave the meaning plain.


def number(value: int) -> list[Any]:
    return [value, float(value), str(value), f" {value}.0"]


def text(value: str) -> list[Any]:
    part = {"type": "text", "text": value}
    return [value, [part], [value], part, [{"text": value[:1]}, value[1:]]]


READABLE: dict[str, Callable[[Any], list[Any]]] = {
    "content": text,
    "text": text,
    "reasoning_content": text,
    "index": number,
    "id": lambda value: [value, 7, None],
    "prompt_tokens": number,
    "completion_tokens": number,
    "cached_tokens": number,
    "input_tokens": number,
    "output_tokens": number,
    "cache_read_input_tokens": number,
    "finish_reason": lambda value: [value, "eos"] if value else [value, ""],
    "stop_reason": lambda value: [value, "eos", ""],
    "role": lambda value: [value, None, 5],
}
NOTHING = [
    Frame("message", ""),
    Frame("message", " "),
    Frame("message", "null"),
    Frame("ping", "p"),
]


def loosened(value: Any, chance: Random) -> Any:
    """Return a value whose parts have other types, of the same meaning."""
    if isinstance(value, list):
        return [loosened(one, chance) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: loosened(one, chance)
        if isinstance(one, dict | list)
        else chance.choice(READABLE.get(key, lambda same: [same])(one))
        for key, one in value.items()
    }


@given(st.randoms(use_true_random=False), BOTH)
def test_other_types_of_the_same_meaning_change_nothing(
    chance: Random, given_: tuple[Stream, Read]
) -> None:
    stream, read = given_
    frames = framed([loosened(event, chance) for event in stream])
    for _ in range(chance.randint(0, 4)):
        frames.insert(chance.randint(0, len(frames)), chance.choice(NOTHING))
    if chance.random() < 0.5:
        frames.append(Frame("message", chance.choice(["[DONE]", " [DONE] "])))
    assert said_in(assembled(read(frames))) == PROPER[read]


@given(st.permutations(range(9)))
def test_pieces_of_calls_in_any_order_between_one_another_change_nothing(order: list[int]) -> None:
    """The pieces of each call keep their order; the text and the other call come anywhere."""
    stream = chat()
    rows = {"text": stream[2:5], "f0": stream[5:9], "f1": stream[9:13]}
    turns = [("text", "f0", "f1")[place % 3] for place in order] + ["f0", "f1", "text"] * 4
    mixed = [rows[name].pop(0) for name in turns if rows[name]]
    message = assembled(as_chat(framed([*stream[:2], *mixed, *stream[13:]])))
    said, calls, rest = said_in(message)
    assert (said, sorted(calls, key=str), rest) == PROPER[as_chat]


@given(st.text(max_size=8), BOTH, st.data())
def test_halves_of_characters_are_joined_wherever_the_server_cuts(
    said: str, given_: tuple[Stream, Read], data: st.DataObject
) -> None:
    assume("\ufffd" not in said)
    units = said.encode("utf-16-le", "surrogatepass")
    cut = 2 * data.draw(st.integers(0, len(units) // 2))
    parts = tuple(half.decode("utf-16-le", "surrogatepass") for half in (units[:cut], units[cut:]))
    make = chat if given_[1] is as_chat else messages
    message = assembled(given_[1](framed(make(parts))))
    assert said_in(message)[0] == said


@given(BOTH, st.lists(st.integers(1, 400), max_size=30), st.sampled_from(["\n", "\r\n", "\r"]))
def test_stream_is_read_wherever_its_bytes_are_cut(
    given_: tuple[Stream, Read], cuts: list[int], end: str
) -> None:
    stream, read = given_
    lines = [": comment", "id: 7", "retry: 5"]
    for event in stream:
        lines += [f"event: {event.get('type', 'message')}", f"data:{json.dumps(event)}", ": x", ""]
    body = (end.join(lines) + end).encode()
    decoder, frames = FrameDecoder(), []
    for size in cuts:
        frames += decoder.feed(body[:size])
        body = body[size:]
    frames += decoder.feed(body)
    assert said_in(assembled(read(frames))) == PROPER[read]


# Any mistakes.

ODD = ["", "x", "0", "stop", "text", "tool_use", "{}", '{"a":1}', "\ud83d"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.sampled_from(ODD),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["index", "content", "name", "function", "arguments", "text", "type"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of a value that hold something."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, one in inner:
        found.append((*path, key))
        if isinstance(one, dict | list):
            found += leaves(one, (*path, key))
    return found


def put(stream: Stream, path: tuple[Any, ...], value: Any) -> None:
    place: Any = stream
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value


@st.composite
def broken(draw: st.DrawFn, stream: Stream) -> list[Frame]:
    """The frames of a stream with a few mistakes of any kind."""
    stream = deepcopy(stream)
    for _ in range(draw(st.integers(0, 3))):
        put(stream, draw(st.sampled_from(leaves(stream))), draw(JSON))
    frames = [Frame("message", json.dumps(event)) for event in stream if not isinstance(event, int)]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(frames) - 1))
        match draw(st.sampled_from(["drop", "double", "move", "cut"])):
            case "drop" if len(frames) > 1:
                frames.pop(place)
            case "double":
                frames.insert(place, frames[place])
            case "cut":
                text = frames[place].data
                frames[place] = Frame("message", text[: draw(st.integers(0, len(text)))])
            case _:
                frames.insert(draw(st.integers(0, len(frames))), frames.pop(place))
    return frames + draw(st.sampled_from([[], [DONE]]))


UNKNOWN = [one for one in ODD if isinstance(one, str) and one]


def texts_in(frames: list[Frame]) -> list[str]:
    """The words that stand where a text belongs, whatever stands around them."""
    found = []
    for frame in frames:
        try:
            event = json.loads(frame.data)
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        # An event of a type that nobody knows says nothing.
        if isinstance(event.get("delta"), dict) and event.get("type") not in UNKNOWN:
            found.append(event["delta"].get("text"))
        choices = event.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        delta = first.get("delta") if isinstance(first, dict) else None
        found.append(delta.get("content") if isinstance(delta, dict) else None)
    return [one for one in found if one in WORDS]


@given(st.data(), BOTH)
def test_any_mistake_ends_in_a_whole_answer_or_one_error(
    data: st.DataObject, given_: tuple[Stream, Read]
) -> None:
    stream, read = given_
    frames = data.draw(broken(stream))
    gate = CheckedCalls(Prompt((turn("user", "Hi"),), 100, tools=TOOLS))
    try:
        events = [passed for event in read(frames) for passed in gate.feed(event)]
    except EngineError as error:
        assert str(error)  # noqa: PT017
        return
    assert said_in(assembled(events))
    said = "".join(event.text for event in events if isinstance(event, TextChunk | ThinkingChunk))
    for word in texts_in(frames):
        assert word in said
        said = said.replace(word, "", 1)
