import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

import antiphon
from antiphon.sdk.types.derived import CitationEvent, InputJsonEvent, TextEvent, ThinkingEvent
from antiphon.sdk.types.events import UnknownEvent
from antiphon.sdk.types.message import Message
from antiphon.transport.base import ConnectionLost
from support.sdk import (
    AsyncScriptedTransport,
    Chunk,
    FakeClock,
    Reply,
    ScriptedTransport,
    events_of,
    frame,
    frames,
    message_json,
)

ASKED: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
EVENTS = events_of("Hel", "lo")
WITHOUT_PINGS = [event for event in EVENTS if event != {"type": "ping"}]
PING = frame({"type": "ping"})
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def client_of(*chunks: Chunk, seconds: float = 0.0, **more: Any) -> tuple[antiphon.Client, Reply]:
    clock = FakeClock()
    reply = Reply(headers={"request-id": "req_1"}, chunks=chunks, seconds=seconds)
    transport = ScriptedTransport(reply, clock=clock)
    return antiphon.Client(api_key="k", transport=transport, now=clock, **more), reply


def async_client_of(
    *chunks: Chunk, seconds: float = 0.0, **more: Any
) -> tuple[antiphon.AsyncClient, Reply]:
    clock = FakeClock()
    reply = Reply(headers={"request-id": "req_1"}, chunks=chunks, seconds=seconds)
    transport = AsyncScriptedTransport(reply, clock=clock)
    return antiphon.AsyncClient(api_key="k", transport=transport, now=clock, **more), reply


def test_raw_stream_gives_the_events_without_pings() -> None:
    client, reply = client_of(frames(EVENTS))
    stream = client.messages.create(stream=True, **ASKED)
    assert [event.to_dict() for event in stream] == [
        one for one in EVENTS if one != {"type": "ping"}
    ]
    assert stream.request_id == "req_1"
    # The body is read to its end, so the connection can serve again.
    assert reply.ended


def test_async_raw_stream_gives_the_same() -> None:
    async def read() -> list[Any]:
        client, _ = async_client_of(frames(EVENTS))
        stream = await client.messages.create(stream=True, **ASKED)
        assert stream.request_id == "req_1"
        return [event.to_dict() async for event in stream]

    assert asyncio.run(read()) == WITHOUT_PINGS


def test_iteration_goes_on_where_it_was_left() -> None:
    client, _ = client_of(frames(EVENTS))
    stream = client.messages.create(stream=True, **ASKED)
    for event in stream:
        if event.type == "content_block_start":
            break
    assert next(stream).type == "content_block_delta"
    assert next(event.type for event in stream) == "content_block_delta"


def test_stream_that_was_not_opened_says_how_it_is() -> None:
    client, _ = client_of()
    for given in ({}, {"output_format": int}):
        unopened: Any = client.messages.stream(**ASKED, **given)
        with pytest.raises(AttributeError, match=r"text_stream is of the open stream; write `with"):
            unopened.text_stream  # noqa: B018
        with pytest.raises(TypeError, match=r"not open; write `with client\.messages\.stream"):
            iter(unopened)
        assert not hasattr(unopened, "_anything")
        awaited: Any = async_client_of()[0].messages.stream(**ASKED, **given)
        with pytest.raises(TypeError, match="not open; write `async with client"):
            aiter(awaited)


def test_leaving_a_stream_closes_its_connection() -> None:
    client, reply = client_of(frames(EVENTS[:4]), frames(EVENTS[4:]))
    with client.messages.create(stream=True, **ASKED) as stream:
        next(stream)
    assert reply.closed
    assert list(stream) != []
    assert reply.left


def test_forgotten_stream_closes_its_connection() -> None:
    client, reply = client_of(frames(EVENTS[:4]), frames(EVENTS[4:]))
    for _ in client.messages.create(stream=True, **ASKED):
        break
    gc.collect()
    assert reply.closed


def test_async_stream_that_is_left_is_closed() -> None:
    async def leave() -> Reply:
        client, reply = async_client_of(frames(EVENTS[:4]), frames(EVENTS[4:]))
        async with await client.messages.create(stream=True, **ASKED) as stream:
            await anext(stream)
        assert [event async for event in stream] == []
        return reply

    assert asyncio.run(leave()).closed


