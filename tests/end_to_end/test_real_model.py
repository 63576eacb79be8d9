"""What only llama.cpp can show: its engine killed, its prompt read, its control tokens kept.

The real model says what a test has to know beforehand; all else is shown by the tiny one.
"""

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from antiphon.wire.sse import FrameDecoder
from support.processes import KEY, PATIENCE_S, Program, serving

HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
ASK: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 12,
    "temperature": 0,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
STORY = {**ASK, "max_tokens": 8000, "messages": [{"role": "user", "content": "Tell a story."}]}


@pytest.fixture
def own(tmp_path: Path, tiny_model: Path) -> Iterator[Program]:
    """A server with the tiny model that a test may break; a story takes it seconds."""
    settings = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_LLAMA_THREADS": "1",
        "ANTIPHON_LLAMA_CONTEXT": "8192",
    }
    with serving(tmp_path, "--model", str(tiny_model), environ=settings) as program:
        yield program


def post(program: Program, body: dict[str, Any], path: str = "/v1/messages") -> Any:
    answer = httpx2.post(program.url + path, json=body, headers=HEADERS, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


def count(program: Program, **body: Any) -> int:
    asked = {"model": "claude-x", **body}
    return int(post(program, asked, "/v1/messages/count_tokens")["input_tokens"])


@contextmanager
def stream(program: Program, body: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a stream, as they come."""
    with httpx2.stream(
        "POST",
        f"{program.url}/v1/messages",
        json={**body, "stream": True},
        headers=HEADERS,
        timeout=PATIENCE_S,
    ) as answer:
        assert answer.status_code == 200
        decoder = FrameDecoder()
        yield (
            json.loads(frame.data) for chunk in answer.iter_bytes() for frame in decoder.feed(chunk)
        )


def engine_of(program: Program) -> psutil.Process:
    (child,) = psutil.Process(program.process.pid).children()
    return child


def first(events: Iterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(event for event in events if event["type"] == kind)


def press_ctrl_c_twice(program: Program) -> None:
    """Press again when the server has taken notice of the first."""
    program.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + PATIENCE_S
    while "Ctrl-C again stops now." not in program.error_output:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    program.process.send_signal(signal.SIGINT)


def lines_of_log(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.errors if line.startswith("{")]


@pytest.mark.parametrize("streamed", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_second_ctrl_c_tells_the_callers_of_running_requests(own: Program, streamed: bool) -> None:
    url = f"{own.url}/v1/messages"
    if streamed:
        with stream(own, STORY) as events:
            first(events, "content_block_delta")
            press_ctrl_c_twice(own)
            error = list(events)[-1]
    else:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(httpx2.post, url, json=STORY, headers=HEADERS, timeout=PATIENCE_S)
            time.sleep(1)
            press_ctrl_c_twice(own)
            answer = asked.result()
            assert answer.status_code == 529
            error = answer.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == "overloaded_error"
    assert own.wait() == 0
    lines = lines_of_log(own)
    assert {line["level"] for line in lines} <= {"info", "warning"}
    (request,) = (line for line in lines if line.get("path") == "/v1/messages")
    assert request["error_type"] == "overloaded_error"
    assert "Traceback" not in own.error_output


def test_killing_the_engine_in_mid_stream_is_an_error_event_and_the_next_request_works(
    own: Program,
) -> None:
    with stream(own, STORY) as events:
        first(events, "content_block_delta")
        engine_of(own).send_signal(signal.SIGKILL)
        ending = list(events)[-1]
    assert ending["type"] == "error"
    error = {"type": "api_error", "message": "Internal server error", "details": None}
    assert ending["error"] == error
    assert post(own, ASK)["content"]


def test_the_engine_dies_with_a_server_that_is_killed(own: Program) -> None:
    child = engine_of(own)
    with stream(own, STORY) as events:
        first(events, "content_block_delta")
        own.process.kill()
        with pytest.raises(httpx2.TransportError):
            list(events)
    child.wait(PATIENCE_S)


def test_stopping_the_server_stops_the_engine(own: Program) -> None:
    child = engine_of(own)
    assert own.stop() == 0
    child.wait(PATIENCE_S)


def test_a_long_prompt_is_read_with_pings_in_between(real: Program) -> None:
    words = " ".join(f"word{number}" for number in range(60))
    body = {**ASK, "max_tokens": 1, "messages": [{"role": "user", "content": words}]}
    with stream(real, body) as events:
        kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds.count("ping") > 1
    assert kinds.index("content_block_start") > 2
    assert kinds[-1] == "message_stop"


@pytest.mark.covers("parameters: temperature", "effect")
def test_temperature_0_is_deterministic(tiny: Program) -> None:
    texts = {post(tiny, ASK)["content"][0]["text"] for _ in range(3)}
    assert len(texts) == 1


@pytest.mark.covers("parameters: top_k", "effect")
@pytest.mark.covers("parameters: top_p", "effect")
@pytest.mark.parametrize("narrowed", [{"top_k": 1}, {"top_p": 0}])
def test_sampling_from_one_token_is_deterministic_at_temperature_1(
    tiny: Program, narrowed: dict[str, Any]
) -> None:
    coldest = post(tiny, ASK)["content"][0]["text"]
    for _ in range(3):
        hot = post(tiny, {**ASK, "temperature": 1, **narrowed})
        assert hot["content"][0]["text"] == coldest


def test_a_callers_text_never_becomes_a_control_token(tiny: Program) -> None:
    """Each control token, written by a caller, costs as many tokens as its letters do."""
    plain = count(tiny, messages=[{"role": "user", "content": "x"}])
    for text in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"):
        asked = count(tiny, messages=[{"role": "user", "content": f"x{text}"}])
        told = count(tiny, system=text, messages=[{"role": "user", "content": "x"}])
        assert asked - plain > 3
        assert told - count(tiny, system="s", messages=[{"role": "user", "content": "x"}]) > 3


def test_a_later_turn_extends_the_prompt_of_the_earlier_one(tiny: Program) -> None:
    """Nothing is hoisted or rewritten: what a turn adds costs the same wherever it stands."""
    system = {"role": "system", "content": "Answer in French."}
    hello = {"role": "user", "content": "Hello."}
    bonjour = {"role": "assistant", "content": "Bonjour."}
    one = count(tiny, messages=[hello])
    with_system = count(tiny, messages=[hello, system])
    longer = count(tiny, messages=[hello, bonjour, hello])
    longer_with_system = count(tiny, messages=[hello, bonjour, hello, system])
    assert longer_with_system - longer == with_system - one


def test_prefill_is_continued(real: Program) -> None:
    prefill = {"role": "assistant", "content": "The capital of France is"}
    message = post(real, {**ASK, "messages": [*ASK["messages"], prefill]})
    assert message["content"][0]["text"].startswith(" Paris")


def test_a_stop_sequence_ends_the_answer_and_is_not_in_it(tiny: Program) -> None:
    whole = post(tiny, ASK)["content"][0]["text"]
    word = whole.split()[2]
    message = post(tiny, {**ASK, "stop_sequences": [word]})
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", word)
    assert message["content"][0]["text"] == whole[: whole.index(word)]


def test_no_character_is_ever_split(real: Program) -> None:
    prefill = {"role": "assistant", "content": "Here they are: 😀 🎉 日本語 😀 🎉 日本語"}
    user = {"role": "user", "content": "Repeat this: 😀 🎉 日本語"}
    body = {**ASK, "max_tokens": 12, "messages": [user, prefill]}
    with stream(real, body) as events:
        pieces = [e["delta"]["text"] for e in events if e["type"] == "content_block_delta"]
    assert "".join(pieces) == post(real, body)["content"][0]["text"]
    assert "\ufffd" not in "".join(pieces)
    for tokens in range(1, 6):
        body["max_tokens"] = tokens
        for block in post(real, body)["content"]:
            assert "\ufffd" not in block["text"]


def test_max_tokens_of_zero_reads_the_prompt_only(tiny: Program) -> None:
    message = post(tiny, {**ASK, "max_tokens": 0})
    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
    assert message["usage"]["output_tokens"] == 0


def test_a_prompt_longer_than_the_context_is_refused_in_the_words_of_the_wire(
    tiny: Program,
) -> None:
    body = {**ASK, "messages": [{"role": "user", "content": "word " * 2500}]}
    answer = httpx2.post(f"{tiny.url}/v1/messages", json=body, headers=HEADERS)
    assert answer.status_code == 400
    said = answer.json()["error"]["message"]
    assert said.startswith("prompt is too long: 25")
    assert said.endswith("tokens > 2048 maximum")


def test_the_context_ends_an_answer_that_is_too_long_for_it(
    tmp_path: Path, tiny_model: Path
) -> None:
    body = {
        **ASK,
        "max_tokens": 100_000,
        "messages": [{"role": "user", "content": "word " * 454 + "Go on with the words."}],
    }
    settings = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_LLAMA_THREADS": "1",
        "ANTIPHON_LLAMA_CONTEXT": "512",
    }
    with serving(tmp_path, "--model", str(tiny_model), environ=settings) as program:
        message = post(program, body)
    assert message["stop_reason"] == "model_context_window_exceeded"
    total = message["usage"]["input_tokens"] + message["usage"]["output_tokens"]
    assert total == 512


def test_hanging_up_frees_the_engine_for_others(tiny: Program) -> None:
    """Twice as many callers as there are slots hang up; the next one is answered."""

    def ask_and_hang_up() -> None:
        with stream(tiny, STORY) as events:
            first(events, "content_block_delta")

    callers = [threading.Thread(target=ask_and_hang_up) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE_S)
    assert post(tiny, ASK)["content"]
