import asyncio
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from antiphon import testing
from antiphon.testing import Clock, Server, refusal, thinking, tool_call
from antiphon.testing.failures import ERRORS
from antiphon.transport.base import ConnectError, ConnectionLost
from support.in_process import create, events, get, opened, request, said

NO_TYPES = {"type": "object"}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with testing.server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server of the module, as new."""
    running.reset()
    return running


def test_answers_are_said_in_their_order_and_then_the_user_is_repeated(server: Server) -> None:
    server.answers("One").answers("Two")
    assert [said(server, "Three") for _ in range(3)] == ["One", "Two", "Three"]
    assert server.unused == []


def test_answer_has_thoughts_text_and_calls_as_scripted(server: Server) -> None:
    server.answers(thinking("Hm."), "Let me see.", tool_call("look", {"at": [1]}, deep=True))
    status, message = create(
        server,
        max_tokens=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
        tools=[{"name": "other", "input_schema": NO_TYPES}],
    )
    assert status == 200
    assert message["stop_reason"] == "tool_use"
    thought, text, call = message["content"]
    assert (thought["thinking"], text["text"]) == ("Hm.", "Let me see.")
    assert thought["signature"]
    assert (call["name"], call["input"]) == ("look", {"at": [1], "deep": True})


def test_mapping_is_said_as_json_even_against_the_schema_of_the_request(server: Server) -> None:
    server.answers({"city": "Bern"})
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form = {"format": {"type": "json_schema", "schema": schema}}
    assert json.loads(said(server, output_config=form)) == {"city": "Bern"}


def test_function_answers_the_request_that_it_gets(server: Server) -> None:
    def decide(asked: testing.RecordedRequest) -> object:
        if asked.body["max_tokens"] == 7:
            return testing.overloaded_error
        return thinking("no"), f"{asked.text} twice"

    server.answers(decide, times=None)
    assert said(server, "Hi") == "Hi twice"
    assert create(server, max_tokens=7)[0] == 529
    assert said(server, "Ho") == "Ho twice"


def test_function_that_fails_is_told_to_the_caller_and_to_the_test() -> None:
    def broken(_: testing.RecordedRequest) -> str:
        raise LookupError("no such city")

    server = testing.server()
    with server:
        server.answers(broken)
        status, body = create(server)
        assert (status, body["error"]["type"]) == (500, "api_error")
        with pytest.raises(LookupError, match="no such city"):
            server.check()
        server.reset()


def test_function_of_the_test_cannot_wait_for_the_server() -> None:
    server = testing.server()
    with server:
        server.answers(lambda _: server.limit(requests_per_minute=1))
        assert create(server)[0] == 500
        with pytest.raises(RuntimeError, match="loop of the server"):
            server.check()
        server.answers(lambda _: testing.answer("In time", tokens_per_second=1000))
        assert said(server) == "In time"
        server.reset()


def test_when_chooses_by_the_text_or_by_the_request(server: Server) -> None:
    server.answers("It rains", when="weather")
    server.answers("Ten", when=lambda asked: asked.body["max_tokens"] == 10)
    assert said(server, "Hi") == "Hi"
    assert said(server, "Hi", max_tokens=10) == "Ten"
    assert said(server, "The weather?") == "It rains"


@pytest.mark.parametrize(
    ("block", "details", "stop_reason"),
    [
        (refusal("No.", category="cyber"), {}, "refusal"),
        ("cut", {"stop_reason": "max_tokens"}, "max_tokens"),
        ("later", {"stop_reason": "pause_turn"}, "pause_turn"),
        ("full", {"stop_reason": "model_context_window_exceeded"}, "model_context_window_exceeded"),
    ],
)
def test_every_reason_to_stop_can_be_scripted(
    server: Server, block: object, details: dict, stop_reason: str
) -> None:
    server.answers(block, **details)
    _, message = create(server)
    assert message["stop_reason"] == stop_reason


@pytest.mark.parametrize(
    ("blocks", "rule"),
    [
        ((tool_call("a"), "text"), "text stands before"),
        (("text", thinking("late")), "a thought stands before"),
        ((tool_call("a"), refusal()), "a refusal has no calls"),
    ],
)
def test_blocks_in_another_order_are_refused(
    server: Server, blocks: tuple[object, ...], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        server.answers(*blocks)


def test_what_is_no_answer_and_no_failure_is_refused(server: Server) -> None:
    with pytest.raises(TypeError, match="not of int"):
        server.answers(7)
    with pytest.raises(TypeError, match=r"delay: a function, or an answer, has its own"):
        server.answers(lambda _: "Hi", delay=1)
    with pytest.raises(TypeError, match="is no failure"):
        server.fails("overloaded_error")


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_the_api_comes_in_its_envelope(server: Server, name: str) -> None:
    server.fails(ERRORS[name])
    status, body = create(server)
    assert status == ERRORS[name].status
    assert body["type"] == "error"
    assert (body["error"]["type"], body["error"]["message"]) == (name, ERRORS[name].message)
    assert server.requests.last.request_id == body["request_id"]


def test_server_fails_twice_and_then_works(server: Server) -> None:
    server.fails(testing.overloaded_error, times=2).answers("At last")
    assert [create(server)[0] for _ in range(2)] == [529, 529]
    assert said(server) == "At last"


def test_error_has_the_details_that_it_was_given(server: Server) -> None:
    limit = {"Anthropic-RateLimit-Requests-Remaining": "0", "x-should-retry": "false"}
    server.fails(testing.rate_limit_error("Slow down", retry_after=2, headers=limit))
    stream = opened(server)
    assert stream.status == 429
    assert stream.headers["retry-after"] == "2"
    assert stream.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert stream.headers["x-should-retry"] == "false"
    assert json.loads(stream.read(10))["error"]["message"] == "Slow down"


def test_other_paths_fail_as_well(server: Server) -> None:
    server.fails(testing.not_found_error, path="/v1/models*", method="GET")
    assert said(server) == "Hi"
    assert get(server, "/v1/models")[0] == 404
    assert get(server, "/v1/models")[0] == 200


def test_error_after_text_ends_a_stream_with_an_event(server: Server) -> None:
    server.fails(testing.overloaded_error(after="Half of it"), times=2)
    stream = opened(server, stream=True)
    assert stream.status == 200
    came = events(stream)
    assert "".join(one["delta"]["text"] for one in came if "delta" in one) == "Half of it"
    assert came[-1]["error"]["type"] == "overloaded_error"
    assert create(server)[0] == 529


def test_connection_is_lost_before_or_in_the_answer(server: Server) -> None:
    server.fails(testing.connection_lost)
    with pytest.raises(ConnectionLost, match="script"):
        opened(server)
    server.fails(testing.connection_lost(after="Half of it"), times=2)
    stream = opened(server, stream=True)
    came: list[bytes] = []
    with pytest.raises(ConnectionLost):
        came.extend(iter(partial(stream.read_chunk, 10), b""))
    sent = b"".join(came)
    assert sent.count(b"content_block_delta\n") == 3
    assert b"content_block_stop" not in sent
    stream = opened(server)
    with pytest.raises(ConnectionLost):
        stream.read(10)
    assert [one.status for one in server.requests] == [None, 200, 200]


def test_answer_of_a_proxy_is_no_json(server: Server) -> None:
    server.fails(testing.raw(), times=1)
    stream = opened(server)
    assert (stream.status, stream.headers["content-type"]) == (502, "text/html")
    assert stream.read(10).startswith(b"<html>")
    server.fails(testing.raw(200, "event: x\ndata: {", content_type="text/event-stream"))
    assert opened(server, stream=True).read(10) == b"event: x\ndata: {"


def test_pings_come_before_the_content(server: Server) -> None:
    server.answers("Hi", pings=3)
    kinds = [one["type"] for one in events(opened(server, stream=True))]
    assert kinds[:6] == ["message_start", *["ping"] * 4, "content_block_start"]


def test_unused_answers_fail_a_strict_server() -> None:
    server = testing.server(strict=True)
    server.answers("Never", when="weather")
    with pytest.raises(testing.UnusedAnswersError, match=r"Never.*weather"), server:
        pass
    with pytest.raises(ZeroDivisionError), server_with_one_answer():
        raise ZeroDivisionError


def server_with_one_answer() -> Server:
    return testing.server(strict=True).answers("Never")


def test_refused_request_leaves_its_answer_to_the_next(server: Server) -> None:
    server.answers("For a good one")
    assert create(server, max_tokens=-1)[0] == 400
    assert said(server) == "For a good one"
    server.answers("For all", times=None)
    assert create(server, max_tokens=-1)[0] == 400
    assert server.unused == ["Answer(text='For all') (/v1/messages, every time)"]
    assert said(server) == "For all"
    assert server.unused == []


def test_batch_takes_answers_as_messages_do(server: Server) -> None:
    server.answers("Sunny", when="weather").fails(testing.invalid_request_error("Not this"))
    asked = {"model": "claude-x", "max_tokens": 9}
    requests = [
        {
            "custom_id": name,
            "params": {**asked, "messages": [{"role": "user", "content": f"The {name}?"}]},
        }
        for name in ("weather", "time")
    ]
    sent = request(server, "/v1/messages/batches", {"requests": requests})
    stream = server.transport().open(sent, connect_timeout=None, timeout=10)
    batch = json.loads(stream.read(10))
    while batch["processing_status"] != "ended":
        _, batch = get(server, f"/v1/messages/batches/{batch['id']}")
    sent = request(server, f"/v1/messages/batches/{batch['id']}/results", method="GET")
    stream = server.transport().open(sent, connect_timeout=None, timeout=10)
    results = {
        one["custom_id"]: one["result"] for one in map(json.loads, stream.read(10).splitlines())
    }
    assert results["weather"]["message"]["content"][0]["text"] == "Sunny"
    assert results["time"]["error"]["error"]["message"] == "Not this"


@pytest.mark.anyio
async def test_clock_ends_what_is_over_and_no_more() -> None:
    clock = Clock()
    await clock.sleep(0)
    short, long = (asyncio.ensure_future(clock.sleep(seconds)) for seconds in (10, 11))
    await asyncio.sleep(0)
    clock.until_waiting(2)
    clock.advance(10)
    await short
    await asyncio.sleep(0)
    assert not long.done()
    with pytest.raises(TimeoutError, match="1 of 2 delays"):
        clock.until_waiting(2, timeout=0)
    clock.advance(1)
    await long
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_clock_of_the_test_ends_delays_and_renews_limits() -> None:
    clock = Clock()
    with testing.server(clock=clock) as server:
        server.answers("Late", delay=3600)
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(said, server)
            clock.until_waiting()
            clock.advance(3599)
            assert not answer.done()
            clock.advance(1)
            assert answer.result() == "Late"
        server.limit(requests_per_minute=1)
        assert said(server) == "Hi"
        assert create(server)[0] == 429
        clock.advance(61)
        assert said(server) == "Hi"


@pytest.mark.parametrize(
    "headers", [{"a\r\nb": "c"}, {"a": "b\r\nc: d"}, {"a": "\u4e2d"}, {"": "a"}]
)
def test_failure_with_headers_that_http_cannot_carry_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="headers: "):
        testing.overloaded_error(headers=headers)
    with pytest.raises(ValueError, match="headers: "):
        testing.raw(headers=headers)
    with pytest.raises(ValueError, match="headers: "):
        testing.raw(content_type="a\nb")


def test_pattern_that_is_none_is_refused_when_it_is_said(server: Server) -> None:
    with pytest.raises(ValueError, match=r"when: '[(]' is no regular expression: missing"):
        server.answers("x", when="(")
    assert said(server, "Three") == "Three"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_process_is_told_where_the_server_is(server: Server) -> None:
    child = os.fork()
    if child == 0:
        try:
            said(server, "Hi")
        except ConnectError as error:
            os._exit(0 if "in its parent" in str(error) else 2)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert said(server, "Hi") == "Hi"
