"""What is sent to SGLang, and what becomes of its answers; those of broken servers, too."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.sglang.client import SglangClient
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd
from antiphon.engines.token_server.vocabulary import Vocabulary
from antiphon.engines.upstream.http import Patience, Upstream
from support.simulated_sglang import SimulatedSglang, frame
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

DONE = b"data: [DONE]\n\n"
LIMIT = {"type": "length", "length": 9}
END = {"type": "stop", "matched": 2}


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.fixture
async def client(fake: FakeUpstream, vocabulary: Vocabulary) -> AsyncIterator[SglangClient]:
    upstream = Upstream(fake.url, {}, Patience(1.0, 1.0, 0.2))
    yield SglangClient(upstream, "m", vocabulary, priority=True)
    await upstream.aclose()


def asking(vocabulary: Vocabulary, text: str = "Hi", **more: Any) -> CompletionRequest:
    tokens = list(vocabulary.tokens(text, control=False))
    return CompletionRequest(**{"tokens": tokens, "max_tokens": 9, "temperature": 0.5, **more})


def event(ids: list[int], written: int, reason: dict[str, Any] | None = None, **meta: Any) -> bytes:
    told = {"prompt_tokens": 2, "completion_tokens": written, "cached_tokens": 1, **meta}
    return frame({"text": "", "output_ids": ids, "meta_info": {**told, "finish_reason": reason}})


async def pieces_of(client: SglangClient, request: CompletionRequest) -> list[Piece]:
    async with aclosing(client.complete(request, "salt")) as pieces:
        return [piece async for piece in pieces]


async def failure(client: SglangClient, request: CompletionRequest) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await pieces_of(client, request)
    return caught.value


@pytest.mark.parametrize(("low_first", "priority"), [(False, -100), (True, 100)])
async def test_request_has_all_that_sglang_needs(
    client: SglangClient,
    fake: FakeUpstream,
    vocabulary: Vocabulary,
    priority: int,
    *,
    low_first: bool,
) -> None:
    fake.streams(event([1], 1, LIMIT), DONE)
    client.low_values_first = low_first
    request = asking(
        vocabulary, grammar='root ::= "a"', stop=("</think>",), top_p=0.0, top_k=0, max_tokens=0
    )
    async with aclosing(client.complete(request, "workspace", in_batch=True)) as pieces:
        assert [piece.end async for piece in pieces][-1] is PieceEnd.LIMIT
    ((path, _, body),) = fake.asked
    assert path == "/generate"
    assert body == {
        "input_ids": request.tokens,
        "sampling_params": {
            "max_new_tokens": 1,
            "temperature": 0.5,
            "top_p": 1e-6,
            "top_k": -1,
            "ebnf": 'root ::= "a"',
        },
        "stream": True,
        "extra_key": "workspace",
        "priority": priority,
    }


async def test_what_is_not_asked_for_is_left_to_the_server(
    client: SglangClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    fake.streams(event([1], 1, LIMIT), DONE)
    client.priority = False
    async with aclosing(client.complete(asking(vocabulary), "")) as pieces:
        assert [piece async for piece in pieces]
    ((_, _, body),) = fake.asked
    assert body.keys() == {"input_ids", "sampling_params", "stream"}
    assert body["sampling_params"].keys() == {"max_new_tokens", "temperature"}


async def test_requests_of_callers_go_before_those_without_a_priority(
    client: SglangClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    """SGLang takes what has none last, whichever values go first."""
    fake.streams(event([1], 1, LIMIT), DONE)
    await pieces_of(client, asking(vocabulary))
    ((_, _, body),) = fake.asked
    assert body["priority"] == 0


@pytest.mark.parametrize("whole", [False, True])
async def test_events_have_all_tokens_or_the_new_ones(
    client: SglangClient, fake: FakeUpstream, vocabulary: Vocabulary, *, whole: bool
) -> None:
    said = list(vocabulary.tokens("the and", control=False))
    first, rest = said[:1], said[1:]
    second = said if whole else rest
    last = [*said, 2] if whole else [2]
    fake.streams(event(first, 1), event(second, len(said)), event(last, len(said) + 1, END), DONE)
    pieces = await pieces_of(client, asking(vocabulary))
    assert "".join(piece.text for piece in pieces) == "the and"
    assert [token for piece in pieces for token in piece.tokens or ()] == said
    assert pieces[-1] == Piece(count=1, end=PieceEnd.MODEL)


async def test_stop_text_is_found_here_and_ends_the_work(
    client: SglangClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    said = list(vocabulary.tokens("the and an", control=False))
    fake.streams(event(said, len(said)), event([*said, 5], len(said) + 1), DONE)
    pieces = await pieces_of(client, asking(vocabulary, stop=(" and",)))
    assert "".join(piece.text for piece in pieces) == "the"
    assert pieces[-1].end is PieceEnd.STOP


async def test_cached_tokens_are_told_once_and_before_the_answer(
    client: SglangClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    word = list(vocabulary.tokens("the", control=False))
    fake.streams(event(word, 1), event([*word, 2], 2, END, cached_tokens=7), DONE)
    told: list[int] = []
    completion = client.complete(asking(vocabulary), "", tell_cached=told.append)
    async with aclosing(completion) as pieces:
        await anext(pieces)
        assert told == [1]
        assert [piece async for piece in pieces]
    assert told == [1]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([event([1], 1, LIMIT, prompt_tokens=3)], "it read 3 tokens where 2 were sent"),
        ([event([1], 4)], "it counted 4 tokens where 1 came"),
        ([event([1], 1), DONE], "it ended an answer in the middle"),
        ([event([1], 1)], "it ended an answer in the middle"),
        ([frame({"text": "a", "meta_info": {}})], "does not tell the tokens of its answer"),
        ([frame({"text": "a", "output_ids": [1]})], "does not tell the tokens of its answer"),
        ([event([1], 1, {"type": "other"})], "the answer was broken off: other"),
        ([frame({"error": {"message": "m", "code": 500}})], "upstream answered with status 500"),
        ([frame({"error": "m"})], "upstream answered with status 500"),
        ([event([1], 1, {"type": "abort"})], "upstream answered with status 500"),
    ],
)
async def test_answer_that_is_none_is_a_failure(
    client: SglangClient,
    fake: FakeUpstream,
    vocabulary: Vocabulary,
    sent: list[bytes],
    said: str,
) -> None:
    fake.streams(*sent)
    error = await failure(client, asking(vocabulary))
    assert error.kind is EngineErrorKind.FAILED
    assert said in str(error)


async def test_server_that_has_no_room_may_have_it_later(
    client: SglangClient, fake: FakeUpstream, vocabulary: Vocabulary
) -> None:
    full = {"type": "abort", "status_code": 503, "message": "The request queue is full."}
    fake.streams(event([1], 1, full), DONE)
    assert (await failure(client, asking(vocabulary))).kind is EngineErrorKind.OVERLOADED


async def test_router_tells_nothing_of_itself(client: SglangClient, fake: FakeUpstream) -> None:
    fake.says(b"{}", status=404)
    assert await client.version() is None
    fake.says(b"{}", status=503)
    with pytest.raises(EngineError):
        await client.version()


async def test_reading_tells_what_was_cached(
    server: SimulatedSglang, vocabulary: Vocabulary
) -> None:
    upstream = Upstream(server.url, {}, Patience(1.0, 1.0, 1.0))
    client = SglangClient(upstream, "m", vocabulary)
    tokens = list(vocabulary.tokens("One two three. " * 9, control=False))
    found = [(await client.read(tokens, salt)).cached for salt in ("a", "a", "b", "")]
    await upstream.aclose()
    assert found == [0, len(tokens) - 1, 0, 0]