def test_message_stream_adds_derived_events() -> None:
    client, _ = client_of(frames(EVENTS))
    with client.messages.stream(**ASKED) as stream:
        seen = list(stream)
    assert [event.type for event in seen] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "text",
        "content_block_delta",
        "text",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    told = [event for event in seen if isinstance(event, TextEvent)]
    assert [event.text for event in told] == ["Hel", "lo"]
    # Also when they are asked for late, and in any order.
    assert [event.snapshot for event in reversed(told)] == ["Hello", "Hel"]
    block = seen[6]
    assert block.type == "content_block_stop"
    assert block.content_block.type == "text"
    assert block.content_block.text == "Hello"
    last = seen[-1]
    assert last.type == "message_stop"
    assert last.message.to_dict() == message_json(usage={"input_tokens": 3, "output_tokens": 5})
    assert repr(told[0]) == "TextEvent(text='Hel')"


def test_async_message_stream_adds_the_same() -> None:
    async def read() -> list[str]:
        client, _ = async_client_of(frames(EVENTS))
        async with client.messages.stream(**ASKED) as stream:
            return [event.type async for event in stream]

    assert asyncio.run(read()).count("text") == 2


def events_with(block: dict[str, Any], *deltas: dict[str, Any]) -> Iterator[Any]:
    events = events_of(*map(str, range(len(deltas))), block=block, delta=lambda at: deltas[int(at)])
    client, _ = client_of(frames(events))
    with client.messages.stream(**ASKED) as stream:
        yield from stream


def test_structured_output_is_told_as_far_as_it_is_certain() -> None:
    pieces = [" ", '{"city": "Par', 'is", "days": [1, 2', "]}"]
    events = events_with(
        {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces)
    )
    told = [event.parsed_snapshot() for event in events if isinstance(event, TextEvent)]
    assert told == [None, {}, {"city": "Paris", "days": [1]}, {"city": "Paris", "days": [1, 2]}]


def test_input_of_a_call_is_told_as_far_as_it_is_certain() -> None:
    pieces = ["", '{"city": "Par', 'is", "days": [1, 2', "]}"]
    events = events_with(
        {"type": "tool_use", "id": "toolu_1", "name": "n", "input": {}},
        *({"type": "input_json_delta", "partial_json": piece} for piece in pieces),
    )
    told = [event for event in events if isinstance(event, InputJsonEvent)]
    assert [event.partial_json for event in told] == pieces
    assert [event.snapshot for event in told] == [
        {},
        {},
        {"city": "Paris", "days": [1]},
        {"city": "Paris", "days": [1, 2]},
    ]


def test_thinking_and_its_signature_are_told() -> None:
    events = list(
        events_with(
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm"},
            {"type": "thinking_delta", "thinking": "m"},
            {"type": "signature_delta", "signature": "sig"},
        )
    )
    thoughts = [event for event in events if isinstance(event, ThinkingEvent)]
    assert [(event.thinking, event.snapshot) for event in thoughts] == [("Hm", "Hm"), ("m", "Hmm")]
    assert [event.signature for event in events if event.type == "signature"] == ["sig"]
    (ended,) = (event for event in events if event.type == "content_block_stop")
    assert ended.content_block.to_dict() == {
        "type": "thinking",
        "thinking": "Hmm",
        "signature": "sig",
    }


def test_citations_are_told_with_those_before() -> None:
    def cited(text: str) -> dict[str, Any]:
        at = {"document_index": 0, "document_title": None, "start_char_index": 0, "new": text}
        citation = {"type": "char_location", "cited_text": text, "end_char_index": 1, **at}
        return {"type": "citations_delta", "citation": citation}

    events = events_with({"type": "text", "text": "", "citations": []}, cited("a"), cited("b"))
    told = [event for event in events if isinstance(event, CitationEvent)]
    assert [[one.cited_text for one in event.snapshot] for event in told] == [["a"], ["a", "b"]]  # type: ignore[union-attr]
    assert told[0].citation.extra == {"new": "a"}


def test_unknown_events_and_deltas_are_passed_on() -> None:
    events = events_of("a", delta=lambda hum: {"type": "hum_delta", "hum": hum})
    events.insert(2, {"type": "weather", "rain": True})
    client, _ = client_of(frames(events))
    with client.messages.stream(**ASKED) as stream:
        seen = list(stream)
    assert [event.type for event in seen if isinstance(event, UnknownEvent)] == ["weather"]
    assert [event.type for event in seen].count("content_block_delta") == 1
    final = stream.get_final_message()
    assert final.content[0].to_dict() == {"type": "text", "text": "", "hum": "a"}


def test_texts_and_the_final_message() -> None:
    client, _ = client_of(frames(EVENTS))
    with client.messages.stream(**ASKED) as stream:
        assert list(stream.text_stream) == ["Hel", "lo"]
        assert stream.get_final_text() == "Hello"
        assert stream.get_final_message().request_id == "req_1"
        assert stream.get_final_message().stop_reason == "end_turn"


