"""What is sent to vLLM, and what becomes of its answers; those of old and broken servers, too."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd
from antiphon.engines.token_server.vocabulary import Vocabulary
from antiphon.engines.upstream.http import Patience, Upstream
from antiphon.engines.vllm.client import VllmClient
from support.conversation import eventually
from support.simulated_vllm import SimulatedVllm, frame
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

DONE = b"data: [DONE]\n\n"


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.fixture
async def client(fake: FakeUpstream, vocabulary: Vocabulary) -> AsyncIterator[VllmClient]:
    upstream = Upstream(fake.url, {}, Patience(1.0, 1.0, 0.2))
    yield VllmClient(upstream, "m", vocabulary, priority=True)
    await upstream.aclose()


def asking(vocabulary: Vocabulary, text: str = "Hi", **more: Any) -> CompletionRequest:
    tokens = list(vocabulary.tokens(text, control=False))
    return CompletionRequest(**{"tokens": tokens, "max_tokens": 9, "temperature": 0.5, **more})


def event(ids: list[int] | None, *, read: int = 2, written: int | None = None, **end: Any) -> bytes:
    choice = {"index": 0, "text": "", "finish_reason": None, "stop_reason": None, **end}
    if ids is not None:
        choice["token_ids"] = ids
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": 0}
    return frame({"choices": [choice], "usage": usage})


async def pieces_of(client: VllmClient, request: CompletionRequest) -> list[Piece]:
    async with aclosing(client.complete(request, "salt")) as pieces:
        return [piece async for piece in pieces]


async def failure(client: VllmClient, request: CompletionRequest) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await pieces_of(client, request)
    return caught.value


async def test_request_has_all_that_vllm_needs(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(event([1], written=1, finish_reason="length"), DONE)
    request = asking(
        vocabulary, grammar='root ::= "a"', stop=("</think>",), top_p=0.0, top_k=3, max_tokens=0
    )
    async with aclosing(client.complete(request, "workspace", in_batch=True)) as pieces:
        assert [piece.end async for piece in pieces][-1] is PieceEnd.LIMIT
    ((path, _, body),) = fake.asked
    assert path == "/v1/completions"
    assert body == {
        "model": "m",
        "prompt": request.tokens,
        "max_tokens": 1,
        "temperature": 0.5,
        "top_p": 1e-6,
        "top_k": 3,
        "structured_outputs": {"grammar": 'root ::= "a"'},
        "stop": ["</think>"],
        "skip_special_tokens": False,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "return_token_ids": True,
        "cache_salt": "workspace",
        "priority": 100,
    }


async def test_what_is_not_asked_for_is_left_to_the_server(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(event([1], finish_reason="length"), DONE)
    async with aclosing(client.complete(asking(vocabulary), "")) as pieces:
        assert [piece async for piece in pieces]
    ((_, _, body),) = fake.asked
    assert body.keys().isdisjoint(
        {"top_p", "top_k", "structured_outputs", "stop", "cache_salt", "priority"}
    )


async def test_token_that_ends_an_answer_is_counted_and_no_text(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    word, end = list(vocabulary.tokens("the", control=False)), [2]
    fake.streams(event(word, written=1), event(end, written=2, finish_reason="stop"), DONE)
    pieces = await pieces_of(client, asking(vocabulary))
    assert pieces == [
        Piece(text="the", count=1, tokens=tuple(word)),
        Piece(count=1, end=PieceEnd.MODEL),
    ]


async def test_answer_that_another_token_ends_ends(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(event([2], written=1, finish_reason="stop", stop_reason=2), DONE)
    assert await pieces_of(client, asking(vocabulary)) == [Piece(count=1, end=PieceEnd.MODEL)]


async def test_end_without_a_token_costs_none(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(event([], written=0, finish_reason="stop"), DONE)
    assert await pieces_of(client, asking(vocabulary)) == [Piece(count=0, end=PieceEnd.MODEL)]


async def test_stop_that_the_server_alone_saw_ends_the_answer(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    word = list(vocabulary.tokens("the", control=False))
    fake.streams(event(word, written=1, finish_reason="stop", stop_reason="the"), DONE)
    pieces = await pieces_of(client, asking(vocabulary))
    assert (pieces[-1].end, sum(piece.count for piece in pieces)) == (PieceEnd.STOP, 1)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([event(None), DONE], "does not tell the tokens"),
        ([event([1], read=3), DONE], "read 3 tokens where 2 were sent"),
        ([event([1], written=2), DONE], "counted 2 tokens where 1 came"),
        ([event([1]), DONE], "in the middle"),
        ([event([1])], "in the middle"),
        ([event([1], finish_reason="abort"), DONE], "broken off: abort"),
        ([b"data: {}x\n\n"], "said what it should not"),
        ([frame({"error": {"message": "EngineCore died", "code": 500}}), DONE], "status 500"),
        ([frame({"error": "gone"}), DONE], "status 500"),
    ],
)
async def test_answer_that_cannot_be_is_a_failure_of_the_server(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary, parts: list[bytes], said: str
) -> None:
    fake.streams(*parts)
    error = await failure(client, asking(vocabulary))
    assert error.kind is EngineErrorKind.FAILED
    assert said in str(error)


async def test_refusal_within_a_stream_is_told_to_the_caller(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(frame({"error": {"message": "No such thing.", "code": 400}}), DONE)
    error = await failure(client, asking(vocabulary))
    assert (error.kind, str(error)) == (
        EngineErrorKind.UNSUPPORTED,
        "The model's server refused this request: No such thing.",
    )


async def test_silence_after_the_first_token_is_a_timeout(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(event([1], written=1), then="stall")
    assert (await failure(client, asking(vocabulary))).kind is EngineErrorKind.TIMEOUT


async def test_connection_that_breaks_is_a_failure(
    client: VllmClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(event([1], written=1), then="cut")
    assert (await failure(client, asking(vocabulary))).kind is EngineErrorKind.FAILED


async def test_closing_early_ends_the_work_on_the_server(
    server: SimulatedVllm, vocabulary: Vocabulary
) -> None:
    server._pause_s = 0.001
    upstream = Upstream(server.url, {}, Patience(1.0, 1.0, 1.0))
    client = VllmClient(upstream, "smollm2", vocabulary)
    request = asking(vocabulary, max_tokens=500)
    async with aclosing(client.complete(request, "")) as pieces:
        await anext(pieces)
        assert server.running == 1
    await eventually(lambda: server.running == 0)
    assert server.broken_off == 1
    await upstream.aclose()


async def test_prompt_that_is_read_tells_what_was_cached(
    server: SimulatedVllm, vocabulary: Vocabulary
) -> None:
    upstream = Upstream(server.url, {}, Patience(1.0, 1.0, 1.0))
    client = VllmClient(upstream, "smollm2", vocabulary)
    tokens = vocabulary.tokens("one two three four five six" * 4, control=False)
    usages = [await client.read(tokens, salt) for salt in ("a", "a", "b", "")]
    most = (len(tokens) - 1) // 16 * 16
    assert [usage.cached for usage in usages] == [0, most, 0, 0]
    assert "cache_salt" not in server.asked[-1]
    await upstream.aclose()


async def test_server_that_counts_nothing_is_a_failure(
    client: VllmClient, fake: FakeUpstream
) -> None:
    fake.says(json.dumps({"choices": []}).encode())
    with pytest.raises(EngineError, match="counted nothing"):
        await client.read([1], "")


async def test_version_may_be_unknown(client: VllmClient, fake: FakeUpstream) -> None:
    assert await client.version() is None
    fake.says(b'{"version": "0.32.0"}')
    assert await client.version() == "0.32.0"