def test_async_texts_and_the_final_message() -> None:
    async def read() -> None:
        client, _ = async_client_of(frames(EVENTS))
        async with client.messages.stream(**ASKED) as stream:
            assert [text async for text in stream.text_stream] == ["Hel", "lo"]
            assert await stream.get_final_text() == "Hello"
            assert (await stream.get_final_message()).request_id == "req_1"

    asyncio.run(read())


def test_texts_go_on_where_the_events_were_left() -> None:
    client, _ = client_of(frames(EVENTS))
    with client.messages.stream(**ASKED) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
        assert stream.current_message_snapshot.text == "Hel"
        assert list(stream.text_stream) == ["Hel", "lo"]


def test_final_message_takes_what_is_left() -> None:
    client, _ = client_of(*(frame(event) for event in EVENTS))
    with client.messages.stream(**ASKED) as stream:
        next(stream)
        stream.until_done()
        assert stream.current_message_snapshot.text == "Hello"


@pytest.mark.parametrize(
    ("kind", "error_class", "status"),
    [
        ("overloaded_error", antiphon.OverloadedError, 529),
        ("rate_limit_error", antiphon.RateLimitError, 429),
        ("invalid_request_error", antiphon.BadRequestError, 400),
        ("of_next_year_error", antiphon.InternalServerError, 500),
    ],
)
def test_error_event_is_raised_as_what_it_is(
    kind: str, error_class: type[antiphon.APIStatusError], status: int
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "Sorry"}, "request_id": "req_2"}
    client, reply = client_of(frames(EVENTS[:5]), frame(error))
    stream = client.messages.create(stream=True, **ASKED)
    assert [next(stream).type for _ in range(4)][-1] == "content_block_delta"
    with pytest.raises(error_class) as caught:
        next(stream)
    assert reply.closed
    assert str(caught.value) == f"{status} {kind}: Sorry (req_1)"
    assert caught.value.type == kind


def test_failure_of_a_message_stream_keeps_what_came() -> None:
    client, _ = client_of(frames([*EVENTS[:4], ERROR]))
    with client.messages.stream(**ASKED) as stream:
        assert next(stream.text_stream) == "Hel"
        with pytest.raises(antiphon.OverloadedError) as caught:
            stream.until_done()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"


def test_stream_without_its_end_says_so() -> None:
    client, _ = client_of(frames(EVENTS[:5]))
    with (
        pytest.raises(antiphon.IncompleteStreamError) as caught,
        client.messages.stream(**ASKED) as stream,
    ):
        stream.get_final_message()
    assert str(caught.value) == (
        "POST /v1/messages: the stream broke off before its end: the answer ended"
    )
    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.text == "Hello"


def test_lost_connection_says_so() -> None:
    client, _ = client_of(frames(EVENTS[:2]), ConnectionLost("the server closed the connection"))
    with (
        pytest.raises(antiphon.IncompleteStreamError, match="the server closed") as caught,
        client.messages.create(stream=True, **ASKED) as stream,
    ):
        list(stream)
    assert isinstance(caught.value.__cause__, ConnectionLost)
    assert caught.value.partial is None


def test_connection_that_is_lost_behind_the_last_event_is_no_failure() -> None:
    client, _ = client_of(frames(EVENTS), ConnectionLost("gone"))
    assert len(list(client.messages.create(stream=True, **ASKED))) == 7


def test_nothing_is_shown_behind_the_last_event() -> None:
    client, _ = client_of(frames([*EVENTS, *EVENTS[:1]]), frames(EVENTS))
    assert len(list(client.messages.create(stream=True, **ASKED))) == 7


def test_async_failure_is_raised_too() -> None:
    async def read() -> None:
        client, reply = async_client_of(frames(EVENTS[:4]), ConnectionLost("gone"))
        async with client.messages.stream(**ASKED) as stream:
            with pytest.raises(antiphon.IncompleteStreamError, match="gone") as caught:
                await stream.get_final_message()
            assert caught.value.partial is not None
            assert caught.value.partial.text == "Hel"
        assert reply.closed

    asyncio.run(read())


def test_idle_timeout_counts_content_and_not_pings() -> None:
    client, reply = client_of(frames(EVENTS[:3]), *[PING] * 50, seconds=10.0, timeout=45.0)
    with (
        pytest.raises(antiphon.APITimeoutError) as caught,
        client.messages.create(stream=True, **ASKED) as stream,
    ):
        list(stream)
    assert str(caught.value) == (
        "POST /v1/messages: the stream brought nothing but pings for 45 s (`timeout`)"
    )
    assert len(reply.left) == 46
    assert reply.closed


def test_comments_do_not_keep_a_stream_alive() -> None:
    client, _ = client_of(frames(EVENTS[:3]), *[b": still here\n\n"] * 50, seconds=10, timeout=45)
    with pytest.raises(antiphon.APITimeoutError, match="nothing but pings for 45 s"):
        list(client.messages.create(stream=True, **ASKED))


def test_slow_content_keeps_a_stream_alive() -> None:
    client, _ = client_of(*(frame(event) for event in EVENTS), seconds=20.0, timeout=45.0)
    assert len(list(client.messages.create(stream=True, **ASKED))) == 7


def test_large_event_that_comes_slowly_keeps_a_stream_alive() -> None:
    stream = frames(events_of("x" * 900))
    chunks = [stream[at : at + 100] for at in range(0, len(stream), 100)]
    client, _ = client_of(*chunks, seconds=20.0, timeout=45.0)
    assert len(list(client.messages.create(stream=True, **ASKED))) == 6


def test_stream_that_brings_nothing_at_all_is_ended() -> None:
    client, _ = client_of(frames(EVENTS), seconds=50.0, timeout=45.0)
    with pytest.raises(antiphon.APITimeoutError, match="for 45 s"):
        list(client.messages.create(stream=True, **ASKED))


def test_stream_without_bounds_waits() -> None:
    client, _ = client_of(*[PING] * 500, frames(EVENTS), seconds=1000.0, timeout=None)
    assert len(list(client.messages.create(stream=True, **ASKED))) == 7


def test_stream_of_something_else_is_told() -> None:
    client, _ = client_of(frame(EVENTS[0]), b"data: <html>\n\n")
    stream = client.messages.create(stream=True, **ASKED)
    assert next(stream).type == "message_start"
    with pytest.raises(antiphon.APIResponseValidationError, match="is none of the API: an event"):
        next(stream)


@pytest.mark.parametrize("kind", ["application/json", "text/html; charset=utf-8"])
def test_answer_without_a_stream_is_told(kind: str) -> None:
    reply = Reply(headers={"content-type": kind}, json=message_json())
    client = antiphon.Client(api_key="k", transport=ScriptedTransport(reply))
    with pytest.raises(antiphon.APIResponseValidationError, match=f"none of the API: it is {kind}"):
        list(client.messages.create(stream=True, **ASKED))


def test_order_that_no_server_keeps_is_told() -> None:
    client, _ = client_of(frames(EVENTS[1:]))
    with (
        pytest.raises(antiphon.APIResponseValidationError, match="before message_start"),
        client.messages.stream(**ASKED) as stream,
    ):
        stream.get_final_message()


def test_request_of_a_stream_is_made_when_the_with_begins() -> None:
    client, reply = client_of(frames(EVENTS))
    manager = client.messages.stream(**ASKED)
    assert reply.clock is None
    with manager:
        assert reply.clock is not None


def test_time_of_a_stream_grows_with_its_length() -> None:
    def blocks_of_memory(pieces: int) -> int:
        """Count what is allocated at most: joined texts would be as many as there are pieces."""
        client, _ = client_of(frames(events_of(*["x" * 1000] * pieces)))
        with client.messages.stream(**ASKED) as stream:
            next(stream)
            tracemalloc.start()
            told = [event for event in stream if isinstance(event, TextEvent)]
            assert len(told) == pieces
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert len(stream.get_final_text()) == 1000 * pieces
        return peak

    # Kept snapshots of 1,600 pieces would have 1.3 GB.
    assert blocks_of_memory(1600) < 8 * blocks_of_memory(400) < 50_000_000


def test_forgotten_async_stream_needs_no_loop(recwarn: pytest.WarningsRecorder) -> None:
    async def forget() -> Any:
        client, _ = async_client_of(frames(EVENTS[:5]), frames(EVENTS[5:]))
        stream = await client.messages.create(stream=True, **ASKED)
        await anext(stream)
        manager = client.messages.stream(**ASKED)
        return stream, manager

    left = asyncio.run(forget())
    # The loop is closed when they are collected.
    del left
    gc.collect()
    assert not recwarn.list


class FailingObserver:
    def before(self, _call: Any, _attempt: int) -> float:
        return 0.0

    def after(self, _call: Any, _attempt: int, _outcome: Any) -> None:
        raise LookupError("an observer fails")


def test_stream_that_an_observer_fails_at_is_closed() -> None:
    client, reply = client_of(frames(EVENTS), observers=[FailingObserver()])
    with pytest.raises(LookupError):
        client.messages.create(stream=True, **ASKED)
    assert reply.closed


def test_async_stream_that_an_observer_fails_at_is_closed() -> None:
    client, reply = async_client_of(frames(EVENTS), observers=[FailingObserver()])
    with pytest.raises(LookupError):
        asyncio.run(client.messages.create(stream=True, **ASKED))
    assert reply.closed
